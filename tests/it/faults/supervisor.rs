//! The supervisor is killed, dies while it starts an agent, or is stopped: agents continue to work, and the next
//! supervisor adopts them.

use serde_json::Value;

use super::{causes, gated, runners, running, succeeded_at_first_attempt};
use crate::common::{Signal, World, append, gate, kill9, signal};

#[test]
fn agents_work_on_without_a_supervisor_and_the_next_one_adopts_them() {
    let world = World::started("[roles.shell]\nmin = 3\nmax = 3");
    world.wait_until("three agents are ready", || {
        world.agents("shell").iter().filter(|a| a["state"] == "idle").count() == 3
    });
    let tasks = gated(&world, 2);
    world.wait_until("two agents are busy", || running(&world) == 2);
    let before = runners(&world);
    kill9(world.supervisor_pid());
    assert_eq!(world.orch(&["status", "--json"]).ended(3).json()["supervisor"]["state"], "stopped");
    let quick = world.delegate("shell", "echo without a supervisor");
    world.wait_for(&quick, "succeeded");

    world.start();
    assert_eq!(runners(&world), before);
    world.touch("go");
    succeeded_at_first_attempt(&world, &[tasks, vec![quick]].concat());
    assert_eq!(runners(&world), before);
    assert_eq!(world.events_of("agent.failed"), Vec::<Value>::new());
    world.stop_and_check_nothing_left();
}

#[test]
fn a_supervisor_that_dies_while_it_starts_an_agent_loses_nothing() {
    let world = World::started("[roles.shell]\nmax = 4");
    let tasks: Vec<String> = (0..4).map(|_| world.delegate("shell", "echo done")).collect();
    kill9(world.supervisor_pid());
    world.start();
    for task in &tasks {
        world.wait_for(task, "succeeded");
    }
    world.stop_and_check_nothing_left();
}

#[test]
fn a_supervisor_that_was_stopped_declares_no_agent_failed() {
    let tables = "[roles.shell]\nmax = 1\n[roles.clock]\ndriver = \"shell\"\nretry = { base = \"4s\", cap = \"4s\" }";
    let world = World::builder().supervisor("lease", "\"7s\"").tables(tables).build();
    world.start();
    let task = world.delegate("shell", &format!("{}; {}", append(&world.file("ran"), "x"), gate(&world.file("go"))));
    world.wait_until("the task runs", || world.lines("ran").len() == 1);
    let (runner, tmux, supervisor) = (world.runner_pid("shell-1"), world.tmux_server_pid(), world.supervisor_pid());
    // This task becomes due while everything is stopped. Once it is ready, the supervisor has checked again.
    let due = world.delegate("clock", "[ $ORCH_ATTEMPT = 2 ]");
    world.wait_for(&due, "delayed");
    // tmux continues its stopped children, so it has to be stopped as well; calls to it time out after 5 s.
    for pid in [supervisor, tmux, runner] {
        signal(pid, Signal::SIGSTOP);
    }
    world.wait_until("everything was stopped for longer than a lease", || {
        world.agent("shell-1")["heartbeat_age_ms"].as_u64().unwrap() > 9_000
    });
    signal(supervisor, Signal::SIGCONT);
    world.wait_until("the supervisor has checked again", || world.show(&due)["state"] != "delayed");
    for pid in [runner, tmux] {
        signal(pid, Signal::SIGCONT);
    }
    world.touch("go");
    assert_eq!(causes(&world.wait_for(&task, "succeeded")), ["success"]);
    world.wait_for(&due, "succeeded");
    world.stop_and_check_nothing_left();
}
