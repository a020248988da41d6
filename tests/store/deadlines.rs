//! A task with a deadline ends by it, whatever it waits for.

#![cfg(debug_assertions)]

use std::time::Duration;

use orch::{
    model::{cause::Cause, end_code::EndCode, id::TaskId, task::TaskState},
    store::tasks::{NewTask, Report},
};

use super::{check, fixture::*};

const HOUR: Duration = Duration::from_secs(3600);

/// As much ahead of the real clock.
fn set_clock(world: &World, ahead: Duration) {
    let key = world.store.keys().plain("clock_offset");
    let () = redis::cmd("SET").arg(key).arg(ahead.as_millis() as u64).query(&mut world.raw()).unwrap();
}

/// A task that has to end within an hour.
fn within_an_hour(text: &str, after: &[TaskId]) -> NewTask {
    let deadline_ms = Some(HOUR.as_millis() as u64);
    NewTask { spec: Spec { deadline_ms, after: after.to_vec(), ..task(text).spec }, ..task(text) }
}

async fn has_passed(world: &World, id: &TaskId) {
    let task = world.detail(id).await.task;
    let end = (task.state, task.cause, task.code);
    assert_eq!(end, (TaskState::Failed, Some(Cause::Deadline), Some(EndCode::DeadlinePassed)), "{task:#?}");
    assert!(task.reason.unwrap().contains("its deadline has passed"));
}

#[tokio::test]
async fn a_task_that_waits_ends_when_its_deadline_has_passed() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    // Until two hours from now: longer than it may take.
    let limited = world.delegate(&within_an_hour("rate limited", &[])).await;
    let claimed = world.claim(&agent).await;
    let report_of_limit = Report {
        retry_after_ms: Some(2 * HOUR.as_millis() as u64),
        account: None,
        is_exact: true,
        ..report(&agent, &claimed, Cause::RateLimited)
    };
    assert_eq!(world.store.finish(&report_of_limit).await.unwrap(), TaskState::Delayed);
    let held = world.delegate(&within_an_hour("held", &[])).await;
    let claimed = world.claim(&agent).await;
    assert_eq!(world.finish(&agent, &claimed, Cause::NeedsPerson).await, TaskState::Held);
    let ready = world.delegate(&within_an_hour("ready", &[])).await;
    let blocked = world.delegate(&within_an_hour("blocked", std::slice::from_ref(&held))).await;
    let without = world.delegate(&task("has no deadline")).await;
    check::structures(&world).await;

    let seen = world.store.observe(&[]).await.unwrap();
    assert!(seen.next_deadline.is_some_and(|left| left > HOUR / 2 && left <= HOUR), "{:?}", seen.next_deadline);
    assert_eq!(world.store.end_late().await.unwrap(), 0);
    set_clock(&world, HOUR);
    // The one that is blocked ends with the one that it waits for, or by itself, whichever comes first.
    assert!(world.store.end_late().await.unwrap() >= 3);
    for id in [&limited, &held, &ready] {
        has_passed(&world, id).await;
    }
    assert!(world.state(&blocked).await.is_terminal());
    assert_eq!(world.state(&without).await, TaskState::Ready);
    assert_eq!(world.store.observe(&[]).await.unwrap().next_deadline, None);
    check::structures(&world).await;
    check::history(&world).await;
}

#[tokio::test]
async fn an_attempt_has_the_time_that_is_left_and_no_other_one_follows() {
    let server = Server::start();
    let world = server.world("n");
    for (cause, expected) in [
        (Cause::Success, TaskState::Succeeded),
        (Cause::Transient, TaskState::Failed),
        (Cause::Lost, TaskState::Failed),
        (Cause::NeedsPerson, TaskState::Failed),
        (Cause::Deadline, TaskState::Failed),
    ] {
        set_clock(&world, Duration::ZERO);
        let agent = world.agent(&format!("shell-{cause}")).await;
        let id = world.delegate(&within_an_hour("runs", &[])).await;
        set_clock(&world, HOUR / 2);
        let claimed = world.claim(&agent).await;
        let left = claimed.time_left.unwrap();
        assert!(left > HOUR / 3 && left <= HOUR / 2, "{left:?}");
        set_clock(&world, HOUR);
        // Its runner ends it.
        assert_eq!(world.store.end_late().await.unwrap(), 0);
        assert_eq!(world.state(&id).await, TaskState::Running);
        check::structures(&world).await;
        assert_eq!(world.finish(&agent, &claimed, cause).await, expected);
        if expected == TaskState::Failed {
            let task = world.detail(&id).await.task;
            assert_eq!(task.cause, Some(Cause::Deadline), "{task:#?}");
        }
        check::structures(&world).await;
    }
}

#[tokio::test]
async fn a_retry_allows_the_same_time_again() {
    let server = Server::start();
    let world = server.world("n");
    let id = world.delegate(&within_an_hour("retried", &[])).await;
    set_clock(&world, HOUR);
    world.store.end_late().await.unwrap();
    has_passed(&world, &id).await;
    world.store.retry(&id, "a test").await.unwrap();
    assert_eq!(world.store.end_late().await.unwrap(), 0);
    let agent = world.agent("shell-1").await;
    assert!(world.claim(&agent).await.time_left.unwrap() > HOUR / 2);
    check::structures(&world).await;
}
