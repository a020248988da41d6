//! A record that somebody else has damaged holds up nobody: not its role, not the list of tasks, not the supervisor.
//! What of it can be read becomes a dead letter.

mod fuzz;

use std::time::Duration;

use orch::{
    model::{cause::Cause, id::TaskId, task::TaskState::*},
    store::{StoreError, tasks::NewTask},
};
use redis::Connection;

use super::{check, fixture::*};

fn run(c: &mut Connection, words: &[&[u8]]) {
    let mut cmd = redis::Cmd::new();
    words.iter().for_each(|w| {
        cmd.arg(*w);
    });
    let _: redis::Value = cmd.query(c).unwrap();
}

/// What can be done to the record of a task.
fn damage(world: &World, id: &TaskId, how: &str) {
    let (mut c, keys) = (world.raw(), world.store.keys());
    let (task, attempts) = (keys.of("task", id.as_str()), keys.of("attempts", id.as_str()));
    let (task, attempts) = (task.as_bytes(), attempts.as_bytes());
    match how.split_once('=') {
        Some((field, value)) => run(&mut c, &[b"HSET", task, field.as_bytes(), value.as_bytes()]),
        None if how == "not UTF-8" => run(&mut c, &[b"HSET", task, b"text", b"\xff\xfe ab"]),
        None if how == "no record" => run(&mut c, &[b"DEL", task]),
        None if how == "no hash" => run(&mut c, &[b"SET", task, b"x"]),
        None if how == "no list of attempts" => run(&mut c, &[b"SET", attempts, b"x"]),
        None => run(&mut c, &[b"HDEL", task, how.as_bytes()]),
    }
}

const WAYS: [&str; 22] = [
    "not UTF-8",
    "no record",
    "no hash",
    "no list of attempts",
    "role",
    "text",
    "priority",
    "seq",
    "number",
    "state",
    "timeout_ms",
    "created_at",
    "priority=urgent",
    "seq=x",
    "number=99999999999",
    "number=-1",
    "number=1e3",
    "timeout_ms=soon",
    "retries=-1",
    "labels=[1]",
    "after={",
    "state=asleep",
];

fn kept(world: &World, id: &TaskId) -> bool {
    redis::cmd("EXISTS").arg(world.store.keys().of("quarantine", id.as_str())).query(&mut world.raw()).unwrap()
}

async fn events_of(world: &World, id: &TaskId) -> Vec<String> {
    let events = world.store.events_last(100).await.unwrap();
    events.into_iter().filter(|e| e.task.as_deref() == Some(id.as_str())).map(|e| e.kind.to_string()).collect()
}

/// A dead letter that says what is wrong with it, and everything stored agrees.
async fn is_a_dead_letter(world: &World, id: &TaskId, how: &str) {
    let task = world.detail(id).await.task;
    assert_eq!((task.state, task.cause), (Failed, Some(Cause::Permanent)), "{how}");
    assert!(task.reason.as_ref().unwrap().starts_with("its record is damaged: "), "{how}: {:?}", task.reason);
    assert!(events_of(world, id).await.contains(&"task.damaged".to_owned()), "{how}");
    assert_eq!(kept(world, id), how != "no record", "{how}: what was stored is kept");
    check::structures(world).await;
}

#[tokio::test]
async fn a_damaged_ready_task_does_not_block_its_role() {
    let server = Server::start();
    for (n, how) in WAYS.iter().enumerate() {
        let world = server.world(&format!("n{n}"));
        let agent = world.agent("shell-1").await;
        let bad = world.delegate(&task("bad")).await;
        let good = world.delegate(&task("good")).await;
        damage(&world, &bad, how);
        let claimed = world.claim(&agent).await;
        assert_eq!(claimed.task.id, good, "{how}");
        is_a_dead_letter(&world, &bad, how).await;
        // Told a second time, it is no news, and what is kept is not written over.
        world.store.quarantine(bad.as_str(), "", "x").await.unwrap();
        world.finish(&agent, &claimed, Cause::Success).await;
        assert_eq!(world.try_claim(&agent).await.map(|c| c.task.id), None, "{how}");
    }
}

#[tokio::test]
async fn what_follows_a_report_is_not_blocked_either() {
    let server = Server::start();
    for (n, how) in WAYS.iter().enumerate() {
        let world = server.world(&format!("n{n}"));
        let agent = world.agent("shell-1").await;
        world.delegate(&task("first")).await;
        let claimed = world.claim(&agent).await;
        let bad = world.delegate(&task("bad")).await;
        let good = world.delegate(&task("good")).await;
        damage(&world, &bad, how);
        let report = report(&agent, &claimed, Cause::Success);
        let (told, next) = world.store.finish_and_claim(&report, LEASE).await.unwrap();
        assert_eq!((told.unwrap(), next.unwrap().unwrap().task.id), (Succeeded, good), "{how}");
        is_a_dead_letter(&world, &bad, how).await;
    }
}

#[tokio::test]
async fn what_is_no_id_in_a_queue_is_thrown_out() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let keys = world.store.keys();
    for key in [keys.of("ready", ROLE), keys.of("state", "ready"), keys.plain("tasks")] {
        run(&mut world.raw(), &[b"ZADD", key.as_bytes(), b"0", b"no id at all"]);
    }
    let good = world.delegate(&task("good")).await;
    assert_eq!(world.store.task_ids(None).await.unwrap(), std::slice::from_ref(&good));
    assert_eq!(world.claim(&agent).await.task.id, good);
    check::structures(&world).await;
}

#[tokio::test]
async fn a_damaged_delayed_task_does_not_hold_up_those_behind_it() {
    let server = Server::start();
    for (n, how) in WAYS.iter().enumerate() {
        let world = server.world(&format!("n{n}"));
        let agent = world.agent("shell-1").await;
        let mut ids = Vec::new();
        for text in ["bad", "good"] {
            ids.push(world.delegate(&task(text)).await);
            let claimed = world.claim(&agent).await;
            let mut report = report(&agent, &claimed, Cause::Transient);
            report.retry_after_ms = Some(0);
            world.store.finish(&report).await.unwrap();
        }
        damage(&world, &ids[0], how);
        world.store.release_due().await.unwrap();
        assert_eq!(world.claim(&agent).await.task.id, ids[1], "{how}");
        if *how == "no list of attempts" {
            // Its attempts are lost; that it was tried is all that is known of them.
            continue;
        }
        let state = world.detail(&ids[0]).await.task.state;
        assert!(matches!(state, Failed | Ready), "{how}: {state}");
        check::structures(&world).await;
    }
}

#[tokio::test]
async fn a_task_damaged_while_it_runs_ends_with_its_report() {
    let server = Server::start();
    let ways = WAYS.iter().filter(|how| !["no record", "no hash", "state", "state=asleep"].contains(how));
    for (n, how) in ways.enumerate() {
        for (m, cause) in [Cause::Success, Cause::Transient, Cause::Lost].into_iter().enumerate() {
            let world = server.world(&format!("n{n}-{m}"));
            let agent = world.agent("shell-1").await;
            let bad = world.delegate(&task("bad")).await;
            let claimed = world.claim(&agent).await;
            damage(&world, &bad, how);
            let mut report = report(&agent, &claimed, cause);
            report.retry_after_ms = Some(0);
            world.store.finish(&report).await.unwrap_or_else(|e| panic!("{how}: {e}"));
            let good = world.delegate(&task("good")).await;
            world.store.release_due().await.unwrap();
            let next = world.claim(&agent).await;
            assert!(next.task.id == good || next.task.id == bad, "{how}");
        }
    }
}

/// Its runner is gone, and nobody can tell whose it was.
#[tokio::test]
async fn a_running_task_whose_record_is_lost_is_set_aside_once_its_lease_has_ended() {
    let server = Server::start();
    for (n, how) in ["no record", "no hash", "fence"].into_iter().enumerate() {
        let world = server.world(&format!("n{n}"));
        let agent = world.agent("shell-1").await;
        let bad = world.delegate(&task("bad")).await;
        world.store.claim(&agent.id, &agent.incarnation, Duration::ZERO).await.unwrap().unwrap();
        damage(&world, &bad, how);
        let seen = world.store.observe(&[ROLE.into()]).await.unwrap();
        assert_eq!((seen.broken.as_slice(), seen.overdue.len()), ([bad.to_string()].as_slice(), 0), "{how}");
        world.store.quarantine(bad.as_str(), "", "it ran, and does not say by whom").await.unwrap();
        assert_eq!(world.state(&bad).await, Failed, "{how}");
        let seen = world.store.observe(&[ROLE.into()]).await.unwrap();
        assert_eq!((seen.broken.len(), seen.running, seen.load[ROLE].running), (0, 0, 0), "{how}");
        let good = world.delegate(&task("good")).await;
        assert_eq!(world.claim(&agent).await.task.id, good, "{how}: its agent is free");
    }
}

#[tokio::test]
async fn the_others_are_listed_and_the_damaged_ones_told() {
    let server = Server::start();
    for (n, how) in ["not UTF-8", "no hash", "priority=urgent", "labels=[1]", "timeout_ms"].into_iter().enumerate() {
        let world = server.world(&format!("n{n}"));
        let (bad, good) = (world.delegate(&task("bad")).await, world.delegate(&task("good")).await);
        damage(&world, &bad, how);
        let ids = [bad.clone(), good.clone()];
        let (tasks, damaged) = world.store.tasks_and_damaged(&ids).await.unwrap();
        assert_eq!(tasks.iter().map(|t| &t.id).collect::<Vec<_>>(), [&good], "{how}");
        assert!(
            matches!(&damaged[..], [(id, StoreError::Damaged { key, .. })] if *id == bad && key.contains(id.as_str())),
            "{how}: {damaged:?}"
        );
        assert!(matches!(world.store.task(&bad).await, Err(StoreError::Damaged { .. })), "{how}");
        assert_eq!(world.store.quarantine_damaged(&ids).await.unwrap(), 1, "{how}");
        // Whose queue it is in, nobody knows by now; who finds it there throws it out.
        assert_eq!(world.claim(&world.agent("shell-1").await).await.task.id, good, "{how}");
        is_a_dead_letter(&world, &bad, how).await;
        assert_eq!(world.store.tasks_and_damaged(&ids).await.unwrap().0.len(), 2, "{how}");
    }
}

#[tokio::test]
async fn who_waits_for_a_damaged_task_is_told() {
    let server = Server::start();
    let world = server.world("n");
    let lead = world.agent_of("lead-1", "lead").await;
    let parent =
        world.delegate(&NewTask { spec: Spec { role: "lead".into(), ..task("parent").spec }, ..task("parent") }).await;
    let of_lead = world.claim(&lead).await;
    let child = world.delegate(&subtask("child", &lead, &of_lead)).await;
    let after = world.delegate(&task_after("after", &[&child])).await;
    damage(&world, &child, "retries=many");
    assert_eq!(world.try_claim(&world.agent("shell-1").await).await.map(|c| c.task.id), None);
    is_a_dead_letter(&world, &child, "retries=many").await;
    assert_eq!((world.state(&after).await, world.state(&parent).await), (Cancelled, Running));
    // A person removes it, and all is forgotten in time, what was kept included.
    assert_eq!(world.cancel(&child).await, Some(Cancelled));
    world.finish(&lead, &of_lead, Cause::Success).await;
    assert_eq!(world.store.prune(Duration::ZERO, 100).await.unwrap().len(), 3);
    assert!(!kept(&world, &child));
    check::structures(&world).await;
}

#[tokio::test]
async fn a_damaged_agent_is_left_out_and_its_id_used_again() {
    let server = Server::start();
    for (n, how) in ["state=asleep", "role", "no hash", "no record"].into_iter().enumerate() {
        let world = server.world(&format!("n{n}"));
        let (old, other) = (world.agent("shell-1").await, world.agent("shell-2").await);
        let key = world.store.keys().of("agent", "shell-1");
        match how.split_once('=') {
            Some((field, value)) => {
                run(&mut world.raw(), &[b"HSET", key.as_bytes(), field.as_bytes(), value.as_bytes()])
            }
            None if how == "no hash" => run(&mut world.raw(), &[b"SET", key.as_bytes(), b"x"]),
            None if how == "no record" => run(&mut world.raw(), &[b"DEL", key.as_bytes()]),
            None => run(&mut world.raw(), &[b"HDEL", key.as_bytes(), how.as_bytes()]),
        }
        let seen = world.store.observe(&[ROLE.into()]).await.unwrap();
        assert_eq!((seen.agents.len(), seen.damaged.len(), &seen.agents[0].agent.id), (1, 1, &other.id), "{how}");
        if how == "role" {
            continue; // It may live: its state is known.
        }
        let new = world.agent("shell-1").await;
        assert_ne!(old.incarnation, new.incarnation);
        assert!(world.store.claim(&old.id, &old.incarnation, LEASE).await.is_err(), "{how}: the old one is refused");
        assert_eq!(world.store.observe(&[]).await.unwrap().agents.len(), 2, "{how}");
    }
}

/// Found by `fuzz`: the list of what it comes after was no list, which a script took for one.
#[tokio::test]
async fn a_retry_of_a_task_whose_dependencies_do_not_read_is_refused_or_done() {
    let server = Server::start();
    for (n, (after, answer)) in
        [("after=", None), ("after=[1]", Some("damaged")), ("after={", Some("damaged")), ("after=3", Some("damaged"))]
            .into_iter()
            .enumerate()
    {
        let world = server.world(&format!("n{n}"));
        let id = world.delegate(&task("x")).await;
        world.cancel(&id).await;
        damage(&world, &id, after);
        let retried = world.store.retry(&id, "a test").await;
        let refused = retried.as_ref().err().map(|e| e.refusal().unwrap_or_else(|| panic!("{after}: {e}")));
        assert_eq!(refused.map(|refusal| refusal.as_str()), answer, "{after}");
    }
}
