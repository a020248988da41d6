//! `copilot` as an agent: Chat Completions, with one of its own tools and one of orch's.

use std::fs;

use serde_json::json;

use super::fleet::Fleet;
use crate::{
    common::{feed, kill9},
    model_server::{Answer, tool, when},
};

const CODER: &str = "
[roles.coder]
driver = \"copilot\"
model = \"gpt-4.1\"";

fn may_do_all() -> String {
    format!("{CODER}\npermission_mode = \"allow-all\"")
}

#[test]
fn copilot_runs_a_command_and_calls_orch() {
    let command = json!({"command": "echo by copilot > made.txt", "description": "makes it"});
    let rules = vec![
        when("make it").step(0).answer(tool("bash", command)),
        when("make it").step(1).answer(tool("orch-get_status", json!({}))),
        when("make it").step(2).answer_by(|asked| Answer::Text(asked.results.join(" "))),
    ];
    let Some(fleet) = Fleet::started(&["copilot"], &may_do_all(), rules) else { return };
    // This is longer than an argument may be.
    let text = format!("make it{}, please", " ".repeat(200 * 1024));
    let delegate = fleet.world.orch_command(&["delegate", "--role", "coder", "-"]);
    let task = fleet.wait_for(feed(delegate, text.as_bytes()).ok().trim(), "succeeded");
    let text = task["result"]["text"].as_str().unwrap();
    assert!(text.contains("coder-1"), "the tool returned the agents: {task:#}");
    assert_eq!(fs::read_to_string(fleet.world.project.join("made.txt")).unwrap(), "by copilot\n");
    fleet.stop();
}

#[test]
fn a_tool_that_copilot_may_not_use_holds_the_task_for_a_person() {
    let rules = vec![
        when("").step(0).answer(tool("bash", json!({"command": "touch made.txt", "description": "makes it"}))),
        when("").step(1).answer(Answer::text("I could not make it")),
    ];
    let Some(fleet) = Fleet::started(&["copilot"], CODER, rules) else { return };
    let task = fleet.world.delegate("coder", "make it");
    let held = fleet.wait_for(&task, "held");
    let reason = held["reason"].as_str().unwrap();
    assert!(reason.contains("bash(touch made.txt)") && reason.contains("allowed_tools"), "{reason}");
    assert!(!fleet.world.project.join("made.txt").exists());
    fleet.stop();
}

#[test]
fn a_killed_copilot_leaves_no_command_behind_and_the_next_attempt_resumes_its_conversation() {
    let command = json!({"command": "echo begun > begun; sleep 2719", "description": "works"});
    let rules = vec![
        when("do the work").step(0).times(1).answer(tool("bash", command)),
        when("do the work").answer(Answer::text("done in the second attempt")),
    ];
    let Some(fleet) = Fleet::started(&["copilot"], &may_do_all(), rules) else { return };
    let task = fleet.world.delegate("coder", "do the work");
    let commands = || fleet.world.processes().into_iter().filter(|p| p.command.contains("sleep 2719")).count();
    fleet.wait_until("its command runs", || fleet.world.project.join("begun").exists() && commands() > 0);
    // Only the launcher is killed; orch has to end the processes that it started.
    let [launcher] = &fleet.processes_of("node")[..] else { panic!("{:#?}", fleet.world.processes()) };
    kill9(launcher.pid);
    let done = fleet.wait_for(&task, "succeeded");
    assert_eq!((&done["lost"], done["attempts"].as_array().map(Vec::len)), (&json!(1), Some(2)), "{done:#}");
    assert_eq!((commands(), fleet.processes_of("copilot").len()), (0, 0));
    let texts = fleet.model.asked().pop().unwrap().texts;
    assert!(
        texts.iter().any(|text| text.trim().ends_with("do the work")),
        "the first attempt is before it: {texts:#?}"
    );
    assert!(texts.last().unwrap().contains("This is attempt 2"), "{texts:#?}");
    fleet.stop();
}

#[test]
fn a_rejected_key_of_copilot_holds_the_task_for_a_person() {
    let refused = Answer::error(401, "authentication_error", "bad key");
    let Some(fleet) = Fleet::started(&["copilot"], CODER, vec![when("").answer(refused)]) else { return };
    let task = fleet.world.delegate("coder", "say hello");
    let held = fleet.wait_for(&task, "held");
    assert!(held["reason"].as_str().unwrap().contains("copilot asks to log in: bad key (401)"), "{held:#}");
    fleet.stop();
}
