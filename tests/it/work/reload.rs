//! `orch reload`: a changed sessions.toml is applied as a whole, to what starts from then on.

use std::{fs, time::Instant};

use serde_json::json;

use super::text;
use crate::common::{Work, World, gate};

fn append(world: &World, text: &str) {
    let file = world.project.join("sessions.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{config}\n{text}\n")).unwrap();
}

fn replace(world: &World, old: &str, new: &str) {
    let file = world.project.join("sessions.toml");
    let config = fs::read_to_string(&file).unwrap();
    assert!(config.contains(old), "{config}");
    fs::write(&file, config.replace(old, new)).unwrap();
}

const SHELL: &str = "[roles.shell]\nmax = 2\nenv = { COLOUR = \"red\" }";

#[test]
fn new_attempts_take_the_new_file_and_no_running_one_is_disturbed() {
    let world = World::started(SHELL);
    let supervisor = world.supervisor_pid();
    let master = world.runner_pid("opus-master");
    let running = world.delegate("shell", &format!("{}; echo $COLOUR", gate(&world.file("go"))));
    world.wait_for(&running, "running");
    let idle = world.delegate("shell", "echo $COLOUR");
    assert_eq!(world.wait_for(&idle, "succeeded")["result"]["text"], "red\n");
    world.wait_until("an agent is idle", || world.agents("shell").iter().any(|agent| agent["state"] == "idle"));

    replace(&world, "COLOUR = \"red\"", "COLOUR = \"blue\"");
    append(&world, "[roles.words]\ncommand = [\"wc\", \"-w\"]");
    let would = world.orch(&["reload", "--dry-run"]).ok();
    assert!(would.contains("roles.words: new") && !would.contains("blue"), "{would}");
    assert_eq!(world.status()["attention"].as_array().unwrap().len(), 1, "it has changed nothing");
    let reloaded = world.orch_json(&["reload"]);
    assert_eq!((&reloaded["applied"], &reloaded["busy"], &reloaded["replaced"]), (&json!(true), &json!(1), &json!(1)));
    let keys: Vec<String> = reloaded["changes"].as_array().unwrap().iter().map(|one| text(&one["key"])).collect();
    assert!(
        keys.contains(&"roles.words".to_owned()) && keys.contains(&"roles.shell.env.COLOUR".to_owned()),
        "{keys:?}"
    );
    assert_eq!(world.status()["attention"], json!([]));

    let new = world.delegate("words", "one two three");
    assert_eq!(world.wait_for(&new, "succeeded")["result"]["text"], "3\n");
    let after = world.delegate("shell", "echo $COLOUR");
    assert_eq!(world.wait_for(&after, "succeeded")["result"]["text"], "blue\n");
    world.touch("go");
    let shown = world.wait_for(&running, "succeeded");
    assert_eq!((&shown["result"]["text"], Work::attempts(&world, &running)), (&json!("red\n"), 1));
    for _ in 0..4 {
        let next = world.delegate("shell", "echo $COLOUR");
        assert_eq!(world.wait_for(&next, "succeeded")["result"]["text"], "blue\n", "also the busy one was replaced");
    }
    assert_eq!((world.supervisor_pid(), world.runner_pid("opus-master")), (supervisor, master));
    assert_eq!(world.events_of("agent.failed"), [] as [serde_json::Value; 0]);
    assert!(world.orch(&["reload"]).ok().contains("already"));
    world.stop_and_check_nothing_left();
}

#[test]
fn an_agent_delegates_to_a_new_role_as_soon_as_the_supervisor_knows_it() {
    let world = World::started(
        "[roles.lead]\ndriver = \"shell\"\ndelegates_to = [\"words\"]\n[roles.words]\ncommand = [\"wc\", \"-w\"]",
    );
    let script = format!("{}; orch delegate --role lines --wait one", gate(&world.file("go")));
    let lead = world.delegate("lead", &script);
    world.wait_for(&lead, "running");
    replace(&world, "delegates_to = [\"words\"]", "delegates_to = [\"words\", \"lines\"]");
    append(&world, "[roles.lines]\ncommand = [\"wc\", \"-c\"]");
    world.orch(&["reload"]).ok();
    world.touch("go");
    assert_eq!(world.wait_for(&lead, "succeeded")["result"]["text"], "3\n");
    // It is for a person: what an agent has written must not become its own rights.
    let refused = world.delegate("shell", "orch reload 2>&1; echo code $?");
    assert!(text(&world.wait_for(&refused, "succeeded")["result"]["text"]).contains("is for a person"));
    world.stop_and_check_nothing_left();
}

#[test]
fn a_wrong_file_and_what_needs_a_restart_are_refused_whole() {
    let world = World::new();
    let nothing = world.orch(&["reload"]).ended(3);
    assert!(nothing.stderr.contains("orch start reads sessions.toml"), "{nothing:?}");
    world.start();
    let file = world.project.join("sessions.toml");
    let good = fs::read_to_string(&file).unwrap();
    append(&world, "[roles.words]\ncommand = [\"wc\"]\nmaximum = 3");
    let wrong = world.orch(&["reload"]).ended(4);
    assert!(wrong.stderr.contains("maximum"), "{wrong:?}");
    fs::write(&file, &good).unwrap();
    append(&world, "[roles.words]\ncommand = [\"wc\"]\n[redis]\nmax_memory = \"200M\"");
    let fixed = world.orch(&["reload"]).ended(6);
    assert!(fixed.stderr.contains("redis.max_memory") && fixed.stderr.contains("nothing was applied"), "{fixed:?}");
    fs::write(&file, &good).unwrap();
    assert_eq!(world.events_of("supervisor.reloaded").len(), 0);
    assert!(world.orch(&["reload"]).ok().contains("already"));
    world.stop_and_check_nothing_left();
}

/// Figure: from `orch reload` until a task of the new role runs.
#[test]
fn a_task_of_a_new_role_starts_soon_after_the_reload() {
    let world = World::started("");
    let began = Instant::now();
    append(&world, "[roles.words]\ncommand = [\"wc\", \"-w\"]");
    let waiting = world.delegate("words", "one two");
    let asked = Instant::now();
    world.orch(&["reload"]).ok();
    world.wait_for(&waiting, "succeeded");
    println!("reload to the end of the first task: {:?} (of {:?})", asked.elapsed(), began.elapsed());
    world.stop_and_check_nothing_left();
}

#[test]
fn another_redis_in_the_file_changes_nothing_before_a_stop_and_a_start() {
    let world = World::started(SHELL);
    let redis = orch::os::ProcessId::of(world.redis_pid()).expect("its server");
    let running = world.delegate("shell", &format!("{}; echo done", gate(&world.file("go"))));
    world.wait_for(&running, "running");
    append(&world, "[redis]\nurl = \"redis://127.0.0.1:1\"");
    for verb in ["reload", "restart"] {
        let refused = world.orch(&[verb]).ended(6);
        assert!(refused.stderr.contains("only orch stop and orch start change redis.url"), "{verb}: {refused:?}");
    }
    assert_eq!(world.show(&running)["state"], "running");
    let further = world.delegate("shell", "echo further");
    world.wait_for(&further, "succeeded");
    world.touch("go");
    assert_eq!(world.wait_for(&running, "succeeded")["attempts"].as_array().unwrap().len(), 1);
    world.orch(&["stop"]).ok();
    world.check_nothing_left(&[]);
    assert!(!redis.is_alive(), "its own server has ended");
}
