//! Edits by real programs of what a person has locked: the model reads it, or the edit is refused.

use serde_json::{Value, json};

use super::{codex::PATCH, fleet::Fleet};
use crate::model_server::{Answer, tool, when};

/// What the model reads about the lock.
const SAID: &str = "has had the lock of made.txt";

/// Returns a fleet of one role in which a person has locked `made.txt`, and the task that writes it once it has succeeded.
fn edited(program: &'static str, keys: &str, call: Answer) -> Option<(Fleet, Value)> {
    let rules = vec![
        when("write it").step(0).answer(call),
        when("write it").step(1).answer(Answer::text("That is all.")),
        when("").answer(Answer::text("A title")),
    ];
    let tables = format!("[roles.w]\ndriver = \"{program}\"\nmax = 1\n{keys}");
    let fleet = Fleet::started(&[program], &tables, rules)?;
    fleet.world.orch(&["lock", "made.txt", "--reason", "the release"]).ok();
    let task = fleet.done("w", "write it");
    Some((fleet, task))
}

/// How often the model has read about the lock in one request, of all requests that say so.
fn read_in(fleet: &Fleet) -> Vec<usize> {
    let bodies = fleet.model.requests().into_iter().map(|request| request.body.to_string());
    bodies.map(|body| body.matches(SAID).count()).filter(|times| *times > 0).collect()
}

fn assert_warned(program: &'static str, keys: &str, call: Answer) {
    let Some((fleet, task)) = edited(program, keys, call) else { return };
    assert!(fleet.world.project.join("made.txt").exists(), "{task:#}");
    assert_eq!(read_in(&fleet), [1], "in the next request, once: {task:#}");
    fleet.stop();
}

fn assert_denied(program: &'static str, keys: &str, call: Answer) {
    let keys = format!("{keys}\non_collision = \"deny\"");
    let Some((fleet, task)) = edited(program, &keys, call) else { return };
    assert!(!fleet.world.project.join("made.txt").exists(), "{task:#}");
    assert_eq!(read_in(&fleet), [1], "as the result of its tool: {task:#}");
    assert_eq!(task["attempts"].as_array().map(Vec::len), Some(1), "{task:#}");
    fleet.stop();
}

fn write() -> Answer {
    tool("Write", json!({"file_path": "made.txt", "content": "by claude"}))
}

fn patch() -> Answer {
    tool("exec_command", json!({"cmd": PATCH}))
}

#[test]
fn claude_reads_that_it_has_edited_what_is_locked() {
    assert_warned("claude", "permission_mode = \"acceptEdits\"", write());
}

#[test]
fn claude_is_refused_an_edit_of_what_is_locked() {
    assert_denied("claude", "permission_mode = \"acceptEdits\"", write());
}

#[test]
fn codex_reads_that_it_has_edited_what_is_locked() {
    assert_warned("codex", "", patch());
}

#[test]
fn codex_is_refused_an_edit_of_what_is_locked() {
    assert_denied("codex", "permission_mode = \"bypass\"", patch());
}
