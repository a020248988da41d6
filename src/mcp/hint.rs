//! Hints for a model: a command that has a tool is replaced by that tool, and the others are for the user.

use crate::{error::Error, model::tool::Tool};

/// The tools that stand for commands.
const TOOLS: [(&str, Tool); 14] = [
    ("delegate", Tool::DelegateTask),
    ("wait", Tool::WaitTasks),
    ("show", Tool::GetTask),
    ("result", Tool::GetTask),
    ("why", Tool::GetTask),
    ("tasks", Tool::ListTasks),
    ("status", Tool::GetStatus),
    ("cancel", Tool::CancelTask),
    ("retry", Tool::RetryTask),
    ("ask", Tool::AskHuman),
    ("send", Tool::SendMessage),
    ("inbox", Tool::ReadInbox),
    ("scale", Tool::ScaleWorkers),
    ("drain", Tool::Drain),
];

/// Commands for which there is no tool.
const OF_PERSONS: [&str; 21] = [
    "agents",
    "answer",
    "approve",
    "attach",
    "costs",
    "deny",
    "dismiss",
    "doctor",
    "events",
    "init",
    "kill",
    "logs",
    "pause",
    "prune",
    "questions",
    "reload",
    "restart",
    "resume",
    "spawn",
    "start",
    "stop",
];

/// Returns an error with its hint as a model reads it.
pub(super) fn for_model(error: &Error) -> String {
    match &error.hint {
        Some(hint) => format!("{}\nhint: {}", error.message, hint_for_model(hint)),
        None => error.message.clone(),
    }
}

fn hint_for_model(hint: &str) -> String {
    let mut said = String::new();
    let mut rest = hint;
    while let Some(at) = rest.find("orch ") {
        let (before, command) = rest.split_at(at);
        let after = &command["orch ".len()..];
        let end = after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len());
        let (verb, more) = after.split_at(end);
        let is_word = !before.ends_with(|c: char| c.is_alphanumeric() || c == '-' || c == '/');
        match TOOLS.iter().find(|(name, _)| *name == verb) {
            Some((_, tool)) if is_word => said.push_str(&format!("{before}{tool}")),
            // Nothing of it is for a model to run.
            None if is_word && OF_PERSONS.contains(&verb) => return format!("tell the user, who can do this: {hint}"),
            _ => said.push_str(&format!("{before}orch {verb}")),
        }
        rest = more;
    }
    said + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_names_a_tool_or_is_for_the_user() {
        for (hint, said) in [
            ("orch retry t-1, or: orch cancel t-1", "retry_task t-1, or: cancel_task t-1"),
            ("start it with: orch start", "tell the user, who can do this: start it with: orch start"),
            ("orch stop, then orch retry t-1", "tell the user, who can do this: orch stop, then orch retry t-1"),
            ("orch is not the reason", "orch is not the reason"),
            ("give it a text", "give it a text"),
        ] {
            assert_eq!(hint_for_model(hint), said);
        }
    }
}
