//! A runner or its session dies, hangs or never starts: the task runs again, exactly one attempt counts, and nothing of
//! the dead runner is left.

use std::fs;

use serde_json::Value;

use super::{ORPHAN, causes, only_once, orphans, orphans_left};
use crate::common::{Process, Signal, World, append, forever, gate, kill9, signal};

#[test]
fn a_killed_runner_leaves_nothing_and_its_task_runs_again() {
    let world = World::started("[roles.shell]\nmax = 1");
    let task = world.delegate("shell", &only_once(&format!("{}{ORPHAN}", orphans(&world))));
    world.wait_until("all processes run", || world.lines("orphans").len() == 3 && orphans_left(&world) >= 4);
    kill9(world.runner_pid("shell-1"));
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!((causes(&shown), &shown["lost"]), (vec!["lost", "success"], &1.into()));
    assert_eq!(shown["result"]["text"], "done by attempt 2\n");
    assert!(shown["attempts"][0]["reason"].as_str().unwrap().contains("shell-1"), "{shown:#}");
    let failed = world.events_of("agent.failed");
    assert!(failed[0]["agent"] == "shell-1" && failed[0]["reason"].as_str().unwrap().contains("is gone"), "{failed:?}");
    world.wait_until("no process of the attempt is left", || orphans_left(&world) == 0);
    world.stop_and_check_nothing_left();
}

#[test]
fn a_closed_session_loses_the_attempt_and_leaves_nothing() {
    let world = World::started("[roles.shell]\nmax = 1");
    let task = world.delegate("shell", &only_once(&format!("{}{ORPHAN}", orphans(&world))));
    world.wait_until("all processes run", || world.lines("orphans").len() == 3 && orphans_left(&world) >= 4);
    world.tmux(&["kill-session", "-t", "=shell-1"]).ok();
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!((causes(&shown), &shown["lost"]), (vec!["lost", "success"], &1.into()));
    assert!(shown["attempts"][0]["reason"].as_str().unwrap().contains("session was closed"), "{shown:#}");
    world.wait_until("no process of the attempt is left", || orphans_left(&world) == 0);
    world.stop_and_check_nothing_left();
}

#[test]
fn a_stopped_runner_is_declared_failed_and_its_late_result_changes_nothing() {
    let world = World::builder().supervisor("lease", "\"1s\"").tables("[roles.shell]\nmax = 1").build();
    world.start();
    let ran = world.file("ran");
    let task = world.delegate("shell", &only_once(&format!("{}; {}", append(&ran, "x"), gate(&world.file("go")))));
    world.wait_until("the task runs", || world.lines("ran").len() == 1);
    let (runner, tmux) = (world.runner_pid("shell-1"), world.tmux_server_pid());
    // tmux continues its stopped children immediately, so it has to be stopped as well. A stopped tmux alone fails no
    // agent.
    signal(tmux, Signal::SIGSTOP);
    signal(runner, Signal::SIGSTOP);
    // Its program ends now, so that the runner has a result to send if it continues.
    world.touch("go");
    world.wait_until("the attempt is lost", || world.show(&task)["lost"] == 1);
    world.wait_until("the stopped runner has ended", || Process::of(runner).is_none());
    signal(tmux, Signal::SIGCONT);
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(causes(&shown), ["lost", "success"]);
    assert_eq!(shown["result"]["text"], "done by attempt 2\n");
    assert!(shown["attempts"][0]["reason"].as_str().unwrap().contains("no heartbeat"), "{shown:#}");
    let later = world.show(&task);
    assert_eq!((&later["attempts"], &later["result"]), (&shown["attempts"], &shown["result"]));
    assert_eq!(world.events_of("task.succeeded").len(), 1);
    world.stop_and_check_nothing_left();
}

#[test]
fn a_task_that_kills_its_agents_becomes_a_dead_letter_without_a_restart_storm() {
    let world = World::started("[roles.shell]\nmax = 2");
    let task = world.delegate("shell", "kill -9 $PPID; sleep 60");
    let attention = |what: &str| {
        let status = world.status();
        status["attention"].as_array().unwrap().iter().any(|a| a["what"].as_str().unwrap().contains(what))
    };
    world.wait_until("status shows the backoff with its reason", || {
        attention("agents of role shell fail right after they start")
    });
    let shown = world.wait_for(&task, "failed");
    assert_eq!((causes(&shown), &shown["cause"], &shown["lost"]), (vec!["lost"; 4], &"lost".into(), &4.into()));
    assert!(attention(&task), "a dead letter is listed under attention");
    let starts = |agent: &Value| agent["agent"].as_str().unwrap().starts_with("shell-");
    let started = world.events_of("agent.starting").iter().filter(|e| starts(e)).count();
    assert_eq!(started, 4, "one agent per attempt");
    let backoffs = world.events_of("role.backoff").len();
    assert_eq!(backoffs, 4, "one backoff per death");

    assert!(attention("agents of role shell fail right after they start"), "the last backoff is the longest");
    world.orch(&["spawn", "shell"]).ok();
    world.wait_until("a person's request ends the backoff", || {
        world.agents("shell").iter().any(|a| a["state"] == "idle")
    });
    assert!(!attention("agents of role shell fail right after they start"));
    world.stop_and_check_nothing_left();
}

#[test]
fn a_launch_file_that_no_runner_took_is_removed_with_its_secrets() {
    let world = World::started("[roles.shell]\nmax = 1");
    let script = format!("echo $ORCH_INCARNATION > '{}'; {}", world.file("incarnation").display(), forever());
    let task = world.delegate("shell", &script);
    world.wait_until("the task runs", || world.lines("incarnation").len() == 1);
    let launch = world.home.join(format!("launch/{}.json", world.lines("incarnation").remove(0)));
    fs::write(&launch, "{}").unwrap();
    world.orch(&["cancel", &task]).ok();
    world.orch(&["kill", "shell-1"]).ok();
    world.wait_until("the launch file is removed", || !launch.exists());
    world.stop_and_check_nothing_left();
}
