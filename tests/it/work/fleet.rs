//! `spawn`, `kill`, `scale`, `pause`, `drain`, `resume`.

use serde_json::{Value, json};

use super::{delegated, done, text};
use crate::common::{World, gate};

/// Returns the number of idle agents of the role.
fn idle(world: &World, role: &str) -> usize {
    world.agents(role).iter().filter(|agent| agent["state"] == "idle").count()
}

#[test]
fn spawn_and_kill_change_the_number_by_one() {
    let world = World::started("");
    let agent = world.orch_json(&["spawn", "shell"]);
    assert_eq!(agent["id"], "shell-1");
    world.wait_for_agent("shell-1", "idle");
    world.orch(&["spawn", "shell"]).ok();
    world.wait_until("two agents are idle", || idle(&world, "shell") == 2);
    let sessions = world.sessions();
    assert!(sessions.contains(&"shell-1".to_owned()) && sessions.contains(&"shell-2".to_owned()), "{sessions:?}");

    let killed = world.orch_json(&["kill", "shell-1"]);
    assert_eq!(killed["state"], "stopped");
    assert!(killed["reason"].as_str().unwrap().contains("orch kill"), "{killed:#}");
    world.wait_until("its session is closed", || !world.sessions().contains(&"shell-1".to_owned()));
    let twice = world.orch(&["kill", "shell-1"]).ended(6);
    assert!(twice.stderr.contains("already"), "{twice:#?}");
    assert_eq!(world.orch_json(&["show", "shell-1"])["state"], "stopped", "a stopped agent is still shown");
    let unknown = world.orch(&["kill", "shel-2"]).ended(2);
    assert!(unknown.stderr.contains("shell-2"), "the closest name is suggested: {unknown:#?}");
    world.orch(&["spawn", "nobody"]).ended(2);
    world.orch(&["spawn", "opus"]).ended(2);
}

#[test]
fn another_agent_runs_the_task_of_a_killed_agent() {
    let world = World::started("");
    let id = delegated(&world, &[&format!("echo at work; {}; echo $ORCH_ATTEMPT", gate(&world.file("go")))]);
    world.wait_for_agent("shell-1", "busy");
    world.orch(&["kill", "shell-1"]).ok();
    world.touch("go");
    let task = world.wait_for(&id, "succeeded");
    assert_eq!(task["attempts"][0]["cause"], "lost");
    assert_eq!(
        (&task["lost"], &task["failures"], &task["result"]["text"]),
        (&json!(1), &json!(0), &json!("at work\n2\n"))
    );
    assert!(task["attempts"][0]["reason"].as_str().unwrap().contains("orch kill"), "{task:#}");
}

#[test]
fn scale_keeps_a_number_until_it_is_reset() {
    let world = World::started("[roles.shell]\nidle_timeout = \"200ms\"\nmax = 3");
    assert_eq!(world.orch_json(&["scale", "shell", "2"]), json!({"role": "shell", "agents": 2, "changed": true}));
    world.wait_until("two agents are idle", || idle(&world, "shell") == 2);
    assert_eq!(world.orch_json(&["scale", "shell", "2"])["changed"], false);
    world.orch(&["kill", "shell-1"]).ok();
    world.wait_until("two agents are idle again", || idle(&world, "shell") == 2);
    world.orch(&["scale", "shell", "0"]).ok();
    world.wait_until("no agent is left", || world.agents("shell").is_empty());
    let id = delegated(&world, &["true"]);
    assert!(world.orch(&["why", &id]).ok().contains("scaled to 0"));
    world.orch(&["scale", "shell", "auto"]).ok();
    world.wait_for(&id, "succeeded");

    let many = world.orch(&["scale", "shell", "4"]).ended(2);
    assert!(many.stderr.contains("at most 3") && many.stderr.contains("[roles.shell]"), "{many:#?}");
    world.orch(&["scale", "nobody", "1"]).ended(2);
    world.orch(&["scale", "shell", "-1"]).ended(2);
}

#[test]
fn pause_starts_nothing_and_loses_nothing() {
    let world = World::started("");
    let running = delegated(&world, &[&gate(&world.file("go"))]);
    world.wait_for(&running, "running");
    for words in [&["pause"][..], &["pause", "shell"]] {
        world.orch(words).ok();
        let id = delegated(&world, &["echo later"]);
        let why = world.orch(&["why", &id]).ok();
        assert!(why.contains("paused") && why.contains("orch resume"), "{why}");
        let status = world.status();
        let paused = status["supervisor"]["paused"] == true || status["supervisor"]["paused_roles"] == json!(["shell"]);
        assert!(paused && status["supervisor"]["accepting"] == true, "{status:#}");
        assert_eq!(world.show(&id)["state"], "ready");
        world.orch(&[&["resume"], &words[1..]].concat()).ok();
        world.wait_for(&id, "succeeded");
    }
    assert_eq!(world.orch_json(&["resume"]), json!({"changed": false}));
    world.touch("go");
    world.wait_for(&running, "succeeded");
}

#[test]
fn a_drain_accepts_only_subtasks() {
    let world = World::started("");
    let script = format!("{}; orch delegate --wait --role shell 'echo from below'", gate(&world.file("go")));
    let running = delegated(&world, &[&script]);
    world.wait_for(&running, "running");
    assert_eq!(world.orch_json(&["drain"]), json!({"changed": true}));
    let refused = world.orch(&["delegate", "no more"]).ended(1);
    assert!(refused.stderr.contains("drain") && refused.stderr.contains("orch resume"), "{refused:#?}");
    assert_eq!(world.status()["supervisor"]["accepting"], false);
    world.touch("go");
    assert_eq!(world.wait_for(&running, "succeeded")["result"]["text"], "from below\n");
    world.orch(&["resume"]).ok();
    assert_eq!(done(&world, &["echo again"])["result"]["text"], "again\n");
}

#[test]
fn each_task_gets_a_new_agent_if_configured() {
    let world = World::started("[roles.shell]\nmax = 1\ntasks_per_agent = 1");
    let pids: Vec<Value> = (0..2).map(|_| done(&world, &["echo $PPID"])["result"]["text"].clone()).collect();
    assert_ne!(text(&pids[0]), text(&pids[1]));
}
