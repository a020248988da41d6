//! Redis's clock is set back.

#![cfg(debug_assertions)]

use std::time::Duration;

use orch::{
    model::{cause::Cause, time::Timestamp},
    store::{
        requests::ClockBack,
        tasks::{NewTask, Report},
    },
};

use super::{check, fixture::*};

/// The time limit of the tests' tasks, in whole seconds.
const TASK_TIME: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// As much ahead of the real clock.
fn set_clock(world: &World, ahead: Duration) {
    let key = world.store.keys().plain("clock_offset");
    let () = redis::cmd("SET").arg(key).arg(ahead.as_millis() as u64).query(&mut world.raw()).unwrap();
}

async fn now(world: &World) -> Timestamp {
    world.store.observe(&[]).await.unwrap().now
}

/// For how long a time lies ahead; whole minutes, as the test takes some moments itself.
fn minutes(at: Option<Timestamp>, now: Timestamp) -> u64 {
    (at.unwrap().since(now) + Duration::from_secs(30)).as_secs() / 60
}

#[tokio::test]
async fn what_was_due_by_the_old_clock_is_due_as_soon_by_the_new_one() {
    let server = Server::start();
    let world = server.world("n");
    set_clock(&world, 4 * HOUR);
    let [a, b] = [world.agent("shell-1").await, world.agent("shell-2").await];
    let delay = async |agent: &Agent| {
        let task = world.delegate(&task("delayed")).await;
        let claimed = world.claim(agent).await;
        let report =
            Report { retry_after_ms: Some(HOUR.as_millis() as u64), ..report(agent, &claimed, Cause::Transient) };
        world.store.finish(&report).await.unwrap();
        task
    };
    // Long before the jump, just before it, and just after it.
    let long_before = delay(&a).await;
    set_clock(&world, 4 * HOUR + HOUR / 2);
    let before = delay(&a).await;
    let waits = world.delegate(&task("waits")).await;
    let claimed = world.claim(&b).await;
    let who = capability(&b, &claimed);
    world.store.mark_waiting(&who, std::slice::from_ref(&before), HOUR / 2).await.unwrap();
    let c = world.agent("shell-3").await;
    world.store.end_agent(&c.id, &c.incarnation, &crash()).await.unwrap();
    let spec = Spec { role: "other".into(), deadline_ms: Some(HOUR.as_millis() as u64), ..task("dated").spec };
    let dated = world.delegate(&NewTask { spec, ..task("dated") }).await;
    let seen = now(&world).await;
    set_clock(&world, 2 * HOUR + HOUR / 2);
    let after = delay(&a).await;

    let jump = ClockBack { by: 2 * HOUR, seen, token: "one".into() };
    for _ in 0..2 {
        world.store.follow_clock_back(&jump, &[ROLE.into()]).await.unwrap();
        let now = now(&world).await;
        for (task, due) in [(&long_before, 30), (&before, 60), (&after, 60)] {
            assert_eq!(minutes(world.detail(task).await.task.due_at, now), due);
        }
        assert_eq!(minutes(world.detail(&dated).await.task.deadline_at, now), 60);
        let snapshot = world.store.observe(&[ROLE.into()]).await.unwrap();
        assert_eq!(minutes(Some(Timestamp(now.0 + snapshot.next_due.unwrap().as_millis() as u64)), now), 30);
        assert!(snapshot.load[ROLE].waiting == 1 && world.detail(&waits).await.task.waiting);
        let pause = snapshot.breakers[ROLE].until.since(now);
        assert!(pause < Duration::from_secs(60), "{pause:?}");
        for record in &snapshot.agents {
            assert!(record.agent.heartbeat_at <= Some(now) && record.agent.since <= now, "{record:?}");
        }
        assert_eq!(world.events().await.iter().filter(|e| e.kind.as_str() == "clock.back").count(), 1);
        let record = snapshot.agents.iter().find(|record| record.agent.id == "shell-2").unwrap();
        assert_eq!(record.deadline.unwrap().since(now), record.deadline.unwrap().since(now).min(TASK_TIME));
        check::structures(&world).await;
    }
    // Its lease ends when it would have; and so does the mark of one that does not wait any more.
    set_clock(&world, 2 * HOUR + HOUR / 2 + 2 * LEASE);
    let snapshot = world.store.observe(&[ROLE.into()]).await.unwrap();
    assert_eq!(snapshot.overdue.iter().map(|o| &o.task).collect::<Vec<_>>(), [&waits]);
    set_clock(&world, 3 * HOUR + HOUR / 10);
    assert_eq!(world.store.observe(&[ROLE.into()]).await.unwrap().load[ROLE].waiting, 0);
}
