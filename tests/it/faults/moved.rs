//! A project whose folder is moved or copied, or whose name changes.

use std::{fs, path::Path, process::Command};

use super::runners;
use crate::common::{Output, World, append, refused, start};

fn at(world: &World, folder: &Path, words: &[&str]) -> Output {
    let mut command = world.orch_command(words);
    command.current_dir(folder).env_remove("ORCH_HOME").env("XDG_STATE_HOME", world.file("state"));
    start(command).end()
}

#[test]
fn a_project_that_is_moved_keeps_its_tasks_while_stopped_and_while_it_runs() {
    for name in ["", "name = \"shop\"\n"] {
        let world = World::new();
        let config = fs::read_to_string(world.project.join("sessions.toml")).unwrap();
        fs::write(world.project.join("sessions.toml"), config.replace("name = \"w\"\n", name)).unwrap();
        let place = |n: u32| world.file(&format!("place-{n}"));
        fs::rename(&world.project, place(0)).unwrap();
        at(&world, &place(0), &["start"]).ok();
        let task = at(&world, &place(0), &["delegate", "--wait", "--json", "pwd"]).ended(0).json();
        let id = task["id"].as_str().unwrap().to_owned();
        at(&world, &place(0), &["stop"]).ok();
        // While it is stopped.
        fs::rename(place(0), place(1)).unwrap();
        let started = at(&world, &place(1), &["start"]);
        assert_eq!(started.stderr.contains("was moved here from"), name.is_empty(), "{started:#?}");
        started.ok();
        assert!(at(&world, &place(1), &["tasks"]).ok().contains(&id));
        // While it runs: a task goes on, and the next ones start in the new folder.
        let running = at(
            &world,
            &place(1),
            &[
                "delegate",
                "--json",
                &format!("{}; {}; echo end", append(&world.file("ran"), "x"), crate::common::gate(&world.file("go"))),
            ],
        );
        let running = running.ended(0).json()["id"].as_str().unwrap().to_owned();
        let state = |folder: &Path| at(&world, folder, &["show", &running, "--json"]).json()["state"].clone();
        // The program itself: before it starts, its attempt would find no folder.
        world.wait_until("it runs", || !world.lines("ran").is_empty());
        fs::rename(place(1), place(2)).unwrap();
        assert_eq!(state(&place(2)), "running");
        at(&world, &place(2), &["start"]).ok();
        let pwd = at(&world, &place(2), &["delegate", "--wait", "pwd"]).ok();
        assert_eq!(pwd, format!("{}\n", place(2).display()));
        world.touch("go");
        at(&world, &place(2), &["wait", &running]).ok();
        // A new project in the first place is another one.
        fs::create_dir(place(0)).unwrap();
        if name.is_empty() {
            refused(at(&world, &place(0), &["status"]), 6, &["belongs to", &place(2).display().to_string()]);
        }
        at(&world, &place(2), &["stop"]).ok();
        world.wait_until("no process is left", || world.processes().is_empty());
    }
}

#[test]
fn a_project_whose_name_changes_while_it_runs_is_refused_and_both_names_are_said() {
    let world = World::new();
    let at = |words: &[&str]| at(&world, &world.project, words);
    at(&["start"]).ok();
    let file = world.project.join("sessions.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, config.replace("name = \"w\"", "name = \"other\"")).unwrap();
    for words in [&["delegate", "echo x"][..], &["stop"], &["start"], &["restart"], &["reload"]] {
        refused(at(words), 6, &["'w'", "'other'", "name = \"w\""]);
    }
    // With a state folder of its own, too.
    let mut command = world.orch_command(&["delegate", "echo x"]);
    command.env("ORCH_HOME", world.file("state/orch/w"));
    refused(start(command).end(), 6, &["'w'", "'other'", "--adopt"]);
    // The file is removed, and with it the name.
    fs::remove_file(&file).unwrap();
    for words in [&["delegate", "true"][..], &["tasks"], &["stop"], &["start"], &["restart"]] {
        refused(at(words), 6, &["'w'", "name = \"w\""]);
    }
    let status = at(&["status"]);
    assert!(status.stdout.contains("this project runs as 'w'"), "{status:?}");
    fs::write(&file, config).unwrap();
    at(&["stop"]).ok();
    world.wait_until("no process is left", || world.processes().is_empty());
}

#[test]
fn a_project_that_gets_a_name_while_it_runs_without_a_file_is_refused() {
    let world = World::builder().users_own_server().build();
    let at = |words: &[&str]| at(&world, &world.project, words);
    let file = world.project.join("sessions.toml");
    fs::remove_file(&file).unwrap();
    at(&["start"]).ok();
    fs::write(&file, "name = \"other\"\n").unwrap();
    for words in [&["delegate", "true"][..], &["stop"], &["start"]] {
        refused(at(words), 6, &["this project runs as 'project-", "'other' now"]);
    }
    fs::remove_file(&file).unwrap();
    at(&["stop"]).ok();
    world.wait_until("no process is left", || world.processes().is_empty());
}

#[test]
fn a_copy_of_a_running_project_leaves_the_original_alone() {
    let mut world = World::new();
    world.home = world.project.join(".orch");
    world.start();
    let task = world.delegate("shell", &format!("{}; echo original", crate::common::gate(&world.file("go"))));
    world.wait_for(&task, "running");
    let (agents, copy) = (runners(&world), world.file("copy"));
    assert!(Command::new("cp").arg("-r").arg(&world.project).arg(&copy).status().unwrap().code().is_some());
    let config = fs::read_to_string(copy.join("sessions.toml")).unwrap();
    fs::write(copy.join("sessions.toml"), config.replace("[master]", "[master]\nsession = \"copy-master\"")).unwrap();
    let in_copy = |words: &[&str]| {
        let mut command = world.orch_command(words);
        command.current_dir(&copy).env("ORCH_HOME", copy.join(".orch"));
        start(command).end()
    };
    for words in [&["start"][..], &["stop"], &["status"], &["delegate", "x"]] {
        refused(in_copy(words), 6, &["is a copy of", &world.home.display().to_string(), "--adopt"]);
    }
    assert_eq!(runners(&world), agents);
    in_copy(&["start", "--adopt"]).ok();
    assert_eq!(runners(&world), agents, "no agent of the original is the copy's");
    world.wait_until("the copy runs the task as well", || {
        in_copy(&["show", &task, "--json"]).json()["state"] == "running"
    });
    in_copy(&["stop"]).ok();
    assert_eq!(runners(&world), agents);
    world.touch("go");
    assert_eq!(world.wait_for(&task, "succeeded")["attempts"].as_array().map(Vec::len), Some(1));
    world.stop_and_check_nothing_left();
}
