//! `opencode` as an agent: Chat Completions, with one of its own tools and one of orch's.

use std::fs;

use serde_json::json;

use super::fleet::Fleet;
use crate::model_server::{Answer, tool, when};

const CODER: &str = "
[roles.coder]
driver = \"opencode\"
model = \"scripted/model-1\"";

#[test]
fn opencode_runs_a_command_and_calls_orch() {
    let command = json!({"command": "echo by opencode > made.txt", "description": "makes it"});
    let rules = vec![
        when("make it").step(0).answer(tool("bash", command)),
        when("make it").step(1).answer(tool("orch_get_status", json!({}))),
        when("make it").step(2).answer_by(|asked| Answer::Text(asked.results.join(" "))),
    ];
    let Some(fleet) = Fleet::started(&["opencode"], CODER, rules) else { return };
    let task = fleet.done("coder", "make it");
    let text = task["result"]["text"].as_str().unwrap();
    assert!(text.contains("coder-1"), "the tool returned the agents: {task:#}");
    assert_eq!(fs::read_to_string(fleet.world.project.join("made.txt")).unwrap(), "by opencode\n");
    let asked = fleet.model.asked();
    assert!(
        asked.iter().all(|asked| !asked.tools.is_empty()),
        "it asks for a title, and does not count that: {asked:#?}"
    );
    let left = fs::read_dir(fleet.world.file("tmp")).unwrap().map(|entry| entry.unwrap().file_name());
    let libraries: Vec<_> = left.filter(|name| name.to_string_lossy().ends_with(".so")).collect();
    assert!(libraries.is_empty(), "each task would leave 5 MB: {libraries:?}");
    fleet.stop();
}

#[test]
fn a_tool_that_opencode_may_not_use_holds_the_task_for_a_person() {
    let touch = json!({"command": "touch made.txt", "description": "makes it"});
    let rules = vec![when("make it").answer_by(move |asked| match asked.tools.is_empty() {
        true => Answer::text("a title"),
        false => tool("bash", touch.clone()),
    })];
    let Some(fleet) = Fleet::started(&["opencode"], CODER, rules) else { return };
    fs::write(fleet.world.project.join("opencode.json"), r#"{"permission": {"bash": "ask"}}"#).unwrap();
    let task = fleet.world.delegate("coder", "make it");
    let held = fleet.wait_for(&task, "held");
    let reason = held["reason"].as_str().unwrap();
    assert!(reason.contains("bash(touch made.txt): allow it under permission in opencode.json"), "{reason}");
    assert!(!fleet.world.project.join("made.txt").exists());
    fleet.stop();
}
