//! What each program prints, case by case (tests/fixtures), and what is made of it.

mod flags;
mod screens;
mod started;
mod terminal;
mod toy;
mod waits;

use std::{fs, path::Path, time::Duration};

use serde_json::Value;

use super::common::errors;
use super::*;
use crate::{
    config::{Config, Env, Role},
    model::{cause::Cause, task::Usage, time::Timestamp, wait::Needs},
};

/// The time of all cases: 2023-11-14T22:13:20Z.
const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn fixture(kind: DriverKind, case: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(kind.as_str());
    let found = ["jsonl", "txt"].map(|ext| folder.join(format!("{case}.{ext}")));
    found.iter().find_map(|path| fs::read_to_string(path).ok()).unwrap_or_else(|| panic!("{kind}/{case}"))
}

fn told(kind: DriverKind, text: &str) -> (Vec<Event>, Option<Conversation>) {
    let Some(mut transcript) = of(kind).unwrap().transcript(&AgentOptions::default()) else {
        return (Vec::new(), None);
    };
    let events: Vec<Event> = text.lines().flat_map(|line| transcript.line(line)).collect();
    let mut told = Conversation::default();
    events.iter().for_each(|event| told.take(event));
    (events, Some(told))
}

fn verdict(kind: DriverKind, case: &str, exit_code: Option<i32>, stderr: &str) -> Verdict {
    let text = fixture(kind, case);
    let (_, told) = told(kind, &text);
    let signal = exit_code.is_none().then_some(9);
    let (conversation, on_a_terminal, hold_denied) = (told.as_ref(), false, true);
    let end = End {
        exit_code,
        signal,
        stdout: &text,
        stderr,
        file: None,
        conversation,
        on_a_terminal,
        was_asking: false,
        hold_denied,
        now: NOW,
    };
    of(kind).unwrap().read(end)
}

#[test]
fn ends_mean_what_comes_next() {
    use Cause::*;
    use DriverKind::*;
    let ok = Some(0);
    // Driver, case, exit code; cause, and words of its reason.
    for (kind, case, exit, cause, words) in [
        (Claude, "ok", ok, Success, "claude has done it"),
        (Claude, "ok", Some(143), Success, "had done it when it was ended"),
        (Claude, "api_error", Some(1), Transient, "529 Overloaded"),
        (Claude, "login", Some(1), NeedsPerson, "claude asks to log in: Invalid API key"),
        (Claude, "refused", Some(143), NeedsPerson, "claude asks to log in: authentication_failed (401); run claude"),
        (Claude, "rate_limit", Some(1), RateLimited, "limit"),
        (Claude, "usage_limit", Some(1), RateLimited, "usage limit reached"),
        (Claude, "denied", ok, NeedsPerson, "not allowed to use Bash(npm test): allow it"),
        (Claude, "max_turns", Some(1), Permanent, "max_turns"),
        (Claude, "max_cost", Some(1), Permanent, "max_cost_usd"),
        (Claude, "no_session", Some(1), Transient, "No conversation found"),
        (Claude, "too_long", Some(1), Permanent, "Prompt is too long"),
        (Claude, "interrupted", ok, Transient, "before it had given a result"),
        (Claude, "interrupted", Some(1), Transient, "exit code 1"),
        (Claude, "interrupted", None, Lost, "signal 9"),
        (Claude, "silent", ok, Transient, "printed nothing"),
        (Claude, "silent", Some(77), NeedsPerson, "exit code 77"),
        (Claude, "changed", ok, Permanent, "not its stream of JSON (2 lines, none understood)"),
        (Claude, "other_program", ok, Permanent, "not its stream of JSON"),
        (Codex, "ok", ok, Success, "codex has done it"),
        (Codex, "tool_failed", ok, Success, "codex has done it"),
        (Codex, "failed", Some(1), Transient, "500 Internal Server Error"),
        (Codex, "usage_limit", Some(1), RateLimited, "usage limit"),
        (Codex, "login", Some(1), NeedsPerson, "codex asks to log in: unexpected status 401"),
        (Codex, "refused", None, NeedsPerson, "codex asks to log in: unexpected status 401"),
        (Codex, "interrupted", Some(1), Transient, "exit code 1"),
        (Gemini, "ok", ok, Success, "gemini has done it"),
        (Gemini, "tool_failed", ok, Success, "gemini has done it"),
        (
            Gemini,
            "denied",
            ok,
            NeedsPerson,
            "not allowed to use run_shell_command(echo hi > made.txt), write_file(a.txt)",
        ),
        (Gemini, "login", Some(145), NeedsPerson, "gemini asks to log in: [API Error: "),
        (Gemini, "quota", Some(1), RateLimited, "Quota exceeded"),
        (Gemini, "loop", ok, Transient, "gemini: Loop detected, stopping execution"),
        (Gemini, "max_turns", ok, Permanent, "gemini: Maximum session turns exceeded"),
        (Qwen, "ok", ok, Success, "qwen has done it"),
        (Qwen, "login", Some(1), NeedsPerson, "qwen asks to log in: [API Error: 401"),
        (Qwen, "failed", Some(1), Transient, "fetch failed"),
        (Opencode, "ok", ok, Success, "opencode has done it"),
        (Opencode, "ok", Some(1), Success, "had done it when it was ended"),
        (Opencode, "cut", ok, Transient, "before it had given a result"),
        (
            Opencode,
            "denied",
            ok,
            NeedsPerson,
            "not allowed to use bash(ls): allow it under permission in opencode.json",
        ),
        (Opencode, "failed", ok, NeedsPerson, "Unauthorized"),
        (Copilot, "ok", ok, Success, "copilot has done it"),
        (Copilot, "denied", ok, NeedsPerson, "not allowed to use bash(ls): allow it"),
        (Copilot, "refused", Some(143), NeedsPerson, "copilot asks to log in: bad-key (401); run copilot login"),
        (Copilot, "login", Some(1), NeedsPerson, "copilot asks to log in: Authentication failed"),
        (Copilot, "failed", Some(1), Transient, "500 broken"),
        (Copilot, "interrupted", ok, Transient, "before it had given a result"),
        (Copilot, "interrupted", None, Lost, "signal 9"),
        (Aider, "ok", ok, Success, "exit code 0"),
        (Aider, "recovered", ok, Success, "exit code 0"),
        (Aider, "refused", ok, Permanent, "bad-thing"),
        (Aider, "login", ok, NeedsPerson, "aider asks to log in: litellm.AuthenticationError"),
        (Aider, "rate_limit", ok, RateLimited, "Rate limit reached"),
    ] {
        let said = verdict(kind, case, exit, "");
        assert!(said.cause == cause && said.reason.contains(words), "{kind}/{case} {exit:?}: {said:?}");
        assert_eq!(said.start_anew, case == "no_session", "{kind}/{case}");
    }
}

#[test]
fn answers_and_what_they_cost() {
    use DriverKind::*;
    for (kind, case, text, input_tokens, output_tokens, cost_usd) in [
        (Claude, "ok", "The folder is empty.", 123, 45, 0.0123),
        (Claude, "max_turns", "Half of it is done.", 1, 2, 0.01),
        (Codex, "ok", "There is one file.", 200, 30, 0.0),
        (Gemini, "ok", "There is one file.", 100, 30, 0.0),
        (Qwen, "ok", "There is one file.", 7, 8, 0.0),
        (Opencode, "ok", "There is one file.", 115, 30, 0.5),
    ] {
        let said = verdict(kind, case, Some(0), "");
        assert_eq!(said.text.as_deref(), Some(text), "{kind}/{case}");
        assert_eq!(
            said.usage,
            Some(Usage { input_tokens, output_tokens, cost_usd, ..Usage::default() }),
            "{kind}/{case}"
        );
    }
    assert_eq!(verdict(Claude, "other_program", Some(0), "").text, None, "what was printed is shown then");
}

#[test]
fn limits_end_when_they_say() {
    use DriverKind::*;
    for (kind, case, seconds) in [
        (Claude, "rate_limit", 3_601),
        (Claude, "usage_limit", 3_601),
        (Codex, "usage_limit", 5_401),
        (Gemini, "quota", 31),
        (Aider, "rate_limit", 21),
    ] {
        assert_eq!(
            verdict(kind, case, Some(1 - i32::from(kind == Aider)), "").retry_after,
            Some(Duration::from_secs(seconds)),
            "{kind}/{case}"
        );
    }
}

#[test]
fn words_on_standard_error_are_read_where_nothing_else_was_said() {
    for (lines, cause, anew, words) in [
        ("No conversation found with session ID: x", Cause::Transient, true, "No conversation"),
        (
            "Error resuming session: Invalid session identifier \"x\".\n  Searched in y.\n  Use --list-sessions.\n",
            Cause::Transient,
            true,
            "Invalid session",
        ),
        ("Error: No session, task, or name matched 'x'.\n\nTo resume: copilot", Cause::Transient, true, "No session"),
        ("No saved session found with ID x. Run qwen --resume", Cause::Transient, true, "No saved session"),
        ("Invalid API key · Please run /login", Cause::NeedsPerson, false, "/login"),
        ("a warning\nInvalid auth method selected.", Cause::NeedsPerson, false, "auth method"),
        ("Error: Session ID x is already in use.", Cause::Transient, false, "already in use"),
        ("error: unknown option '--strict-mcp-config'", Cause::Permanent, false, "unknown option"),
        (
            "error: unexpected argument '--x' found\n\nUsage: codex exec\n\nFor more information, try '--help'.",
            Cause::Permanent,
            false,
            "unexpected argument '--x'",
        ),
        (
            "Unknown arguments: x\nUsage: gemini [options]\n\nOptions:\n  -d\n  -h, --help  Show help  [boolean]\n\n\n\n\n-v\n-w\n-x\n-y\n-z\n-0\n-1\n-2",
            Cause::Permanent,
            false,
            "claude: Unknown arguments: x; correct its role (args",
        ),
        (
            "Invalid values:\n  Argument: approval-mode, Given: \"x\"\nUsage: gemini",
            Cause::Permanent,
            false,
            "values: Argument: approval-mode, Given: \"x\"; correct its role",
        ),
        (
            "opencode run [message..]\n\nOptions:\n  -h, --help  show help  [boolean]",
            Cause::Permanent,
            false,
            "printed its options",
        ),
        (
            "error: option '--permission-mode <mode>' argument 'x' is invalid. Allowed choices are plan.",
            Cause::Permanent,
            false,
            "argument 'x' is invalid",
        ),
    ] {
        let said = verdict(DriverKind::Claude, "silent", Some(1), lines);
        assert_eq!((said.cause, said.start_anew), (cause, anew), "{said:?}");
        assert!(said.reason.contains(words), "{said:?}");
    }
}

#[test]
fn arguments_that_aider_does_not_know_are_not_tried_again() {
    let said =
        verdict(DriverKind::Aider, "ok", Some(2), "usage: aider [-h]\naider: error: unrecognized arguments: --x");
    assert_eq!(said.cause, Cause::Permanent, "{said:?}");
    assert!(said.reason.contains("unrecognized arguments: --x; correct its role"), "{said:?}");
}

#[test]
fn a_denial_can_be_accepted_and_a_result_file_wins() {
    let text = fixture(DriverKind::Claude, "denied");
    let (_, told) = told(DriverKind::Claude, &text);
    let end = |hold_denied, file: Option<&str>| End {
        exit_code: Some(0),
        signal: None,
        stdout: &text,
        stderr: "",
        file: file.map(|f| serde_json::from_str(f).unwrap()),
        conversation: told.as_ref(),
        on_a_terminal: false,
        was_asking: false,
        hold_denied,
        now: NOW,
    };
    let accepted = claude::Claude.read(end(false, None));
    assert_eq!((accepted.cause, accepted.text.as_deref()), (Cause::Success, Some("I could not run the tests.")));
    let filed = claude::Claude.read(end(true, Some(r#"{"cause": "permanent", "text": "no", "data": 1}"#)));
    assert_eq!((filed.cause, filed.text.as_deref(), filed.data), (Cause::Permanent, Some("no"), Some(1.into())));
    assert!(filed.usage.is_some());
}

#[test]
fn what_was_used_is_known_before_the_end() {
    let said = |id: &str, block: &str, input: u64| {
        format!(
            r#"{{"type":"assistant","message":{{{id}"content":[{{"type":"text","text":"{block}"}}],"usage":{{"input_tokens":{input},"cache_read_input_tokens":100,"output_tokens":2}}}}}}"#
        )
    };
    let mut lines = vec![
        said(r#""id":"a","#, "one", 1),
        said(r#""id":"a","#, "another block of the same", 1),
        said(r#""id":"b","#, "two", 10),
        said("", "without an id", 1000),
    ];
    let used = |lines: &[String]| told(DriverKind::Claude, &lines.join("\n")).1.unwrap().usage.unwrap();
    let so_far = Usage { input_tokens: 1311, output_tokens: 6, cost_usd: 0.0, ..Usage::default() };
    assert_eq!(used(&lines), so_far, "each message once");
    lines.push(
        r#"{"type":"result","subtype":"success","usage":{"input_tokens":5,"output_tokens":6},"total_cost_usd":0.5}"#
            .into(),
    );
    let all = Usage { input_tokens: 5, output_tokens: 6, cost_usd: 0.5, ..Usage::default() };
    assert_eq!(used(&lines), all, "the result knows it all");
}

#[test]
fn an_edit_of_copilot_is_followed_by_what_it_changes() {
    let call = r#"{"type":"tool.execution_start","data":{"toolCallId":"c","toolName":"edit","arguments":{"path":"a.rs","old_str":"a\nb","new_str":"a\nc"}}}"#;
    let (events, _) = told(DriverKind::Copilot, call);
    assert_eq!(events[1..], [Event::Changes("-b\n+c\n".into())]);
}

#[test]
fn what_was_answered_before_something_was_handed_over_is_kept() {
    let says =
        |text: &str| format!(r#"{{"type":"assistant","message":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#);
    let handed = r#"{"type":"user","isSynthetic":true,"message":{"role":"user","content":[{"type":"text","text":"Stop hook feedback:\nMessages to you"}]}}"#;
    let result = |text: &str| format!(r#"{{"type":"result","subtype":"success","is_error":false,"result":"{text}"}}"#);
    let answer = |lines: &[String]| {
        let (_, told) = told(DriverKind::Claude, &lines.join("\n"));
        let end = End {
            exit_code: Some(0),
            signal: None,
            stdout: "",
            stderr: "",
            file: None,
            conversation: told.as_ref(),
            on_a_terminal: false,
            was_asking: false,
            hold_denied: true,
            now: NOW,
        };
        claude::Claude.read(end).text.unwrap()
    };
    let call =
        r#"{"type":"assistant","message":{"content":[{"type":"tool_use","name":"Bash","input":{}}]}}"#.to_owned();
    let long = says("There are three.");
    let handed = handed.to_owned();
    let noted =
        [long.clone(), handed.clone(), call, says("I have looked."), handed.clone(), says("Noted."), result("Noted.")];
    assert_eq!(answer(&noted), "There are three.\n\nI have looked.\n\nNoted.");
    let again = [long, handed, says("There are three. And a fourth."), result("There are three. And a fourth.")];
    assert_eq!(answer(&again), "There are three. And a fourth.", "it has said all of it once more");
}

#[test]
fn what_is_done_is_told_in_order() {
    let worth_telling = |kind| {
        let (events, _) = told(kind, &fixture(kind, "ok"));
        events.into_iter().filter(|event| !matches!(event, Event::Answers | Event::Usage(_))).collect::<Vec<_>>()
    };
    let call = |name: &str, summary: &str| Event::ToolCall { name: name.into(), summary: summary.into() };
    let came = |ok, summary: &str| Event::ToolResult { ok, summary: summary.into() };
    let events = worth_telling(DriverKind::Claude);
    let session = Some("11111111-2222-4333-8444-555555555555".to_owned());
    assert_eq!(
        events[..7],
        [
            Event::Started { session, model: Some("claude-x".into()) },
            Event::Text("I look first.".into()),
            call("Bash", "ls -la"),
            came(true, "total 0\n"),
            call("mcp__orch__get_status", ""),
            came(false, "orch is not running"),
            Event::Text("The folder is empty.".into()),
        ]
    );
    let events = worth_telling(DriverKind::Codex);
    assert_eq!(
        events[1..7],
        [
            call("shell", "bash -lc ls"),
            came(true, "a.txt\n"),
            call("orch.get_status", ""),
            came(true, "running"),
            call("edit", "a.txt"),
            came(true, ""),
        ]
    );
    let events = worth_telling(DriverKind::Gemini);
    assert_eq!(events[1..3], [Event::Text("I look first.".into()), call("run_shell_command", "ls")]);
}

#[test]
fn no_line_is_fatal() {
    let lines = [
        "",
        "{",
        "[]",
        "null",
        "1",
        "\"x\"",
        "{\"type\":1}",
        "{\"type\":\"result\"}",
        "{\"type\":\"assistant\"}",
        "{\"type\":\"item.completed\"}",
        "{\"type\":\"tool_use\"}",
        "{\"type\":\"system\",\"subtype\":\"init\"}",
        "{\"type\":\"error\"}",
        "{\"type\":\"turn.failed\"}",
        "{\"type\":\"user\",\"message\":{\"content\":[1,null]}}",
    ];
    for kind in DriverKind::agents() {
        let (_, told) = told(kind, &lines.join("\n"));
        assert_eq!(told.is_none(), kind == DriverKind::Aider, "{kind}");
    }
}
