//! What a running fleet loses: its lock, its sockets, its data, its folder, its program. It mends what can be mended, and
//! otherwise ends in order; it is never out of reach.

use std::{fs, path::Path, process::Command};

use super::{gated, runners, succeeded_at_first_attempt};
use crate::common::{Output, World, kill9, refused, start};

fn supervisors(world: &World) -> usize {
    world.processes().iter().filter(|process| process.command.contains(" supervise --daemon")).count()
}

/// Removes a folder in which others write.
fn remove(world: &World, folder: &Path) {
    world.wait_until("the folder is gone", || fs::remove_dir_all(folder).is_ok());
}

#[test]
fn a_removed_lock_lets_no_second_supervisor_start() {
    let world = World::started("");
    let (supervisor, lock) = (world.supervisor_pid(), world.home.join("supervisor.lock"));
    for _ in 0..3 {
        fs::remove_file(&lock).unwrap();
        assert!(world.orch(&["start"]).ok().starts_with("running already"));
        assert_eq!((world.supervisor_pid(), supervisors(&world)), (supervisor, 1));
    }
    fs::remove_file(&lock).unwrap();
    world.stop_and_check_nothing_left();
}

#[test]
fn a_removed_socket_of_redis_is_restored() {
    let world = World::started("[roles.shell]\nmax = 2");
    let tasks = gated(&world, 2);
    world.wait_until("both run", || super::running(&world) == 2);
    for removed in ["redis/redis.sock", "redis/server.lock"] {
        let redis = world.redis_pid();
        fs::remove_file(world.home.join(removed)).unwrap();
        world.wait_until("there is another server", || world.redis_pid_if_any().is_some_and(|pid| pid != redis));
        world.wait_until("it answers", || world.status()["redis"]["state"] == "ok");
    }
    world.touch("go");
    succeeded_at_first_attempt(&world, &tasks);
    world.stop_and_check_nothing_left();
}

#[test]
fn a_removed_socket_of_redis_hinders_neither_start_nor_stop() {
    let world = World::started("");
    let task = world.delegate("shell", "echo kept");
    world.wait_for(&task, "succeeded");
    kill9(world.supervisor_pid());
    fs::remove_file(world.home.join("redis/redis.sock")).unwrap();
    let doctor = world.orch(&["doctor"]).stdout;
    assert!(doctor.contains("redis.sock is gone") && doctor.contains("orch start"), "{doctor}");
    world.start();
    assert_eq!(world.show(&task)["state"], "succeeded");
    kill9(world.supervisor_pid());
    fs::remove_file(world.home.join("redis/redis.sock")).unwrap();
    world.stop_and_check_nothing_left();
}

#[test]
fn a_removed_folder_of_redis_loses_no_task() {
    let world = World::started("[roles.shell]\nmax = 2");
    let ended = world.delegate("shell", "echo kept");
    world.wait_for(&ended, "succeeded");
    let tasks = gated(&world, 3);
    world.wait_until("two run", || super::running(&world) == 2);
    let agents = runners(&world);
    for removed in ["redis", "redis/appendonlydir"] {
        let redis = world.redis_pid();
        remove(&world, &world.home.join(removed));
        world.wait_until("there is another server", || world.redis_pid_if_any().is_some_and(|pid| pid != redis));
        // A single look: between two of them the server may be replaced once more.
        world.wait_until("it answers, and has the same agents", || runners(&world) == agents);
    }
    world.touch("go");
    succeeded_at_first_attempt(&world, &tasks);
    assert_eq!(world.show(&ended)["result"]["text"], "kept\n");
    let of = |kind: &str| world.events_of(kind).len();
    assert_eq!((of("redis.lost_data"), of("agent.failed")), (0, 0));
    world.stop_and_check_nothing_left();
}

#[test]
fn a_fleet_whose_state_folder_is_removed_ends() {
    for stop in [true, false] {
        let world = World::started("");
        let tasks = gated(&world, 2);
        world.wait_until("both run", || super::running(&world) == 2);
        remove(&world, &world.home);
        if stop {
            assert!(world.orch(&["stop"]).ok().starts_with("stopped"));
        }
        world.wait_until("nothing is left", || world.processes().is_empty());
        assert!(world.sessions().is_empty(), "{tasks:?}");
        // The next start begins anew.
        world.start();
        assert_eq!(world.orch_json(&["tasks"]).as_array().map(Vec::len), Some(0));
        world.stop_and_check_nothing_left();
    }
}

#[test]
fn a_start_waits_for_the_end_of_a_fleet_whose_folder_was_removed() {
    let world = World::started("");
    gated(&world, 1);
    world.wait_until("it runs", || super::running(&world) == 1);
    remove(&world, &world.home);
    world.start();
    world.wait_until("the first supervisor has ended", || supervisors(&world) == 1);
    assert_eq!(world.sessions(), ["opus-master"]);
    let task = world.delegate("shell", "echo again");
    world.wait_for(&task, "succeeded");
    world.stop_and_check_nothing_left();
}

#[test]
fn a_state_folder_that_is_moved_while_it_is_used_ends_its_fleet_and_keeps_its_tasks() {
    let mut world = World::started("");
    let tasks = gated(&world, 1);
    world.wait_until("it runs", || super::running(&world) == 1);
    let moved = world.file("moved");
    fs::rename(&world.home, &moved).unwrap();
    world.wait_until("nothing is left", || world.processes().is_empty());
    world.touch("go");
    world.home = moved;
    world.start();
    world.wait_for(&tasks[0], "succeeded");
    world.stop_and_check_nothing_left();
}

/// A container that shares the home folder sees neither the supervisor nor the agents.
#[test]
fn a_stop_from_another_pid_namespace_touches_nothing() {
    let world = World::started("");
    let task = world.delegate("shell", "sleep 1000");
    world.wait_for(&task, "running");
    let (agents, orch) = (runners(&world), env!("CARGO_BIN_EXE_orch"));
    let inside = |words: &[&str]| -> Option<Output> {
        let mut command = world.command("unshare");
        command.args(["--pid", "--fork", "--mount-proc", "--mount"]);
        let can = command.arg("true").output().is_ok_and(|output| output.status.success());
        let mut command = world.command("unshare");
        command.args(["--pid", "--fork", "--mount-proc", "--mount", orch]).args(words);
        can.then(|| start(command).end())
    };
    for words in [&["stop"][..], &["start"], &["restart"]] {
        match inside(words) {
            Some(output) => drop(refused(output, 6, &["cannot be seen", "container"])),
            None => return eprintln!("skipped: no pid namespace can be made here"),
        }
    }
    assert!(inside(&["tasks"]).unwrap().ok().contains(&task));
    let status = inside(&["status", "--json"]).unwrap().ended(0).json();
    assert_eq!(
        (&status["supervisor"]["state"], &status["supervisor"]["pid"]),
        (&"running".into(), &serde_json::Value::Null)
    );
    let attention = status["attention"].to_string();
    assert!(attention.contains("cannot be seen") && !attention.contains("orch start"), "{attention}");
    let doctor = inside(&["doctor"]).unwrap();
    assert!(!doctor.stdout.contains("not running"), "{doctor:?}");
    assert!(inside(&["why", &task]).unwrap().ok().contains("running"));
    assert_eq!(runners(&world), agents);
    assert!(world.home.join("redis/redis.sock").exists() && !world.runners().is_empty());
    world.stop_and_check_nothing_left();
}

#[test]
fn a_line_of_a_foreign_cgroup_ends_nothing() {
    let world = World::started("");
    let mut bystander = Command::new("sleep").arg("1000").spawn().unwrap();
    let own = fs::read_to_string(format!("/proc/{}/cgroup", bystander.id())).unwrap();
    let group = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/").to_owned();
    let planted = format!("/sys/fs/cgroup{group}\n/sys/fs/cgroup/unified{group}\n");
    let cgroups = world.home.join("cgroups");
    let known = fs::read_to_string(&cgroups).unwrap_or_default();
    fs::write(&cgroups, format!("{planted}{known}")).unwrap();
    world.orch(&["stop"]).ok();
    let is_alive = bystander.try_wait().unwrap().is_none();
    bystander.kill().unwrap();
    bystander.wait().unwrap();
    assert!(is_alive);
    world.wait_until("no process is left", || world.processes().is_empty());
}

#[test]
fn a_removed_socket_of_tmux_is_restored() {
    let world = World::started("");
    let task = world.delegate("shell", &format!("{}; echo end", crate::common::gate(&world.file("go"))));
    world.wait_for(&task, "running");
    let (agents, server) = (runners(&world), world.tmux_server_pid());
    fs::remove_file(&world.socket).unwrap();
    world.wait_until("the socket is there again", || world.socket.exists());
    assert_eq!((runners(&world), world.tmux_server_pid()), (agents, server));
    world.touch("go");
    succeeded_at_first_attempt(&world, &[task]);
    world.stop_and_check_nothing_left();
}

#[test]
fn another_tmux_server_in_the_place_of_the_socket_is_said_everywhere() {
    let world = World::started("");
    let task = world.delegate("shell", &format!("{}; echo end", crate::common::gate(&world.file("go"))));
    world.wait_for(&task, "running");
    let aside = world.file("aside.sock");
    // Moved away and back in one moment each: a socket that is gone is made again.
    let other = World::new();
    other.tmux(&["new-session", "-d", "-s", "mine"]).ok();
    fs::hard_link(&world.socket, &aside).unwrap();
    fs::rename(&other.socket, &world.socket).unwrap();
    let status = world.orch(&["status", "--json"]).ended(0).json();
    let attention = status["attention"].to_string();
    // A second agent may be up already.
    assert!(attention.contains("opus-master, shell-1"), "{attention}");
    assert!(attention.contains("run in a tmux server that cannot be reached"), "{attention}");
    assert!(attention.contains("kill-server"), "{attention}");
    for words in [&["why", "shell-1"][..], &["doctor"]] {
        let said = world.orch(words);
        assert!(said.stdout.contains("cannot be reached") && said.stdout.contains("kill-server"), "{said:?}");
    }
    // The advice helps.
    let mut kill = world.command("tmux");
    kill.arg("-S").arg(&world.socket).arg("kill-server");
    start(kill).end().ok();
    world.wait_until("the socket is made again", || world.status()["attention"] == serde_json::json!([]));
    world.touch("go");
    succeeded_at_first_attempt(&world, &[task]);
    world.stop_and_check_nothing_left();
}

#[test]
fn the_supervisor_is_replaced_and_agents_continue() {
    let world = World::started("");
    let tasks = gated(&world, 2);
    world.wait_until("both run", || super::running(&world) == 2);
    let (agents, supervisor) = (runners(&world), world.supervisor_pid());
    let restarted = world.orch_json(&["restart"]);
    assert_eq!(restarted["agents"], 3);
    assert_eq!((&restarted["pid"], supervisors(&world)), (&world.supervisor_pid().into(), 1));
    assert_ne!(world.supervisor_pid(), supervisor);
    assert_eq!(runners(&world), agents);
    world.touch("go");
    succeeded_at_first_attempt(&world, &tasks);
    world.stop_and_check_nothing_left();
    refused(world.orch(&["restart"]), 3, &["not running", "orch start"]);
}

#[test]
fn agents_start_although_the_program_of_orch_is_gone() {
    let world = World::new();
    let versions = world.file("versions");
    fs::create_dir(&versions).unwrap();
    let (old, new) = (versions.join("old"), versions.join("new"));
    for program in [&old, &new] {
        fs::copy(env!("CARGO_BIN_EXE_orch"), program).unwrap();
    }
    let run = |program: &Path, words: &[&str]| {
        let mut command = world.command(program.to_str().unwrap());
        command.args(words);
        start(command).end()
    };
    run(&old, &["start"]).ok();
    fs::remove_file(&old).unwrap();
    // A task of a new agent, which calls orch itself.
    let said = run(&new, &["delegate", "--wait", "orch delegate --wait 'echo from below'"]).ok();
    assert_eq!(said, "from below\n");
    let doctor = run(&new, &["doctor"]).stdout;
    assert!(doctor.contains("orch restart"), "{doctor}");
    run(&new, &["restart"]).ok();
    assert!(!run(&new, &["doctor"]).stdout.contains("orch was replaced"));
    assert_eq!(run(&new, &["delegate", "--wait", "orch delegate --wait 'echo again'"]).ok(), "again\n");
    run(&new, &["stop"]).ok();
    world.wait_until("no process is left", || world.processes().is_empty());
    assert!(!world.home.join("program").exists());
}

#[test]
fn a_folder_that_others_can_change_can_be_stopped_and_examined() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::started("");
    let mode = |mode| fs::set_permissions(&world.home, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o777);
    refused(world.orch(&["tasks"]), 4, &["can be changed by others", "chmod -R go-w"]);
    let doctor = world.orch(&["doctor"]).ended(4).stdout;
    assert!(doctor.contains("can be changed by others") && doctor.contains("chmod -R go-w"), "{doctor}");
    let stopped = world.orch(&["stop"]).ok();
    assert!(stopped.starts_with("stopped; nothing is left") && stopped.contains("chmod -R go-w"), "{stopped}");
    world.wait_until("no process is left", || world.processes().is_empty());
    mode(0o700);
    world.start();
    // No supervisor lives to stop it, and none is started in such a folder.
    kill9(world.supervisor_pid());
    mode(0o777);
    world.orch(&["stop"]).ok();
    world.wait_until("no process is left", || world.processes().is_empty());
    mode(0o700);
    world.check_nothing_left(&[]);
}
