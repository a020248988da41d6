//! `claude` as an agent: it answers, uses tools, and is denied some.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::json;

use super::fleet::{Fleet, SONNET};
use crate::model_server::{Answer, tool, when};

#[test]
fn claude_answers_a_task() {
    let rules = vec![when("say hello").answer(Answer::text("hello from the model"))];
    let Some(fleet) = Fleet::started(&["claude"], SONNET, rules) else { return };
    let task = fleet.done("sonnet", "say hello");
    assert_eq!(task["result"]["text"].as_str().map(str::trim_end), Some("hello from the model"));
    assert_eq!(task["result"]["usage"]["input_tokens"], 11, "{task:#}");
    assert_eq!(task["result"]["usage"]["output_tokens"], 7);
    assert_eq!(task["attempts"].as_array().map(Vec::len), Some(1));
    let asked = fleet.model.asked();
    assert_eq!(asked.len(), 1, "one task is one request: {asked:#?}");
    assert!(asked[0].model.contains("sonnet"), "{}", asked[0].model);
    // The log shows the answer, and no JSON.
    let log = fleet.world.orch(&["logs", "--task", task["id"].as_str().unwrap()]).ok();
    assert!(log.contains("hello from the model") && !log.contains("\"type\""), "{log}");
    fleet.stop();
}

#[test]
fn instructions_that_are_longer_than_an_argument_reach_the_model() {
    let rules = vec![when("say hello").answer(Answer::text("hello"))];
    let long = format!("{SONNET}\ninstructions = \"{}and be of good cheer\"", "be brief ".repeat(20_000));
    let Some(fleet) = Fleet::started(&["claude"], &long, rules) else { return };
    fleet.done("sonnet", "say hello");
    let has_instructions =
        |request: &crate::model_server::Request| request.body["system"].to_string().contains("of good cheer");
    assert!(fleet.model.requests().iter().any(has_instructions), "the instructions are in the system prompt");
    fleet.stop();
}

#[test]
fn claude_writes_a_file_if_its_role_allows_it() {
    let may_edit = format!("{SONNET}\npermission_mode = \"acceptEdits\"");
    let rules = vec![
        when("write the file").step(0).answer(tool("Write", json!({"file_path": "made.txt", "content": "by claude"}))),
        when("write the file").step(1).answer(Answer::text("written")),
    ];
    let Some(fleet) = Fleet::started(&["claude"], &may_edit, rules) else { return };
    let task = fleet.done("sonnet", "write the file");
    assert_eq!(fs::read_to_string(fleet.world.project.join("made.txt")).unwrap(), "by claude");
    assert_eq!(task["result"]["text"].as_str().map(str::trim_end), Some("written"));
    assert_eq!(task["result"]["usage"]["output_tokens"], 14, "the tokens of both answers are counted");
    fleet.stop();
}

#[test]
fn a_tool_that_claude_may_not_use_holds_the_task_for_a_person() {
    let rules = vec![
        when("").step(0).answer(tool("Write", json!({"file_path": "made.txt", "content": "x"}))),
        when("").step(1).answer(Answer::text("I could not write it")),
    ];
    let Some(fleet) = Fleet::started(&["claude"], SONNET, rules) else { return };
    let task = fleet.world.delegate("sonnet", "write the file");
    let held = fleet.wait_for(&task, "held");
    assert_eq!(held["attempts"][0]["cause"], "needs_person", "{held:#}");
    assert!(!fleet.world.project.join("made.txt").exists());
    let why = fleet.world.orch(&["why", &task]).ok();
    assert!(why.contains("Write") && why.contains("allow"), "the reason names the denied tool and the remedy: {why}");
    let attention = fleet.world.status()["attention"].to_string();
    assert!(attention.contains(&task), "{attention}");
    fleet.stop();
}

#[test]
fn a_message_is_in_the_next_request_after_a_tool_call() {
    let tables = format!("{SONNET}\nallowed_tools = [\"Bash(until:*)\", \"Bash\"]");
    let rules = vec![
        when("paint it").step(0).answer(tool("Bash", json!({"command": "until [ -e sent ]; do sleep 0.1; done"}))),
        when("paint it").answer(Answer::text("It is painted.")),
    ];
    let Some(fleet) = Fleet::started(&["claude"], &tables, rules) else { return };
    let task = fleet.world.delegate("sonnet", "paint it");
    fleet.wait_until("claude works on the task", || fleet.model.times_asked("paint it") == 1);
    fleet.world.orch(&["send", &task, "red, please"]).ended(0);
    std::fs::write(fleet.world.project.join("sent"), "").expect("sent");
    let done = fleet.wait_for(&task, "succeeded");
    assert_eq!(done["result"]["text"].as_str().map(str::trim_end), Some("It is painted."), "{done:#}");
    let has_message = |request: &crate::model_server::Request| request.body.to_string().contains("red, please");
    assert_eq!(fleet.model.requests().iter().filter(|request| has_message(request)).count(), 1, "no turn more");
    assert_eq!(done["messages"][0]["state"], "delivered", "{done:#}");
    fleet.stop();
}

#[test]
fn a_denied_command_runs_once_a_person_has_allowed_it() {
    let rules = vec![
        when("run it").step(0).answer(tool("Bash", json!({"command": "./check all", "description": "x"}))),
        when("run it").answer_by(|asked| Answer::Text(asked.results.join(" "))),
    ];
    let Some(fleet) = Fleet::started(&["claude"], SONNET, rules) else { return };
    let script = fleet.world.project.join("check");
    fs::write(&script, "#!/bin/sh\necho ran > ran.txt\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let task = fleet.world.delegate("sonnet", "run it");
    let held = fleet.wait_for(&task, "held");
    let how = format!("orch approve {task} --allow 'Bash(./check all)'");
    assert!(held["reason"].as_str().unwrap().contains(&how), "{held:#}");
    fleet.world.orch(&["approve", &task, "--allow", "Bash(./check:*)"]).ok();
    fleet.wait_for(&task, "succeeded");
    assert_eq!(fs::read_to_string(fleet.world.project.join("ran.txt")).unwrap(), "ran\n");
    fleet.stop();
}
