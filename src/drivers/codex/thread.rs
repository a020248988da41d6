//! The events of `codex exec --json`, and what it writes to standard error.

use std::time::Duration;

use serde_json::Value;

use crate::{
    drivers::{
        Ending, Event, Transcript,
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
        refused(line).into_iter().collect()
    }

    fn hooks_show_changes(&self) -> bool {
        true
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

/// Reports whether a failed command was kept from writing by its sandbox, as far as its output says so: nothing else reports
/// it. The exit codes are of a program that cannot be started.
fn is_of_sandbox(printed: &str, exit_code: &Value) -> bool {
    const SAYS_SO: [&str; 3] = ["read-only file system", "permission denied", "operation not permitted"];
    let printed = printed.to_lowercase();
    !matches!(exit_code.as_i64(), Some(126 | 127)) && SAYS_SO.iter().any(|words| printed.contains(words))
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
            Some("command_execution") => {
                let printed = item["aggregated_output"].as_str().unwrap_or_default();
                let is_refused = self.is_read_only && !ok && is_of_sandbox(printed, &item["exit_code"]);
                let of = || format!("shell({})", summary::value(&item["command"]));
                let refused = is_refused.then(|| Event::Needs { what: Needs::Permission, of: of() });
                result(printed.to_owned()).into_iter().chain(refused).collect()
            }
            Some("mcp_tool_call") if item["error"].is_object() => result(error(&item["error"])),
            Some("mcp_tool_call") => result(summary::content(&item["result"]["content"])),
            Some("file_change" | "web_search") => call(item).into_iter().chain(result(String::new())).collect(),
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
            cost_usd: 0.0,
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

    #[test]
    fn a_command_that_a_read_only_sandbox_refuses_is_a_denied_tool() {
        let completed = |is_read_only: bool, status: &str, exit_code: i32, printed: &str| {
            let item = json!({ "type": "command_execution", "command": "/bin/bash -lc 'echo x > a'", "status": status,
                "exit_code": exit_code, "aggregated_output": printed });
            let line = json!({ "type": "item.completed", "item": item }).to_string();
            let needs = |event: Event| match event {
                Event::Needs { what: Needs::Permission, of } => Some(of),
                _ => None,
            };
            Thread::of(is_read_only).line(&line).into_iter().find_map(needs)
        };
        let says = "bash: a: Read-only file system\n";
        let denied = Some("shell(/bin/bash -lc 'echo x > a')".to_owned());
        assert_eq!(completed(true, "failed", 1, says), denied);
        assert_eq!(completed(true, "failed", 2, "sh: 1: cannot create a: Permission denied\n"), denied);
        for (is_read_only, status, exit_code, printed) in [
            (false, "failed", 1, says),
            (true, "completed", 0, says),
            (true, "failed", 126, "bash: ./a: Permission denied\n"),
            (true, "failed", 1, "no such file\n"),
        ] {
            assert_eq!(completed(is_read_only, status, exit_code, printed), None, "{printed} {exit_code}");
        }
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
