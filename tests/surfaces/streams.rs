//! Closed standard streams, narrow terminals, and an environment without a home or a current folder.

use std::fs;

use crate::common::{World, refused, start};

/// Runs `orch WORDS REDIRECTIONS` from a shell.
fn redirected(world: &World, line: &str) -> crate::common::Output {
    let mut shell = world.command("sh");
    shell.arg("-c").arg(format!("'{}' {line}", env!("CARGO_BIN_EXE_orch")));
    start(shell).end()
}

#[test]
fn closed_standard_streams_are_no_error() {
    let world = World::new();
    for line in
        ["start >&-", "status >&-", "delegate 'echo x' >&-", "tasks >&- 2>&-", "delegate --wait 'echo y' <&- >&- 2>&-"]
    {
        let ended = redirected(&world, line).ended(0);
        assert!(!ended.stderr.contains("bug"), "{ended:#?}");
    }
    let tasks = world.orch_json(&["tasks"]);
    assert_eq!(tasks.as_array().unwrap().len(), 2, "{tasks:#}");
    let empty = redirected(&world, "delegate - <&-").ended(2);
    assert!(empty.stderr.contains("no text"), "{empty:#?}");
    redirected(&world, "show t-7k2m9qx4hz 2>&-").ended(2);
    redirected(&world, "stop <&- >&- 2>&-").ended(0);
    world.check_nothing_left(&[]);
}

#[test]
fn a_closed_pipe_ends_a_verb_without_an_error() {
    let world = World::started("");
    world.orch(&["delegate", "--wait", "i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i + 1)); done"]).ok();
    for words in ["logs -n 100000", "logs -f", "events -f", "events -n 1000", "status"] {
        let ended = redirected(&world, &format!("{words} 2>err | head -n 1; cat err")).ended(0);
        assert_eq!((ended.stdout.lines().count(), ended.stderr.as_str()), (1, ""), "{words}: {ended:#?}");
    }
}

#[test]
fn forty_columns_are_enough() {
    let world = World::started("");
    let id = world.delegate("shell", "echo a long line of output that is longer than forty columns by far; exit 65");
    world.wait_for(&id, "failed");
    for words in ["status", "tasks --tree", "agents", "events", "doctor", "--help", &format!("why {id}")] {
        let done = world.file("done");
        let script = format!("clear; '{}' {words}; touch '{}'; exec cat", env!("CARGO_BIN_EXE_orch"), done.display());
        let home = format!("ORCH_HOME={}", world.home.display());
        world.tmux(&["new-session", "-d", "-s", "narrow", "-x", "40", "-y", "200", "-e", &home, &script]).ok();
        world.wait_until("it has ended", || done.exists());
        // Joined, a line that the terminal had to break is longer than it is wide.
        let page = world.tmux(&["capture-pane", "-p", "-J", "-t", "=narrow:"]).ok();
        assert!(page.trim().lines().count() > 1, "{words}: {page}");
        // A path is one word: it can be copied whole. (`show` gives all texts whole, and leaves them to the terminal.)
        for line in page.lines().filter(|line| !line.contains(" /")) {
            assert!(line.trim_end().chars().count() <= 40, "{words}: {line:?} in\n{page}");
        }
        world.tmux(&["kill-session", "-t", "=narrow"]).ok();
        fs::remove_file(done).unwrap();
    }
}

#[test]
fn without_home_the_state_folder_suffices() {
    let world = World::new();
    for words in [&["start"][..], &["delegate", "--wait", "echo $HOME"], &["status"], &["stop"]] {
        let mut command = world.orch_command(words);
        command.env_remove("HOME").env_remove("TERM").env_remove("SHELL").env_remove("LANG");
        start(command).end().ok();
    }
    world.check_nothing_left(&[]);
}

#[test]
fn a_deleted_working_folder_is_reported() {
    let world = World::started("");
    let gone = world.file("gone");
    fs::create_dir(&gone).unwrap();
    for line in ["status", "delegate x", "stop", "init"] {
        let mut shell = world.command("sh");
        shell.current_dir(&gone);
        shell.arg("-c").arg(format!("rmdir '{}' && '{}' {line}", gone.display(), env!("CARGO_BIN_EXE_orch")));
        refused(start(shell).end(), 4, &["folder", "cd to"]);
        fs::create_dir(&gone).unwrap();
    }
    // Named from elsewhere, it is found all the same.
    let mut shell = world.command("sh");
    shell.current_dir(&gone).env("ORCH_CONFIG", world.project.join("sessions.toml"));
    shell.arg("-c").arg(format!("rmdir '{}' && '{}' status", gone.display(), env!("CARGO_BIN_EXE_orch")));
    let status = start(shell).end();
    assert!(status.code == 0 || status.stderr.contains("cd to"), "{status:#?}");
}
