//! An ordinary life: start, agents that come, work and go, and others' sessions, which are none of ours.

use std::{fs, os::unix::fs::symlink};

use crate::common::{World, append, forever, gate, kill9};

/// How many processes of this world are supervisors, and how many are Redis servers.
fn supervisors_and_servers(world: &World) -> (usize, usize) {
    let processes = world.processes();
    let count = |words: &str| processes.iter().filter(|p| p.command.contains(words)).count();
    (count(" supervise "), count("redis.sock"))
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
fn ten_starts_at_the_same_moment_are_one() {
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
fn it_starts_in_an_empty_folder() {
    let world = World::builder().users_own_server().build();
    fs::remove_file(world.project.join("sessions.toml")).unwrap();
    // The agent CLIs of this machine are kept out.
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
fn another_namespace_with_the_same_session_is_a_conflict_and_touches_nothing() {
    let first = World::started("");
    let before = (first.supervisor_pid(), first.runner_pid("opus-master"));
    let second = World::builder().name("other").socket(&first.socket).build();
    let refused = second.orch(&["start"]).ended(6);
    assert!(refused.stderr.contains("opus-master"), "{refused:?}");
    second.wait_until("a start that failed leaves nothing", || second.processes().is_empty());
    assert_eq!(second.status()["supervisor"]["state"], "stopped");
    assert_eq!((first.supervisor_pid(), first.runner_pid("opus-master")), before);
    first.stop_and_check_nothing_left();
}

#[test]
fn the_masters_name_taken_by_a_persons_own_session_is_a_conflict() {
    let world = World::new();
    world.tmux(&["new-session", "-d", "-s", "opus-master", "cat"]).ok();
    let refused = world.orch(&["start"]).ended(6);
    assert!(refused.stderr.contains("opus-master") && refused.stderr.contains("kill-session"), "{refused:?}");
    world.check_nothing_left(&["opus-master"]);
    assert_eq!(world.pane("opus-master").trim(), "");
    world.tmux(&["kill-session", "-t", "=opus-master"]).ok();
    world.start();
    world.stop_and_check_nothing_left();
}

#[test]
fn a_persons_own_session_is_never_touched() {
    let world = World::new();
    world.tmux(&["new-session", "-d", "-s", "shell-1", "cat"]).ok();
    let pane = || world.tmux(&["list-panes", "-t", "=shell-1:", "-F", "#{pane_pid} #{pane_current_command}"]).ok();
    let before = pane();
    world.start();
    let task = world.delegate("shell", "echo hello");
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(shown["attempts"][0]["agent"], "shell-2");
    assert_eq!((pane(), world.pane("shell-1").trim()), (before.clone(), ""));
    world.orch(&["stop"]).ok();
    world.check_nothing_left(&["shell-1"]);
    assert_eq!((pane(), world.pane("shell-1").trim()), (before, ""));
}

#[test]
fn a_session_that_takes_the_next_free_name_meanwhile_is_walked_around() {
    let world = World::started("[roles.shell]\nmax = 1");
    world.tmux(&["new-session", "-d", "-s", "shell-1", "cat"]).ok();
    let task = world.delegate("shell", "echo hello");
    assert_eq!(world.wait_for(&task, "succeeded")["attempts"][0]["agent"], "shell-2");
    world.orch(&["stop"]).ok();
    world.check_nothing_left(&["shell-1"]);
}

#[test]
fn an_agent_comes_shows_its_work_takes_the_next_task_and_goes() {
    let world = World::started("[roles.shell]\nmax = 1\nidle_timeout = \"1s\"");
    let first = world.delegate("shell", &format!("echo first words; {}; echo last words", gate(&world.file("go"))));
    let second = world.delegate("shell", "echo the second task");
    // The pane shows the task's text too: a line of the output stands alone.
    let shows = |line: &str| world.pane("shell-1").lines().any(|l| l.trim_end() == line);
    world.wait_until("the pane shows what is printed, as it comes", || shows("first words"));
    assert!(!shows("last words"));
    let agent = world.agent("shell-1");
    assert_eq!((&agent["state"], agent["task"].as_str()), (&"busy".into(), Some(first.as_str())));
    world.touch("go");
    let shown = world.wait_for(&second, "succeeded");
    assert_eq!(shown["attempts"][0]["agent"], "shell-1");
    world.wait_until("an idle agent goes", || world.agent("shell-1").is_null());
    world.wait_until("with its session", || !world.sessions().contains(&"shell-1".to_owned()));
    let starts = world.events_of("agent.starting").iter().filter(|e| e["agent"] == "shell-1").count();
    assert_eq!(starts, 1, "both tasks were done by the same runner");
    world.stop_and_check_nothing_left();
}

#[test]
fn agents_are_kept_ready() {
    let world = World::started("[roles.shell]\nmin = 2\nidle_timeout = \"100ms\"");
    let ready = || world.agents("shell").iter().filter(|a| a["state"] == "idle").count();
    world.wait_until("two are ready", || ready() == 2);
    let dead = world.runner_pid("shell-1");
    kill9(dead);
    world.wait_until("the dead one is replaced", || {
        ready() == 2 && world.agents("shell").iter().all(|a| a["pid"] != dead)
    });
    world.stop_and_check_nothing_left();
}

#[test]
fn ctrl_c_in_the_pane_ends_the_attempt_and_not_the_agent() {
    let world = World::started("[roles.shell]\nmax = 1");
    let task = world.delegate("shell", &format!("{}; {}", append(&world.file("ran"), "x"), forever()));
    world.wait_until("it runs", || world.lines("ran").len() == 1);
    let runner = world.runner_pid("shell-1");
    world.tmux(&["send-keys", "-t", "=shell-1:", "C-c"]).ok();
    let shown = world.wait_for(&task, "cancelled");
    assert!(shown["reason"].as_str().unwrap().contains("Ctrl-C"), "{shown:#}");
    assert_eq!(shown["attempts"][0]["cause"], "cancelled");
    // At rest it does nothing but say so.
    world.wait_for_agent("shell-1", "idle");
    world.tmux(&["send-keys", "-t", "=shell-1:", "C-c"]).ok();
    world.wait_until("it says so", || world.pane("shell-1").contains("nothing is running here"));
    let next = world.delegate("shell", "echo next");
    world.wait_for(&next, "succeeded");
    assert_eq!(world.runner_pid("shell-1"), runner);
    world.stop_and_check_nothing_left();
}

#[test]
fn the_master_comes_back_whoever_ends_it() {
    let world = World::started("");
    let runner = world.runner_pid("opus-master");
    let console = || world.processes().into_iter().find(|p| p.parent == runner && p.command.contains(" console "));
    world.wait_until("the console is there", || console().is_some());
    let before = console();
    world.tmux(&["send-keys", "-t", "=opus-master:", "C-d"]).ok();
    world.wait_until("who leaves the console finds it again", || console().is_some_and(|now| Some(now) != before));
    assert_eq!(world.runner_pid("opus-master"), runner);
    world.tmux(&["kill-session", "-t", "=opus-master"]).ok();
    let stands = || world.agent("opus-master");
    world.wait_until("a closed session is opened again", || stands()["state"] == "idle" && stands()["pid"] != runner);
    world.stop_and_check_nothing_left();
}

#[test]
fn a_second_supervisor_is_a_conflict() {
    let world = World::started("");
    let refused = world.orch(&["supervise"]).ended(6);
    assert!(refused.stderr.contains(&world.supervisor_pid().to_string()), "{refused:?}");
    world.stop_and_check_nothing_left();
}
