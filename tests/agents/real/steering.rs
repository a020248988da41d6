//! Messages to programs at work: the model reads each of them once, in the next request that can contain it.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::fleet::{Fleet, RETRY_FOR};
use crate::model_server::{Answer, Asked, Rule, tool, when};

const MESSAGE: &str = "red, please";
const SENT: &str = "sent";

/// Returns an answer that is given only after the message was sent, so that no tool call follows it.
fn late(answer: &'static str, sent: &Path) -> impl Fn(&Asked) -> Answer + Send + use<> {
    let sent = sent.to_owned();
    move |_| {
        let began = Instant::now();
        while !sent.exists() && began.elapsed() < RETRY_FOR {
            std::thread::sleep(Duration::from_millis(10));
        }
        Answer::text(answer)
    }
}

/// Returns how often the message is in each request that contains it.
fn sent_in(fleet: &Fleet) -> Vec<usize> {
    let bodies = fleet.model.requests().into_iter().map(|request| request.body.to_string());
    bodies.map(|body| body.matches(MESSAGE).count()).filter(|times| *times > 0).collect()
}

/// A fleet with a role `w`, and the folder of the file that says that the message was sent.
fn fleet(program: &'static str, keys: &str, rules: impl FnOnce(PathBuf) -> Vec<Rule>) -> Option<(Fleet, TempDir)> {
    let folder = tempfile::tempdir().expect("a folder");
    let tables = format!("[roles.w]\ndriver = \"{program}\"\nmax = 1\n{keys}");
    Some((Fleet::started(&[program], &tables, rules(folder.path().join(SENT)))?, folder))
}

/// Delegates a task, sends it the message during its first request, and returns it once it has succeeded.
fn steered(fleet: &Fleet, folder: &TempDir) -> Value {
    let task = fleet.world.delegate("w", "paint it");
    fleet.wait_until("it works on the task", || fleet.model.times_asked("paint it") > 0);
    fleet.world.orch(&["send", &task, MESSAGE]).ended(0);
    std::fs::write(folder.path().join(SENT), "").expect("sent");
    let done = fleet.wait_for(&task, "succeeded");
    assert_eq!(done["messages"][0]["state"], "delivered", "{done:#}");
    done
}

/// The message arrives with the result of a tool, and costs no further request.
fn assert_read_after_a_tool(program: &'static str, keys: &str, call: impl FnOnce(&Path) -> Answer) {
    let rules = |sent: PathBuf| {
        vec![
            when("paint it").step(0).answer(call(&sent)),
            when("paint it").answer(Answer::text("It is painted.")),
            when("").answer(Answer::text("A title")),
        ]
    };
    let Some((fleet, folder)) = fleet(program, keys, rules) else { return };
    let done = steered(&fleet, &folder);
    assert_eq!(done["result"]["text"].as_str().map(str::trim_end), Some("It is painted."), "{done:#}");
    assert_eq!(sent_in(&fleet), [1], "no request more");
    fleet.stop();
}

/// The message arrives during the last answer: the program continues with it, and its answer so far is kept.
fn assert_read_at_the_end(program: &'static str, keys: &str) {
    let rules = |sent: PathBuf| {
        vec![
            when("paint it").times(1).answer_by(late("It is painted.", &sent)),
            when("").answer(Answer::text("It is red now.")),
        ]
    };
    let Some((fleet, folder)) = fleet(program, keys, rules) else { return };
    let done = steered(&fleet, &folder);
    let text = done["result"]["text"].as_str().unwrap_or_default();
    assert!(text.contains("It is painted.") && text.contains("It is red now."), "{done:#}");
    assert_eq!(sent_in(&fleet), [1], "once, in one request: {done:#}");
    let log = fleet.world.orch(&["logs", "--task", done["id"].as_str().expect("id")]).ok();
    assert!(!log.contains("error") && !log.contains("Blocked"), "{log}");
    fleet.stop();
}

fn until(sent: &Path) -> String {
    format!("until [ -e {} ]; do sleep 0.1; done", sent.display())
}

#[test]
fn claude_reads_a_message_after_a_failed_tool_too() {
    let call = |sent: &Path| tool("Bash", json!({"command": format!("{}; false", until(sent))}));
    assert_read_after_a_tool("claude", "allowed_tools = [\"Bash\"]", call);
}

#[test]
fn codex_reads_a_message_after_a_tool() {
    let call = |sent: &Path| tool("exec_command", json!({"cmd": until(sent), "yield_time_ms": 20_000}));
    assert_read_after_a_tool("codex", "permission_mode = \"bypass\"", call);
}

#[test]
fn claude_reads_a_message_at_the_end_of_its_turn() {
    assert_read_at_the_end("claude", "");
}

#[test]
fn codex_reads_a_message_at_the_end_of_its_turn() {
    assert_read_at_the_end("codex", "permission_mode = \"bypass\"");
}

/// The program takes nothing while it works: its conversation is resumed once more.
fn assert_resumed_with_it(program: &'static str, keys: &str) {
    let rules = |sent: PathBuf| {
        vec![
            when(MESSAGE).answer(Answer::text("It is red now.")),
            when("paint it").step(0).answer_by(late("It is painted.", &sent)),
            when("").answer(Answer::text("A title")),
        ]
    };
    let Some((fleet, folder)) = fleet(program, keys, rules) else { return };
    let done = steered(&fleet, &folder);
    assert_eq!(done["result"]["text"].as_str().map(str::trim), Some("It is red now."), "{done:#}");
    let attempts = done["attempts"].as_array().expect("attempts");
    assert_eq!((attempts.len(), &done["failures"]), (2, &json!(0)), "{done:#}");
    let last = fleet.model.asked().into_iter().rfind(|asked| asked.text.contains(MESSAGE)).expect("asked");
    assert!(last.texts.iter().any(|text| text.contains("paint it")), "the same conversation: {last:#?}");
    fleet.stop();
}

#[test]
fn opencode_continues_its_conversation_with_a_message_that_it_could_not_read() {
    assert_resumed_with_it("opencode", "model = \"scripted/model-1\"");
}

#[test]
fn gemini_continues_its_conversation_with_a_message_that_it_could_not_read() {
    assert_resumed_with_it("gemini", "model = \"gemini-2.5-pro\"");
}
