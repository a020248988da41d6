//! What goes wrong with the house itself: the supervisor, Redis or the tmux server is killed, each alone and all at
//! once. Agents at work go on where they can, and every accepted task ends.

use crate::common::{Process, Signal, World, append, gate, kill9, signal};
use serde_json::Value;

/// Delegates `n` tasks that run until the gate opens.
fn gated(world: &World, n: usize) -> Vec<String> {
    let script = format!("{}; {}; echo done", append(&world.file("ran"), "$ORCH_TASK"), gate(&world.file("go")));
    (0..n).map(|_| world.delegate("shell", &script)).collect()
}

fn running(world: &World) -> usize {
    world.status()["tasks"]["running"].as_u64().unwrap_or(0) as usize
}

/// Agent and pid of each runner, in order.
fn runners(world: &World) -> Vec<(String, u64)> {
    let pid = |a: &Value| (a["id"].as_str().expect("id").to_owned(), a["pid"].as_u64().expect("pid"));
    world.status()["agents"].as_array().expect("agents").iter().map(pid).collect()
}

fn succeeded_at_once(world: &World, tasks: &[String]) {
    for task in tasks {
        let shown = world.wait_for(task, "succeeded");
        assert_eq!(shown["attempts"].as_array().map(Vec::len), Some(1), "{shown:#}");
    }
}

#[test]
fn agents_work_on_without_a_supervisor_and_the_next_one_adopts_them() {
    let world = World::started("[roles.shell]\nmin = 3\nmax = 3");
    world.wait_until("three agents are ready", || {
        world.agents("shell").iter().filter(|a| a["state"] == "idle").count() == 3
    });
    let tasks = gated(&world, 2);
    world.wait_until("two of them are busy", || running(&world) == 2);
    let before = runners(&world);
    kill9(world.supervisor_pid());
    assert_eq!(world.orch(&["status", "--json"]).ended(3).json()["supervisor"]["state"], "stopped");
    let quick = world.delegate("shell", "echo without a supervisor");
    world.wait_for(&quick, "succeeded");

    world.start();
    assert_eq!(runners(&world), before);
    world.touch("go");
    succeeded_at_once(&world, &[tasks, vec![quick]].concat());
    assert_eq!(runners(&world), before);
    assert_eq!(world.events_of("agent.failed"), Vec::<Value>::new());
    world.stop_and_check_nothing_left();
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
fn after_the_end_of_the_tmux_server_master_and_agents_come_back() {
    let world = World::started("[roles.shell]\nmax = 3");
    let tasks = gated(&world, 3);
    world.wait_until("all of them run", || world.lines("ran").len() == 3);
    let before = runners(&world);
    world.tmux(&["kill-server"]).ok();
    world.wait_until("all of them run again", || world.lines("ran").len() == 6);
    world.wait_until("master and agents are others", || runners(&world).iter().all(|r| !before.contains(r)));
    world.wait_for_agent("opus-master", "idle");
    world.touch("go");
    for task in &tasks {
        let shown = world.wait_for(task, "succeeded");
        assert_eq!((&shown["attempts"][0]["cause"], &shown["lost"]), (&"lost".into(), &1.into()), "{shown:#}");
    }
    world.stop_and_check_nothing_left();
}

#[test]
fn a_killed_tmux_server_is_no_different() {
    let world = World::started("[roles.shell]\nmax = 2");
    let tasks = gated(&world, 2);
    world.wait_until("both run", || world.lines("ran").len() == 2);
    kill9(world.tmux_server_pid());
    world.wait_until("both run again", || world.lines("ran").len() == 4);
    world.touch("go");
    for task in &tasks {
        assert_eq!(world.wait_for(task, "succeeded")["lost"], 1);
    }
    world.wait_for_agent("opus-master", "idle");
    world.stop_and_check_nothing_left();
}

/// Kills all that is ours at the same moment: supervisor, Redis, tmux server, every runner; not what the programs have
/// started.
fn kill_everything(world: &World) {
    let runners = runners(world);
    let mut pids = vec![world.supervisor_pid(), world.redis_pid(), world.tmux_server_pid()];
    pids.extend(runners.iter().map(|(_, pid)| *pid as u32));
    for pid in &pids {
        signal(*pid, Signal::SIGSTOP);
    }
    for pid in pids {
        kill9(pid);
    }
}

#[test]
fn after_the_end_of_everything_at_once_every_accepted_task_ends() {
    let world = World::started("[roles.shell]\nmax = 3");
    let tasks = gated(&world, 6);
    // What its program has started, and nobody finds by descent.
    let orphan = world.delegate("shell", "if [ $ORCH_ATTEMPT = 1 ]; then (setsid sleep 87654 &); sleep 87654; fi");
    world.wait_until("three of them run", || world.lines("ran").len() == 3);
    kill_everything(&world);
    world.start();
    world.touch("go");
    for task in &tasks {
        world.wait_for(task, "succeeded");
    }
    let lost: Vec<u64> = tasks.iter().map(|t| world.show(t)["lost"].as_u64().unwrap()).collect();
    assert_eq!(lost.iter().sum::<u64>(), 3, "only what ran was lost: {lost:?}");
    // And once more, now with the orphan at work.
    world.wait_until("the orphan runs", || {
        world.processes().iter().filter(|p| p.command.contains("87654")).count() >= 2
    });
    kill_everything(&world);
    world.start();
    world.wait_for(&orphan, "succeeded");
    world.wait_until("the orphan is gone", || !world.processes().iter().any(|p| p.command.contains("87654")));
    world.stop_and_check_nothing_left();
}

#[test]
fn a_supervisor_that_dies_while_it_starts_an_agent_is_no_loss() {
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
fn a_start_from_within_the_masters_session_is_like_any_other() {
    let world = World::builder().users_own_server().master_driver("claude").tables("[roles.shell]\nmax = 1").build();
    world.program("claude", "exec sh -i");
    world.start();
    let master = world.runner_pid("opus-master");
    kill9(world.supervisor_pid());
    let type_line = |line: &str| {
        world.tmux(&["send-keys", "-t", "=opus-master:", line, "Enter"]).ok();
    };
    type_line("orch start");
    world.wait_until("it is up again", || world.status()["supervisor"]["state"] == "running");
    let (supervisor, redis) = (world.supervisor_pid(), world.redis_pid());
    assert_eq!(world.runner_pid("opus-master"), master, "the master is adopted by a supervisor within it");

    let task = world.delegate("shell", "echo done");
    world.wait_for(&task, "succeeded");
    assert!(world.sessions().contains(&"shell-1".to_owned()), "on the same tmux server: {:?}", world.sessions());

    // Its program ends, and all that it has started; the supervisor is not its own.
    let shell = || world.processes().into_iter().find(|p| p.parent == master && p.command.starts_with("sh -i"));
    let before = shell();
    assert!(before.is_some());
    type_line("exit");
    world.wait_until("there is another shell", || shell().is_some_and(|now| Some(now) != before));
    assert_eq!((world.supervisor_pid(), world.redis_pid()), (supervisor, redis));
    world.stop_and_check_nothing_left();
}

#[test]
fn faults_one_after_the_other_lose_nothing() {
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
                // Whoever is there; the one that was seen may have gone.
                let agents = world.agents("shell");
                let pid = agents.first().and_then(|a| a["pid"].as_u64());
                pid.and_then(|pid| Process::of(pid as u32)).iter().for_each(|p| kill9(p.pid));
            }
        }
        world.start();
        world.wait_until("it goes on", || done() > before || done() == 40);
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
