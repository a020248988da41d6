//! `codex` as an agent.

use serde_json::{Value, json};

use super::fleet::Fleet;
use crate::model_server::{Answer, ToolCall, tool, when};

const CODER: &str = "
[roles.coder]
driver = \"codex\"
permission_mode = \"bypass\"";

/// Returns a call of one of orch's tools, in this API's notation for tools of a server.
pub(super) fn orch_tool(name: &str, input: Value) -> Answer {
    Answer::Tools(vec![ToolCall { namespace: Some("mcp__orch".to_owned()), name: name.to_owned(), input }])
}

#[test]
fn codex_runs_a_command_and_answers() {
    let rules = vec![
        when("make it").step(0).answer(tool("exec_command", json!({"cmd": "echo by codex > made.txt"}))),
        when("make it").step(1).answer(Answer::text("made")),
    ];
    let Some(fleet) = Fleet::started(&["codex"], CODER, rules) else { return };
    let task = fleet.done("coder", "make it");
    assert_eq!(task["result"]["text"].as_str().map(str::trim_end), Some("made"), "{task:#}");
    assert_eq!(task["result"]["usage"]["output_tokens"], 14);
    assert_eq!(std::fs::read_to_string(fleet.world.project.join("made.txt")).unwrap(), "by codex\n");
    fleet.stop();
}

#[test]
fn codex_delegates_through_mcp() {
    let rules = vec![
        when("have it done").step(0).answer(orch_tool("delegate_task", json!({"text": "echo part", "role": "shell"}))),
        when("have it done").step(1).answer_by(|asked| match asked.found("id") {
            Some(id) => orch_tool("wait_tasks", json!({"ids": [id]})),
            None => Answer::Text(format!("no id in {:?}", asked.results)),
        }),
        when("have it done").step(2).answer_by(|asked| Answer::Text(asked.results.join(" "))),
    ];
    let Some(fleet) = Fleet::started(&["codex"], CODER, rules) else { return };
    let task = fleet.done("coder", "have it done");
    let child = task["children"][0].as_str().unwrap_or_else(|| panic!("no subtask: {task:#}")).to_owned();
    assert_eq!((&fleet.world.show(&child)["state"], &task["children"][1]), (&json!("succeeded"), &Value::Null));
    assert!(task["result"]["text"].as_str().unwrap().contains("part"), "{task:#}");
    fleet.stop();
}

#[test]
fn a_failed_turn_ends_the_attempt_with_the_cause_of_the_failure() {
    let rules = vec![
        when("is refused").answer(Answer::error(400, "invalid_request_error", "this can't be done")),
        when("This is attempt 2").answer(Answer::text("better now")),
        when("goes wrong").answer(Answer::error(500, "server_error", "broken")),
    ];
    let Some(fleet) = Fleet::started(&["codex"], CODER, rules) else { return };
    let task = fleet.world.delegate("coder", "is refused");
    let failed = fleet.wait_for(&task, "failed");
    assert_eq!(failed["cause"], "permanent", "{failed:#}");
    assert_eq!(fleet.model.times_asked("is refused"), 1, "a refusal is not retried");
    let task = fleet.done("coder", "goes wrong");
    let causes: Vec<_> = task["attempts"].as_array().unwrap().iter().map(|a| a["cause"].as_str().unwrap()).collect();
    assert_eq!(causes, ["transient", "success"], "{task:#}");
    fleet.stop();
}

/// Returns what a hook of orch has added to the conversation of this request.
fn added(body: &Value) -> Option<String> {
    let entries = body["input"].as_array()?.iter().filter(|entry| entry["role"] == "developer");
    let mut texts = entries.filter_map(|entry| entry["content"][0]["text"].as_str());
    texts.find(|text| text.starts_with("Messages to you")).map(str::to_owned)
}

/// Types a line at codex's prompt, like a person.
pub(super) fn say(fleet: &Fleet, line: &str) {
    let pane = || fleet.world.pane("opus-master");
    fleet.wait_until("the master is at its prompt", || pane().contains("? for shortcuts"));
    fleet.world.tmux(&["send-keys", "-t", "=opus-master:", "-l", line]).ok();
    fleet.wait_until("the line is typed", || pane().lines().any(|shown| shown.trim_end() == format!("› {line}")));
    // codex ignores an Enter that follows immediately.
    std::thread::sleep(std::time::Duration::from_millis(400));
    fleet.world.tmux(&["send-keys", "-t", "=opus-master:", "Enter"]).ok();
}

#[test]
fn as_the_master_codex_receives_results_and_resumes_its_thread() {
    let rules = vec![
        when("count them")
            .step(0)
            .answer(orch_tool("delegate_task", json!({"text": "echo forty-two", "role": "shell"}))),
        when("count them").step(1).answer(tool("exec_command", json!({"cmd": "sleep 2"}))),
        when("count them").answer(Answer::text("It is delegated.")),
        when("how many").answer(Answer::text("Still so many.")),
        when("").answer(Answer::text("A title")),
    ];
    let Some(fleet) = Fleet::with_master(
        &["codex"],
        "codex",
        "delegates_to = [\"shell\"]\n[roles.shell]\ndriver = \"shell\"\nmin = 1",
        rules,
    ) else {
        return;
    };
    let pane = || fleet.world.pane("opus-master");
    say(&fleet, "count them");
    fleet.wait_until("the turn has ended", || pane().contains("It is delegated."));
    // The result comes with the output of a tool, or at the end of the turn where the agent was slower than that.
    fleet.wait_until("the result is in a request", || {
        let asked = fleet.model.requests();
        asked.iter().filter_map(|asked| added(&asked.body)).any(|text| text.contains("succeeded: forty-two"))
    });

    let before = fleet.processes_of("codex");
    before.iter().for_each(|process| crate::common::kill9(process.pid));
    fleet.wait_until("another codex runs", || {
        let now = fleet.processes_of("codex");
        !now.is_empty() && now.iter().all(|process| before.iter().all(|old| old.pid != process.pid))
    });
    say(&fleet, "how many");
    fleet.wait_until("codex has answered", || pane().contains("Still so many."));
    let last = fleet.model.asked().into_iter().rfind(|asked| asked.text.contains("how many")).expect("asked");
    assert!(last.texts.iter().any(|text| text.contains("count them")), "the same thread: {last:#?}");
    fleet.stop();
}

/// A heredoc by which a model changes a file, as codex's own tool for patches is not offered to every model.
pub(super) const PATCH: &str =
    "apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: made.txt\n+by a patch\n*** End Patch\nEOF";

#[test]
fn without_a_mode_codex_changes_files_and_what_is_refused_holds_its_task() {
    let escalated =
        json!({"cmd": "echo no > /etc/refused", "sandbox_permissions": "require_escalated", "justification": "why"});
    let rules = vec![
        when("change it").step(0).answer(tool("exec_command", json!({"cmd": PATCH}))),
        when("change it").step(1).answer(Answer::text("changed")),
        when("leave it").step(0).answer(tool("exec_command", json!({"cmd": PATCH}))),
        when("leave it").step(1).answer(Answer::text("It is read-only.")),
        when("write it").step(0).answer(tool("exec_command", json!({"cmd": "echo no > made.txt"}))),
        when("write it").step(1).answer(Answer::text("It is read-only.")),
        when("go further").step(0).answer(tool("exec_command", escalated)),
        when("go further").step(1).answer(Answer::text("I may not.")),
    ];
    let roles =
        "[roles.coder]\ndriver = \"codex\"\n[roles.reader]\ndriver = \"codex\"\npermission_mode = \"read-only\"";
    let Some(fleet) = Fleet::started(&["codex"], roles, rules) else { return };
    let changed = fleet.done("coder", "change it");
    let logs = fleet.world.orch(&["logs", "--task", changed["id"].as_str().unwrap()]).ok();
    assert!(logs.contains("+by a patch"), "the change is shown: {logs}");
    assert_eq!(std::fs::read_to_string(fleet.world.project.join("made.txt")).unwrap(), "by a patch\n");
    for (role, text, refused) in [
        ("reader", "leave it", "apply_patch(writing is blocked by read-only sandbox)"),
        ("reader", "write it", "shell("),
        ("coder", "go further", "shell(a command outside its sandbox)"),
    ] {
        let task = fleet.world.delegate(role, text);
        let held = fleet.wait_for(&task, "held");
        assert!(held["reason"].as_str().unwrap().contains(&format!("not allowed to use {refused}")), "{held:#}");
        let logs = fleet.world.orch(&["logs", "--task", &task]).ok();
        assert!(logs.contains(&format!("needs permission: {refused}")), "{logs}");
    }
    fleet.stop();
}
