//! A Redis that returns with less data than it had: live agents continue, results on disk count, and the loss is
//! reported.

use std::{fs, path::Path};

use serde_json::Value;

use crate::common::{World, append, gate, kill9};

fn world() -> World {
    World::builder().supervisor("lease", "\"20s\"").tables("[roles.shell]\nmax = 3\nmin = 1").build()
}

/// Delegates a task that records its run in the file `name`, and ends when the file `go` exists.
fn waits(world: &World, name: &str) -> String {
    let ran = append(&world.file(name), "x");
    world.delegate("shell", &format!("{ran}; {}; echo done", gate(&world.file("go"))))
}

/// Copies Redis's current files.
fn copy(world: &World) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    copy_files(&world.home.join("redis/appendonlydir"), to.path());
    to
}

/// Kills Redis with SIGKILL and replaces its files with those of the copy, or removes them.
fn comes_back_with(world: &World, copy: Option<&Path>) {
    // The supervisor is stopped, so that it cannot start Redis before the files have changed.
    let (redis, supervisor) = (world.redis_pid(), world.supervisor_pid());
    crate::common::signal(supervisor, crate::common::Signal::SIGSTOP);
    kill9(redis);
    let files = world.home.join("redis/appendonlydir");
    fs::remove_dir_all(&files).unwrap();
    if let Some(copy) = copy {
        fs::create_dir(&files).unwrap();
        copy_files(copy, &files);
    }
    crate::common::signal(supervisor, crate::common::Signal::SIGCONT);
}

fn copy_files(from: &Path, to: &Path) {
    for file in fs::read_dir(from).unwrap().flatten() {
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// Waits until the supervisor has recorded, outside of Redis, that this number of tasks was accepted.
fn wait_until_recorded(world: &World, accepted: u64) {
    world.wait_until("the number of accepted tasks is recorded on disk", || {
        let memory: Value = fs::read(world.home.join("epoch.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        memory["accepted"].as_u64() >= Some(accepted)
    });
}

fn wait_until_recovered(world: &World) {
    world.wait_until("every live agent is registered again", || {
        // Redis may be unreachable for a moment, so the command may fail.
        world.orch(&["events", "-n", "1000", "--json"]).stdout.contains("redis.settled")
    });
}

fn fence_of(shown: &Value, attempt: usize) -> u64 {
    shown["attempts"][attempt]["fence"].as_u64().unwrap()
}

#[test]
fn agents_and_their_attempts_outlive_a_redis_that_comes_back_empty() {
    let world = world();
    world.start();
    let ended = world.delegate("shell", "echo long ago");
    world.wait_for(&ended, "succeeded");
    let task = waits(&world, "ran");
    world.wait_until("the tasks run", || world.lines("ran").len() == 1);
    let (before, master) = (world.show(&task), world.runner_pid("opus-master"));
    wait_until_recorded(&world, 2);

    comes_back_with(&world, None);
    wait_until_recovered(&world);
    let shown = world.wait_for(&task, "running");
    assert_eq!(fence_of(&shown, 0), fence_of(&before, 0), "the program continues with its lease");
    assert_eq!(world.runner_pid("opus-master"), master, "the master was not restarted");
    let attention = world.status()["attention"].to_string();
    assert!(attention.contains("Redis came back with less than it had: 2 tasks had been accepted"), "{attention}");
    // A person has read it. Only what is lost later is shown again.
    assert_eq!(world.orch(&["dismiss"]).ok(), "dismissed\n");
    assert_eq!(world.status()["attention"], serde_json::json!([]));
    assert_eq!(world.orch(&["dismiss"]).ok(), "nothing to dismiss\n");

    world.touch("go");
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!((shown["attempts"].as_array().unwrap().len(), &shown["result"]["text"]), (1, &"done\n".into()));
    assert_eq!(world.lines("ran").len(), 1, "no task ran twice");
    let next = world.delegate("shell", "echo after");
    assert!(fence_of(&world.wait_for(&next, "succeeded"), 0) > fence_of(&before, 0));
    world.stop_and_check_nothing_left();
}

#[test]
fn changes_since_an_older_copy_are_recovered_from_live_agents_and_the_disk() {
    let world = world();
    world.start();
    world.orch(&["scale", "shell", "3"]).ok();
    world.wait_until("three agents are idle", || {
        world.status()["agents"].as_array().unwrap().iter().filter(|a| a["state"] == "idle").count() == 4
    });
    let (going, ending) = (
        waits(&world, "going"),
        world.delegate(
            "shell",
            &format!("{}; echo first; {}", append(&world.file("ending"), "x"), gate(&world.file("end"))),
        ),
    );
    world.wait_until("the tasks run", || world.lines("going").len() == 1 && world.lines("ending").len() == 1);
    let blocked = world.orch_json(&["delegate", "--role", "shell", "--after", &going, "echo at last"]);
    let blocked = blocked["id"].as_str().unwrap().to_owned();
    let copy = copy(&world);
    // After the copy, a running task ends, a new task is accepted and runs, and another one is accepted and ends.
    world.touch("end");
    world.wait_for(&ending, "succeeded");
    let accepted = waits(&world, "accepted");
    world.wait_until("the tasks run", || world.lines("accepted").len() == 1);
    let done = world.delegate("shell", "echo done and forgotten");
    world.wait_for(&done, "succeeded");
    wait_until_recorded(&world, 5);

    comes_back_with(&world, Some(copy.path()));
    wait_until_recovered(&world);
    let shown = world.wait_for(&ending, "succeeded");
    assert_eq!((shown["attempts"].as_array().unwrap().len(), &shown["result"]["text"]), (1, &"first\n".into()));
    world.touch("go");
    for task in [&going, &accepted] {
        assert_eq!(world.wait_for(task, "succeeded")["attempts"].as_array().unwrap().len(), 1);
    }
    for name in ["going", "ending", "accepted"] {
        assert_eq!(world.lines(name).len(), 1, "{name} ran twice");
    }
    world.wait_for(&blocked, "succeeded");
    assert_eq!(
        world.orch(&["show", &done]).code,
        2,
        "a task that had ended and that no other task needs is not recovered"
    );
    world.stop_and_check_nothing_left();
}

#[test]
fn a_task_whose_agent_died_with_redis_is_recovered_from_the_disk() {
    let world = world();
    world.start();
    let task = waits(&world, "ran");
    world.wait_until("the tasks run", || world.lines("ran").len() == 1);
    wait_until_recorded(&world, 1);
    let agent = world.show(&task)["attempts"][0]["agent"].as_str().unwrap().to_owned();
    let runner = world.runner_pid(&agent);
    let (redis, supervisor) = (world.redis_pid(), world.supervisor_pid());
    for pid in [supervisor, redis, runner] {
        kill9(pid);
    }
    fs::remove_dir_all(world.home.join("redis/appendonlydir")).unwrap();
    world.start();
    world.touch("go");
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!((shown["attempts"].as_array().unwrap().len(), world.lines("ran").len()), (2, 2));
    world.stop_and_check_nothing_left();
}

#[test]
fn during_a_recovery_nothing_is_called_unknown_and_a_start_waits() {
    let world = world();
    world.start();
    let supervisor = world.supervisor_pid();
    crate::common::signal(supervisor, crate::common::Signal::SIGSTOP);
    let epoch = "orch:{w}:epoch";
    let until = u64::MAX >> 12;
    let () = redis::cmd("HSET").arg(epoch).arg("settling_until").arg(until).query(&mut world.redis()).unwrap();

    let shown = world.orch(&["show", "t-2222222222", "--json"]);
    assert_eq!(shown.code, 3, "{shown:?}");
    assert!(shown.stdout.contains("Redis has lost data, and orch is recovering it"), "{shown:?}");

    std::thread::scope(|scope| {
        let start = scope.spawn(|| {
            world.start();
            let ended: bool = redis::cmd("HEXISTS").arg(epoch).arg("settling_until").query(&mut world.redis()).unwrap();
            assert!(!ended, "the start returned during the recovery");
        });
        world.wait_until("the start waits for its turn to end, or has ended", || {
            fs::read_to_string(world.home.join("start.lock")).is_ok_and(|holder| !holder.is_empty())
                || start.is_finished()
        });
        crate::common::signal(supervisor, crate::common::Signal::SIGCONT);
    });
    assert_eq!(world.orch(&["show", "t-2222222222"]).code, 2);
    world.stop_and_check_nothing_left();
}

#[test]
fn a_redis_that_is_emptied_while_it_runs_is_noticed() {
    let world = world();
    world.start();
    let task = waits(&world, "ran");
    world.wait_until("the tasks run", || world.lines("ran").len() == 1);
    wait_until_recorded(&world, 1);
    let () = redis::cmd("FLUSHALL").query(&mut world.redis()).unwrap();
    wait_until_recovered(&world);
    world.touch("go");
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 1, "{shown:#}");
    assert_eq!(world.lines("ran").len(), 1);
    world.stop_and_check_nothing_left();
}

#[test]
fn records_that_were_cut_from_the_file_are_recovered_from_elsewhere() {
    let world = world();
    world.start();
    world.wait_for_agent("shell-1", "idle");
    let task = waits(&world, "ran");
    world.wait_until("the tasks run", || world.lines("ran").len() == 1);
    wait_until_recorded(&world, 1);
    let (redis, supervisor) = (world.redis_pid(), world.supervisor_pid());
    crate::common::signal(supervisor, crate::common::Signal::SIGSTOP);
    kill9(redis);
    let files = world.home.join("redis/appendonlydir");
    let file = fs::read_dir(&files).unwrap().flatten().find(|f| f.file_name().to_string_lossy().ends_with(".incr.aof"));
    let path = file.unwrap().path();
    let whole = fs::read(&path).unwrap();
    // Cuts the claim and everything after it.
    let marker = b"attempt 1 claimed by shell-1";
    let claim = whole.windows(marker.len()).position(|w| w == marker).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(claim as u64 + 5).unwrap();
    crate::common::signal(supervisor, crate::common::Signal::SIGCONT);
    wait_until_recovered(&world);
    world.touch("go");
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 1, "{shown:#}");
    assert_eq!(world.lines("ran").len(), 1);
    world.stop_and_check_nothing_left();
}

#[test]
fn what_had_ended_stays_ended_although_redis_has_lost_it() {
    let tables =
        "[roles.shell]\nmax = 3\n[roles.later]\ndriver = \"shell\"\n[roles.later.retry]\nbase = \"1h\"\ncap = \"1h\"";
    let world = World::builder().supervisor("lease", "\"20s\"").tables(tables).build();
    world.start();
    let counted = |name: &str| format!("{}; exit 1", append(&world.file(name), "x"));
    // One has failed after its last retry, the other is cancelled while it waits for its next attempt.
    let failed = world.delegate("shell", &counted("failed"));
    let failed = world.wait_for(&failed, "failed");
    let ran = failed["attempts"].as_array().unwrap().len();
    assert_eq!((ran, world.lines("failed").len()), (4, 4));
    let delayed = world.delegate("later", &counted("delayed"));
    world.wait_for(&delayed, "delayed");
    world.orch(&["cancel", &delayed]).ok();
    world.wait_for(&delayed, "cancelled");
    let open = world.delegate("later", &counted("open"));
    world.wait_for(&open, "delayed");
    wait_until_recorded(&world, 3);

    comes_back_with(&world, None);
    wait_until_recovered(&world);
    // What had not ended is known again, and runs: it shows that the others have had the time to.
    world.wait_until("the open task runs again", || world.lines("open").len() == 2);
    let known: Vec<String> = world.orch_json(&["tasks", "--all"]).as_array().unwrap().iter().map(text).collect();
    assert_eq!(known, [open]);
    assert_eq!((world.lines("failed").len(), world.lines("delayed").len()), (4, 1));
    world.stop_and_check_nothing_left();
}

fn text(task: &Value) -> String {
    task["id"].as_str().expect("an id").to_owned()
}
