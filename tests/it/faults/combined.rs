//! Several faults concurrently, and one after another: every accepted task still ends.

use serde_json::Value;

use super::{gated, runners};
use crate::common::{Process, Signal, World, kill9, signal};

/// Kills every process of orch at the same moment: the supervisor, Redis, the tmux server and all runners. The
/// processes that agents' programs started keep running.
fn kill_everything(world: &World) {
    let runners = runners(world);
    let mut pids = vec![world.supervisor_pid(), world.redis_pid(), world.tmux_server_pid()];
    pids.extend(runners.iter().map(|(_, pid)| pid.expect("pid") as u32));
    for pid in &pids {
        signal(*pid, Signal::SIGSTOP);
    }
    for pid in pids {
        kill9(pid);
    }
}

#[test]
fn every_accepted_task_ends_after_everything_is_killed_together() {
    let world = World::started("[roles.shell]\nmax = 3");
    let tasks = gated(&world, 6);
    // Its program starts a process that cannot be found by descent.
    let orphan = world.delegate("shell", "if [ $ORCH_ATTEMPT = 1 ]; then (setsid sleep 87654 &); sleep 87654; fi");
    world.wait_until("three tasks run", || world.lines("ran").len() == 3);
    kill_everything(&world);
    world.start();
    world.touch("go");
    for task in &tasks {
        world.wait_for(task, "succeeded");
    }
    let lost: Vec<u64> = tasks.iter().map(|t| world.show(t)["lost"].as_u64().unwrap()).collect();
    assert_eq!(lost.iter().sum::<u64>(), 3, "only the running attempts are lost: {lost:?}");
    // Once more, now while the orphan runs.
    world.wait_until("the orphan runs", || {
        world.processes().iter().filter(|p| p.command.contains("87654")).count() >= 2
    });
    kill_everything(&world);
    world.start();
    world.wait_for(&orphan, "succeeded");
    world.wait_until("the orphan is gone", || !world.processes().iter().any(|p| p.command.contains("87654")));
    world.stop_and_check_nothing_left();
}

/// The master that died with everything else was a few hundred milliseconds old: that says nothing about the next one.
#[test]
fn a_start_after_everything_was_killed_does_not_blame_the_next_master() {
    let world = World::started("[roles.shell]\nmax = 1");
    for _ in 0..2 {
        let before = world.runner_pid("opus-master");
        kill9(world.tmux_server_pid());
        world.wait_until("there is another master", || {
            let master = world.agent("opus-master");
            master["state"] == "idle" && master["pid"] != before
        });
        let backoffs = world.events_of("role.backoff").len();
        kill_everything(&world);
        world.start();
        assert_eq!(world.agent("opus-master")["state"], "idle");
        assert_eq!(world.events_of("role.backoff").len(), backoffs, "what died before the start counts against nobody");
    }
    world.stop_and_check_nothing_left();
}

#[test]
fn successive_faults_lose_nothing() {
    let world = World::started("[roles.shell]\nmax = 4\nretry = { lost = 50 }");
    let tasks: Vec<String> = (0..40).map(|_| world.delegate("shell", "sleep 0.2; echo done")).collect();
    let done = || world.status()["tasks"]["succeeded"].as_u64().unwrap_or(0);
    for round in 0..12 {
        let before = done();
        match round % 4 {
            0 => kill9(world.supervisor_pid()),
            1 => kill9(world.redis_pid()),
            2 => drop(world.tmux(&["kill-server"])),
            _ => {
                // Any runner that is alive; the one listed before may have ended.
                let agents = world.agents("shell");
                let pid = agents.first().and_then(|a| a["pid"].as_u64());
                pid.and_then(|pid| Process::of(pid as u32)).iter().for_each(|p| kill9(p.pid));
            }
        }
        world.start();
        world.wait_until("work continues", || done() > before || done() == 40);
    }
    for task in &tasks {
        let shown = world.wait_for(task, "succeeded");
        let causes: Vec<&Value> = shown["attempts"].as_array().expect("attempts").iter().map(|a| &a["cause"]).collect();
        let (last, others) = causes.split_last().expect("an attempt");
        assert!(*last == "success" && others.iter().all(|c| *c == "lost"), "{shown:#}");
    }
    assert_eq!(world.events_of("task.succeeded").len(), 40);
    world.stop_and_check_nothing_left();
}
