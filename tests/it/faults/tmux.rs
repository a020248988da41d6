//! tmux is missing, fails, is too old, or its server ends while agents work.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
};

use super::{gated, runners};
use crate::common::{Output, Signal, World, append, forever, kill9, refused, signal, start};

/// Returns a PATH with everything that orch needs except tmux.
fn path_without_tmux(world: &World) -> PathBuf {
    let folder = world.file("bin");
    fs::create_dir(&folder).unwrap();
    let server = orch::redis_server::find_program().unwrap();
    symlink(&server.path, folder.join(server.argv0)).unwrap();
    symlink("/bin/sh", folder.join("sh")).unwrap();
    folder
}

fn with_path(world: &World, path: &str, words: &[&str]) -> Output {
    let mut command = world.orch_command(words);
    command.env("PATH", path);
    start(command).end()
}

#[test]
fn without_tmux_nothing_starts_and_the_rest_works() {
    let world = World::new();
    let path = path_without_tmux(&world).display().to_string();
    refused(with_path(&world, &path, &["start"]), 4, &["no program 'tmux'", "install it"]);
    world.wait_until("no process is left", || world.processes().is_empty());
    refused(with_path(&world, &path, &["attach"]), 4, &["tmux"]);
    let doctor = with_path(&world, &path, &["doctor"]).ended(4);
    assert!(doctor.stdout.contains("no program 'tmux'") && doctor.stdout.contains("install"), "{doctor:#?}");

    // Verbs that do not need tmux work without it, also while orch runs.
    world.start();
    let id = world.delegate("shell", "echo x");
    world.wait_for(&id, "succeeded");
    for words in [&["status"][..], &["tasks"], &["delegate", "--wait", "echo y"], &["logs"], &["stop"]] {
        with_path(&world, &path, words).ok();
    }
    world.check_nothing_left(&[]);
}

#[test]
fn a_tmux_that_is_too_old_is_reported() {
    let world = World::new();
    let path = path_without_tmux(&world);
    let tmux = path.join("tmux");
    fs::write(&tmux, "#!/bin/sh\necho tmux 3.1\n").unwrap();
    fs::set_permissions(&tmux, fs::Permissions::from_mode(0o755)).unwrap();
    let path = path.display().to_string();
    refused(with_path(&world, &path, &["start"]), 4, &["tmux 3.1 is too old", "3.2"]);
    let doctor = with_path(&world, &path, &["doctor", "--json"]).ended(4).json();
    assert_eq!((&doctor[0]["name"], &doctor[0]["state"]), (&"tmux".into(), &"error".into()));
    world.wait_until("no process is left", || world.processes().is_empty());
}

#[test]
fn a_start_without_tmux_leaves_nothing() {
    let world = World::new();
    world.program("tmux", "exit 1");
    assert_ne!(world.orch(&["start"]).code, 0);
    world.wait_until("no process is left", || world.processes().is_empty());
    assert!(!world.home.join("running").exists());
}

#[test]
fn after_the_end_of_the_tmux_server_master_and_agents_are_restarted() {
    let world = World::started("[roles.shell]\nmax = 3");
    let tasks = gated(&world, 3);
    world.wait_until("all tasks run", || world.lines("ran").len() == 3);
    let before = runners(&world);
    world.tmux(&["kill-server"]).ok();
    world.wait_until("all tasks run again", || world.lines("ran").len() == 6);
    world.wait_until("master and agents have new runners", || runners(&world).iter().all(|r| !before.contains(r)));
    world.wait_for_agent("opus-master", "idle");
    world.touch("go");
    for task in &tasks {
        let shown = world.wait_for(task, "succeeded");
        assert_eq!((&shown["attempts"][0]["cause"], &shown["lost"]), (&"lost".into(), &1.into()), "{shown:#}");
    }
    world.stop_and_check_nothing_left();
}

#[test]
fn a_killed_tmux_server_is_handled_the_same_way() {
    let world = World::started("[roles.shell]\nmax = 2");
    let tasks = gated(&world, 2);
    world.wait_until("both tasks run", || world.lines("ran").len() == 2);
    kill9(world.tmux_server_pid());
    world.wait_until("both tasks run again", || world.lines("ran").len() == 4);
    world.touch("go");
    for task in &tasks {
        assert_eq!(world.wait_for(task, "succeeded")["lost"], 1);
    }
    world.wait_for_agent("opus-master", "idle");
    world.stop_and_check_nothing_left();
}

/// The supervisor asks tmux for another agent meanwhile, and gets no answer.
#[test]
fn a_hung_runner_is_declared_failed_in_time_while_the_tmux_server_does_not_answer() {
    let world = World::builder().supervisor("lease", "\"2s\"").tables("[roles.shell]\nmax = 2").build();
    world.start();
    let script = format!("{}; [ $ORCH_ATTEMPT = 2 ] || {{ {}; }}", append(&world.file("ran"), "x"), forever());
    let task = world.delegate("shell", &script);
    world.wait_until("it runs", || world.lines("ran").len() == 1);
    let (runner, tmux) = (world.runner_pid("shell-1"), world.tmux_server_pid());
    // tmux continues the stopped processes of its panes, so it has to be stopped first.
    signal(tmux, Signal::SIGSTOP);
    signal(runner, Signal::SIGSTOP);
    let other = world.delegate("shell", "echo done");
    world.wait_until("the runner is given up", || world.show(&task)["lost"] == 1);
    signal(tmux, Signal::SIGCONT);
    let silence = world.show(&task)["attempts"][0]["evidence"]["silence_ms"].as_u64().unwrap();
    assert!(silence <= 3_000, "it was given up {silence} ms after its last heartbeat");
    world.wait_for(&task, "succeeded");
    world.wait_for(&other, "succeeded");
    let held_up = world.status()["supervisor"]["passes"]["max_held_up_ms"].as_u64().unwrap();
    assert!(held_up <= 100, "a pass was held up for {held_up} ms");
    assert_eq!(world.events_of("agent.failed").iter().filter(|e| e["agent"] == "opus-master").count(), 0);
    world.stop_and_check_nothing_left();
}

#[test]
fn a_tmux_whose_options_would_end_all_sessions_is_refused_before_the_first_one() {
    for (option, name) in
        [("set -s exit-unattached on", "exit-unattached"), ("set -g window-size manual", "window-size")]
    {
        let world = World::builder().users_own_server().build();
        let home = world.file("home-of-user");
        fs::create_dir(&home).unwrap();
        fs::write(home.join(".tmux.conf"), format!("{option}\n")).unwrap();
        let orch = |words: &[&str]| {
            let mut command = world.orch_command(words);
            command.env("HOME", &home).env_remove("XDG_CONFIG_HOME");
            start(command).end()
        };
        let mut version = world.command("tmux");
        version.arg("-V");
        let version = start(version).end().ok();
        if name == "window-size" && !version.contains("3.3") {
            continue;
        }
        refused(orch(&["start"]), 4, &[name, "tmux.conf"]);
        let doctor = orch(&["doctor"]).ended(4);
        assert!(doctor.stdout.contains(name), "{doctor:#?}");
        world.wait_until("no process is left", || world.processes().is_empty());
        fs::write(home.join(".tmux.conf"), "").unwrap();
        assert!(orch(&["doctor"]).stdout.contains("a session was opened and closed"));
        orch(&["start"]).ok();
        orch(&["stop"]).ok();
        world.wait_until("no process is left", || world.processes().is_empty());
    }
}

/// How often a task was lost with its agent.
fn lost(world: &World, task: &str) -> u64 {
    world.show(task)["lost"].as_u64().unwrap()
}

/// A tmux server that ends each session soon after it was opened, as a hook may.
#[test]
fn what_every_agent_dies_of_costs_no_task_its_attempts() {
    let world = World::builder().tables("[roles.shell]\nmax = 2").build();
    world.start();
    // Late enough for an agent to have taken a task, and early enough to show during its probation.
    let script = "#!/bin/sh\nsleep 0.1\ntmux list-sessions -F '#{session_name}' | grep ^shell- | \
                  while read -r name; do tmux kill-session -t \"=$name\"; done\n";
    let hook = world.file("hook");
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    world.tmux(&["set-hook", "-g", "session-created", &format!("run-shell -b {}", hook.display())]).ok();
    let tasks: Vec<String> = (1..=3).map(|n| world.delegate("shell", &format!("sleep 1; echo {n}"))).collect();
    let deaths = || world.events_of("agent.failed").iter().filter(|e| e["agent"] != "opus-master").count();
    world.wait_until("agents die one after the other", || deaths() >= 6);
    world.tmux(&["set-hook", "-gu", "session-created"]).ok();
    for task in &tasks {
        let ended = world.wait_for(task, "succeeded");
        assert!(ended["lost"].as_u64().unwrap() <= 2, "{ended:#}");
    }
    world.stop_and_check_nothing_left();
}

#[test]
fn an_option_that_ends_every_session_is_named_also_where_it_was_set_while_orch_ran() {
    let world = World::builder().users_own_server().build();
    let home = world.file("home-of-user");
    fs::create_dir(&home).unwrap();
    let orch = |words: &[&str]| {
        let mut command = world.orch_command(words);
        command.env("HOME", &home).env_remove("XDG_CONFIG_HOME");
        start(command).end()
    };
    orch(&["start"]).ok();
    fs::write(home.join(".tmux.conf"), "set -s exit-unattached on\n").unwrap();
    let tmux = world.tmux_server_pid();
    kill9(tmux);
    let tasks: Vec<String> =
        (1..=3).map(|n| orch(&["delegate", "--role", "shell", &format!("echo {n}")]).ok().trim().to_owned()).collect();
    let is_named = |words: &[&str]| orch(words).stdout.contains("exit-unattached");
    world.wait_until("the option is named", || is_named(&["status"]) && is_named(&["why", &tasks[2]]));
    // The server may have been killed while the first agent's session was being opened.
    assert!(tasks.iter().all(|task| lost(&world, task) <= 1));
    fs::write(home.join(".tmux.conf"), "").unwrap();
    for task in &tasks {
        world.wait_for(task, "succeeded");
    }
    orch(&["stop"]).ok();
    world.wait_until("no process is left", || world.processes().is_empty());
}
