//! How many requests of its model a master needs for a task that takes longer than any tool: one to delegate it, one to end
//! its turn, and one when the result wakes it.

use std::time::Duration;

use serde_json::json;

use super::{
    codex,
    fleet::{Fleet, RETRY_FOR},
    master,
};
use crate::model_server::{Answer, tool, when};

/// The environment variable that says how long the task takes, in seconds: `130` and `1800` are the figures of interest.
const TASK_TAKES: &str = "ORCH_AGENTS_TASK_SECONDS";

const TABLES: &str = "
delegates_to = [\"shell\"]\n[roles.shell]\ndriver = \"shell\"\nmin = 1\ntask_timeout = \"12h\"";

/// `call` delegates what it is given.
fn assert_three_requests(
    program: &'static str,
    keys: &str,
    say: fn(&Fleet, &str),
    call: fn(serde_json::Value) -> Answer,
) {
    let seconds = std::env::var(TASK_TAKES).map_or(1, |text| text.parse().expect(TASK_TAKES));
    // A script that says nothing for minutes would count as hung.
    let takes =
        format!("i=0; while [ $i -lt {seconds} ]; do sleep 1; i=$((i+1)); [ $((i%60)) = 0 ] && echo . >&2; done");
    let script = format!("{takes}; until [ -e go ]; do sleep 0.1; done; echo forty-two");
    let rules = vec![
        when("count them").step(0).answer(call(json!({"text": script, "role": "shell"}))),
        when("count them").answer(Answer::text("It is delegated.")),
        when("message waits for you").answer(Answer::text("They are forty-two.")),
        // Requests of the program itself, such as one for a title.
        when("").answer(Answer::text("A title")),
    ];
    let Some(fleet) = Fleet::with_master(&[program], program, &format!("{keys}{TABLES}"), rules) else { return };
    say(&fleet, "count them");
    fleet.wait_until("the model has answered", || fleet.world.pane("opus-master").contains("It is delegated."));
    fleet.wait_until("the master is idle", || fleet.world.agent("opus-master")["state"] == "idle");
    std::fs::write(fleet.world.project.join("go"), "").expect("go");
    fleet.world.wait_until_within(RETRY_FOR + Duration::from_secs(seconds), "the result wakes it", || {
        fleet.world.pane("opus-master").contains("They are forty-two.")
    });
    let bodies = fleet.model.requests().into_iter().map(|request| request.body.to_string());
    assert!(bodies.into_iter().any(|body| body.contains("succeeded: forty-two")), "the result came with the line");
    let asked = fleet.model.asked();
    let turns: Vec<&str> = asked.iter().filter(|a| !a.tools.is_empty()).map(|a| a.text.as_str()).collect();
    println!("{program}: {} requests for a task of {seconds} s", turns.len());
    assert_eq!(turns.len(), 3, "{turns:#?}");
    assert_eq!(turns.iter().filter(|text| text.contains("waits for you")).count(), 1, "{turns:#?}");
    fleet.stop();
}

#[test]
fn claude_needs_three_requests_for_a_delegated_task() {
    assert_three_requests("claude", "permission_mode = \"manual\"", master::say, |task| {
        tool("mcp__orch__delegate_task", task)
    });
}

#[test]
fn codex_needs_three_requests_for_a_delegated_task() {
    assert_three_requests("codex", "", codex::say, |task| codex::orch_tool("delegate_task", task));
}
