//! Agent programs that cannot be run: if that is known in advance, the tasks wait; otherwise the first attempt reports
//! it.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::json;

use crate::common::World;

/// Delegates a task, and returns it after it has failed.
#[track_caller]
fn failed(world: &World, words: &[&str]) -> serde_json::Value {
    let id = world.orch_json(&[&["delegate"], words].concat())["id"].as_str().unwrap().to_owned();
    world.wait_for(&id, "failed")
}

#[test]
fn a_role_whose_program_is_missing_is_suspended_and_its_tasks_wait_for_it() {
    let world = World::started(
        "[roles.missing]\ncommand = [\"no-such-program\"]\n[roles.lost]\ncommand = [\"./nowhere/agent\"]\n\
         [roles.plain]\ncommand = [\"./plain\"]\n[roles.folder]\ncommand = [\"./\"]",
    );
    fs::write(world.project.join("plain"), "#!/bin/sh\necho done\n").unwrap();
    let roles = [
        ("missing", "no-such-program is not on PATH"),
        ("lost", "nowhere/agent does not exist or is not executable"),
        ("plain", "plain does not exist or is not executable"),
        ("folder", "does not exist or is not executable"),
    ];
    let attention = |words: &str| world.status()["attention"].to_string().contains(words);
    for (role, expected) in roles {
        assert!(!attention(role), "a role without tasks is not reported");
        let tasks = [world.delegate(role, "1"), world.delegate(role, "2")];
        world.wait_until("status reports the role", || {
            attention(&format!("role {role} can't be started: ")) && attention(expected)
        });
        for task in &tasks {
            let why = world.orch(&["why", task]).ok();
            assert!(why.contains(&format!("Role {role} can't be started: ")) && why.contains(expected), "{why}");
        }
    }
    // A waiting `orch delegate` reports the reason. After a repair the task runs immediately.
    let waits = world.orch_started(&["delegate", "--wait", "--role", "plain", "3"]);
    world.wait_until("the task is accepted", || world.status()["tasks"]["ready"] == 9);
    fs::set_permissions(world.project.join("plain"), fs::Permissions::from_mode(0o755)).unwrap();
    let done = waits.end().ended(0);
    assert_eq!(done.stdout, "done\n");
    assert!(
        done.stderr.contains(" waits: role plain can't be started: its program ./plain does not exist"),
        "{done:#?}"
    );
    world.wait_until("status no longer reports the role", || !attention("role plain"));
    assert_eq!(
        world.events_of("agent.starting").iter().filter(|e| !e.to_string().contains("plain")).count(),
        1,
        "only the master was started"
    );
    let ready = world.status()["tasks"]["ready"].clone();
    assert_eq!(ready, json!(6), "no task has lost a retry");
    let doctor = world.orch(&["doctor"]).ended(4);
    assert!(doctor.stdout.contains("its program no-such-program is not on PATH: its tasks wait"), "{doctor:#?}");
}

#[test]
fn a_program_that_is_removed_while_its_agents_run_costs_its_tasks_no_failure() {
    let world = World::started("[roles.tool]\ncommand = [\"./tool\"]\nmax = 1\n[roles.tool.retry]\nretries = 0");
    let tool = world.project.join("tool");
    let install = || {
        fs::write(&tool, "#!/bin/sh\necho done\n").unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    };
    install();
    world.wait_for(&world.delegate("tool", "0"), "succeeded");
    fs::remove_file(&tool).unwrap();
    let tasks: Vec<String> = (1..=5).map(|n| world.delegate("tool", &n.to_string())).collect();
    world.wait_until("status reports the role", || {
        world.status()["attention"]
            .to_string()
            .contains("role tool can't be started: its program ./tool does not exist")
    });
    install();
    for task in &tasks {
        assert_eq!(world.wait_for(task, "succeeded")["state"], "succeeded");
    }
}

#[test]
fn a_program_that_cannot_be_run_fails_permanently_at_the_first_attempt() {
    let world = World::started("[roles.broken]\ncommand = [\"./broken\"]");
    fs::write(world.project.join("broken"), "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(world.project.join("broken"), fs::Permissions::from_mode(0o755)).unwrap();
    let task = failed(&world, &["--role", "broken", "--retries", "5", "x"]);
    assert_eq!((&task["cause"], task["attempts"].as_array().unwrap().len()), (&json!("permanent"), 1), "{task:#}");
    assert!(task["reason"].as_str().unwrap().contains("interpreter"), "{}", task["reason"]);
    let why = world.orch(&["why", task["id"].as_str().unwrap()]).ok();
    assert!(why.contains("interpreter") && why.contains("not retried"), "{why}");
    // The agent is not at fault: the program was.
    assert!(world.events_of("agent.failed").is_empty());
}

#[test]
fn a_missing_working_folder_is_reported() {
    let world = World::started("[roles.else]\ndriver = \"shell\"\ncwd = \"not/made/yet\"");
    // That of a role: its tasks wait for it, and no attempt is made.
    let id = world.delegate("else", "pwd");
    let why = world.orch(&["why", &id]).ok();
    assert!(why.contains("Role else can't be started: its folder") && why.contains("not/made/yet does not"), "{why}");
    let doctor = world.orch(&["doctor"]).ended(4);
    assert!(doctor.stdout.contains("not/made/yet does not exist: its tasks wait"), "{doctor:#?}");
    fs::create_dir_all(world.project.join("not/made/yet")).unwrap();
    let task = world.wait_for(&id, "succeeded");
    assert!(task["result"]["text"].as_str().unwrap().ends_with("not/made/yet\n"), "{task:#}");
    assert_eq!(task["attempts"].as_array().unwrap().len(), 1);

    let folder = world.file("soon gone");
    fs::create_dir(&folder).unwrap();
    world.orch(&["pause"]).ok();
    let id =
        world.orch_json(&["delegate", "--cwd", folder.to_str().unwrap(), "pwd"])["id"].as_str().unwrap().to_owned();
    fs::remove_dir(&folder).unwrap();
    world.orch(&["resume"]).ok();
    let task = world.wait_for(&id, "failed");
    assert_eq!((&task["cause"], task["attempts"].as_array().unwrap().len()), (&json!("permanent"), 1));
    assert!(task["reason"].as_str().unwrap().contains("soon gone does not exist"), "{}", task["reason"]);
}
