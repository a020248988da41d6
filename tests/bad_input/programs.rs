//! Agent programs that can't be run: said at the first attempt, and not tried again.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::json;

use crate::common::World;

/// Delegates, and shows the task once it has failed.
#[track_caller]
fn failed(world: &World, words: &[&str]) -> serde_json::Value {
    let id = world.orch_json(&[&["delegate"], words].concat())["id"].as_str().unwrap().to_owned();
    world.wait_for(&id, "failed")
}

#[test]
fn a_program_that_cannot_be_run_is_permanent_at_the_first_attempt() {
    let world = World::started(
        "[roles.missing]\ncommand = [\"no-such-program\"]\n[roles.lost]\ncommand = [\"./nowhere/agent\"]\n\
         [roles.plain]\ncommand = [\"./plain\"]\n[roles.broken]\ncommand = [\"./broken\"]\n\
         [roles.folder]\ncommand = [\"./\"]",
    );
    fs::write(world.project.join("plain"), "#!/bin/sh\n").unwrap();
    fs::write(world.project.join("broken"), "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(world.project.join("broken"), fs::Permissions::from_mode(0o755)).unwrap();
    for (role, said) in [
        ("missing", "no-such-program is not on PATH"),
        ("lost", "nowhere/agent is not there"),
        ("plain", "plain may not be executed"),
        ("broken", "interpreter"),
        ("folder", "may not be executed"),
    ] {
        let task = failed(&world, &["--role", role, "--retries", "5", "x"]);
        assert_eq!((&task["cause"], task["attempts"].as_array().unwrap().len()), (&json!("permanent"), 1), "{task:#}");
        assert!(task["reason"].as_str().unwrap().contains(said), "{role}: {}", task["reason"]);
        let why = world.orch(&["why", task["id"].as_str().unwrap()]).ok();
        assert!(why.contains(said) && why.contains("not tried again"), "{why}");
    }
    // The agents are well: it was the program.
    assert!(world.events_of("agent.failed").is_empty());
    let doctor = world.orch(&["doctor"]).ended(4);
    assert!(doctor.stdout.contains("no-such-program"), "{doctor:#?}");
}

#[test]
fn a_folder_that_went_away_is_said() {
    let world = World::started("[roles.else]\ndriver = \"shell\"\ncwd = \"not/made/yet\"");
    let task = failed(&world, &["--role", "else", "pwd"]);
    assert!(task["reason"].as_str().unwrap().contains("not/made/yet is not there"), "{}", task["reason"]);
    // Made, and the task started anew.
    fs::create_dir_all(world.project.join("not/made/yet")).unwrap();
    let id = task["id"].as_str().unwrap();
    world.orch(&["retry", id]).ok();
    assert!(world.wait_for(id, "succeeded")["result"]["text"].as_str().unwrap().ends_with("not/made/yet\n"));

    let folder = world.file("soon gone");
    fs::create_dir(&folder).unwrap();
    world.orch(&["pause"]).ok();
    let id =
        world.orch_json(&["delegate", "--cwd", folder.to_str().unwrap(), "pwd"])["id"].as_str().unwrap().to_owned();
    fs::remove_dir(&folder).unwrap();
    world.orch(&["resume"]).ok();
    let task = world.wait_for(&id, "failed");
    assert_eq!((&task["cause"], task["attempts"].as_array().unwrap().len()), (&json!("permanent"), 1));
    assert!(task["reason"].as_str().unwrap().contains("soon gone is not there"), "{}", task["reason"]);
}
