//! `orch cancel`, in every state.

use serde_json::{Value, json};

use super::{delegated, done};
use crate::common::{World, append, forever, gate};

fn one(changes: &Value) -> (&str, &str, bool) {
    let change = &changes[0];
    (change["from"].as_str().unwrap(), change["state"].as_str().unwrap(), change["changed"].as_bool().unwrap())
}

#[test]
fn a_task_that_does_not_run_is_cancelled_immediately() {
    let world = World::started("[roles.shell.retry]\nbase = \"1h\"\ncap = \"2h\"");
    let held = delegated(&world, &["exit 77"]);
    let delayed = delegated(&world, &["exit 1"]);
    world.wait_for(&held, "held");
    world.wait_for(&delayed, "delayed");
    world.orch(&["pause"]).ok();
    let ready = delegated(&world, &["true"]);
    let blocked = delegated(&world, &["--after", &ready, "true"]);
    for (id, from) in [(&held, "held"), (&delayed, "delayed"), (&blocked, "blocked"), (&ready, "ready")] {
        assert_eq!(one(&world.orch_json(&["cancel", id])), (from, "cancelled", true));
        let task = world.show(id);
        assert_eq!((&task["state"], task["ended_at"].is_string()), (&json!("cancelled"), true), "{task:#}");
        assert!(task["reason"].as_str().unwrap().contains("a person"), "{task:#}");
        assert_eq!(
            one(&world.orch_json(&["cancel", id])),
            ("cancelled", "cancelled", false),
            "cancelling again changes nothing"
        );
    }
    // A person may change their mind.
    world.orch(&["resume"]).ok();
    world.orch(&["retry", &ready]).ok();
    world.wait_for(&ready, "succeeded");
    world.orch(&["retry", &blocked]).ok();
    world.wait_for(&blocked, "succeeded");
}

#[test]
fn a_running_program_gets_sigterm_and_then_sigkill() {
    let world = World::started("");
    let polite = format!("trap 'echo cleaned up; exit 3' TERM\n{}\n{}", append(&world.file("polite"), "on"), forever());
    let stubborn = format!("trap '' TERM INT HUP\n{}\n{}", append(&world.file("stubborn"), "on"), forever());
    for (name, script) in [("polite", polite), ("stubborn", stubborn)] {
        let id = delegated(&world, &[&script]);
        world.wait_until("the program runs", || world.lines(name) == ["on"]);
        let (from, _, changed) = {
            let changes = world.orch_json(&["cancel", &id]);
            let (from, state, changed) = one(&changes);
            (from.to_owned(), state.to_owned(), changed)
        };
        assert_eq!((from.as_str(), changed), ("running", true));
        let task = world.wait_for(&id, "cancelled");
        let attempt = &task["attempts"][0];
        assert_eq!((&attempt["cause"], &task["cause"]), (&json!("cancelled"), &json!("cancelled")));
        if name == "polite" {
            assert_eq!(task["result"]["text"], "cleaned up\n", "its last output is kept");
        }
    }
    assert!(!world.processes().iter().any(|p| p.command.contains("/prompt")), "{:#?}", world.processes());
    assert_eq!(world.agent("shell-1")["state"], "idle", "the agent keeps running");
}

#[test]
fn an_ended_task_is_not_changed() {
    let world = World::started("");
    let well = done(&world, &["true"]);
    let id = well["id"].as_str().unwrap();
    let answer = world.orch(&["cancel", id, "--json"]).ended(1);
    assert_eq!(one(&answer.json()), ("succeeded", "succeeded", false));
    assert_eq!(world.show(id), well);
    let unknown = world.orch(&["cancel", "t-7k2m9qx4hz"]).ended(2);
    assert!(unknown.stderr.contains("there is no task t-7k2m9qx4hz"), "{unknown:#?}");
}

#[test]
fn a_dead_letter_is_removed() {
    let world = World::started("");
    let task = done(&world, &["echo no way >&2; exit 65"]);
    let id = task["id"].as_str().unwrap();
    let attention = |world: &World| world.status()["attention"].as_array().unwrap().len();
    assert_eq!((task["state"].as_str(), attention(&world)), (Some("failed"), 1));
    assert!(world.orch(&["why", id]).ok().contains(&format!("orch cancel {id} (removes it)")));
    assert_eq!(world.orch(&["cancel", id]).ok(), format!("{id}: cancelled (was failed)\n"));
    let removed = world.show(id);
    assert_eq!((&removed["state"], &removed["cause"]), (&json!("cancelled"), &json!("cancelled")));
    assert!(removed["reason"].as_str().unwrap().contains("it had failed: "), "{removed:#}");
    assert_eq!((&removed["attempts"], &removed["result"]), (&task["attempts"], &task["result"]));
    assert_eq!(attention(&world), 0);
    assert_eq!(one(&world.orch_json(&["cancel", id])), ("cancelled", "cancelled", false));
}

#[test]
fn one_unknown_id_among_several_cancels_none() {
    let world = World::started("");
    let id = delegated(&world, &[&gate(&world.file("go"))]);
    world.orch(&["cancel", &id, "t-7k2m9qx4hz"]).ended(2);
    world.touch("go");
    world.wait_for(&id, "succeeded");
}
