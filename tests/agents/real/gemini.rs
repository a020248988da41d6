//! `gemini` as an agent: `generateContent`, with one of its own tools. It is not tested with orch's tools: gemini reads
//! no settings below a folder that other users may write to, and the worlds of tests are in /tmp.

use serde_json::json;

use super::fleet::Fleet;
use crate::model_server::{Answer, tool, when};

const READER: &str = "
[roles.reader]
driver = \"gemini\"
model = \"gemini-2.5-pro\"
permission_mode = \"yolo\"";

#[test]
fn gemini_writes_a_file_and_answers() {
    let rules = vec![
        when("make it").step(0).answer(tool("write_file", json!({"file_path": "made.txt", "content": "by gemini"}))),
        when("make it").step(1).answer(Answer::text("made")),
    ];
    let Some(fleet) = Fleet::started(&["gemini"], READER, rules) else { return };
    let task = fleet.done("reader", "make it");
    assert_eq!(task["result"]["text"].as_str().map(str::trim_end), Some("made"), "{task:#}");
    assert_eq!(std::fs::read_to_string(fleet.world.project.join("made.txt")).unwrap(), "by gemini");
    fleet.stop();
}
