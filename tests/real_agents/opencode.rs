//! `opencode` as an agent: Chat Completions, with a tool of its own and one of orch's.

use serde_json::json;

use crate::{
    fleet::Fleet,
    model_server::{Answer, tool, when},
};

const CODER: &str = "
[roles.coder]
driver = \"opencode\"
model = \"scripted/model-1\"";

#[test]
fn opencode_runs_a_command_and_asks_orch() {
    let command = json!({"command": "echo by opencode > made.txt", "description": "makes it"});
    let rules = vec![
        when("make it").step(0).answer_by(move |asked| match asked.tools.is_empty() {
            // It also asks for a title.
            true => Answer::text("a title"),
            false => tool("bash", command.clone()),
        }),
        when("make it").step(1).answer(tool("orch_get_status", json!({}))),
        when("make it").step(2).answer_by(|asked| Answer::Text(asked.results.join(" "))),
    ];
    let Some(fleet) = Fleet::started(&["opencode"], CODER, rules) else { return };
    let task = fleet.done("coder", "make it");
    let text = task["result"]["text"].as_str().unwrap();
    assert!(text.contains("coder-1"), "it was told of the agents: {task:#}");
    assert_eq!(std::fs::read_to_string(fleet.world.project.join("made.txt")).unwrap(), "by opencode\n");
    fleet.stop();
}
