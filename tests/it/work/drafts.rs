//! `orch plan --from`: an agent drafts a plan, corrects it, and a person approves it.

use super::text;
use crate::common::World;

/// The role of a program that drafts plans: the first time with a mistake, then by what it is told.
fn planner(world: &World) {
    let script = r#"#!/bin/sh
echo x >> attempts
plan() { echo "Here it is:"; echo '```json'; echo "$1"; echo '```'; }
case "$(wc -l < attempts)" in
1) plan '{"name": "drafted", "tasks": {"a": {"role": "shel", "text": "echo one > one"}}}' ;;
2) grep -q 'did you mean shell' "$ORCH_CONTEXT" || exit 65
   plan '{"name": "drafted", "tasks": {"a": {"role": "shell", "text": "echo one > one"}, "b": {"role": "shell", "text": "echo two > two", "after": ["a"]}}}' ;;
*) grep -q 'a third one' "$ORCH_CONTEXT" || exit 65
   plan '{"name": "drafted", "tasks": {"c": {"role": "shell", "text": "echo three > three"}}}' ;;
esac
"#;
    std::fs::write(world.project.join("draft.sh"), script).expect("a program");
}

const ROLE: &str = "[roles.planner]\ncommand = [\"sh\", \"draft.sh\"]\n";

#[test]
fn a_draft_is_corrected_sent_back_approved_and_submitted() {
    let world = World::started(ROLE);
    planner(&world);
    let drafted = world.orch(&["plan", "--from", "Build it", "--role", "planner", "--wait"]).ok();
    let expected = "drafted: 2 tasks\n- a (shell): echo one > one\n- b (shell) after a: echo two > two\n";
    assert!(drafted.starts_with(expected), "{drafted}");
    assert_eq!(world.lines("project/attempts").len(), 2, "its mistakes went back to it");
    let task = text(&world.orch_json(&["tasks", "--state", "held"])[0]["id"]);
    let asked = world.orch(&["questions"]).ok();
    assert!(
        asked.contains("Is this plan to be submitted?") && asked.contains("b (shell) after a: echo two"),
        "{asked}"
    );
    assert_eq!(world.orch_json(&["plan", "list"]), serde_json::json!([]), "nothing runs before it is approved");

    world.orch(&["deny", &task, "a third one"]).ok();
    world.wait_for(&task, "held");
    let unnamed = world.orch(&["approve", &task]);
    assert!(unnamed.code != 0 && unnamed.stderr.contains(&format!("{task}#2")), "{unnamed:#?}");
    assert_eq!(world.orch_json(&["plan", "list"]), serde_json::json!([]), "it was not approved");
    let approved = world.orch_json(&["approve", &format!("{task}#2")]);
    let plan = text(&approved["plan"]);
    world.orch(&["wait", &plan]).ok();
    assert_eq!(world.lines("project/three"), ["three"]);
    assert!(!world.file("project/one").exists());
    assert_eq!(world.orch_json(&["show", &task])["state"], "succeeded");
    // The same approval again is no other plan.
    assert_ne!(world.orch(&["approve", &format!("{task}#2")]).code, 0);
    assert_eq!(world.orch_json(&["plan", "list"]).as_array().map(Vec::len), Some(1));
}

#[test]
fn a_draft_that_stays_wrong_fails_with_its_mistakes() {
    let world = World::started("[roles.planner]\ncommand = [\"echo\", \"{\\\"name\\\": \\\"x\\\"}\"]\n");
    let failed = world.orch(&["plan", "--from", "Build it", "--role", "planner", "--wait"]).ended(1);
    assert!(failed.stdout.contains("tasks is missing"), "{failed:#?}");
    let refused = world.orch(&["plan", "--from", "Build it", "--role", "shell"]).ended(2);
    assert!(refused.stderr.contains("runs scripts, and drafts no plan"), "{refused:#?}");
}
