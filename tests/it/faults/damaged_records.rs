//! Records in Redis that something other than orch has changed: the other tasks and agents continue, and the damage is
//! reported.

use redis::Commands;

use crate::common::{World, append, forever, kill9};

#[test]
fn a_damaged_task_blocks_no_other_and_is_reported() {
    let world = World::started("[roles.shell]\nmax = 1");
    world.orch(&["pause"]).ok();
    let bad = world.delegate("shell", "echo bad");
    let good = world.delegate("shell", "echo good");
    let key = format!("orch:{{w}}:task:{bad}");
    let () = world.redis().hset(&key, "priority", "urgent").unwrap();

    let listed = world.orch(&["tasks", "--json"]).ended(0);
    assert_eq!(listed.json().as_array().unwrap().len(), 1, "{listed:#?}");
    assert!(listed.stderr.contains(&bad) && listed.stderr.contains("its priority is 'urgent'"), "{listed:#?}");
    assert!(world.orch(&["tasks"]).ok().contains(&good));
    assert_eq!(world.status()["tasks"]["ready"], 2);
    for verb in ["show", "why", "cancel"] {
        assert!(world.orch(&[verb, &bad]).ended(70).stderr.contains("is damaged: its priority"), "{verb}");
    }

    world.orch(&["resume"]).ok();
    assert_eq!(world.wait_for(&good, "succeeded")["result"]["text"], "good\n");
    let shown = world.wait_for(&bad, "failed");
    assert!(shown["reason"].as_str().unwrap().starts_with("its record is damaged: "), "{shown:#}");
    assert_eq!(shown["description"], "echo bad", "the readable fields are kept");
    assert_eq!(world.events_of("task.damaged")[0]["task"], bad);
    let attention = world.status()["attention"].clone();
    assert!(attention[0]["what"].as_str().unwrap().contains(&format!("task {bad} has failed: its record is")));
    world.orch(&["retry", &bad]).ok();
    assert_eq!(world.wait_for(&bad, "succeeded")["result"]["text"], "bad\n");
    world.stop_and_check_nothing_left();
}

#[test]
fn a_damaged_agent_record_stops_neither_the_supervisor_nor_its_role() {
    let world = World::started("[roles.shell]\nmax = 1");
    let first = world.delegate("shell", "true");
    world.wait_for(&first, "succeeded");
    let runner = world.runner_pid("shell-1");
    let mut redis = world.redis();
    let () = redis.del("orch:{w}:agent:shell-1").unwrap();
    let () = redis.set("orch:{w}:agent:shell-1", "not a hash").unwrap();
    world.wait_until("the old runner has ended", || crate::common::Process::of(runner).is_none());
    let second = world.delegate("shell", "true");
    world.wait_for(&second, "succeeded");
    world.stop_and_check_nothing_left();
}

#[test]
fn a_record_that_cannot_be_processed_blocks_no_other() {
    let world = World::started("[roles.shell]\nmax = 2");
    let damaged = world.delegate("shell", &format!("{}; {}", append(&world.file("ran"), "x"), forever()));
    world.wait_until("the task runs", || world.lines("ran").len() == 1);
    let key = format!("orch:{{w}}:task:{damaged}");
    let () = redis::cmd("HSET").arg(key).arg("lost").arg("garbage").query(&mut world.redis()).unwrap();
    kill9(world.runner_pid("shell-1"));
    let task = world.delegate("shell", "echo all the same");
    assert_eq!(world.wait_for(&task, "succeeded")["result"]["text"], "all the same\n");
}
