//! Dependencies, priorities, idempotency keys, and what is recorded with a task.

use std::fs;

use serde_json::{Value, json};

use super::{delegated, done, text};
use crate::common::{World, append, gate};

#[test]
fn a_task_starts_after_all_it_depends_on() {
    let world = World::started("");
    let ran = world.file("ran");
    let first = delegated(&world, &[&format!("{}; {}", gate(&world.file("go")), append(&ran, "first"))]);
    let second = delegated(&world, &[&append(&ran, "second")]);
    let third = delegated(&world, &["--after", &first, "--after", &second, &append(&ran, "third")]);
    let last = delegated(&world, &["--after", &third, &append(&ran, "last")]);
    world.wait_for(&second, "succeeded");
    let blocked = world.show(&third);
    assert_eq!((&blocked["state"], &blocked["after"]), (&json!("blocked"), &json!([first, second])));
    let why = world.orch(&["why", &last]).ok();
    assert!(why.contains(&third) && why.contains(&first), "the chain is reported: {why}");
    world.touch("go");
    world.wait_for(&last, "succeeded");
    assert_eq!(world.lines("ran"), ["second", "first", "third", "last"]);
}

#[test]
fn dependents_of_a_failed_task_are_cancelled_with_the_reason() {
    let world = World::started("");
    let bad = delegated(&world, &["--retries", "0", &format!("{}; exit 1", gate(&world.file("go")))]);
    let next = delegated(&world, &["--after", &bad, "touch next"]);
    let last = delegated(&world, &["--after", &next, "touch last"]);
    world.touch("go");
    for (id, culprit) in [(&next, &bad), (&last, &next)] {
        let task = world.wait_for(id, "cancelled");
        assert!(task["reason"].as_str().unwrap().contains(culprit.as_str()), "{task:#}");
        assert_eq!(task["attempts"], json!([]));
    }
    let waited = world.orch(&["wait", &last]).ended(1);
    assert!(waited.stdout.contains("cancelled") && waited.stdout.contains(&next), "{waited:#?}");
    assert!(!world.project.join("next").exists() && !world.project.join("last").exists());

    let late = world.orch(&["delegate", "--after", &bad, "true"]);
    assert_eq!(late.code, 1, "{late:#?}");
    assert!(late.stderr.contains(&bad) && late.stderr.contains("failed"), "{late:#?}");
    let unknown = world.orch(&["delegate", "--after", "t-7k2m9qx4hz", "true"]).ended(2);
    assert!(unknown.stderr.contains("t-7k2m9qx4hz"), "{unknown:#?}");
}

#[test]
fn priorities_decide_among_ready_tasks_and_age_within_one() {
    let world = World::started("[roles.shell]\nmax = 1");
    world.orch(&["pause", "shell"]).ok();
    let ran = world.file("ran");
    let mut ids = Vec::new();
    for (priority, name) in [("low", "l1"), ("normal", "n1"), ("high", "h1"), ("normal", "n2"), ("high", "h2")] {
        ids.push(delegated(&world, &["--priority", priority, &append(&ran, name)]));
    }
    assert!(ids.iter().all(|id| world.show(id)["state"] == "ready"), "paused");
    world.orch(&["resume", "shell"]).ok();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    world.orch(&[&["wait"], ids.as_slice()].concat()).ok();
    assert_eq!(world.lines("ran"), ["h1", "h2", "n1", "n2", "l1"]);
}

#[test]
fn the_same_key_is_the_same_task() {
    let world = World::started("");
    let words = ["delegate", "--key", "nightly build", "echo ran >> ran"];
    let first = world.orch_json(&words);
    assert_eq!(first["created"], true);
    world.wait_for(&text(&first["id"]), "succeeded");
    let again = world.orch_json(&words);
    assert_eq!(again, json!({"id": first["id"], "state": "succeeded", "created": false, "needs_approval": []}));
    let waited = world.orch(&["delegate", "--wait", "--key", "nightly build", "echo ran >> ran"]);
    assert_eq!(
        (waited.code, waited.stdout.as_str()),
        (0, ""),
        "the result of the existing task is printed, which is empty"
    );
    assert_eq!(fs::read_to_string(world.project.join("ran")).unwrap(), "ran\n");
    assert_eq!(world.orch_json(&["tasks"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_key_of_another_tasks_different_subtask_is_rejected() {
    let world = World::started("[roles.lead]\ndriver = \"shell\"\nmax = 3\nretry = { retries = 0 }");
    let lead = |says: &str| {
        let script = format!("orch delegate --key tests --role shell --wait 'echo {says}'");
        text(&world.orch_json(&["delegate", "--role", "lead", &format!("{script} && {script}")])["id"])
    };
    let first = lead("one");
    assert_eq!(world.wait_for(&first, "succeeded")["result"]["text"], "one\none\n");
    let same = lead("one");
    assert_eq!(world.wait_for(&same, "succeeded")["result"]["text"], "one\none\n", "the same work runs once");
    let child = text(&world.show(&first)["children"][0]);
    assert_eq!(world.show(&same)["children"].as_array().map(Vec::len), Some(0));
    // The same text in another folder is different work.
    let elsewhere = "orch delegate --key tests --role shell --cwd / --wait 'echo one'";
    let elsewhere = text(&world.orch_json(&["delegate", "--role", "lead", elsewhere])["id"]);
    for other in [lead("other"), elsewhere] {
        let other = world.wait_for(&other, "failed");
        let reason = other["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(&child) && reason.contains("choose a key"), "{other:#}");
    }
}

#[test]
fn the_options_of_a_task_are_recorded_and_passed_to_its_program() {
    let world = World::started("");
    let folder = world.file("a folder");
    fs::create_dir(&folder).unwrap();
    fs::write(world.project.join("context.json"), "{\"from\": \"a file\", \"deep\": [[1.5, true]]}").unwrap();
    let task = done(
        &world,
        &[
            "--context",
            "@context.json",
            "--artifact",
            "a b.rs",
            "--artifact",
            "/abs",
            "--label",
            "team=web",
            "--label",
            "empty=",
            "--cwd",
            folder.to_str().unwrap(),
            "--priority",
            "high",
            "--timeout",
            "1m30s",
            "pwd; cat \"$ORCH_CONTEXT\"",
        ],
    );
    assert_eq!(task["context"], json!({"from": "a file", "deep": [[1.5, true]]}));
    assert_eq!(task["artifacts"], json!(["a b.rs", "/abs"]));
    assert_eq!(task["labels"], json!({"team": "web", "empty": ""}));
    assert_eq!((&task["priority"], &task["timeout_ms"]), (&json!("high"), &json!(90_000)));
    let (pwd, context) = task["result"]["text"].as_str().unwrap().split_once('\n').unwrap();
    assert_eq!(pwd, folder.to_str().unwrap());
    let context: Value = serde_json::from_str(context).unwrap();
    assert_eq!((&context["context"], &context["labels"]), (&task["context"], &task["labels"]));

    // A path is relative to the caller's folder, not to the project.
    let mut typed = world.orch_command(&["delegate", "--wait", "--cwd", "a folder", "pwd"]);
    typed.current_dir(&world.path).env("ORCH_CONFIG", world.project.join("sessions.toml"));
    assert_eq!(crate::common::start(typed).end().ok(), format!("{}\n", folder.display()));
}

#[test]
fn a_high_task_of_one_role_starts_before_the_low_ones_of_another() {
    let roles = "[roles.aaa]\ndriver = \"shell\"\n[roles.zzz]\ndriver = \"shell\"";
    let world = World::builder().supervisor("max_agents", "2").tables(roles).build();
    world.start();
    world.orch(&["pause"]).ok();
    let delegated = |role: &str, priority: &str, text: &str| {
        let task = world.orch_json(&["delegate", "--role", role, "--priority", priority, text]);
        task["id"].as_str().unwrap().to_owned()
    };
    let held = gate(&world.file("go"));
    let low: Vec<String> = (0..24).map(|_| delegated("aaa", "low", &held)).collect();
    let high = delegated("zzz", "high", "true");
    world.orch(&["resume"]).ok();
    // The others take every slot and keep it.
    world.wait_for(&high, "succeeded");
    world.touch("go");
    for task in &low {
        world.wait_for(task, "succeeded");
    }
    world.stop_and_check_nothing_left();
}

#[test]
fn a_high_task_gets_the_next_slot_although_every_agent_has_work() {
    let roles = "[roles.aaa]\ndriver = \"shell\"\n[roles.zzz]\ndriver = \"shell\"";
    let world = World::builder().supervisor("max_agents", "2").tables(roles).build();
    world.start();
    let delegated = |role: &str, priority: &str, text: &str| {
        let task = world.orch_json(&["delegate", "--role", role, "--priority", priority, text]);
        task["id"].as_str().unwrap().to_owned()
    };
    let [first, then] = ["first", "then"].map(|name| gate(&world.file(name)));
    let running: Vec<String> = (0..2).map(|_| delegated("aaa", "low", &first)).collect();
    for task in &running {
        world.wait_for(task, "running");
    }
    let low: Vec<String> = (0..8).map(|_| delegated("aaa", "low", &then)).collect();
    let high = delegated("zzz", "high", "true");
    world
        .wait_until("the shortage is known", || world.orch(&["why", &low[0]]).ok().contains("makes room for role zzz"));
    // Both agents are free now, and low tasks are ready: one takes the next one, and keeps its slot.
    world.touch("first");
    world.wait_for(&high, "succeeded");
    world.touch("then");
    for task in running.iter().chain(&low) {
        world.wait_for(task, "succeeded");
    }
    world.stop_and_check_nothing_left();
}

#[test]
fn a_task_ends_as_failed_when_its_deadline_has_passed_while_it_waits_and_while_it_runs() {
    let world = World::started("[roles.shell]\nmax = 1\nretry = { retries = 9, base = \"1h\", cap = \"1h\" }");
    let with_deadline = |after: &str, text: &str| {
        let task = world.orch_json(&["delegate", "--deadline", after, text]);
        task["id"].as_str().unwrap().to_owned()
    };
    let ended = |id: &str| {
        let task = world.wait_for(id, "failed");
        assert_eq!((&task["cause"], &task["code"]), (&json!("deadline"), &json!("deadline_passed")), "{task:#}");
        assert!(task["reason"].as_str().unwrap().contains("its deadline has passed"), "{task:#}");
        task
    };
    // It is tried again in an hour.
    let delayed = with_deadline("2s", "exit 75");
    world.wait_for(&delayed, "delayed");
    assert!(world.orch(&["why", &delayed]).ok().contains("It must have ended in"));
    let next = delegated(&world, &["--after", &delayed, "true"]);
    ended(&delayed);
    world.wait_for(&next, "cancelled");
    // Its program would not end.
    let running = ended(&with_deadline("1s", crate::common::forever()));
    assert_eq!(running["attempts"][0]["cause"], "deadline", "{running:#}");
    assert!(running["deadline_at"].is_string() && running["deadline_ms"] == 1_000, "{running:#}");
    let why = world.orch(&["why", running["id"].as_str().unwrap()]).ok();
    assert!(why.contains("It had to end within 1.0s"), "{why}");
    // Each line of --each can have its own.
    fs::write(world.file("lines"), "{\"text\": \"sleep 600\", \"deadline\": \"1s\"}\n").unwrap();
    let id = world.orch(&["delegate", "--each", world.file("lines").to_str().unwrap()]).ok();
    ended(id.trim());
    world.stop_and_check_nothing_left();
}
