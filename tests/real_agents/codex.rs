//! `codex` as an agent.

use serde_json::{Value, json};

use crate::{
    fleet::Fleet,
    model_server::{Answer, ToolCall, tool, when},
};

const CODER: &str = "
[roles.coder]
driver = \"codex\"
permission_mode = \"bypass\"";

/// A tool of orch's, as this API names tools of a server.
fn orch_tool(name: &str, input: Value) -> Answer {
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
fn a_turn_that_fails_ends_the_attempt_by_what_failed() {
    let rules = vec![
        when("is refused").answer(Answer::error(400, "invalid_request_error", "this can't be done")),
        when("This is attempt 2").answer(Answer::text("better now")),
        when("goes wrong").answer(Answer::error(500, "server_error", "broken")),
    ];
    let Some(fleet) = Fleet::started(&["codex"], CODER, rules) else { return };
    let task = fleet.world.delegate("coder", "is refused");
    let failed = fleet.wait_for(&task, "failed");
    assert_eq!(failed["cause"], "permanent", "{failed:#}");
    assert_eq!(fleet.model.times_asked("is refused"), 1, "it costs nothing more");
    let task = fleet.done("coder", "goes wrong");
    let causes: Vec<_> = task["attempts"].as_array().unwrap().iter().map(|a| a["cause"].as_str().unwrap()).collect();
    assert_eq!(causes, ["transient", "success"], "{task:#}");
    fleet.stop();
}
