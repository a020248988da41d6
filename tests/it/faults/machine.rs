//! The machine reboots, reuses pids, changes its clock, runs out of file descriptors, or gets another version of orch.

#![cfg(debug_assertions)]

use std::{
    fs,
    process::{Child, Command},
};

use serde_json::{Value, json};

use crate::common::{Process, Signal, Work, World, gate, kill9, signal};

/// A process that does not belong to the world in any way.
struct Bystander(Child);

impl Bystander {
    fn start() -> Bystander {
        Bystander(Command::new("sleep").arg("1000").spawn().unwrap())
    }
    fn process(&self) -> Process {
        Process::of(self.0.id()).expect("the bystander is alive")
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn set(world: &World, words: &[&str]) {
    let mut command = redis::cmd(words[0]);
    command.arg(format!("orch:{{w}}:{}", words[1]));
    for word in &words[2..] {
        command.arg(*word);
    }
    command.exec(&mut world.redis()).unwrap();
}

fn booted(tables: &str) -> World {
    let mut world = World::builder().tables(tables).build();
    world.env.insert("ORCH_TEST_BOOT_ID", "the-first-boot".into());
    world.start();
    world
}

#[test]
fn after_a_reboot_the_fleet_returns_and_processes_with_reused_pids_live() {
    let mut world = booted("[roles.shell]\nmin = 2\nmax = 2");
    let mut work = Work::default();
    let running = [0, 1].map(|_| work.delegate(&world, &gate(&world.file("go"))));
    running.iter().for_each(|task| Work::wait_until_it_runs(&world, task));
    let ready = work.delegate(&world, ":");
    let bystander = Bystander::start();
    let Process { pid, start, .. } = bystander.process();
    // Every pid that orch has recorded is, after the reboot, the bystander's. Before the reboot it would count as
    // valid.
    signal(world.supervisor_pid(), Signal::SIGSTOP);
    let host = nix::sys::utsname::uname().unwrap().nodename().to_string_lossy().into_owned();
    let process = json!({"host": host, "boot_id": "the-first-boot", "pid": pid, "start_time": start});
    let orphans = json!({"agent": "shell-9", "session": "shell-9", "process": process});
    set(&world, &["HSET", "orphans", "long-gone", &orphans.to_string()]);
    for agent in ["shell-1", "shell-2", "opus-master"] {
        let id = format!("agent:{agent}");
        set(&world, &["HSET", &id, "pid", &pid.to_string(), "start_time", &start.to_string()]);
    }
    world.lose_power();
    fs::write(world.home.join("supervisor.lock"), format!("{pid} {start}\n")).unwrap();
    fs::write(world.home.join("start.lock"), format!("{pid} {start}\n")).unwrap();
    let launch = fs::File::create(world.home.join("launch/of-the-first-boot.json")).unwrap();
    launch.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(600)).unwrap();

    world.env.insert("ORCH_TEST_BOOT_ID", "the-second-boot".into());
    world.start();
    world.touch("go");
    for task in &running {
        let shown = world.wait_for(task, "succeeded");
        assert_eq!((Work::attempts(&world, task), &shown["lost"]), (2, &json!(1)), "{shown:#}");
        assert!(shown["attempts"][0]["reason"].as_str().unwrap().contains("the machine was rebooted"), "{shown:#}");
    }
    world.wait_for(&ready, "succeeded");
    world.wait_until("the records of the first boot are removed", || {
        let orphans: Vec<String> = redis::cmd("HKEYS").arg("orch:{w}:orphans").query(&mut world.redis()).unwrap();
        orphans.is_empty()
    });
    world.wait_until("agents are kept ready", || {
        world.agents("shell").iter().filter(|a| a["state"] == "idle").count() == 2
    });
    work.ended_once(&world);
    world.stop_and_check_nothing_left();
    assert_eq!(bystander.process().start, start);
}

#[test]
fn a_process_with_a_reused_pid_is_not_touched() {
    let world = World::started("[roles.shell]\nmax = 1");
    let mut work = Work::default();
    let task = work.delegate(&world, &gate(&world.file("go")));
    Work::wait_until_it_runs(&world, &task);
    let bystander = Bystander::start();
    let Process { pid, start, .. } = bystander.process();
    let (supervisor, runner) = (world.supervisor_pid(), world.runner_pid("shell-1"));
    signal(supervisor, Signal::SIGSTOP);
    kill9(runner);
    let earlier = (start - 1).to_string();
    set(&world, &["HSET", "agent:shell-1", "pid", &pid.to_string(), "start_time", &earlier]);
    signal(supervisor, Signal::SIGCONT);
    world.touch("go");
    assert_eq!(world.wait_for(&task, "succeeded")["lost"], 1);
    work.ended_once(&world);
    world.stop_and_check_nothing_left();
    assert_eq!(bystander.process().start, start);
}

/// Sets Redis's clock `hours` ahead of the real one; a negative number sets it back.
fn set_clock(world: &World, hours: i64) {
    set(world, &["SET", "clock_offset", &(hours * 3_600_000).to_string()]);
}

#[test]
fn a_changed_clock_fails_no_agent_and_delays_no_task() {
    let tables = "[roles.shell]\nmax = 1\n[roles.clock]\ndriver = \"shell\"\nretry = { base = \"4s\", cap = \"4s\" }";
    let world = World::started(tables);
    let mut work = Work::default();
    let running = work.delegate(&world, &gate(&world.file("go")));
    Work::wait_until_it_runs(&world, &running);
    for hours in [-1, 1, 0] {
        let delayed = world.delegate("clock", "[ $ORCH_ATTEMPT = 2 ]");
        world.wait_for(&delayed, "delayed");
        set_clock(&world, hours);
        world.wait_for(&delayed, "succeeded");
        assert_eq!(world.show(&running)["attempts"].as_array().unwrap().len(), 1);
    }
    let followed = world.events_of("clock.back").len();
    assert_eq!(followed, 2, "both steps of an hour back are followed");
    world.touch("go");
    work.all_succeed_at_once(&world);
    world.stop_and_check_nothing_left();
}

/// With 40 descriptors Redis would accept 8 connections, and `orch stop` would find none free.
#[test]
fn too_few_descriptors_are_reported_and_few_are_enough() {
    let world = World::builder().tables("[roles.shell]\nmax = 12").build();
    let limited = |files: u32| {
        let mut shell = world.command("sh");
        shell.arg("-c").arg(format!("ulimit -n {files}; exec '{}' start", env!("CARGO_BIN_EXE_orch")));
        crate::common::start(shell).end()
    };
    let refused = limited(40).ended(4);
    assert!(refused.stderr.contains("40 open files") && refused.stderr.contains("ulimit -Hn"), "{refused:#?}");
    assert!(world.processes().is_empty(), "no process is started");

    limited(100).ok();
    let mut work = Work::default();
    (0..12).for_each(|_| drop(work.delegate(&world, &gate(&world.file("go")))));
    world.wait_until("as many tasks run as the descriptors allow", || world.status()["tasks"]["running"] == 9);
    let mut waiting = world.orch_started(&["wait", &work.tasks[11]]);
    assert!(!waiting.has_ended());
    world.touch("go");
    waiting.end().ok();
    work.all_succeed_at_once(&world);
    world.stop_and_check_nothing_left();
}

#[test]
fn unwritable_logs_are_reported_before_a_start_and_cost_nothing_after_it() {
    let world = World::new();
    let log = world.home.join("supervisor.log");
    fs::create_dir_all(&log).unwrap();
    let refused = world.orch(&["start"]).ended(4);
    assert!(refused.stderr.contains("supervisor.log") && refused.stderr.contains("hint: "), "{refused:#?}");
    fs::remove_dir(&log).unwrap();
    world.start();
    let agents = world.home.join("agents");
    fs::remove_dir_all(&agents).unwrap();
    fs::write(&agents, "not a folder").unwrap();
    let mut work = Work::default();
    work.delegate(&world, ":");
    work.all_succeed_at_once(&world);
    kill9(world.supervisor_pid());
    let refused = world.orch(&["start"]).ended(4);
    assert!(refused.stderr.contains(&agents.display().to_string()), "{refused:#?}");
    fs::remove_file(&agents).unwrap();
    world.start();
    world.stop_and_check_nothing_left();
}

#[test]
fn the_supervisor_rotates_its_own_long_log() {
    let world = World::new();
    world.start();
    let (log, old) = (world.home.join("supervisor.log"), world.home.join("supervisor.log.old"));
    fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(9 << 20).unwrap();
    let pid = world.supervisor_pid();
    // The supervisor logs the death of Redis.
    kill9(world.redis_pid());
    world.wait_until("the log is rotated", || old.metadata().is_ok_and(|m| m.len() >= 9 << 20));
    world.wait_until("the supervisor writes to the new log", || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains("redis-server is gone"))
    });
    let stderr = fs::read_link(format!("/proc/{pid}/fd/2")).unwrap();
    assert_eq!(stderr, log.canonicalize().unwrap(), "standard error, which receives a panic, is the new log");
    assert!(log.metadata().unwrap().len() < 100_000);
    world.stop_and_check_nothing_left();
}

#[test]
#[cfg(target_env = "gnu")]
fn only_the_runner_gets_the_allocator_settings_and_not_its_program() {
    let world = World::new();
    world.start();
    let shown = world.orch(&["delegate", "--wait", "--role", "shell", "echo \"tunables: $GLIBC_TUNABLES\""]).ok();
    assert_eq!(shown, "tunables: \n");
    let environ = fs::read(format!("/proc/{}/environ", world.runner_pid("shell-1"))).unwrap();
    let environ: Vec<&[u8]> = environ.split(|b| *b == 0).collect();
    assert!(environ.contains(&b"GLIBC_TUNABLES=glibc.malloc.tcache_count=0".as_slice()));
    world.stop_and_check_nothing_left();
}

#[test]
fn a_supervisor_of_another_version_is_reported() {
    let world = World::new();
    let attention = |world: &World| world.status()["attention"].clone();
    world.start();
    assert_eq!(attention(&world), Value::Array(vec![]));
    fs::write(world.home.join("running"), "0.0.9").unwrap();
    let shown = attention(&world)[0].clone();
    assert!(shown["what"].as_str().unwrap().contains("supervisor 0.0.9 runs, this is orch "), "{shown}");
    assert_eq!(shown["do"], "orch restart", "{shown}");
    world.stop_and_check_nothing_left();

    // The same version, installed again.
    fs::create_dir(world.file("bin")).unwrap();
    let (program, installed) = (world.file("bin/orch"), world.file("bin/orch.new"));
    fs::copy(env!("CARGO_BIN_EXE_orch"), &program).unwrap();
    let orch = |words: &[&str]| {
        let mut command = world.command(program.to_str().unwrap());
        command.args(words);
        crate::common::start(command).end()
    };
    orch(&["start"]).ok();
    assert_eq!(orch(&["status", "--json"]).json()["attention"], Value::Array(vec![]));
    fs::copy(env!("CARGO_BIN_EXE_orch"), &installed).unwrap();
    fs::rename(&installed, &program).unwrap();
    let shown = orch(&["status", "--json"]).json()["attention"][0].clone();
    assert!(shown["what"].as_str().unwrap().contains("was replaced"), "{shown}");
    // The supervisor continues to run, and starts agents with its own program.
    assert_eq!(orch(&["delegate", "--wait", "echo done"]).ok(), "done\n");
    orch(&["restart"]).ok();
    assert_eq!(orch(&["status", "--json"]).json()["attention"], Value::Array(vec![]));
    orch(&["stop"]).ok();
    world.check_nothing_left(&[]);
}
