//! What is away for a while and comes back: Redis, the supervisor, tmux, a folder. Nobody is given up for it, and
//! nothing is lost by it.

use std::{fs, os::unix::fs::symlink, path::PathBuf, time::Duration};

use crate::common::{Signal, World, append, forever, gate, kill9, signal};
use serde_json::Value;

fn causes(shown: &Value) -> Vec<&str> {
    shown["attempts"].as_array().unwrap().iter().map(|a| a["cause"].as_str().unwrap_or("none")).collect()
}

/// The program that this machine has under one of these names.
fn real(names: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let named = |name: &&str| std::env::split_paths(&path).map(|folder| folder.join(name)).find(|p| p.exists());
    names.iter().find_map(named).unwrap_or_else(|| panic!("there is no {names:?}"))
}

/// While a file `broken` is there no Redis starts, and while `slow` is there it takes its time.
fn redis_that_takes_its_time(world: &World) {
    // Run under the name of the server, it is the server.
    let server = world.file("redis-server");
    symlink(real(&["redis-server", "valkey-server", "redis-check-rdb"]), &server).unwrap();
    world.program(
        "redis-server",
        &format!(
            "[ \"$1\" = --version ] && exec '{server}' --version\n\
             [ -e '{broken}' ] && exit 1\n[ -e '{slow}' ] && sleep 4\nexec '{server}' \"$@\"",
            server = server.display(),
            broken = world.file("broken").display(),
            slow = world.file("slow").display(),
        ),
    );
}

#[test]
fn a_redis_that_takes_longer_than_a_lease_to_come_back_costs_no_agent() {
    let world = World::builder().supervisor("lease", "\"1s\"").tables("[roles.shell]\nmax = 1").build();
    redis_that_takes_its_time(&world);
    world.start();
    let task = world.delegate("shell", &format!("{}; {}", append(&world.file("ran"), "x"), gate(&world.file("go"))));
    world.wait_until("it runs", || world.lines("ran").len() == 1);
    let redis = world.redis_pid();
    world.touch("slow");
    kill9(redis);
    world.wait_until("Redis is back", || world.orch(&["show", &task, "--json"]).code == 0);
    fs::remove_file(world.file("slow")).unwrap();
    world.touch("go");
    assert_eq!(causes(&world.wait_for(&task, "succeeded")), ["success"]);
    assert_eq!(world.events_of("agent.failed"), [] as [Value; 0]);
    world.stop_and_check_nothing_left();
}

#[test]
fn a_supervisor_that_stood_still_gives_nobody_up_for_it() {
    let tables = "[roles.shell]\nmax = 1\n[roles.clock]\ndriver = \"shell\"\nretry = { base = \"4s\", cap = \"4s\" }";
    let world = World::builder().supervisor("lease", "\"7s\"").tables(tables).build();
    world.start();
    let task = world.delegate("shell", &format!("{}; {}", append(&world.file("ran"), "x"), gate(&world.file("go"))));
    world.wait_until("it runs", || world.lines("ran").len() == 1);
    let (runner, tmux, supervisor) = (world.runner_pid("shell-1"), world.tmux_server_pid(), world.supervisor_pid());
    // It is due while all stand still: that it becomes ready says that the supervisor looks again.
    let due = world.delegate("clock", "[ $ORCH_ATTEMPT = 2 ]");
    world.wait_for(&due, "delayed");
    // tmux lets its stopped children continue, so it has to stand still as well, and is waited for in vain for 5 s.
    for pid in [supervisor, tmux, runner] {
        signal(pid, Signal::SIGSTOP);
    }
    world.wait_until("all stood still for longer than a lease", || {
        world.agent("shell-1")["heartbeat_age_ms"].as_u64().unwrap() > 9_000
    });
    signal(supervisor, Signal::SIGCONT);
    world.wait_until("the supervisor looks", || world.show(&due)["state"] != "delayed");
    for pid in [runner, tmux] {
        signal(pid, Signal::SIGCONT);
    }
    world.touch("go");
    assert_eq!(causes(&world.wait_for(&task, "succeeded")), ["success"]);
    world.wait_for(&due, "succeeded");
    world.stop_and_check_nothing_left();
}

#[test]
fn a_start_without_tmux_leaves_nothing() {
    let world = World::new();
    world.program("tmux", "exit 1");
    assert_ne!(world.orch(&["start"]).code, 0);
    world.wait_until("nothing is left", || world.processes().is_empty());
    assert!(!world.home.join("running").exists());
}

#[test]
fn a_record_that_cannot_be_acted_on_holds_up_nobody_else() {
    let world = World::started("[roles.shell]\nmax = 2");
    let damaged = world.delegate("shell", &format!("{}; {}", append(&world.file("ran"), "x"), forever()));
    world.wait_until("it runs", || world.lines("ran").len() == 1);
    let key = format!("orch:{{w}}:task:{damaged}");
    let () = redis::cmd("HSET").arg(key).arg("lost").arg("garbage").query(&mut world.redis()).unwrap();
    kill9(world.runner_pid("shell-1"));
    let task = world.delegate("shell", "echo all the same");
    assert_eq!(world.wait_for(&task, "succeeded")["result"]["text"], "all the same\n");
}

/// The supervisor has read that an agent is idle; before it looks at the agent's process, that one has claimed a task,
/// written its result and died.
#[test]
fn a_result_on_disk_counts_also_for_an_agent_that_was_idle_a_moment_ago() {
    let world = World::builder().tables("[roles.shell]\nmax = 1\nmin = 1").build();
    let (slow, hangs) = (world.file("slow"), world.file("hangs"));
    world.program(
        "tmux",
        &format!(
            "case \"$*\" in *list-*)\n if [ -e '{slow}' ]; then echo x >> '{hangs}'; while [ -e '{slow}' ]; do sleep 0.05; done; fi;;\n\
             esac\nexec '{tmux}' \"$@\"",
            tmux = real(&["tmux"]).display(),
            slow = slow.display(),
            hangs = hangs.display()
        ),
    );
    world.start();
    world.wait_for_agent("shell-1", "idle");
    let runner = world.runner_pid("shell-1");
    world.touch("slow");
    world.wait_until("the supervisor is between two looks", || hangs.exists());
    let script = format!("echo $ORCH_CAPABILITY $ORCH_INCARNATION > '{}'; {}", world.file("who").display(), forever());
    let task = world.delegate("shell", &script);
    world.wait_until("it runs", || world.lines("who").len() == 1);
    let who = world.lines("who").remove(0);
    let (_, incarnation) = who.split_once(' ').unwrap();
    let fence = world.show(&task)["attempts"][0]["fence"].clone();
    let report = serde_json::json!({
        "task": task, "attempt": 1, "agent": "shell-1", "incarnation": incarnation, "fence": fence,
        "cause": "success", "reason": "it is done", "exit_code": 0, "delay_ms": 0,
        "result": {"text": "precious", "exit_code": 0, "data": null, "usage": null, "duration_ms": 1,
                   "truncated": false, "path": ""},
    });
    fs::write(world.home.join(format!("reports/{task}.1.json")), report.to_string()).unwrap();
    kill9(runner);
    fs::remove_file(&slow).unwrap();
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!((causes(&shown), &shown["result"]["text"]), (vec!["success"], &"precious".into()));
    world.stop_and_check_nothing_left();
}

#[test]
fn an_agent_that_cannot_write_its_folder_does_not_burn_the_queue() {
    let world = World::started("[roles.shell]\nmax = 1");
    let runs = world.home.join("runs");
    fs::remove_dir(&runs).unwrap();
    fs::write(&runs, "").unwrap();
    let tasks: Vec<String> = (0..4).map(|n| world.delegate("shell", &format!("echo {n}"))).collect();
    world.wait_until("it is seen", || {
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
fn a_launch_that_nobody_took_is_not_left_with_its_secrets() {
    let world = World::started("[roles.shell]\nmax = 1");
    let script = format!("echo $ORCH_INCARNATION > '{}'; {}", world.file("who").display(), forever());
    let task = world.delegate("shell", &script);
    world.wait_until("it runs", || world.lines("who").len() == 1);
    let launch = world.home.join(format!("launch/{}.json", world.lines("who").remove(0)));
    fs::write(&launch, "{}").unwrap();
    world.orch(&["cancel", &task]).ok();
    world.orch(&["kill", "shell-1"]).ok();
    world.wait_until("it is gone", || !launch.exists());
    world.stop_and_check_nothing_left();
}

#[test]
fn a_stop_hastens_a_drain() {
    let world = World::started("[roles.shell]\nmax = 1");
    let task = world.delegate("shell", forever());
    world.wait_for(&task, "running");
    let drain = world.orch_started(&["stop", "--drain"]);
    world.wait_until("it drains", || !world.events_of("supervisor.stopping").is_empty());
    world.orch(&["stop"]).ok();
    drain.end().ok();
    world.check_nothing_left(&[]);
}

#[test]
fn a_masters_program_that_ends_at_once_is_not_started_without_end() {
    let world = World::new();
    let text = fs::read_to_string(world.project.join("sessions.toml")).unwrap();
    fs::write(world.project.join("sessions.toml"), text.replace("\"console\"", "\"claude\"")).unwrap();
    let starts = world.file("starts");
    world.program("claude", &format!("date +%s%N >> '{}'", starts.display()));
    world.start();
    world.wait_until_within(Duration::from_secs(60), "it was started some times", || world.lines("starts").len() >= 6);
    let at: Vec<u64> = world.lines("starts").iter().map(|line| line.parse().unwrap()).collect();
    let pause = Duration::from_nanos(at[5] - at[4]);
    assert!(pause >= Duration::from_secs(2), "{pause:?}");
    world.stop_and_check_nothing_left();
}
