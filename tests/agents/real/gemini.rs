//! `gemini` as an agent: `generateContent`, with one of its own tools and one of orch's.

use serde_json::json;

use super::fleet::Fleet;
use crate::model_server::{Answer, tool, when};

const READER: &str = "
[roles.reader]
driver = \"gemini\"
model = \"gemini-2.5-pro\"
permission_mode = \"yolo\"";

#[test]
fn gemini_writes_a_file_and_calls_orch() {
    let rules = vec![
        when("make it").step(0).answer(tool("write_file", json!({"file_path": "made.txt", "content": "by gemini"}))),
        when("make it").step(1).answer(tool("mcp_orch_get_status", json!({}))),
        when("make it").step(2).answer_by(|asked| Answer::Text(asked.results.join(" "))),
    ];
    let Some(fleet) = Fleet::started(&["gemini"], READER, rules) else { return };
    let task = fleet.done("reader", "make it");
    let text = task["result"]["text"].as_str().unwrap();
    assert!(text.contains("reader-1"), "the tool returned the agents: {task:#}");
    let settings = std::fs::read_to_string(fleet.world.file(".gemini/settings.json")).unwrap();
    assert!(!settings.contains("orch"), "the user's own settings are not changed: {settings}");
    assert_eq!(std::fs::read_to_string(fleet.world.project.join("made.txt")).unwrap(), "by gemini");
    fleet.stop();
}
