//! Which attempts are retried, when, and which tasks a person may retry.

use std::fs;

use serde_json::{Value, json};

use super::{delegated, done, each, ms};
use crate::common::{World, gate, refused};

fn count(task: &Value) -> usize {
    task["attempts"].as_array().unwrap().len()
}

#[test]
fn failures_are_retried_with_growing_delays_and_then_kept_as_a_dead_letter() {
    let world = World::started("[roles.shell.retry]\nbase = \"100ms\"\nfactor = 3.0\ncap = \"10s\"");
    let task = done(&world, &["--retries", "2", "echo try $ORCH_ATTEMPT; echo no network >&2; exit 69"]);
    assert_eq!((&task["state"], &task["cause"]), (&json!("failed"), &json!("transient")));
    assert_eq!((&task["retries"], &task["failures"], &task["lost"]), (&json!(2), &json!(3), &json!(0)));
    assert_eq!(each(&task["attempts"], "number"), [1, 2, 3]);
    for (i, plain) in [(0, 100), (1, 300)] {
        let attempt = &task["attempts"][i];
        let delay = ms(&attempt["next_retry_at"]) - ms(&attempt["ended_at"]);
        assert!((plain * 3 / 4..=plain * 5 / 4).contains(&delay), "{delay} ms after attempt {}", i + 1);
        let next = &task["attempts"][i + 1];
        assert!(ms(&next["started_at"]) >= ms(&attempt["next_retry_at"]), "{task:#}");
        assert_eq!(attempt["cause"], "transient");
    }
    assert_eq!(task["attempts"][2]["next_retry_at"], Value::Null);
    assert!(task["reason"].as_str().unwrap().contains("no network"));
    assert_eq!(task["result"]["text"], "try 3\n", "the last output is kept");
    assert!(!task["ended_at"].is_null());
}

#[test]
fn without_retries_there_is_one_attempt() {
    let world = World::started("");
    let task = done(&world, &["--retries", "0", "exit 1"]);
    assert_eq!((&task["state"], count(&task)), (&json!("failed"), 1));
}

#[test]
fn an_attempt_that_takes_too_long_is_ended_whatever_it_ignores() {
    let world = World::started("");
    let stubborn = "trap '' TERM HUP INT; sleep 1000 & while :; do sleep 1; done";
    let id = delegated(&world, &["--timeout", "400ms", "--retries", "0", stubborn]);
    let task = world.wait_for(&id, "failed");
    let attempt = &task["attempts"][0];
    assert_eq!(
        (&task["cause"], &attempt["cause"], &task["timeout_ms"]),
        (&json!("timeout"), &json!("timeout"), &json!(400))
    );
    assert!(task["reason"].as_str().unwrap().contains("400ms"), "{}", task["reason"]);
    assert!(ms(&attempt["ended_at"]) - ms(&attempt["started_at"]) >= 400);
    world
        .wait_until("its processes have ended", || !world.processes().iter().any(|p| p.command.contains("sleep 1000")));

    let twice = done(&world, &["--timeout", "300ms", "--retries", "1", "sleep 1000"]);
    assert_eq!(each(&twice["attempts"], "cause"), ["timeout", "timeout"], "a timeout counts as a failure");
}

#[test]
fn a_manual_retry_resets_the_counts_of_a_failed_task() {
    let world = World::started("");
    let fails = format!("[ -e '{}' ] && echo mended || exit 1", world.file("mended").display());
    let id = delegated(&world, &["--retries", "1", &fails]);
    assert_eq!(count(&world.wait_for(&id, "failed")), 2);

    let changed = world.orch_json(&["retry", &id]);
    assert_eq!((&changed[0]["from"], &changed[0]["changed"]), (&json!("failed"), &json!(true)));
    let again = world.wait_for(&id, "failed");
    assert_eq!((count(&again), &again["failures"]), (4, &json!(2)), "two new attempts");

    world.touch("mended");
    world.orch(&["retry", &id]).ok();
    let task = world.wait_for(&id, "succeeded");
    assert_eq!((count(&task), &task["failures"], &task["result"]["text"]), (5, &json!(0), &json!("mended\n")));
    assert_eq!(each(&task["attempts"], "number"), [1, 2, 3, 4, 5], "all attempts are kept");

    let done = world.orch(&["retry", &id]);
    assert_eq!(done.code, 1, "a succeeded task cannot be retried: {done:#?}");
}

#[test]
fn a_held_task_waits_for_a_person_and_continues() {
    let world = World::started("");
    let asks = format!("[ -e '{}' ] && echo in || {{ echo please log in; exit 77; }}", world.file("login").display());
    let id = delegated(&world, &[&asks]);
    let held = world.wait_for(&id, "held");
    assert_eq!((&held["cause"], &held["failures"]), (&json!("needs_person"), &json!(0)));
    let status = world.status();
    let what = each(&status["attention"], "what");
    assert!(what.iter().any(|w| w.as_str().unwrap().contains(&id)), "{status:#}");
    let waited = world.orch(&["wait", &id, "--timeout", "100ms"]).ended(5);
    assert!(waited.stderr.contains("held"), "{waited:#?}");

    world.touch("login");
    world.orch(&["retry", &id]).ok();
    assert_eq!(world.wait_for(&id, "succeeded")["result"]["text"], "in\n");
}

#[test]
fn a_delayed_task_can_be_started_immediately() {
    let world = World::started("[roles.shell.retry]\nbase = \"1h\"\ncap = \"2h\"");
    let script = format!("{}; [ $ORCH_ATTEMPT = 2 ]", gate(&world.file("go")));
    world.touch("go");
    let id = delegated(&world, &[&script]);
    let delayed = world.wait_for(&id, "delayed");
    let wait = ms(&delayed["due_at"]) - ms(&delayed["attempts"][0]["ended_at"]);
    assert!((2_700_000..=4_500_000).contains(&wait), "{wait}");
    assert_eq!(delayed["due_at"], delayed["attempts"][0]["next_retry_at"]);
    let why = world.orch(&["why", &id]).ok();
    assert!(why.contains("Attempt 2 may start in") && why.contains("1 of 3 retries"), "{why}");
    world.orch(&["retry", &id]).ok();
    world.wait_for(&id, "succeeded");
}

#[test]
fn a_retry_revives_what_was_cancelled_because_of_it_and_all_failed_are_retried_together() {
    let world = World::started("");
    let script = "[ -e ready ] || exit 65";
    world.orch(&["pause"]).ok();
    let failed = [0, 1].map(|n| delegated(&world, &["--label", &format!("n={n}"), script]));
    let after = delegated(&world, &["--after", &failed[0], "echo after"]);
    world.orch(&["resume"]).ok();
    failed.iter().for_each(|id| drop(world.wait_for(id, "failed")));
    world.wait_for(&after, "cancelled");
    world.orch(&["retry"]).ended(2);
    fs::write(world.project.join("ready"), "").unwrap();
    let one = world.orch(&["retry", "--all-failed", "--label", "n=0"]).ok();
    assert!(one.contains(&failed[0]) && one.contains(&format!("{after}: again")), "{one}");
    assert_eq!(world.wait_for(&after, "succeeded")["result"]["text"], "after\n");
    assert_eq!(world.show(&failed[1])["state"], "failed");
    world.orch(&["retry", "--all-failed"]).ok();
    world.wait_for(&failed[1], "succeeded");
    assert!(world.orch(&["retry", "--all-failed"]).ok().contains("no such task has failed"));
}

#[test]
fn tasks_are_cancelled_by_their_label() {
    let world = World::started("[roles.shell]\nmax = 1");
    world.orch(&["pause"]).ok();
    let [one, other] = ["sprint=1", "sprint=2"].map(|label| delegated(&world, &["--label", label, "true"]));
    world.orch(&["cancel", "--label", "sprint=1"]).ok();
    assert_eq!((&world.show(&one)["state"], &world.show(&other)["state"]), (&"cancelled".into(), &"ready".into()));
    assert!(world.orch(&["cancel", "--label", "sprint=3"]).ok().contains("no open task has this label"));
}

#[test]
fn the_tasks_of_a_plan_are_cancelled_and_retried_together_or_by_their_label() {
    let world = World::started("[roles.shell]\nmax = 1");
    world.orch(&["pause"]).ok();
    let plan = "name = 'sprint'\n[tasks.a]\ntext = 'exit 65'\nlabels = { area = 'ui' }\n[tasks.b]\ntext = 'exit 65'\n";
    fs::write(world.project.join("plan.toml"), plan).unwrap();
    let planned = world.orch_json(&["plan", "plan.toml"]);
    let id = |key: &str| {
        let tasks = planned["tasks"].as_array().unwrap();
        tasks.iter().find(|task| task["key"] == key).unwrap()["id"].as_str().unwrap().to_owned()
    };
    let (a, b, other) = (id("a"), id("b"), delegated(&world, &["--label", "area=ui", "exit 65"]));
    let state = |id: &str| world.show(id)["state"].as_str().unwrap().to_owned();
    world.orch(&["cancel", "--plan", "sprint", "--label", "area=ui"]).ok();
    assert_eq!([state(&a), state(&b), state(&other)], ["cancelled", "ready", "ready"]);
    world.orch(&["resume"]).ok();
    world.wait_for(&b, "failed");
    world.wait_for(&other, "failed");
    world.orch(&["pause"]).ok();
    let again = world.orch(&["retry", "--all-failed", "--plan", "sprint"]).ok();
    assert!(again.contains(&b) && !again.contains(&other) && !again.contains(&a), "{again}");
    assert_eq!([state(&b), state(&other)], ["ready", "failed"]);
    world.orch(&["cancel", "--plan", "sprint"]).ok();
    assert_eq!([state(&b), state(&other)], ["cancelled", "failed"]);
    refused(world.orch(&["cancel", "--plan", "nothing"]), 2, &["there is no plan nothing", "orch plan list"]);
    world.orch(&["retry", "--plan", "sprint"]).ended(2);
    world.orch(&["cancel"]).ended(2);
}

#[test]
fn a_key_that_comes_again_with_another_text_says_so_and_a_removed_dead_letter_gives_its_key_back() {
    let world = World::started("");
    let failed = delegated(&world, &["--key", "build", "exit 65"]);
    world.wait_for(&failed, "failed");
    let same = world.orch(&["delegate", "--key", "build", "exit 65"]).ended(0);
    assert!(same.stderr.contains("already has this key; its state is failed"), "{same:?}");
    let other = world.orch(&["delegate", "--key", "build", "true"]).ended(0);
    assert!(other.stderr.contains("with another text; nothing was delegated"), "{other:?}");
    assert_eq!(world.orch_json(&["delegate", "--key", "build", "true"])["differs"], true);
    world.orch(&["cancel", &failed]).ok();
    let again = delegated(&world, &["--key", "build", "true"]);
    assert_ne!(again, failed);
    world.wait_for(&again, "succeeded");
}
