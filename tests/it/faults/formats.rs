//! State of another format: a newer one is refused by every verb and left as it is, an older one is migrated by the
//! next start.

use std::{collections::BTreeMap, fs, path::Path};

use crate::common::{World, refused};

/// Verbs that read or write state, with valid arguments.
const VERBS: &[&[&str]] = &[
    &["start"],
    &["stop"],
    &["status"],
    &["delegate", "x"],
    &["wait", "t-7k2m9qx4hz"],
    &["tasks"],
    &["show", "shell-1"],
    &["why", "shell-1"],
    &["cancel", "t-7k2m9qx4hz"],
    &["events"],
    &["agents"],
    &["spawn", "shell"],
    &["scale", "shell", "1"],
    &["pause"],
    &["drain"],
    &["resume"],
    &["dismiss"],
];

/// Returns all files in and below a folder, with their contents.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.path().display().to_string());
        match path.is_dir() {
            true => all.extend(contents(&path)),
            false => drop(all.insert(name, fs::read(&path).unwrap_or_default())),
        }
    }
    all
}

fn redis(world: &World, words: &[&str]) {
    let mut command = redis::cmd(words[0]);
    command.arg(format!("orch:{{w}}:{}", words[1])).arg(&words[2..]);
    command.exec(&mut world.redis()).unwrap();
}

/// Changes the state to what the first release left: no format number, and other names.
fn make_it_old(world: &World) {
    redis(world, &["DEL", "format"]);
    redis::cmd("RENAME").arg("orch:{w}:requests").arg("orch:{w}:intent").exec(&mut world.redis()).unwrap();
    fs::remove_file(world.home.join("format")).unwrap();
}

#[test]
fn a_newer_state_folder_is_refused_by_every_verb_and_left_as_it_is() {
    let world = World::new();
    fs::create_dir_all(&world.home).unwrap();
    fs::write(world.home.join("format"), "3\n").unwrap();
    fs::write(world.home.join("something new"), "x").unwrap();
    let before = contents(&world.home);
    for verb in VERBS.iter().chain([&["supervise"][..], &["doctor"], &["logs"]].iter()) {
        refused(world.orch(verb), 4, &["is of format 3", "ORCH_HOME"]);
    }
    assert_eq!(contents(&world.home), before);
    assert!(world.processes().is_empty() && world.sessions().is_empty());
}

#[test]
fn newer_records_in_redis_are_refused_by_every_verb_and_by_the_supervisor() {
    let world = World::started("");
    world.orch(&["pause"]).ok();
    let id = world.delegate("shell", "echo still here");
    let supervisor = world.supervisor_pid();
    redis(&world, &["SET", "format", "3"]);
    for verb in VERBS.iter().filter(|verb| !["start", "stop"].contains(&verb[0])) {
        refused(world.orch(verb), 4, &["are of format 3", "this orch uses format 2"]);
    }
    world.wait_until("the supervisor has ended", || !world.processes().iter().any(|p| p.pid == supervisor));
    refused(world.orch(&["start"]), 4, &["are of format 3"]);
    let number: String = redis::cmd("GET").arg("orch:{w}:format").query(&mut world.redis()).unwrap();
    assert_eq!(number, "3");

    redis(&world, &["SET", "format", "2"]);
    world.start();
    world.orch(&["resume"]).ok();
    assert_eq!(world.wait_for(&id, "succeeded")["result"]["text"], "still here\n");
    world.stop_and_check_nothing_left();
}

#[test]
fn state_of_the_first_release_is_migrated_by_the_next_start() {
    let world = World::started("");
    world.orch(&["pause"]).ok();
    let id = world.delegate("shell", "echo kept");
    make_it_old(&world);
    // A supervisor of the older release is running, and reads and writes other keys than this release.
    refused(world.orch(&["status"]), 4, &["are of format 1", "orch stop, then: orch start"]);
    world.orch(&["stop"]).ok();
    world.start();
    assert_eq!(world.status()["supervisor"]["paused"], true, "requests are kept");
    assert_eq!(fs::read_to_string(world.home.join("format")).unwrap(), "2\n");
    world.orch(&["resume"]).ok();
    assert_eq!(world.wait_for(&id, "succeeded")["result"]["text"], "kept\n");
    world.stop_and_check_nothing_left();
}

#[test]
fn state_of_the_current_format_without_its_number_starts_normally() {
    let world = World::started("");
    let id = world.delegate("shell", "echo kept");
    world.wait_for(&id, "succeeded");
    world.orch(&["stop"]).ok();
    fs::remove_file(world.home.join("format")).unwrap();
    world.start();
    assert_eq!(world.show(&id)["state"], "succeeded");
    redis(&world, &["DEL", "format"]);
    world.orch(&["stop"]).ok();
    world.start();
    assert_eq!(world.show(&id)["result"]["text"], "kept\n");
    let started = world.events_of("supervisor.started").pop().unwrap();
    assert_eq!(started["data"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(started["data"]["build"].is_string(), "{started:#}");
    world.stop_and_check_nothing_left();
}
