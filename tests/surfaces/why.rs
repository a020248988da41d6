//! `orch why` explains the end of an attempt from the evidence that was recorded with it: the rule, its limit, and what
//! was observed.

use std::time::Duration;

use serde_json::Value;

use crate::common::{Signal, World, append, forever, gate, kill9, signal};

/// The evidence of a task's lost attempt, once that is recorded, and what `orch why` prints about the task.
fn evidence_of(world: &World, task: &str) -> (Value, String) {
    world.wait_until("its loss is recorded", || world.show(task)["lost"] == 1);
    let evidence = world.show(task)["attempts"][0]["evidence"].clone();
    assert!(evidence.is_object(), "{:#}", world.show(task));
    let why = world.orch_json(&["why", task]);
    assert_eq!(why["evidence"], evidence);
    let failed = world.events_of("agent.failed");
    let told = failed.iter().find(|e| e["task"] == task).unwrap_or_else(|| world.fail("there is no event"));
    assert_eq!(told["data"], evidence, "the event holds the same");
    (evidence, world.orch(&["why", task]).ok())
}

/// No further attempt overwrites the agent's record.
fn only_this_attempt(world: &World) {
    world.orch(&["pause"]).ok();
}

#[test]
fn a_stopped_runner_is_explained_by_its_lease() {
    let world = World::builder().supervisor("lease", "\"1s\"").tables("[roles.shell]\nmax = 1").build();
    world.start();
    let ran = append(&world.file("ran"), "x");
    let task = world.delegate("shell", &format!("echo almost there; echo one thing left; {ran}; {}", forever()));
    world.wait_until("it runs", || world.lines("ran").len() == 1);
    only_this_attempt(&world);
    let (runner, tmux) = (world.runner_pid("shell-1"), world.tmux_server_pid());
    // tmux lets its stopped children continue at once: it has to stand still as well.
    signal(tmux, Signal::SIGSTOP);
    signal(runner, Signal::SIGSTOP);
    world.wait_until_within(Duration::from_secs(20), "it is given up", || world.show(&task)["lost"] == 1);
    signal(tmux, Signal::SIGCONT);
    let (evidence, why) = evidence_of(&world, &task);
    assert_eq!(
        (&evidence["rule"], &evidence["bound_ms"], &evidence["by"]),
        (&"lease".into(), &1_000.into(), &"supervisor".into())
    );
    assert!(evidence["measured_ms"].as_u64().unwrap() > 1_000, "{evidence:#}");
    assert!(evidence["heartbeat_age_ms"].as_u64().unwrap() >= evidence["silence_ms"].as_u64().unwrap(), "{evidence:#}");
    let process = &evidence["process"];
    assert_eq!(
        (&process["pid"], &process["state"], &process["letter"]),
        (&runner.into(), &"stopped".into(), &"T".into())
    );
    assert_eq!((&evidence["report_on_disk"], &evidence["state"]), (&false.into(), &"busy".into()));
    assert_eq!(evidence["last_output"]["text"], "almost there\none thing left");
    for part in
        ["lease: no heartbeat for longer than the lease of 1.0s", "stopped (T)", "almost there / one thing left"]
    {
        assert!(why.contains(part), "{part}: {why}");
    }
    let agent = world.orch_json(&["show", "shell-1"]);
    assert_eq!((&agent["state"], &agent["evidence"]), (&"failed".into(), &evidence));
    assert!(world.orch(&["why", "shell-1"]).ok().contains("evidence of the end (shell-1):"));
    world.stop_and_check_nothing_left();
}

#[test]
fn a_killed_runner_is_explained_by_its_process() {
    let world = World::started("[roles.shell]\nmax = 1");
    let task = world.delegate("shell", &format!("{}; {}", append(&world.file("ran"), "x"), forever()));
    world.wait_until("it runs", || world.lines("ran").len() == 1);
    only_this_attempt(&world);
    let runner = world.runner_pid("shell-1");
    kill9(runner);
    let (evidence, why) = evidence_of(&world, &task);
    assert_eq!((&evidence["rule"], &evidence["bound_ms"]), (&"process_gone".into(), &Value::Null));
    assert_eq!(evidence["process"]["pid"], runner);
    let state = evidence["process"]["state"].as_str().unwrap();
    assert!(["gone", "zombie"].contains(&state), "{evidence:#}");
    assert_eq!(evidence["last_output"], Value::Null, "it had printed nothing");
    assert!(evidence["lease_ends_at"].is_string(), "{evidence:#}");
    assert!(why.contains("would have lasted for another"), "{why}");
    world.stop_and_check_nothing_left();
}

#[test]
fn a_program_that_stalls_is_explained_by_its_progress() {
    let world = World::started("[roles.shell]\nmax = 1\nstall_timeout = \"1s\"");
    let task = world.delegate("shell", "printf 'no newline)'; exec sleep 98766");
    let (evidence, why) = evidence_of(&world, &task);
    assert_eq!((&evidence["rule"], &evidence["bound_ms"]), (&"stall_timeout".into(), &1_000.into()));
    assert_eq!((&evidence["process"]["state"], &evidence["session"]), (&"alive".into(), &"there".into()));
    assert!(evidence["heartbeat_age_ms"].as_u64().unwrap() < 5_000, "its runner was well: {evidence:#}");
    // A letter at the end could begin one of the secrets that orch knows, and would be kept back.
    assert_eq!(evidence["last_output"]["text"], "no newline)");
    assert!(why.contains("stall_timeout: no progress for longer than 1.0s"), "{why}");
    world.orch(&["cancel", &task]).ok();
    world.stop_and_check_nothing_left();
}

#[test]
fn a_closed_session_and_a_killed_program_are_reported_by_the_runner() {
    let world = World::started("[roles.shell]\nmax = 1");
    let script = format!("echo here; {}; {}", append(&world.file("ran"), "$$"), forever());
    let task = world.delegate("shell", &script);
    let attempt = |n: usize| {
        world.wait_until("its loss is recorded", || world.show(&task)["lost"] == n);
        world.show(&task)["attempts"][n - 1]["evidence"].clone()
    };
    world.wait_until("it runs", || world.lines("ran").len() == 1);
    kill9(world.lines("ran")[0].parse().unwrap());
    let killed = attempt(1);
    assert_eq!((&killed["rule"], &killed["by"]), (&"program_killed".into(), &"runner".into()));
    assert!(killed["said"].as_str().unwrap().contains("signal 9"), "{killed:#}");
    assert_eq!(killed["last_output"]["text"], "here");

    world.wait_until("it runs again", || world.lines("ran").len() == 2);
    world.tmux(&["kill-session", "-t", "=shell-1"]).ok();
    let closed = attempt(2);
    assert_eq!(closed["rule"], "session_closed", "{closed:#}");
    let why = world.orch(&["why", &task]).ok();
    assert!(why.contains("session_closed: its tmux session was closed while it ran"), "{why}");
    world.orch(&["cancel", &task]).ok();
    world.stop_and_check_nothing_left();
}

#[test]
fn a_runner_that_ends_in_order_reports_why() {
    let world = World::started("[roles.shell]\nmax = 1");
    let task = world.delegate("shell", "true");
    world.wait_for(&task, "succeeded");
    world.orch(&["kill", "shell-1"]).ok();
    let evidence = world.orch_json(&["show", "shell-1"])["evidence"].clone();
    assert_eq!((&evidence["rule"], &evidence["by"]), (&"told".into(), &"runner".into()));
    assert!(evidence["said"].as_str().unwrap().contains("orch kill"), "{evidence:#}");

    let task = world.delegate("shell", "true");
    let agent = world.wait_for(&task, "succeeded")["attempts"][0]["agent"].as_str().unwrap().to_owned();
    signal(world.runner_pid(&agent), Signal::SIGTERM);
    world.wait_until("it has left", || world.orch_json(&["show", &agent])["evidence"]["rule"] == "terminated");
    world.stop_and_check_nothing_left();
}

#[test]
fn a_chain_of_three_is_followed_down_to_the_running_task() {
    let world = World::started("[roles.lead]\ndriver = \"shell\"\nmax = 1\n[roles.shell]\nmax = 1");
    let wait = format!("orch delegate --role shell --wait \"{}\"", gate(&world.file("go")));
    let first = world.delegate("lead", &wait);
    let after = |task: &str| {
        let answer = world.orch_json(&["delegate", "--role", "lead", "--after", task, "true"]);
        answer["id"].as_str().unwrap().to_owned()
    };
    let second = after(&first);
    let third = after(&second);
    world.wait_until("the subtask runs", || {
        let chain = world.orch_json(&["why", &third])["chain"].clone();
        chain[2]["why"].as_str().is_some_and(|why| why.contains("shell-1 has worked on it"))
    });
    let chain = world.orch_json(&["why", &third])["chain"].clone();
    let short: Vec<_> = chain.as_array().unwrap().iter().map(|l| (&l["depth"], &l["id"], &l["state"])).collect();
    let child = world.show(&first)["children"][0].clone();
    let (blocked, running) = (Value::from("blocked"), Value::from("running"));
    assert_eq!(
        short,
        [
            (&1.into(), &second.clone().into(), &blocked),
            (&2.into(), &first.clone().into(), &running),
            (&3.into(), &child, &running),
        ]
    );
    assert!(chain[1]["why"].as_str().unwrap().contains("waits for its subtasks"), "{chain:#}");
    let printed = world.orch(&["why", &third]).ok();
    assert!(printed.contains("waits for:") && printed.contains(child.as_str().unwrap()), "{printed}");

    // Paused, and the subtask gone: what keeps the middle one is told at the end of the chain.
    world.orch(&["pause", "lead"]).ok();
    world.touch("go");
    world.wait_for(&first, "succeeded");
    let chain = world.orch_json(&["why", &third])["chain"].clone();
    assert_eq!(chain.as_array().unwrap().len(), 1, "{chain:#}");
    assert!(chain[0]["why"].as_str().unwrap().contains("Role lead is paused"), "{chain:#}");
    world.orch(&["resume", "lead"]).ok();
    world.wait_for(&third, "succeeded");
    world.stop_and_check_nothing_left();
}
