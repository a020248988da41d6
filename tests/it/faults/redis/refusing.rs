//! A Redis that is alive but refuses or delays commands.

use std::{thread, time::Duration};

use super::users_own::{Own, set_url};
use crate::common::{Output, Work, World, gate};

/// Sends a command directly to Redis, bypassing orch.
fn send(world: &World, words: &[&str]) {
    let mut command = redis::cmd(words[0]);
    for word in &words[1..] {
        command.arg(*word);
    }
    command.exec(&mut world.redis()).unwrap_or_else(|e| panic!("{words:?}: {e}"));
}

/// Delegates `n` tasks, one after the other and each until it is accepted, while `faults` happen.
fn under_load(world: &World, n: usize, faults: impl FnOnce(&World)) -> Work {
    let mut work = Work::default();
    thread::scope(|scope| {
        let delegating = scope.spawn(|| {
            let mut work = Work::default();
            for i in 0..n {
                work.delegate_until_accepted(world, &format!("load-{i}"), ":");
            }
            work
        });
        faults(world);
        work = delegating.join().expect("the load");
    });
    work
}

/// Asserts that the command reported that Redis cannot write, with a hint.
#[track_caller]
fn assert_reports_that_redis_cannot_write(refused: Output) {
    let refused = refused.ended(4);
    assert!(refused.stderr.contains("Redis cannot write") && refused.stderr.contains("hint: "), "{refused:#?}");
}

/// Starts orch on a Redis of the user's own, which nobody puts back to what it was.
fn on_own_redis(world: &World) -> Own {
    let own = Own::start(world, &[]);
    set_url(world, &format!("unix://{}", own.socket.display()));
    world.start();
    own
}

fn send_to(own: &Own, words: &[&str]) {
    redis::cmd(words[0]).arg(&words[1..]).exec(&mut own.connection()).unwrap_or_else(|e| panic!("{words:?}: {e}"));
}

fn stop(world: &World, own: &Own) {
    world.orch(&["stop"]).ok();
    world.wait_until("only the user's Redis is left", || world.processes().iter().all(|p| p.pid == own.child.id()));
}

#[test]
fn a_redis_that_became_a_replica_refuses_and_loses_nothing() {
    let world = World::builder().tables("[roles.shell]\nmax = 2").build();
    let own = on_own_redis(&world);
    let mut work = Work::default();
    let running = work.delegate(&world, &gate(&world.file("go")));
    let lasting = work.delegate(&world, &gate(&world.file("later")));
    let ready = work.delegate(&world, ":");
    for task in [&running, &lasting] {
        Work::wait_until_it_runs(&world, task);
    }
    // Nothing listens on port 1.
    send_to(&own, &["REPLICAOF", "127.0.0.1", "1"]);
    assert_reports_that_redis_cannot_write(world.orch(&["delegate", "--key", "k", "echo refused"]));
    assert_reports_that_redis_cannot_write(world.orch(&["cancel", &ready]));
    let attention = world.status()["attention"].to_string();
    assert!(attention.contains("Redis cannot write"), "{attention}");
    world.touch("go");
    let report = world.home.join(format!("reports/{running}.1.json"));
    world.wait_until("the report is on disk", || report.exists());
    assert_eq!(world.show(&running)["state"], "running", "reading works");
    send_to(&own, &["REPLICAOF", "NO", "ONE"]);
    world.wait_for(&running, "succeeded");
    assert!(!world.status()["attention"].to_string().contains("cannot write"));
    work.delegate_until_accepted(&world, "k", ":");
    world.touch("later");
    work.all_succeed_at_once(&world);
    stop(&world, &own);
}

/// Only what is new is refused: what was accepted runs, ends and is reported.
#[test]
fn a_full_memory_refuses_new_tasks_and_lets_the_others_end() {
    let world = World::builder().tables("[roles.shell]\nmax = 2").build();
    let own = on_own_redis(&world);
    let mut work = Work::default();
    let running = work.delegate(&world, &gate(&world.file("go")));
    let lasting = work.delegate(&world, &gate(&world.file("later")));
    let ready = work.delegate(&world, ":");
    for task in [&running, &lasting] {
        Work::wait_until_it_runs(&world, task);
    }
    send_to(&own, &["CONFIG", "SET", "maxmemory", "1"]);
    let refused = world.orch(&["delegate", "--key", "k", "echo refused"]);
    assert!(refused.stderr.contains("memory is full") && refused.stderr.contains("max_memory"), "{refused:#?}");
    assert_reports_that_redis_cannot_write(refused);
    let attention = world.status()["attention"].to_string();
    assert!(attention.contains("its memory is full") && attention.contains("max_memory"), "{attention}");
    world.touch("go");
    world.wait_for(&running, "succeeded");
    world.wait_for(&ready, "succeeded");
    send_to(&own, &["CONFIG", "SET", "maxmemory", "0"]);
    assert!(!world.status()["attention"].to_string().contains("cannot write"));
    work.delegate_until_accepted(&world, "k", ":");
    world.touch("later");
    work.all_succeed_at_once(&world);
    stop(&world, &own);
}

/// A program that knows the supervisor's password opens a port and lets Redis forget.
#[test]
fn a_changed_configuration_is_put_back_and_shown() {
    let world = World::started("[roles.shell]\nmax = 1");
    let doctor = || world.orch(&["doctor"]).stdout;
    world.wait_until("the configuration is as intended", || doctor().contains("as intended: no port"));
    for words in [["CONFIG", "SET", "appendonly", "no"], ["CONFIG", "SET", "appendfsync", "no"]] {
        send(&world, &words);
    }
    world.wait_until("status shows it", || world.status()["attention"].to_string().contains("changed from outside"));
    assert!(doctor().contains("as intended: no port"), "it was put back");
    let events = world.orch(&["events", "--json"]).ok();
    assert!(events.contains("redis.changed") && events.contains("appendonly"), "{events}");
    world.stop_and_check_nothing_left();
}

/// Heartbeats are refused for almost a lease, and the next one comes after the lease's end. The agents are not at
/// fault.
#[test]
fn an_agent_is_not_failed_while_redis_refuses_its_heartbeats() {
    let world = World::builder()
        .supervisor("heartbeat", "\"3s\"")
        .supervisor("lease", "\"7s\"")
        .tables("[roles.shell]\nmax = 1")
        .build();
    let own = on_own_redis(&world);
    let mut work = Work::default();
    let task = work.delegate(&world, &gate(&world.file("go")));
    Work::wait_until_it_runs(&world, &task);
    let age = || world.agent("shell-1")["heartbeat_age_ms"].as_u64().unwrap();
    world.wait_until("the agent has just sent a heartbeat", || age() < 500);
    send_to(&own, &["REPLICAOF", "127.0.0.1", "1"]);
    world.wait_until("the last heartbeat is almost a lease old", || age() > 6_300);
    send_to(&own, &["REPLICAOF", "NO", "ONE"]);
    world.wait_until("the agent has sent a heartbeat again", || {
        // Each request makes the supervisor check all leases.
        world.orch(&["pause", "opus"]).ok();
        world.orch(&["resume", "opus"]).ok();
        age() < 3_000
    });
    world.touch("go");
    work.all_succeed_at_once(&world);
    stop(&world, &own);
}

#[test]
fn forgotten_scripts_and_cut_connections_cost_nothing() {
    let world = World::started("[roles.shell]\nmax = 4");
    let awaited = world.delegate("shell", &gate(&world.file("go")));
    let mut waiting = world.orch_started(&["wait", &awaited]);
    let mut following = world.orch_started(&["logs", "-f", "--task", &awaited]);
    let work = under_load(&world, 30, |world| {
        for i in 0..40 {
            match i % 2 {
                0 => send(world, &["SCRIPT", "FLUSH"]),
                _ => send(world, &["CLIENT", "KILL", "TYPE", "normal"]),
            }
            thread::sleep(Duration::from_millis(20));
        }
        send(world, &["CLIENT", "KILL", "TYPE", "pubsub"]);
    });
    assert!(!waiting.has_ended() && !following.has_ended());
    world.touch("go");
    waiting.end().ok();
    following.end().ok();
    work.all_succeed_at_once(&world);
    world.stop_and_check_nothing_left();
}

#[test]
fn orch_waits_for_a_redis_that_pauses() {
    let world = World::started("[roles.shell]\nmax = 4");
    let work = under_load(&world, 20, |world| {
        for all in ["ALL", "WRITE"] {
            send(world, &["CLIENT", "PAUSE", "2000", all]);
            thread::sleep(Duration::from_millis(100));
            assert_eq!(world.status()["redis"]["state"], "ok");
        }
    });
    work.all_succeed_at_once(&world);
    world.stop_and_check_nothing_left();
}
