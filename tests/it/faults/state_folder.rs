//! State folders that can't be created, can't be written, or have a path too long for a socket.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use crate::common::{Output, World, refused, start};

fn with_home(world: &World, home: &Path, words: &[&str]) -> Output {
    let mut command = world.orch_command(words);
    command.env("ORCH_HOME", home);
    start(command).end()
}

#[test]
fn a_state_folder_that_cannot_be_created_is_named() {
    let world = World::new();
    fs::write(world.file("a file"), "").unwrap();
    // Even root cannot create a folder below a file or in /proc.
    for home in [world.file("a file").join("home"), "/proc/orch".into(), "/dev/null/orch".into()] {
        let shown = home.display().to_string();
        refused(with_home(&world, &home, &["start"]), 4, &[&shown]);
        for words in [&["status"][..], &["delegate", "x"], &["tasks"], &["logs"], &["doctor"], &["stop"]] {
            let ended = with_home(&world, &home, words);
            assert!(matches!(ended.code, 0 | 3 | 4), "{words:?}: {ended:#?}");
            assert!(!ended.stderr.contains("bug"), "{words:?}: {ended:#?}");
        }
    }
    assert!(world.processes().is_empty() && world.sessions().is_empty());
}

#[test]
fn a_file_in_the_place_of_a_folder_is_named() {
    let world = World::new();
    fs::create_dir_all(&world.home).unwrap();
    fs::write(world.home.join("runs"), "not a folder").unwrap();
    refused(world.orch(&["start"]), 4, &["runs"]);
    fs::remove_file(world.home.join("runs")).unwrap();
    world.start();
    world.stop_and_check_nothing_left();
}

#[test]
fn a_path_too_long_for_a_socket_works() {
    let mut world = World::new();
    world.home = world.file(&"x".repeat(120)).join("y".repeat(120)).join("home with a blank");
    world.start();
    let id = world.delegate("shell", "echo far away");
    assert_eq!(world.wait_for(&id, "succeeded")["result"]["text"], "far away\n");
    assert!(orch::redis_server::socket_path(&world.home).unwrap().as_os_str().len() < 108);
    world.stop_and_check_nothing_left();
}

#[test]
fn an_agent_that_cannot_write_its_folder_does_not_fail_the_whole_queue() {
    let world = World::started("[roles.shell]\nmax = 1");
    let runs = world.home.join("runs");
    fs::remove_dir(&runs).unwrap();
    fs::write(&runs, "").unwrap();
    let tasks: Vec<String> = (0..4).map(|n| world.delegate("shell", &format!("echo {n}"))).collect();
    world.wait_until("the failure is reported", || {
        world.status()["attention"].to_string().contains("could not be written") || world.show(&tasks[0])["lost"] == 4
    });
    fs::remove_file(&runs).unwrap();
    fs::create_dir(&runs).unwrap();
    for task in &tasks {
        world.wait_for(task, "succeeded");
    }
    world.stop_and_check_nothing_left();
}

#[test]
fn two_project_folders_of_one_name_are_not_one_project() {
    let world = World::started("");
    let other = world.file("clone");
    fs::create_dir(&other).unwrap();
    fs::copy(world.project.join("sessions.toml"), other.join("sessions.toml")).unwrap();
    let in_other = |words: &[&str]| {
        let mut command = world.orch_command(words);
        command.current_dir(&other);
        start(command).end()
    };
    let paths = [world.project.display().to_string(), other.display().to_string()];
    for words in [&["delegate", "echo x"][..], &["stop"], &["status"], &["start"]] {
        refused(in_other(words), 6, &[&paths[0], &paths[1], "--adopt", "ORCH_HOME"]);
    }
    refused(in_other(&["start", "--adopt"]), 6, &["orch stop"]);
    assert_eq!(world.status()["supervisor"]["state"], "running");
    let task = world.delegate("shell", "echo here");
    world.wait_for(&task, "succeeded");
    world.stop_and_check_nothing_left();

    // The project is moved: a copy of it goes on with what it has.
    fs::rename(&world.project, world.file("gone")).unwrap();
    refused(in_other(&["start"]), 6, &["which is gone", "orch start --adopt"]);
    // One that is refused takes nothing over, and names a session that is free.
    let config = fs::read_to_string(other.join("sessions.toml")).unwrap();
    let taken = World::builder().name("other").socket(&world.socket).build();
    fs::write(taken.project.join("sessions.toml"), {
        let config = fs::read_to_string(taken.project.join("sessions.toml")).unwrap();
        config.replace("[master]", "[master]\nsession = \"w-master\"")
    })
    .unwrap();
    taken.start();
    fs::write(other.join("sessions.toml"), config.replace("[master]", "[master]\nsession = \"w-master\"")).unwrap();
    let owner = fs::read(world.home.join("owner.json")).unwrap();
    refused(in_other(&["start", "--adopt"]), 6, &["session w-master", "[master] session = \"w-master-2\""]);
    assert_eq!(fs::read(world.home.join("owner.json")).unwrap(), owner);
    fs::write(other.join("sessions.toml"), format!("{config}\n[redis]\nurl = \"unix:///nowhere/redis.sock\"\n"))
        .unwrap();
    refused(in_other(&["start", "--adopt"]), 3, &["/nowhere/redis.sock"]);
    assert_eq!(fs::read(world.home.join("owner.json")).unwrap(), owner);
    taken.stop_and_check_nothing_left();
    fs::write(other.join("sessions.toml"), config).unwrap();
    in_other(&["start", "--adopt"]).ok();
    assert!(in_other(&["tasks"]).ok().contains(&task));
    in_other(&["stop"]).ok();
    fs::rename(world.file("gone"), &world.project).unwrap();
    refused(world.orch(&["status"]), 6, &[&paths[1]]);
}

#[test]
fn a_state_folder_that_others_can_change_is_refused_with_the_fix() {
    let world = World::started("");
    let everyone = fs::Permissions::from_mode(0o777);
    let private = fs::Permissions::from_mode(0o700);
    let runs = world.home.join("runs");
    fs::set_permissions(&runs, everyone).unwrap();
    for words in [&["delegate", "x"][..], &["start"], &["tasks"]] {
        refused(world.orch(words), 4, &["runs can be changed by others (mode 0777)", "chmod -R go-w"]);
    }
    fs::set_permissions(&runs, private).unwrap();
    world.stop_and_check_nothing_left();
    assert_eq!(fs::metadata(world.home.join("epoch.json")).unwrap().permissions().mode() & 0o777, 0o600);
}
