//! The hooks of Claude Code, which Codex has adopted: which ones run `orch hook`, what they pass to it, and what they pass on to
//! the model.
//!
//! Measured with claude 2.1.328 and codex 0.169.0: a hook reads one JSON object on standard input. Most hooks can add to what
//! the model reads (`additionalContext`). With claude, that also keeps a turn from ending at `Stop`; with codex, only
//! `{"decision":"block","reason":...}` does, which claude would show as an error and give to the model twice. claude runs no hook after Esc, after a denied permission, or between a granted permission and the end of the tool;
//! codex runs none after an error of its service. In these cases the screen shows what happened.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{
    edited,
    hook::{Hook, Source},
    mcp_config, summary, tool_request,
};
use crate::model::{
    tool::Tool,
    wait::{Need, Needs},
};

/// Seconds that a program waits for `orch hook`. The hook takes milliseconds; a Redis that does not answer must not delay the
/// program for longer.
pub(in crate::drivers) const TIMEOUT: u32 = 10;

/// The hooks of a task without a screen: messages are passed on after a tool, and at the end of a turn.
pub(in crate::drivers) const HEADLESS: &[&str] = &["PostToolUse", "PostToolUseFailure", "Stop"];
/// The same where edits may be refused.
pub(in crate::drivers) const ASKING: &[&str] = &["PreToolUse", "PostToolUse", "PostToolUseFailure", "Stop"];
/// The hooks of a program on a terminal, where nothing else reports what it does.
pub(in crate::drivers) const ON_A_TERMINAL: &[&str] = &[
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PostToolUse",
    "PermissionRequest",
    "Notification",
    "Stop",
    "StopFailure",
    "PostToolUseFailure",
    "SessionEnd",
];

/// Returns the shell command that runs `orch hook`.
pub(in crate::drivers) fn command(orch: &Path, program: &str) -> String {
    format!("'{}' hook {program}", orch.to_string_lossy().replace('\'', r"'\''"))
}

/// Returns the hooks of each event: `{"Stop": [{"hooks": [...]}], ...}`.
pub(in crate::drivers) fn calls(orch: &Path, program: &str, events: &[&str]) -> Map<String, Value> {
    let command = command(orch, program);
    let hook = json!([{ "hooks": [{ "type": "command", "command": command, "timeout": TIMEOUT }] }]);
    events.iter().map(|event| ((*event).to_owned(), hook.clone())).collect()
}

/// Returns orch's tool as claude calls it.
fn named(tool: Tool) -> String {
    format!("mcp__{}__{tool}", mcp_config::NAME)
}

/// Returns the tools of orch that claude may use without asking.
pub(in crate::drivers) fn free_tools() -> impl Iterator<Item = String> {
    Tool::ALL.iter().copied().filter(|tool| tool.is_free()).map(named)
}

/// Returns the permissions of a claude on a terminal: it asks its user before it uses a tool of orch that reaches others,
/// whatever mode it is in, except for those that its role allows.
pub(in crate::drivers) fn permissions(allowed_tools: &[String]) -> Value {
    let whole = format!("mcp__{}", mcp_config::NAME);
    let allowed = Tool::allowed(allowed_tools, |name, tool| name == whole || name == named(tool));
    let ask: Vec<String> = Tool::ALL.iter().filter(|tool| !allowed.contains(tool)).map(|tool| named(*tool)).collect();
    let allow: Vec<String> = free_tools().chain(allowed_tools.iter().cloned()).collect();
    json!({ "allow": allow, "ask": ask })
}

/// Returns claude's file for `--settings`, which adds to the user's settings and replaces none.
pub(in crate::drivers) fn settings(orch: &Path, events: &[&str], permissions: Value) -> Vec<u8> {
    let mut hooks = calls(orch, "claude", events);
    // Without a screen it asks before edits, and before no other tool.
    if events == ASKING {
        hooks["PreToolUse"][0]["matcher"] = json!(edited::TOOLS.join("|"));
    }
    json!({ "hooks": hooks, "permissions": permissions }).to_string().into_bytes()
}

/// Reads what a program passes to a hook. `None`: nothing that matters.
pub(in crate::drivers) fn read(call: &str) -> Option<Hook> {
    let call: Value = serde_json::from_str(call).ok()?;
    let text = |key: &str| call[key].as_str().map(str::to_owned);
    let tool = || {
        let name = text("tool_name").unwrap_or_else(|| "a tool".to_owned());
        (name, summary::arguments(&call["tool_input"]))
    };
    Some(match call["hook_event_name"].as_str()? {
        "SessionStart" => Hook::Began {
            session: text("session_id"),
            source: match call["source"].as_str() {
                Some("resume") => Source::Resume,
                Some("clear") => Source::Clear,
                Some("compact") => Source::Compact,
                _ => Source::Startup,
            },
            record: text("transcript_path"),
        },
        "UserPromptSubmit" => Hook::Prompt { text: text("prompt").unwrap_or_default() },
        "PreToolUse" => {
            let (name, summary) = tool();
            Hook::ToolCall { name, summary, changes: summary::changes(&call["tool_input"]).unwrap_or_default() }
        }
        "PostToolUse" => Hook::ToolResult { ok: true, summary: summary::content(&call["tool_response"]) },
        "PostToolUseFailure" => Hook::ToolResult { ok: false, summary: text("error").unwrap_or_default() },
        "PermissionRequest" => {
            let name = call["tool_name"].as_str().unwrap_or("a tool");
            let Need { what, of } = tool_request::need(name, &call["tool_input"], call["cwd"].as_str());
            Hook::Asks { what, of }
        }
        "Notification" => match call["notification_type"].as_str()? {
            // The permission request has reported what it is for; this call does not repeat it.
            "permission_prompt" => Hook::Asks { what: Needs::Permission, of: String::new() },
            // That the prompt is idle is already known.
            _ => return None,
        },
        "Stop" => Hook::Ended { said: text("last_assistant_message") },
        "StopFailure" => Hook::Failed {
            why: [summary::value(&call["error"]), text("last_assistant_message").unwrap_or_default()]
                .join(" ")
                .trim()
                .to_owned(),
        },
        // codex: the user pressed Esc.
        "Interrupt" => Hook::Interrupted,
        // After /clear another session begins immediately.
        "SessionEnd" if call["reason"] != "clear" => Hook::Left,
        _ => return None,
    })
}

/// Returns what a hook of claude must print so that the model reads `text`. `None`: this hook can't pass anything on.
pub(in crate::drivers) fn hand_over(hook: &Hook, text: &str) -> Option<String> {
    let event = match hook {
        Hook::Began { .. } => "SessionStart",
        Hook::Prompt { .. } => "UserPromptSubmit",
        Hook::ToolCall { .. } => "PreToolUse",
        Hook::ToolResult { ok: true, .. } => "PostToolUse",
        Hook::ToolResult { ok: false, .. } => "PostToolUseFailure",
        Hook::Ended { .. } => "Stop",
        _ => return None,
    };
    Some(json!({ "hookSpecificOutput": { "hookEventName": event, "additionalContext": text } }).to_string())
}

/// Returns what `PreToolUse` must print so that the tool is not used and the model reads why.
pub(in crate::drivers) fn refuse(why: &str) -> String {
    let refused =
        json!({ "hookEventName": "PreToolUse", "permissionDecision": "deny", "permissionDecisionReason": why });
    json!({ "hookSpecificOutput": refused }).to_string()
}

/// Returns what `Stop` must print so that the turn continues with `text` as another prompt.
pub(in crate::drivers) fn block(text: &str) -> String {
    json!({ "decision": "block", "reason": text }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a real program has passed; `tests/fixtures/hooks/README.md` describes when.
    macro_rules! recorded {
        ($file:literal) => {
            read(include_str!(concat!("../../../tests/fixtures/hooks/", $file)))
        };
    }

    #[test]
    fn what_claude_tells() {
        let session = "11111111-2222-4333-8444-555555555555";
        let began = |hook: Option<Hook>| match hook {
            Some(Hook::Began { session: Some(found), source, record: Some(record) }) => {
                assert!(found == session && record.ends_with(&format!("{session}.jsonl")), "{found} {record}");
                source
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(began(recorded!("claude/session_start.json")), Source::Startup);
        assert_eq!(began(recorded!("claude/session_start_compact.json")), Source::Compact);
        assert_eq!(began(recorded!("claude/session_start_resume.json")), Source::Resume);
        let cleared = recorded!("claude/session_start_clear.json");
        assert!(matches!(cleared, Some(Hook::Began { source: Source::Clear, .. })), "{cleared:?}");
        assert_eq!(recorded!("claude/user_prompt_submit.json"), Some(Hook::Prompt { text: "say hi".into() }));
        let called = recorded!("claude/pre_tool_use.json");
        assert!(matches!(called, Some(Hook::ToolCall { ref name, .. }) if name == "Bash"), "{called:?}");
        assert!(matches!(recorded!("claude/post_tool_use.json"), Some(Hook::ToolResult { ok: true, .. })));
        let asks = |what: Needs, of: &str| Some(Hook::Asks { what, of: of.into() });
        assert_eq!(recorded!("claude/permission_request.json"), asks(Needs::Permission, "run Bash: touch a1"));
        let still = recorded!("claude/notification_permission_prompt.json");
        assert_eq!(still, asks(Needs::Permission, ""), "for what, was told before");
        let question = "Which database should it use? (SQLite, Postgres)";
        assert_eq!(recorded!("claude/permission_request_question.json"), asks(Needs::Input, question));
        assert_eq!(recorded!("claude/notification_idle_prompt.json"), None);
        assert_eq!(recorded!("claude/stop.json"), Some(Hook::Ended { said: Some("All 12 tests pass.".into()) }));
        let failed = recorded!("claude/stop_failure.json");
        assert!(matches!(failed, Some(Hook::Failed { ref why }) if why.contains("529 Overloaded")), "{failed:?}");
        assert_eq!(recorded!("claude/session_end_exit.json"), Some(Hook::Left));
        assert_eq!(recorded!("claude/session_end_clear.json"), None);
        for told in
            [recorded!("claude/pre_compact.json"), recorded!("claude/subagent_stop.json"), read("{"), read("[]")]
        {
            assert_eq!(told, None);
        }
    }

    #[test]
    fn what_codex_tells() {
        assert_eq!(recorded!("codex/stop.json"), Some(Hook::Ended { said: Some("hi".into()) }));
        assert_eq!(recorded!("codex/interrupt.json"), Some(Hook::Interrupted));
        assert_eq!(recorded!("codex/user_prompt_submit.json"), Some(Hook::Prompt { text: "say hi".into() }));
        assert!(matches!(recorded!("codex/session_start.json"), Some(Hook::Began { session: Some(_), .. })));
        let asks = Hook::Asks { what: Needs::Permission, of: "run Bash: touch a1".into() };
        assert_eq!(recorded!("codex/permission_request.json"), Some(asks));
    }

    #[test]
    fn what_waits_is_handed_over_where_the_model_reads_it() {
        let says = |hook: Hook| serde_json::from_str::<Value>(&hand_over(&hook, "news").unwrap()).unwrap();
        let adds = |event| json!({ "hookSpecificOutput": { "hookEventName": event, "additionalContext": "news" } });
        assert_eq!(says(Hook::Ended { said: None }), adds("Stop"));
        assert_eq!(says(Hook::Prompt { text: "x".into() }), adds("UserPromptSubmit"));
        assert_eq!(says(Hook::Began { session: None, source: Source::Compact, record: None }), adds("SessionStart"));
        let result = |ok| Hook::ToolResult { ok, summary: String::new() };
        assert_eq!(says(result(true)), adds("PostToolUse"));
        assert_eq!(says(result(false)), adds("PostToolUseFailure"));
        assert_eq!(hand_over(&Hook::Left, "news"), None);
    }

    #[test]
    fn a_tool_is_refused_with_a_reason_and_only_edits_are_asked_about() {
        let refused: Value = serde_json::from_str(&refuse("it is locked")).unwrap();
        let said = &refused["hookSpecificOutput"];
        assert_eq!(
            (&said["permissionDecision"], &said["permissionDecisionReason"]),
            (&json!("deny"), &json!("it is locked"))
        );
        let settings = |events| -> Value {
            serde_json::from_slice(&settings(Path::new("/orch"), events, permissions(&[]))).unwrap()
        };
        assert_eq!(settings(ASKING)["hooks"]["PreToolUse"][0]["matcher"], "Write|Edit|MultiEdit|NotebookEdit");
        assert!(settings(HEADLESS)["hooks"]["PreToolUse"].is_null());
        assert!(settings(ON_A_TERMINAL)["hooks"]["PreToolUse"][0]["matcher"].is_null(), "all of its tools are shown");
    }

    #[test]
    fn a_path_with_a_quote_is_one_word_of_the_shell() {
        let settings: Value =
            serde_json::from_slice(&settings(Path::new("/a b/it's/orch"), &["Stop"], permissions(&[]))).unwrap();
        let command = settings["hooks"]["Stop"][0]["hooks"][0]["command"].as_str().unwrap();
        assert_eq!(command, r"'/a b/it'\''s/orch' hook claude");
        assert_eq!(settings["permissions"]["allow"], json!(free_tools().collect::<Vec<_>>()));
    }
}
