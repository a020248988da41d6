//! The stream of `--output-format stream-json`, which claude and qwen print: one JSON object per line.
//!
//! ```text
//! {"type":"system","subtype":"init","session_id":S,"model":M}      first, and again at each turn
//! {"type":"assistant","message":{"content":[{"type":"text"|"thinking"|"tool_use",...}],"usage":{...}}}
//! {"type":"user","message":{"content":[{"type":"tool_result","is_error":B,"content":...}]}}
//! {"type":"user","isSynthetic":true,"message":{"content":[{"type":"text","text":"Stop hook feedback:..."}]}}
//! {"type":"system","subtype":"api_retry",...}  {"type":"system","subtype":"permission_denied",...}
//! {"type":"result","subtype":...,"is_error":B,"result":TEXT,"usage":{...},"total_cost_usd":N,"permission_denials":[...]}
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use super::{
    errors,
    event::{Ending, Event, Failure, Transcript},
    hook::EDIT_REFUSED,
    rate_limit, summary,
};
use crate::model::{task::Usage, wait::Needs};

/// Reads the stream.
#[derive(Debug, Default)]
pub(in crate::drivers) struct StreamJson {
    /// The last session that was reported: `init` is repeated at each turn.
    session: Option<String>,
    /// The tokens of each message by its id. Each block of a message has a line of its own, which states the tokens of the
    /// whole message. A message without an id counts as one of its own.
    used: BTreeMap<String, Usage>,
    /// The calls of tools that our own hook has refused: a person need not allow these.
    refused: BTreeSet<String>,
}

impl Transcript for StreamJson {
    fn line(&mut self, line: &str) -> Vec<Event> {
        let Ok(said) = serde_json::from_str::<Value>(line) else {
            return vec![Event::Unknown { shown: Some(line.to_owned()) }];
        };
        match (said["type"].as_str(), said["subtype"].as_str()) {
            (Some("system"), Some("init" | "session_start")) => self.started(&said),
            (Some("system"), Some("api_retry")) => vec![retrying(&said)],
            (Some("system"), Some("permission_denied")) => vec![denied(&said)],
            // Hooks, compaction, status: not needed here.
            (Some("system" | "stream_event"), _) => Vec::new(),
            (Some("assistant"), _) => self.assistant(&said),
            (Some("user"), _) => {
                self.refused.extend(refused_by_us(&said));
                user(&said)
            }
            (Some("rate_limit_event"), _) => rate_limit::events(&said),
            (Some("result"), _) => result(&said, &self.refused),
            _ => vec![Event::Unknown { shown: None }],
        }
    }
}

impl StreamJson {
    fn started(&mut self, said: &Value) -> Vec<Event> {
        let session = said["session_id"].as_str().map(str::to_owned);
        if session.is_some() && session == self.session {
            return Vec::new();
        }
        self.session.clone_from(&session);
        vec![Event::Started { session, model: said["model"].as_str().map(str::to_owned) }]
    }

    /// Returns the text and tools of a message, and the usage so far. The result states the exact sum with the cost, but a
    /// program that is ended before its result has used something too.
    fn assistant(&mut self, said: &Value) -> Vec<Event> {
        let mut events = assistant(said);
        let message = &said["message"];
        if message["usage"].is_object() {
            let id = message["id"].as_str().map_or_else(|| format!("#{}", self.used.len()), str::to_owned);
            self.used.insert(id, tokens(&message["usage"]));
            events.extend(self.used.values().cloned().reduce(|a, b| a.and(&b)).map(Event::Usage));
        }
        events
    }
}

fn retrying(said: &Value) -> Event {
    let (text, status) = (summary::value(&said["error"]), said["error_status"].as_u64());
    let failure = errors::failure(status, &text);
    let why = match status {
        Some(status) => format!("{text} ({status})"),
        // What claude reports when there was no answer at all.
        None if matches!(text.as_str(), "" | "unknown") => "its service can't be reached".to_owned(),
        None => text,
    };
    Event::Retrying {
        attempt: said["attempt"].as_u64(),
        of: said["max_retries"].as_u64(),
        after: Duration::from_millis(said["retry_delay_ms"].as_f64().map_or(0, |ms| ms as u64)),
        why,
        failure,
    }
}

fn denied(said: &Value) -> Event {
    let tool = said["tool_name"].as_str().unwrap_or("a tool");
    Event::Needs { what: Needs::Permission, of: tool.to_owned() }
}

fn assistant(said: &Value) -> Vec<Event> {
    let blocks = said["message"]["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    blocks
        .iter()
        .flat_map(|block| match block["type"].as_str() {
            Some("text") => block["text"].as_str().map(|text| Event::Text(text.to_owned())).into_iter().collect(),
            Some("tool_use" | "server_tool_use") => {
                let call = Event::ToolCall {
                    name: block["name"].as_str().unwrap_or("?").to_owned(),
                    summary: summary::arguments(&block["input"]),
                };
                [call].into_iter().chain(summary::changes(&block["input"]).map(Event::Changes)).collect()
            }
            Some("thinking" | "redacted_thinking") => vec![Event::Answers],
            _ => Vec::new(),
        })
        .collect()
}

/// Returns the calls of tools that our own hook has refused.
fn refused_by_us(said: &Value) -> impl Iterator<Item = String> {
    let blocks = said["message"]["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    let refused = |block: &&Value| {
        block["type"] == "tool_result"
            && block["is_error"] == true
            && summary::content(&block["content"]).contains(EDIT_REFUSED)
    };
    blocks.iter().filter(refused).filter_map(|block| block["tool_use_id"].as_str().map(str::to_owned))
}

/// How the text begins that continues a turn which a hook has kept from ending.
const FEEDBACK: &str = "Stop hook feedback:";

fn user(said: &Value) -> Vec<Event> {
    if said["isSynthetic"] == true && summary::content(&said["message"]["content"]).starts_with(FEEDBACK) {
        return vec![Event::HandedOver];
    }
    let blocks = said["message"]["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    let results = blocks.iter().filter(|block| block["type"] == "tool_result");
    results
        .map(|block| Event::ToolResult { ok: block["is_error"] != true, summary: summary::content(&block["content"]) })
        .collect()
}

fn result(said: &Value, refused: &BTreeSet<String>) -> Vec<Event> {
    let mut events = Vec::new();
    let is_ours = |denial: &&Value| denial["tool_use_id"].as_str().is_some_and(|id| refused.contains(id));
    let denials = said["permission_denials"].as_array().into_iter().flatten();
    for denial in denials.filter(|denial| !is_ours(denial)) {
        let (tool, what) =
            (denial["tool_name"].as_str().unwrap_or("a tool"), summary::arguments(&denial["tool_input"]));
        let of = if what.is_empty() { tool.to_owned() } else { format!("{tool}({what})") };
        events.push(Event::Needs { what: Needs::Permission, of });
    }
    if said["usage"].is_object() {
        let cost_usd = said["total_cost_usd"].as_f64().unwrap_or(0.0);
        events.push(Event::Usage(Usage { cost_usd, ..tokens(&said["usage"]) }));
    }
    let text = said["result"].as_str().map(str::to_owned);
    let ending = ending(said, text.as_deref());
    // The text of a result with an error is the error, not an answer.
    let text = text.filter(|_| ending == Ending::Done);
    events.push(Event::Result { text, ending });
    events
}

/// Reads the tokens of a message or of a whole run.
pub(in crate::drivers) fn tokens(usage: &Value) -> Usage {
    let tokens = |name: &str| usage[name].as_u64().unwrap_or(0);
    Usage {
        // The model has also read what came from the provider's cache.
        input_tokens: tokens("input_tokens")
            .saturating_add(tokens("cache_creation_input_tokens"))
            .saturating_add(tokens("cache_read_input_tokens")),
        output_tokens: tokens("output_tokens"),
        ..Usage::default()
    }
}

fn ending(said: &Value, text: Option<&str>) -> Ending {
    let subtype = said["subtype"].as_str().unwrap_or_default();
    if said["is_error"] != true && subtype == "success" {
        return Ending::Done;
    }
    let mut errors: Vec<String> = said["errors"].as_array().into_iter().flatten().map(summary::value).collect();
    errors.extend(text.map(str::to_owned));
    errors.extend(said["error"]["message"].as_str().map(str::to_owned));
    let reason = if errors.is_empty() { format!("it ended with {subtype}") } else { errors.join("; ") };
    match subtype {
        "error_max_turns" => {
            Ending::Failed(Failure::Bound, format!("its bound of turns is reached (max_turns): {reason}"))
        }
        "error_max_budget_usd" => {
            Ending::Failed(Failure::Bound, format!("its bound of costs is reached (max_cost_usd): {reason}"))
        }
        _ => Ending::Failed(errors::failure(said["api_error_status"].as_u64(), &reason), reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_our_own_hook_has_refused_needs_no_permission_of_a_person() {
        let mut stream = StreamJson::default();
        let mut needs = |refused: &str| -> Vec<Event> {
            let result = |id: &str, text: &str| {
                format!(
                    r#"{{"type":"user","message":{{"content":[{{"type":"tool_result","tool_use_id":"{id}","is_error":true,"content":"{text}"}}]}}}}"#
                )
            };
            let denial = |id: &str| {
                format!(r#"{{"tool_name":"Edit","tool_use_id":"{id}","tool_input":{{"file_path":"{id}.rs"}}}}"#)
            };
            let denials = [denial("a"), denial("b")].join(",");
            let end =
                format!(r#"{{"type":"result","subtype":"success","result":"x","permission_denials":[{denials}]}}"#);
            let lines = [result("a", refused), result("b", "Claude requested permissions"), end];
            lines
                .iter()
                .flat_map(|line| stream.line(line))
                .filter(|event| matches!(event, Event::Needs { .. }))
                .collect()
        };
        assert_eq!(needs("no permission").len(), 2);
        let left = needs(&format!("{EDIT_REFUSED}, because another one has locked: src"));
        assert_eq!(left, [Event::Needs { what: Needs::Permission, of: "Edit(b.rs)".into() }]);
    }
}
