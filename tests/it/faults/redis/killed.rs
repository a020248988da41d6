//! A private Redis that is killed, hangs or is slow to return: the supervisor replaces it, nothing that was
//! acknowledged is lost, and no agent is failed for it.

use std::{fs, os::unix::fs::symlink};

use serde_json::Value;

use crate::{
    common::{Signal, World, append, gate, kill9, signal},
    faults::{causes, gated, real, runners, running, succeeded_at_once},
};

/// While a file `broken` is there no Redis starts, and while `slow` is there it takes its time.
fn redis_that_takes_its_time(world: &World) {
    // Run under the name of the server, it is the server.
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
fn a_killed_redis_is_back_at_once_and_nothing_acknowledged_is_lost() {
    let world = World::started("[roles.shell]\nmax = 2");
    let tasks = gated(&world, 10);
    world.wait_until("two of them run", || running(&world) == 2);
    let (before, redis, supervisor) = (runners(&world), world.redis_pid(), world.supervisor_pid());
    // While nobody can bring it back, a delegate has to wait.
    signal(supervisor, Signal::SIGSTOP);
    kill9(redis);
    let mut waiting = world.orch_started(&["delegate", "--role", "shell", "echo meanwhile", "--json"]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(!waiting.has_ended(), "it waits for Redis");
    signal(supervisor, Signal::SIGCONT);
    let meanwhile = waiting.end().ended(0).json()["id"].as_str().unwrap().to_owned();
    assert_ne!(world.redis_pid(), redis);
    world.touch("go");
    succeeded_at_once(&world, &[tasks, vec![meanwhile]].concat());
    assert_eq!(runners(&world), before);
    assert_eq!(world.supervisor_pid(), supervisor);
    world.stop_and_check_nothing_left();
}

#[test]
fn redis_killed_again_and_again_under_load_loses_nothing() {
    let world = World::started("[roles.shell]\nmax = 4");
    let script = append(&world.file("ran"), "$ORCH_TASK");
    let mut tasks = Vec::new();
    for round in 0..4 {
        tasks.extend((0..5).map(|_| world.delegate("shell", &script)));
        world.wait_until("some are done", || world.lines("ran").len() > round * 5);
        kill9(world.redis_pid());
    }
    succeeded_at_once(&world, &tasks);
    let mut ran = world.lines("ran");
    ran.sort();
    tasks.sort();
    assert_eq!(ran, tasks, "each ran exactly once");
    world.stop_and_check_nothing_left();
}

#[test]
fn a_redis_that_hangs_is_replaced() {
    let world = World::started("[roles.shell]\nmax = 1");
    let tasks = gated(&world, 1);
    world.wait_until("it runs", || running(&world) == 1);
    let redis = world.redis_pid();
    signal(redis, Signal::SIGSTOP);
    world.wait_until("another one serves", || world.redis_pid_if_any().is_some_and(|pid| pid != redis));
    world.touch("go");
    succeeded_at_once(&world, &tasks);
    world.stop_and_check_nothing_left();
}

#[test]
fn a_redis_that_takes_longer_than_a_lease_to_come_back_costs_no_agent() {
    let world = World::builder().supervisor("lease", "\"1s\"").tables("[roles.shell]\nmax = 1").build();
    redis_that_takes_its_time(&world);
    world.start();
    let task = world.delegate("shell", &format!("{}; {}", append(&world.file("ran"), "x"), gate(&world.file("go"))));
    world.wait_until("it runs", || world.lines("ran").len() == 1);
    let redis = world.redis_pid();
    world.touch("slow");
    kill9(redis);
    world.wait_until("Redis is back", || world.orch(&["show", &task, "--json"]).code == 0);
    fs::remove_file(world.file("slow")).unwrap();
    world.touch("go");
    assert_eq!(causes(&world.wait_for(&task, "succeeded")), ["success"]);
    assert_eq!(world.events_of("agent.failed"), [] as [Value; 0]);
    world.stop_and_check_nothing_left();
}
