//! What goes wrong with one agent: its runner, its program or its session dies or hangs. The task runs again, exactly
//! one attempt counts, and nothing of the dead one is left.

use std::time::Duration;

use crate::common::{Process, Signal, World, append, gate, kill9, signal};
use serde_json::Value;

/// Nobody else on this machine sleeps for so long.
const ORPHAN: &str = "sleep 98765";

/// Starts what outlives its parents: left its session, ignores HUP and TERM, was forked twice. Says when all are there.
fn orphans(world: &World) -> String {
    let ready = append(&world.file("orphans"), "$$");
    format!(
        "setsid sh -c 'trap \"\" TERM HUP INT; {here}; {ORPHAN} & wait' &\n\
         nohup sh -c 'trap \"\" TERM HUP; {here}; exec {ORPHAN}' >/dev/null 2>&1 &\n\
         (setsid sh -c '({here}; exec {ORPHAN}) & exit' &)\n",
        here = ready.replace('\'', "'\\''")
    )
}

fn orphans_left(world: &World) -> usize {
    world.processes().iter().filter(|p| p.command.contains(ORPHAN)).count()
}

/// A script that runs `first` in the first attempt, and succeeds in every later one.
fn only_once(first: &str) -> String {
    format!("if [ $ORCH_ATTEMPT = 1 ]; then\n{first}\nfi\necho done by attempt $ORCH_ATTEMPT")
}

fn causes(shown: &Value) -> Vec<&str> {
    shown["attempts"].as_array().unwrap().iter().map(|a| a["cause"].as_str().unwrap_or("none")).collect()
}

#[test]
fn a_killed_runner_leaves_nothing_and_its_task_runs_again() {
    let world = World::started("[roles.shell]\nmax = 1");
    let task = world.delegate("shell", &only_once(&format!("{}{ORPHAN}", orphans(&world))));
    world.wait_until("all of them run", || world.lines("orphans").len() == 3 && orphans_left(&world) >= 4);
    kill9(world.runner_pid("shell-1"));
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!((causes(&shown), &shown["lost"]), (vec!["lost", "success"], &1.into()));
    assert_eq!(shown["result"]["text"], "done by attempt 2\n");
    assert!(shown["attempts"][0]["reason"].as_str().unwrap().contains("shell-1"), "{shown:#}");
    let failed = world.events_of("agent.failed");
    assert!(failed[0]["agent"] == "shell-1" && failed[0]["reason"].as_str().unwrap().contains("is gone"), "{failed:?}");
    world.wait_until("nothing of it is left", || orphans_left(&world) == 0);
    world.stop_and_check_nothing_left();
}

#[test]
fn a_killed_program_is_tried_again_by_the_same_agent() {
    let world = World::started("[roles.shell]\nmax = 1");
    let task = world.delegate("shell", &only_once(&format!("{}; exec {ORPHAN}", append(&world.file("pid"), "$$"))));
    world.wait_until("it runs", || orphans_left(&world) == 1);
    let runner = world.runner_pid("shell-1");
    kill9(world.lines("pid")[0].parse().unwrap());
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(causes(&shown), ["lost", "success"]);
    assert!(shown["attempts"][0]["reason"].as_str().unwrap().contains("signal 9"), "{shown:#}");
    assert_eq!(world.runner_pid("shell-1"), runner);
    world.stop_and_check_nothing_left();
}

#[test]
fn a_closed_session_loses_the_attempt_and_leaves_nothing() {
    let world = World::started("[roles.shell]\nmax = 1");
    let task = world.delegate("shell", &only_once(&format!("{}{ORPHAN}", orphans(&world))));
    world.wait_until("all of them run", || world.lines("orphans").len() == 3 && orphans_left(&world) >= 4);
    world.tmux(&["kill-session", "-t", "=shell-1"]).ok();
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!((causes(&shown), &shown["lost"]), (vec!["lost", "success"], &1.into()));
    assert!(shown["attempts"][0]["reason"].as_str().unwrap().contains("session was closed"), "{shown:#}");
    world.wait_until("nothing of it is left", || orphans_left(&world) == 0);
    world.stop_and_check_nothing_left();
}

#[test]
fn a_stopped_runner_is_given_up_and_its_late_result_changes_nothing() {
    let world = World::builder().supervisor("lease", "\"1s\"").tables("[roles.shell]\nmax = 1").build();
    world.start();
    let ran = world.file("ran");
    let task = world.delegate("shell", &only_once(&format!("{}; {}", append(&ran, "x"), gate(&world.file("go")))));
    world.wait_until("it runs", || world.lines("ran").len() == 1);
    let (runner, tmux) = (world.runner_pid("shell-1"), world.tmux_server_pid());
    // tmux lets its stopped children continue at once: it has to stand still as well. That alone says nothing about
    // the agents.
    signal(tmux, Signal::SIGSTOP);
    signal(runner, Signal::SIGSTOP);
    // Its program ends now, so a result is what the runner wakes up with when it is ended.
    world.touch("go");
    world.wait_until("it is given up", || world.show(&task)["lost"] == 1);
    world.wait_until("the stopped runner is gone", || Process::of(runner).is_none());
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
fn a_program_that_sleeps_silently_is_hung() {
    let world = World::started("[roles.shell]\nmax = 1\nstall_timeout = \"1s\"");
    let task = world.delegate("shell", &only_once(&format!("exec {ORPHAN}")));
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(causes(&shown), ["lost", "success"]);
    assert!(shown["attempts"][0]["reason"].as_str().unwrap().contains("stall_timeout"), "{shown:#}");
    world.wait_until("nothing of it is left", || orphans_left(&world) == 0);
    world.stop_and_check_nothing_left();
}

#[test]
fn a_program_that_computes_silently_or_waits_for_its_subtasks_is_not_hung() {
    let world = World::started(
        "[roles.shell]\nstall_timeout = \"1500ms\"\n[roles.patient]\ndriver = \"shell\"\nstall_timeout = \"1h\"",
    );
    let busy = world.delegate("shell", "timeout 4 sh -c 'while :; do :; done'; echo computed");
    let parent = world.delegate("shell", "orch delegate --role patient --wait 'sleep 4; echo waited'");
    let busy = world.wait_for(&busy, "succeeded");
    let parent = world.wait_for(&parent, "succeeded");
    assert_eq!((causes(&busy), causes(&parent)), (vec!["success"], vec!["success"]));
    world.stop_and_check_nothing_left();
}

#[test]
fn what_a_program_leaves_behind_ends_with_its_attempt() {
    let world = World::started("[roles.shell]\nmax = 1");
    let wait = format!("until [ \"$(wc -l < '{}')\" = 3 ]; do sleep 0.05; done", world.file("orphans").display());
    let task = world.delegate("shell", &format!("{}{wait}; echo done", orphans(&world)));
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(shown["result"]["text"], "done\n");
    assert_eq!(orphans_left(&world), 0, "told only when nothing was left");
    world.stop_and_check_nothing_left();
}

#[test]
fn a_task_that_kills_its_agents_is_poison_and_does_not_make_a_storm() {
    let world = World::started("[roles.shell]\nmax = 2");
    let task = world.delegate("shell", "kill -9 $PPID; sleep 60");
    let attention = |what: &str| {
        let status = world.status();
        status["attention"].as_array().unwrap().iter().any(|a| a["what"].as_str().unwrap().contains(what))
    };
    world.wait_until("the backoff is seen, with its reason", || attention("agents of role shell end at once"));
    let shown = world.wait_for(&task, "failed");
    assert_eq!((causes(&shown), &shown["cause"], &shown["lost"]), (vec!["lost"; 4], &"lost".into(), &4.into()));
    assert!(attention(&task), "a dead letter asks for attention");
    let starts = |agent: &Value| agent["agent"].as_str().unwrap().starts_with("shell-");
    let started = world.events_of("agent.starting").iter().filter(|e| starts(e)).count();
    assert_eq!(started, 4, "one agent for each attempt");
    let backoffs = world.events_of("role.backoff").len();
    assert_eq!(backoffs, 4, "one for each death");

    assert!(attention("agents of role shell end at once"), "the last pause is the longest");
    world.orch(&["spawn", "shell"]).ok();
    world
        .wait_until("a person's request ends the pause", || world.agents("shell").iter().any(|a| a["state"] == "idle"));
    assert!(!attention("agents of role shell end at once"));
    world.stop_and_check_nothing_left();
}

/// The runner of shell-1, which has done a task; its pid is known before Redis stands still.
fn ready_runner(world: &World) -> u32 {
    let task = world.delegate("shell", ":");
    world.wait_for(&task, "succeeded");
    world.runner_pid("shell-1")
}

/// A task that has written its report and could not tell it: Redis stands still.
fn untold(world: &World) -> String {
    let ran = append(&world.file("ran"), "x");
    let task = world.delegate("shell", &format!("{ran}; {}; echo precious", gate(&world.file("go"))));
    world.wait_until("it runs", || world.lines("ran").len() == 1);
    signal(world.redis_pid(), Signal::SIGSTOP);
    world.touch("go");
    let reports = || std::fs::read_dir(world.home.join("reports")).unwrap().flatten().collect::<Vec<_>>();
    let is_report = |e: &std::fs::DirEntry| e.path().extension().is_some_and(|x| x == "json");
    world.wait_until_within(Duration::from_secs(20), "the report is on disk", || reports().iter().any(is_report));
    task
}

fn told_and_not_run_again(world: &World, task: &str) {
    let shown = world.wait_for(task, "succeeded");
    assert_eq!(shown["result"]["text"], "precious\n");
    assert_eq!((causes(&shown), world.lines("ran").len()), (vec!["success"], 1));
    let reports = std::fs::read_dir(world.home.join("reports")).unwrap().count();
    assert_eq!(reports, 0, "a report that was heard is filed");
    world.stop_and_check_nothing_left();
}

#[test]
fn a_result_on_disk_is_told_in_the_dead_runners_place() {
    let world = World::started("[roles.shell]\nmax = 1");
    let runner = ready_runner(&world);
    let task = untold(&world);
    kill9(runner);
    kill9(world.redis_pid());
    told_and_not_run_again(&world, &task);
}

#[test]
fn a_result_on_disk_is_told_by_the_next_supervisor() {
    let world = World::started("[roles.shell]\nmax = 1");
    let runner = ready_runner(&world);
    let supervisor = world.supervisor_pid();
    let task = untold(&world);
    kill9(supervisor);
    kill9(runner);
    kill9(world.redis_pid());
    world.start();
    told_and_not_run_again(&world, &task);
}
