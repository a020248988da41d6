//! `orch start`: in an empty folder, twice, and many times concurrently.

use std::{fs, os::unix::fs::symlink};

use crate::common::World;

/// Returns the numbers of supervisors and of Redis servers in this world.
fn supervisors_and_servers(world: &World) -> (usize, usize) {
    let processes = world.processes();
    let count = |words: &str| processes.iter().filter(|p| p.command.contains(words)).count();
    (count(" supervise "), count("redis.sock"))
}

#[test]
fn it_starts_in_an_empty_folder() {
    let world = World::builder().users_own_server().build();
    fs::remove_file(world.project.join("sessions.toml")).unwrap();
    // The PATH excludes the agent CLIs of this machine.
    let bin = world.file("bin");
    fs::create_dir(&bin).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    for program in ["tmux", "sh"] {
        let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|p| p.exists()).unwrap();
        symlink(found, bin.join(program)).unwrap();
    }
    let mut start = world.command(env!("CARGO_BIN_EXE_orch"));
    assert!(start.arg("start").env("PATH", &bin).output().unwrap().status.success());
    let task = world.delegate("shell", "echo from nothing");
    assert_eq!(world.wait_for(&task, "succeeded")["result"]["text"], "from nothing\n");
    world.stop_and_check_nothing_left();
}

#[test]
fn a_second_start_changes_nothing() {
    let world = World::started("");
    let before = (world.supervisor_pid(), world.redis_pid(), world.runner_pid("opus-master"));
    world.start();
    assert_eq!((world.supervisor_pid(), world.redis_pid(), world.runner_pid("opus-master")), before);
    world.stop_and_check_nothing_left();
}

#[test]
fn ten_concurrent_starts_are_one_start() {
    let world = World::new();
    let starts: Vec<_> = (0..10).map(|_| world.orch_started(&["start"])).collect();
    for start in starts {
        start.end().ok();
    }
    assert_eq!(supervisors_and_servers(&world), (1, 1));
    assert_eq!(world.events_of("supervisor.started").len(), 1);
    assert_eq!(world.agents("opus").len(), 1);
    assert_eq!(world.sessions().iter().filter(|s| *s == "opus-master").count(), 1);
    world.stop_and_check_nothing_left();
}

#[test]
fn a_second_supervisor_is_a_conflict() {
    let world = World::started("");
    let refused = world.orch(&["supervise"]).ended(6);
    assert!(refused.stderr.contains(&world.supervisor_pid().to_string()), "{refused:?}");
    world.stop_and_check_nothing_left();
}
