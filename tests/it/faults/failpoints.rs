//! A process of orch dies between two steps, at each point in turn (`os::failpoint`). Every accepted task ends exactly
//! once, automatically or after an `orch start`, and `orch stop` leaves nothing.

#![cfg(debug_assertions)]

use std::{collections::BTreeSet, fs, path::Path};

use orch::os::{ProcessId, failpoint::POINTS};
use serde_json::Value;

use crate::common::{Work, World, gate, kill9};

const PLAN: &[&str] = &["plan.staged", "plan.accepted"];
const DELEGATE: &[&str] = &["delegate.checked", "delegate.answered"];
/// These are also passed when a start launches its first agent, the master.
const START: &[&str] = &[
    "start.turn_taken",
    "start.launched",
    "start.locked",
    "start.marked",
    "redis.spawned",
    "start.redis_up",
    "start.recorded",
    "start.standing",
    "spawn.launch_written",
    "spawn.opened",
    "spawn.placed",
    "hello.launch_taken",
    "hello.registered",
];
const SPAWN: &[&str] = &[
    "spawn.recorded",
    "spawn.launch_written",
    "spawn.opened",
    "spawn.placed",
    "hello.launch_taken",
    "hello.registered",
];
const LEAVE: &[&str] = &["leave.decided", "leave.recorded"];
const CLAIM: &[&str] = &["claim.answered", "claim.folder_made", "claim.started", "finish.ended"];
/// From these points on, the result is on disk.
const FINISH: &[&str] = &["finish.written", "finish.acknowledged", "finish.filed"];
const REAP: &[&str] = &["reap.told", "reap.recorded", "reap.ended", "reap.closed", "reap.forgotten"];
const MEND: &[&str] = &["redis.spawned", "mend.redis_up"];
/// Passed by the runner or by the supervisor, whichever connects first.
const EPOCH: &[&str] = &["epoch.reserved", "epoch.raised"];
const STOP: &[&str] =
    &["stop.requested", "stop.agent_told", "stop.all_ended", "stop.withdrawn", "stop.redis_ended", "stop.unmarked"];
const STOP_ALONE: &[&str] = &["start.stop_requested", "start.locked", "start.redis_up", "redis.spawned"];

#[test]
fn every_point_is_in_the_code_once_and_in_a_group() {
    let groups = [DELEGATE, PLAN, START, SPAWN, LEAVE, CLAIM, FINISH, REAP, MEND, EPOCH, STOP, STOP_ALONE].concat();
    assert_eq!(BTreeSet::from_iter(groups), BTreeSet::from_iter(POINTS.iter().copied()));
    let mut code = String::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            match entry.path().is_dir() {
                true => folders.push(entry.path()),
                false => code.push_str(&fs::read_to_string(entry.path()).unwrap_or_default()),
            }
        }
    }
    let mut named: Vec<&str> = code.split("failpoint!(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    named.sort_unstable();
    let mut listed = POINTS.to_vec();
    listed.sort_unstable();
    assert_eq!(named, listed);
}

/// A world whose processes die at the failpoints a test names, and the tasks that were accepted in it.
struct Drill {
    world: World,
    work: Work,
}

impl Drill {
    fn new(tables: &str) -> Drill {
        let mut world = World::builder().tables(tables).build();
        let folder = world.file("points");
        fs::create_dir(&folder).unwrap();
        world.env.insert("ORCH_FAILPOINTS", folder.display().to_string());
        Drill { world, work: Work::default() }
    }

    fn started(tables: &str) -> Drill {
        let drill = Drill::new(tables);
        drill.world.start();
        drill
    }

    fn arm(&self, point: &str) {
        self.world.touch(&format!("points/{point}"));
    }

    /// Waits until a process has died at `point`: until then it holds its locks and counts as running.
    fn reached(&self, point: &str) {
        let mut died = None;
        self.world.wait_until(&format!("a process reaches {point}"), || {
            died = self.marks().into_iter().find_map(|mark| mark.strip_prefix(point)?.strip_prefix('.')?.parse().ok());
            died.is_some()
        });
        let pid: u32 = died.unwrap();
        self.world.wait_until(&format!("{pid} has died at {point}"), || {
            ProcessId::of(pid).is_none_or(|process| !process.is_alive())
        });
        fs::remove_file(self.world.file(&format!("points/{point}.{pid}"))).unwrap();
    }

    /// Returns the names of the armed points that no process has reached, and, with a pid, of those where one died.
    fn marks(&self) -> Vec<String> {
        let entries = fs::read_dir(self.world.file("points")).unwrap().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }

    /// Delegates a task that records its run and then runs `then`.
    fn delegate(&mut self, then: &str) -> String {
        self.work.delegate(&self.world, then)
    }

    /// Runs one task, so that a later death of its agent does not suspend the role.
    fn warm(&mut self) {
        let task = self.delegate(":");
        self.world.wait_for(&task, "succeeded");
    }

    /// Returns the only agent of the role; its successor may have another number.
    fn agent(&self) -> Value {
        self.world.agents("shell").pop().unwrap_or_else(|| self.world.fail("there is no agent"))
    }

    fn dismiss(&self) {
        self.world.orch(&["kill", self.agent()["id"].as_str().unwrap()]).ok();
        self.world.wait_until("the agent has left", || self.world.agents("shell").is_empty());
    }

    /// Starts the supervisor again whenever it has died, as a person would, until every accepted task has succeeded.
    fn recovers(&self) {
        self.world.wait_until("every accepted task has succeeded", || {
            if self.world.status()["supervisor"]["state"] != "running" {
                self.world.orch(&["start"]);
            }
            let counts = self.world.status()["tasks"].clone();
            counts["succeeded"].as_u64() == Some(self.work.tasks.len() as u64)
        });
    }

    fn end(self) {
        self.work.ended_once(&self.world);
        self.world.stop_and_check_nothing_left();
        let mut left = self.marks();
        left.retain(|mark| POINTS.contains(&mark.as_str()));
        assert!(left.is_empty(), "never reached: {left:?}");
    }
}

#[test]
fn a_delegate_that_dies_is_sent_again_and_is_one_task() {
    let mut drill = Drill::started("[roles.shell]\nmax = 2");
    let script = Work::script(&drill.world, ":");
    for point in DELEGATE {
        drill.arm(point);
        let words = ["delegate", "--role", "shell", "--key", point, script.as_str()];
        assert_eq!(drill.world.orch(&words).code, -1, "{point}");
        drill.reached(point);
        let again = drill.world.orch_json(&words);
        assert_eq!(again["created"], *point == "delegate.checked", "{point}");
        assert_eq!(drill.world.orch_json(&words)["id"], again["id"], "{point}");
        drill.work.tasks.push(again["id"].as_str().unwrap().to_owned());
    }
    drill.recovers();
    drill.end();
}

/// The first hundred tasks are made in the step that accepts the plan, the others after it.
#[test]
fn a_plan_whose_submission_dies_is_whole_or_was_never_accepted() {
    let drill = Drill::started("[roles.shell]\nmax = 2");
    let task = |n: u32| format!("[tasks.t{n}]\ntext = 'echo {n} >> ran'\n");
    let tasks: String = (0..110).map(task).collect();
    fs::write(drill.world.project.join("plan.toml"), format!("name = 'many'\n{tasks}")).unwrap();
    for point in PLAN {
        drill.arm(point);
        assert_eq!(drill.world.orch(&["plan", "plan.toml", "--key", "k"]).code, -1, "{point}");
        drill.reached(point);
        if *point == "plan.staged" {
            assert_eq!(drill.world.orch_json(&["plan", "list"]), serde_json::json!([]), "nothing of it was accepted");
        }
    }
    // The supervisor makes the others, too, and nobody has to come back for that.
    drill.world.wait_until("every task of the plan has ended", || {
        let plans = drill.world.orch_json(&["plan", "list"]);
        plans[0]["state"] == "succeeded" && plans[0]["counts"]["succeeded"] == 110
    });
    let again = drill.world.orch_json(&["plan", "plan.toml", "--key", "k"]);
    assert_eq!((&again["created"], again["tasks"].as_array().map(Vec::len)), (&serde_json::json!(false), Some(110)));
    let mut ran: Vec<u32> = drill.world.lines("project/ran").iter().map(|line| line.parse().unwrap()).collect();
    ran.sort_unstable();
    assert_eq!(ran, (0..110).collect::<Vec<_>>(), "each once");
    drill.end();
}

#[test]
fn a_start_that_dies_is_repeated_and_is_one_start() {
    let mut drill = Drill::new("[roles.shell]\nmax = 1");
    for point in START {
        drill.arm(point);
        drill.world.orch(&["start"]);
        drill.reached(point);
        // Start again immediately, while the processes of the first start may still be starting.
        drill.world.start();
        drill.delegate(":");
        drill.recovers();
        drill.world.stop_and_check_nothing_left();
    }
    drill.world.start();
    drill.end();
}

#[test]
fn a_start_waits_for_the_master_that_follows_one_that_died() {
    let drill = Drill::new("[roles.shell]\nmax = 1");
    drill.arm("hello.launch_taken");
    drill.world.start();
    drill.reached("hello.launch_taken");
    assert_eq!(drill.world.agent("opus-master")["state"], "idle");
    drill.end();
}

#[test]
fn a_start_whose_masters_all_die_says_so_and_names_the_log() {
    let drill = Drill::new("[roles.shell]\nmax = 1");
    drill.arm("hello.launch_taken");
    let mut start = drill.world.orch_started(&["start", "--json"]);
    let mut died = 0;
    while !start.has_ended() {
        if drill.marks().iter().all(|mark| mark != "hello.launch_taken") {
            died += 1;
            drill.arm("hello.launch_taken");
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let start = start.end().ended(4);
    assert!(died >= 3, "{died} masters died");
    let log = drill.world.home.join("agents/opus-master.log");
    let said = format!("{}{}", start.stdout, start.stderr);
    assert!(said.contains("opus-master failed right after it started, 3 times in a row"), "{said}");
    assert!(said.contains(&format!("look at {}", log.display())), "{said}");
    for mark in drill.marks() {
        fs::remove_file(drill.world.file(&format!("points/{mark}"))).unwrap();
    }
    // The supervisor goes on, and so the next start finds a master.
    drill.world.start();
    assert_eq!(drill.world.agent("opus-master")["state"], "idle");
    drill.end();
}

#[test]
fn an_agent_whose_start_is_interrupted_is_replaced() {
    let mut drill = Drill::started("[roles.shell]\nmax = 1");
    for point in SPAWN {
        drill.arm(point);
        drill.delegate(":");
        drill.reached(point);
        drill.recovers();
        drill.dismiss();
    }
    for point in LEAVE {
        drill.warm();
        drill.arm(point);
        drill.dismiss();
        drill.reached(point);
    }
    drill.end();
}

#[test]
fn a_runner_that_dies_loses_its_attempt_until_the_result_is_on_disk() {
    let mut drill = Drill::started("[roles.shell]\nmax = 1\nretry = { lost = 50 }");
    for point in CLAIM {
        drill.warm();
        drill.arm(point);
        let task = drill.delegate(":");
        drill.delegate(":");
        drill.reached(point);
        drill.recovers();
        assert_eq!(Work::attempts(&drill.world, &task), 2, "{point}");
    }
    for point in FINISH {
        drill.warm();
        let task = drill.delegate(&gate(&drill.world.file(point)));
        drill.delegate(":");
        drill.arm(point);
        drill.world.touch(point);
        drill.reached(point);
        drill.recovers();
        assert_eq!((Work::attempts(&drill.world, &task), Work::runs_of(&drill.world, &task)), (1, 1), "{point}");
    }
    drill.end();
}

#[test]
fn the_next_supervisor_completes_the_cleanup_of_one_that_died() {
    let mut drill = Drill::started("[roles.shell]\nmax = 1\nretry = { lost = 50 }");
    for point in REAP {
        drill.warm();
        let task = drill.delegate(&gate(&drill.world.file(point)));
        drill.delegate(":");
        Work::wait_until_it_runs(&drill.world, &task);
        let runner = drill.agent()["pid"].as_u64().unwrap() as u32;
        drill.arm(point);
        if *point == "reap.told" {
            // The supervisor has something to report only where the runner could not.
            drill.arm("finish.written");
            drill.world.touch(point);
        } else {
            kill9(runner);
        }
        drill.reached(point);
        drill.world.touch(point);
        drill.recovers();
        let reported = *point == "reap.told";
        assert_eq!(Work::attempts(&drill.world, &task), if reported { 1 } else { 2 }, "{point}");
    }
    for point in [MEND, EPOCH].concat() {
        let task = drill.delegate(&gate(&drill.world.file(point)));
        Work::wait_until_it_runs(&drill.world, &task);
        drill.arm(point);
        kill9(drill.world.redis_pid());
        drill.reached(point);
        drill.world.touch(point);
        drill.recovers();
        let at_most = if MEND.contains(&point) { 1 } else { 2 };
        assert!(Work::attempts(&drill.world, &task) <= at_most, "{point}");
    }
    drill.end();
}

#[test]
fn a_stop_that_dies_is_repeated_and_is_one_stop() {
    let mut drill = Drill::started("[roles.shell]\nmax = 2\nretry = { lost = 0 }");
    drill.delegate(&gate(&drill.world.file("go")));
    let running = |world: &World| world.status()["tasks"]["running"] == 1;
    for point in STOP {
        drill.world.wait_until("the task runs", || running(&drill.world));
        drill.arm(point);
        // If the supervisor dies, the stop itself continues; if the stop dies, it is repeated.
        let code = drill.world.orch(&["stop"]).code;
        assert_eq!(code, if *point == "stop.requested" { -1 } else { 0 }, "{point}");
        drill.reached(point);
        drill.world.stop_and_check_nothing_left();
        drill.world.start();
    }
    for point in STOP_ALONE {
        drill.world.wait_until("the task runs", || running(&drill.world));
        if *point == "redis.spawned" {
            kill9(drill.world.supervisor_pid());
            kill9(drill.world.redis_pid());
        } else {
            kill9(drill.world.supervisor_pid());
        }
        drill.arm(point);
        // The supervisor that was started to stop dies: then everything is ended by force.
        drill.world.orch(&["stop"]).ok();
        drill.reached(point);
        drill.world.stop_and_check_nothing_left();
        drill.world.start();
    }
    drill.world.touch("go");
    drill.recovers();
    let lost = drill.world.show(&drill.work.tasks[0])["lost"].clone();
    assert_eq!(lost, Value::from(0), "a stop counts as no loss");
    drill.end();
}
