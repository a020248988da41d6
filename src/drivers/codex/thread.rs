//! The events of `codex exec --json`, and what it writes to standard error.

use std::time::Duration;

use serde_json::Value;

use crate::{
    drivers::{
        Ending, Event, Hook, Transcript,
        common::{errors, summary},
    },
    model::{task::Usage, wait::Needs},
};

/// Reads the events of a thread.
#[derive(Debug, Default)]
pub(super) struct Thread {
    answer: Option<String>,
    /// Whether its commands run in a sandbox in which they write nothing.
    is_read_only: bool,
    /// What its tools are to change in files, until the stream reports that they have.
    changes: Vec<String>,
    /// The last command, as its hook has reported it.
    called: String,
}

impl Thread {
    /// One whose sandbox lets its commands write, or not.
    pub fn of(is_read_only: bool) -> Thread {
        Thread { is_read_only, ..Thread::default() }
    }
}

impl Transcript for Thread {
    fn line(&mut self, line: &str) -> Vec<Event> {
        let Ok(said) = serde_json::from_str::<Value>(line) else {
            return vec![Event::Unknown { shown: Some(line.to_owned()) }];
        };
        match said["type"].as_str() {
            Some("thread.started") => {
                vec![Event::Started { session: said["thread_id"].as_str().map(str::to_owned), model: None }]
            }
            Some("turn.started" | "item.updated") => Vec::new(),
            // Other items are reported when they are complete.
            Some("item.started") => match said["item"]["type"].as_str() {
                Some("command_execution" | "mcp_tool_call") => call(&said["item"]).into_iter().collect(),
                _ => Vec::new(),
            },
            Some("item.completed") => self.completed(&said["item"]),
            Some("turn.completed") => {
                let mut events: Vec<Event> = usage(&said["usage"]).into_iter().collect();
                events.push(Event::Result { text: self.answer.take(), ending: Ending::Done });
                events
            }
            Some("turn.failed") => {
                let reason = error(&said["error"]);
                vec![Event::Result { text: None, ending: Ending::Failed(errors::failure(None, &reason), reason) }]
            }
            // It retries itself, and reports the outcome.
            Some("error") => {
                let said = error(&said);
                vec![retrying(&said).unwrap_or(Event::Note(said))]
            }
            _ => vec![Event::Unknown { shown: None }],
        }
    }

    fn error_line(&mut self, line: &str) -> Vec<Event> {
        let refused = refused(line);
        if refused.is_some() {
            self.changes.clear();
        }
        refused.into_iter().collect()
    }

    fn reads_hooks(&self) -> bool {
        true
    }

    fn hooked(&mut self, hook: Hook) -> Vec<Event> {
        match hook {
            Hook::ToolCall { summary, changes, .. } => {
                self.called = summary;
                self.changes.extend(Some(changes).filter(|changes| !changes.is_empty()));
                Vec::new()
            }
            Hook::ToolResult { summary, .. } if self.is_read_only && is_of_sandbox(&summary) => {
                vec![Event::Needs { what: Needs::Permission, of: format!("shell({})", self.called) }]
            }
            _ => Vec::new(),
        }
    }

    fn is_noise(&self, line: &str) -> bool {
        line.starts_with("Reading prompt from stdin") || line.starts_with("WARNING: proceeding, even though")
    }
}

/// Reads `ERROR codex_core::tools::router: error=patch rejected: why; ...`, or `error=approval policy is Never; reject command
/// ...`: the model was told that it may not do something, and no person was asked.
fn refused(line: &str) -> Option<Event> {
    let (_, error) = line.split_once(" codex_core::tools::router: error=")?;
    let of = match error.strip_prefix("patch rejected: ") {
        Some(why) => format!("apply_patch({})", why.split(';').next().unwrap_or(why)),
        None if error.contains("reject command") => "shell(a command outside its sandbox)".to_owned(),
        None => return None,
    };
    Some(Event::Needs { what: Needs::Permission, of })
}

/// Reports whether a command was kept from writing by its sandbox, by its output. The stream has no line for a command that fails
/// at once.
fn is_of_sandbox(printed: &str) -> bool {
    const SAYS_SO: [&str; 2] = [": Read-only file system", ": Read-only file system (os error 30)"];
    printed.lines().any(|line| SAYS_SO.iter().any(|words| line.trim_end().ends_with(words)))
}

impl Thread {
    fn completed(&mut self, item: &Value) -> Vec<Event> {
        let ok = item["status"] != "failed";
        let result = |summary: String| vec![Event::ToolResult { ok, summary }];
        match item["type"].as_str() {
            Some("agent_message") => {
                let text = item["text"].as_str().unwrap_or_default().to_owned();
                self.answer = Some(text.clone());
                vec![Event::Text(text)]
            }
            Some("command_execution") => result(item["aggregated_output"].as_str().unwrap_or_default().to_owned()),
            Some("mcp_tool_call") if item["error"].is_object() => result(error(&item["error"])),
            Some("mcp_tool_call") => result(summary::content(&item["result"]["content"])),
            Some("file_change") => {
                let changes = std::mem::take(&mut self.changes).into_iter().map(Event::Changes);
                call(item).into_iter().chain(changes).chain(result(String::new())).collect()
            }
            Some("web_search") => call(item).into_iter().chain(result(String::new())).collect(),
            // `Model metadata for X not found`, and the like: it continues.
            Some("error") => vec![Event::Note(error(item))],
            Some("reasoning" | "todo_list") => vec![Event::Answers],
            _ => vec![Event::Unknown { shown: None }],
        }
    }
}

/// Reads `Reconnecting... 2/5 (why)`, or `Reconnecting... waiting for network (why)`, which is endless and not counted. The
/// delay is not reported.
fn retrying(said: &str) -> Option<Event> {
    let rest = said.strip_prefix("Reconnecting... ")?;
    let (tries, why) = rest.split_once(' ').unwrap_or((rest, ""));
    let counted = tries.split_once('/').and_then(|(attempt, of)| Some((attempt.parse().ok()?, of.parse().ok()?)));
    let (attempt, of, why) = match counted {
        Some((attempt, of)) => {
            (Some(attempt), Some(of), why.strip_prefix('(').and_then(|why| why.strip_suffix(')')).unwrap_or(why))
        }
        None => (None, None, rest),
    };
    let failure = errors::failure(None, why);
    Some(Event::Retrying { attempt, of, after: Duration::ZERO, why: why.to_owned(), failure })
}

fn call(item: &Value) -> Option<Event> {
    let (name, summary) = match item["type"].as_str()? {
        "command_execution" => ("shell".to_owned(), summary::value(&item["command"])),
        "mcp_tool_call" => {
            let name = format!("{}.{}", item["server"].as_str().unwrap_or("?"), item["tool"].as_str().unwrap_or("?"));
            (name, summary::arguments(&item["arguments"]))
        }
        "file_change" => {
            let changes = item["changes"].as_array()?;
            let paths: Vec<&str> = changes.iter().filter_map(|change| change["path"].as_str()).collect();
            ("edit".to_owned(), paths.join(", "))
        }
        "web_search" => ("web_search".to_owned(), summary::value(&item["query"])),
        _ => return None,
    };
    Some(Event::ToolCall { name, summary })
}

pub(super) fn usage(said: &Value) -> Option<Event> {
    let tokens = |name: &str| said[name].as_u64().unwrap_or(0);
    said.is_object().then(|| {
        Event::Usage(Usage {
            input_tokens: tokens("input_tokens"),
            output_tokens: tokens("output_tokens"),
            ..Usage::default()
        })
    })
}

fn error(said: &Value) -> String {
    said["message"].as_str().map_or_else(|| summary::value(said), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(summary: &str, changes: &str) -> Hook {
        Hook::ToolCall { name: "Bash".into(), summary: summary.into(), changes: changes.into() }
    }

    #[test]
    fn a_command_that_a_read_only_sandbox_refuses_is_a_denied_tool() {
        let denied = |is_read_only: bool, printed: &str| {
            let mut thread = Thread::of(is_read_only);
            assert_eq!(thread.hooked(call("echo x > a", "")), []);
            thread.hooked(Hook::ToolResult { ok: true, summary: printed.into() })
        };
        let needs = [Event::Needs { what: Needs::Permission, of: "shell(echo x > a)".into() }];
        assert_eq!(denied(true, "/bin/bash: line 1: a: Read-only file system\n"), needs);
        assert_eq!(denied(true, "made\nError: a: Read-only file system (os error 30)\nmore"), needs);
        for (is_read_only, printed) in [
            (false, "/bin/bash: line 1: a: Read-only file system\n"),
            (true, "src/a.rs: \"Read-only file system\" => x,"),
            (true, "a: Permission denied"),
            (true, ""),
        ] {
            assert_eq!(denied(is_read_only, printed), [], "{printed}");
        }
    }

    #[test]
    fn a_change_of_files_is_shown_as_its_hook_has_reported_it() {
        let line = json!({ "type": "item.completed", "item": { "type": "file_change", "status": "completed",
            "changes": [{ "path": "a", "kind": "update" }] } });
        let changes = |thread: &mut Thread| -> Vec<Event> {
            thread.line(&line.to_string()).into_iter().filter(|event| matches!(event, Event::Changes(_))).collect()
        };
        let mut thread = Thread::default();
        thread.hooked(call("apply_patch", "-x\n+y\n"));
        assert_eq!(changes(&mut thread), [Event::Changes("-x\n+y\n".into())]);
        assert_eq!(changes(&mut thread), [], "once");
        thread.hooked(call("apply_patch", "+z\n"));
        thread.error_line("x ERROR codex_core::tools::router: error=patch rejected: no; rejected");
        assert_eq!(changes(&mut thread), [], "what was rejected has changed nothing");
    }

    #[test]
    fn what_was_refused_is_read_from_standard_error() {
        let refused = |error: &str| {
            let line = format!("2026-11-29T15:50:18.883504Z ERROR codex_core::tools::router: error={error}");
            Thread::default().error_line(&line)
        };
        let needs = |of: &str| vec![Event::Needs { what: Needs::Permission, of: of.into() }];
        for (error, events) in [
            (
                "patch rejected: writing is blocked by read-only sandbox; rejected by user approval settings",
                needs("apply_patch(writing is blocked by read-only sandbox)"),
            ),
            (
                "approval policy is Never; reject command — you cannot ask for escalated permissions if the approval \
                 policy is Never",
                needs("shell(a command outside its sandbox)"),
            ),
            ("unsupported custom tool call: apply_patch", Vec::new()),
        ] {
            assert_eq!(refused(error), events, "{error}");
        }
        assert!(Thread::default().error_line("WARNING: proceeding").is_empty());
    }
}
