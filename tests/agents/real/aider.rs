//! `aider` as an agent: Chat Completions. It has no tools, and edits the files that the answer names.

use std::fs;

use serde_json::json;

use super::fleet::Fleet;
use crate::model_server::{Answer, when};

/// aider asks other hosts for the models' prices. The unreachable proxy makes these requests fail immediately.
const CODER: &str = "
[roles.coder]
driver = \"aider\"
model = \"openai/model-1\"
instructions = \"Be brief.\"
args = [\"--no-git\"]
env = { HTTPS_PROXY = \"http://127.0.0.1:9\", NO_PROXY = \"127.0.0.1\" }";

#[test]
fn aider_edits_a_file_and_its_reply_is_the_answer() {
    // All lines of the text are sent as one message.
    let rules = vec![when("make it\nby hand").answer(Answer::text("I make it.\n\nmade.txt\n```\nby aider\n```\n"))];
    let Some(fleet) = Fleet::started(&["aider"], CODER, rules) else { return };
    let task = fleet.done("coder", "make it\nby hand");
    assert_eq!(fs::read_to_string(fleet.world.project.join("made.txt")).unwrap(), "by aider\n");
    let text = task["result"]["text"].as_str().unwrap();
    assert!(text.starts_with("I make it.") && text.contains("Applied edit to made.txt"), "{text}");
    assert!(task["result"]["usage"]["input_tokens"].as_u64() > Some(100), "{task:#}");
    let asked = fleet.model.asked();
    assert_eq!(asked.len(), 1, "{asked:#?}");
    assert!(asked[0].text.contains("Be brief."), "{asked:#?}");
    fleet.stop();
}

#[test]
fn failures_of_aiders_service_are_read_from_its_output_despite_exit_code_0() {
    let broken = Answer::error(500, "api_error", "broken");
    let rules = vec![
        when("first refused").answer(Answer::error(401, "authentication_error", "bad key")),
        when("try again").times(1).answer(broken),
        when("try again").answer(Answer::text("hello at last")),
        when("too long").answer(Answer::error(400, "invalid_request_error", "too long")),
    ];
    let Some(fleet) = Fleet::started(&["aider"], CODER, rules) else { return };
    let [refused, again, long] =
        ["first refused", "try again", "too long"].map(|text| fleet.world.delegate("coder", text));
    let held = fleet.wait_for(&refused, "held");
    assert!(held["reason"].as_str().unwrap().contains("aider asks to log in: litellm.AuthenticationError"), "{held:#}");
    let done = fleet.wait_for(&again, "succeeded");
    assert_eq!(done["attempts"].as_array().map(Vec::len), Some(1), "aider retries within the attempt: {done:#}");
    assert!(done["result"]["text"].as_str().unwrap().contains("hello at last"), "{done:#}");
    assert_eq!(fleet.wait_for(&long, "failed")["attempts"][0]["cause"], json!("permanent"));
    fleet.stop();
}
