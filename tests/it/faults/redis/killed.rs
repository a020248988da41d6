//! A private Redis that is killed, hangs or is slow to return: the supervisor replaces it, nothing that was
//! acknowledged is lost, and no agent is declared failed.

use std::{fs, os::unix::fs::symlink};

use serde_json::Value;

use crate::{
    common::{Signal, World, append, gate, kill9, signal},
    faults::{causes, gated, real, runners, running, succeeded_at_first_attempt},
};

/// Installs a Redis that cannot start while the file `broken` exists, and starts slowly while the file `slow` exists.
fn install_slow_redis(world: &World) {
    // The check program acts as the server when it is called by the server's name.
    let server = world.file("redis-server");
    symlink(real(&["redis-server", "valkey-server", "redis-check-rdb"]), &server).unwrap();
    world.program(
        "redis-server",
        &format!(
            "[ \"$1\" = --version ] && exec '{server}' --version\n\
             [ -e '{broken}' ] && exit 1\n[ -e '{slow}' ] && sleep 4\nexec '{server}' \"$@\"",
            server = server.display(),
            broken = world.file("broken").display(),
            slow = world.file("slow").display(),
        ),
    );
}

#[test]
fn a_killed_redis_is_restarted_immediately_and_nothing_acknowledged_is_lost() {
    let world = World::started("[roles.shell]\nmax = 2");
    let tasks = gated(&world, 10);
    world.wait_until("two tasks run", || running(&world) == 2);
    let (before, redis, supervisor) = (runners(&world), world.redis_pid(), world.supervisor_pid());
    // While Redis cannot be restarted, `orch delegate` waits.
    signal(supervisor, Signal::SIGSTOP);
    kill9(redis);
    let mut waiting = world.orch_started(&["delegate", "--role", "shell", "echo meanwhile", "--json"]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(!waiting.has_ended(), "orch delegate waits for Redis");
    signal(supervisor, Signal::SIGCONT);
    let meanwhile = waiting.end().ended(0).json()["id"].as_str().unwrap().to_owned();
    assert_ne!(world.redis_pid(), redis);
    world.touch("go");
    succeeded_at_first_attempt(&world, &[tasks, vec![meanwhile]].concat());
    assert_eq!(runners(&world), before);
    assert_eq!(world.supervisor_pid(), supervisor);
    world.stop_and_check_nothing_left();
}

#[test]
fn redis_killed_repeatedly_under_load_loses_nothing() {
    let world = World::started("[roles.shell]\nmax = 4");
    let script = append(&world.file("ran"), "$ORCH_TASK");
    let mut tasks = Vec::new();
    for round in 0..4 {
        tasks.extend((0..5).map(|_| world.delegate("shell", &script)));
        world.wait_until("five more tasks have run", || world.lines("ran").len() > round * 5);
        kill9(world.redis_pid());
    }
    succeeded_at_first_attempt(&world, &tasks);
    let mut ran = world.lines("ran");
    ran.sort();
    tasks.sort();
    assert_eq!(ran, tasks, "each task ran exactly once");
    world.stop_and_check_nothing_left();
}

#[test]
fn a_redis_that_hangs_is_replaced() {
    let world = World::started("[roles.shell]\nmax = 1");
    let tasks = gated(&world, 1);
    world.wait_until("the task runs", || running(&world) == 1);
    let redis = world.redis_pid();
    signal(redis, Signal::SIGSTOP);
    world.wait_until("another Redis serves", || world.redis_pid_if_any().is_some_and(|pid| pid != redis));
    world.touch("go");
    succeeded_at_first_attempt(&world, &tasks);
    world.stop_and_check_nothing_left();
}

#[test]
fn a_redis_that_is_away_for_longer_than_a_lease_costs_no_agent() {
    let world = World::builder().supervisor("lease", "\"1s\"").tables("[roles.shell]\nmax = 1").build();
    install_slow_redis(&world);
    world.start();
    let task = world.delegate("shell", &format!("{}; {}", append(&world.file("ran"), "x"), gate(&world.file("go"))));
    world.wait_until("the task runs", || world.lines("ran").len() == 1);
    let redis = world.redis_pid();
    world.touch("slow");
    kill9(redis);
    world.wait_until("Redis serves again", || world.orch(&["show", &task, "--json"]).code == 0);
    fs::remove_file(world.file("slow")).unwrap();
    world.touch("go");
    assert_eq!(causes(&world.wait_for(&task, "succeeded")), ["success"]);
    assert_eq!(world.events_of("agent.failed"), [] as [Value; 0]);
    world.stop_and_check_nothing_left();
}

/// Stopped for longer than a lease, and not replaced: whoever looks first when it goes on finds old heartbeats.
#[test]
fn a_redis_that_stands_still_for_longer_than_a_lease_costs_no_agent() {
    let world = World::builder().supervisor("lease", "\"2s\"").tables("[roles.shell]\nmax = 3\nmin = 3").build();
    world.start();
    let task = world.delegate("shell", &gate(&world.file("go")));
    world.wait_for(&task, "running");
    let redis = world.redis_pid();
    for ms in [2_300, 2_500, 2_600, 2_700, 2_800, 2_900] {
        signal(redis, Signal::SIGSTOP);
        // How long the fault lasts.
        std::thread::sleep(std::time::Duration::from_millis(ms));
        signal(redis, Signal::SIGCONT);
        world.wait_until("Redis answers", || world.orch(&["show", &task, "--json"]).code == 0);
    }
    assert_eq!(world.events_of("agent.failed"), [] as [Value; 0]);
    assert_eq!(world.redis_pid(), redis, "it was not replaced");
    world.touch("go");
    assert_eq!(causes(&world.wait_for(&task, "succeeded")), ["success"]);
    world.stop_and_check_nothing_left();
}

/// Each interruption gives every agent a whole lease to report; one after another, they do not give it for ever.
#[test]
fn a_hung_runner_is_replaced_although_redis_is_killed_again_and_again() {
    let world = World::builder().supervisor("lease", "\"1s\"").tables("[roles.shell]\nmax = 1").build();
    world.start();
    let task = world.delegate("shell", &format!("{}; {}", append(&world.file("ran"), "x"), gate(&world.file("go"))));
    world.wait_until("the task runs", || world.lines("ran").len() == 1);
    let (runner, tmux) = (world.runner_pid("shell-1"), world.tmux_server_pid());
    // tmux continues its stopped children immediately.
    signal(tmux, Signal::SIGSTOP);
    signal(runner, Signal::SIGSTOP);
    world.wait_until("the attempt is lost", || {
        // More often than once per lease.
        std::thread::sleep(std::time::Duration::from_millis(500));
        if let Some(redis) = world.redis_pid_if_any() {
            kill9(redis);
        }
        world.show(&task)["lost"] == 1
    });
    signal(tmux, Signal::SIGCONT);
    world.touch("go");
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(causes(&shown), ["lost", "success"]);
    world.stop_and_check_nothing_left();
}
