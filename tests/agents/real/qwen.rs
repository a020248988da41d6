//! `qwen` as an agent: Chat Completions, with one of its own tools and one of orch's.

use std::fs;

use serde_json::json;

use super::fleet::Fleet;
use crate::{
    common::kill9,
    model_server::{Answer, tool, when},
};

/// qwen accepts its key as a login only if its environment also names a model.
const CODER: &str = "
[roles.coder]
driver = \"qwen\"
model = \"model-1\"
env = { OPENAI_MODEL = \"model-1\" }";

fn may_do_all() -> String {
    format!("{CODER}\npermission_mode = \"yolo\"")
}

#[test]
fn qwen_runs_a_command_and_calls_orch() {
    let command = json!({"command": "echo by qwen > made.txt", "description": "makes it", "is_background": false});
    let rules = vec![
        when("make it").step(0).answer(tool("run_shell_command", command)),
        when("make it").step(1).answer(tool("mcp__orch__get_status", json!({}))),
        when("make it").step(2).answer_by(|asked| Answer::Text(asked.results.join(" "))),
    ];
    let Some(fleet) = Fleet::started(&["qwen"], &may_do_all(), rules) else { return };
    let task = fleet.done("coder", "make it");
    let text = task["result"]["text"].as_str().unwrap();
    assert!(text.contains("coder-1"), "the tool returned the agents: {task:#}");
    assert_eq!(fs::read_to_string(fleet.world.project.join("made.txt")).unwrap(), "by qwen\n");
    assert!(task["result"]["usage"]["input_tokens"].as_u64() > Some(0), "{task:#}");
    fleet.stop();
}

#[test]
fn a_killed_qwen_leaves_no_command_behind_and_the_next_attempt_resumes_its_conversation() {
    let command = json!({"command": "echo begun > begun; sleep 2720", "description": "works", "is_background": false});
    let rules = vec![
        when("do the work").step(0).times(1).answer(tool("run_shell_command", command)),
        when("do the work").answer(Answer::text("done in the second attempt")),
    ];
    let Some(fleet) = Fleet::started(&["qwen"], &may_do_all(), rules) else { return };
    let task = fleet.world.delegate("coder", "do the work");
    let commands = || fleet.world.processes().into_iter().filter(|p| p.command.contains("sleep 2720")).count();
    fleet.wait_until("its command runs", || fleet.world.project.join("begun").exists() && commands() > 0);
    // Only the launcher is killed; orch has to end the processes that it started.
    let launcher = fleet.processes_of("node").into_iter().min_by_key(|process| process.pid);
    kill9(launcher.unwrap_or_else(|| panic!("{:#?}", fleet.world.processes())).pid);
    let done = fleet.wait_for(&task, "succeeded");
    assert_eq!((&done["lost"], done["attempts"].as_array().map(Vec::len)), (&json!(1), Some(2)), "{done:#}");
    assert_eq!((commands(), fleet.processes_of("node").len()), (0, 0));
    // At the end qwen also asks the model what to remember.
    let asked = fleet.model.asked().into_iter().find(|asked| asked.text.contains("This is attempt 2")).unwrap();
    assert!(asked.texts[0].trim() == "do the work", "the conversation contains the first attempt: {:#?}", asked.texts);
    fleet.stop();
}

#[test]
fn a_denied_tool_and_a_rejected_key_of_qwen_hold_the_task_for_a_person() {
    let touch = json!({"command": "touch made.txt", "description": "makes it", "is_background": false});
    let rules = vec![
        when("make it").step(0).answer(tool("run_shell_command", touch)),
        when("make it").step(1).answer(Answer::text("I could not make it")),
        when("say hello").answer(Answer::error(401, "authentication_error", "bad key")),
    ];
    let Some(fleet) = Fleet::started(&["qwen"], CODER, rules) else { return };
    let [denied, refused] = ["make it", "say hello"].map(|text| fleet.world.delegate("coder", text));
    let reason = |task: &str| fleet.wait_for(task, "held")["reason"].as_str().unwrap().to_owned();
    let (denied, refused) = (reason(&denied), reason(&refused));
    assert!(denied.contains("run_shell_command(touch made.txt)") && denied.contains("allowed_tools"), "{denied}");
    assert!(refused.contains("qwen asks to log in: [API Error: 401 bad key]"), "{refused}");
    fleet.stop();
}
