//! How long a task waits until its next attempt: its own table of delays decides, whoever ends the attempt.

use std::time::Duration;

use orch::{
    model::{cause::Cause, retry::RetryPolicy, task::TaskState},
    store::tasks::{NewTask, Report},
};

use super::{check, fixture::*};

/// The delay in ms that was recorded after the last attempt of `id`.
async fn recorded(world: &World, id: &orch::model::id::TaskId) -> u64 {
    let detail = world.detail(id).await;
    let attempt = detail.attempts.last().unwrap();
    assert_eq!(attempt.next_retry_at, detail.task.due_at);
    attempt.next_retry_at.unwrap().since(attempt.ended_at.unwrap()).as_millis() as u64
}

fn within_jitter(plain: u64, delay: u64) -> bool {
    (plain * 3 / 4..=plain * 5 / 4).contains(&delay)
}

#[tokio::test]
async fn each_failure_and_each_lost_attempt_has_its_entry_of_the_tasks_own_table() {
    let server = Server::start();
    let world = server.world("n");
    let policy = RetryPolicy {
        base: Duration::from_secs(8),
        factor: 3.0,
        cap: Duration::from_secs(80),
        ..RetryPolicy::default()
    };
    let new =
        NewTask { spec: Spec { retries: 9, lost_max: 9, delays_ms: policy.delays(), ..task("x").spec }, ..task("x") };
    let id = world.delegate(&new).await;
    let agent = world.agent("shell-1").await;
    let end = async |cause| {
        let claimed = world.claim(&agent).await;
        let report = Report { retry_after_ms: None, ..report(&agent, &claimed, cause) };
        assert_eq!(world.store.finish(&report).await.unwrap(), TaskState::Delayed);
        let delay = recorded(&world, &id).await;
        world.make_due(&id);
        world.store.release_due().await.unwrap();
        delay
    };
    for plain in [8_000, 24_000, 72_000] {
        let delay = end(Cause::Transient).await;
        assert!(within_jitter(plain, delay), "{delay} ms instead of about {plain}");
    }
    for plain in [1_000, 2_000, 3_000, 4_000, 4_000] {
        let delay = end(Cause::Lost).await;
        assert!(within_jitter(plain, delay), "{delay} ms instead of about {plain}");
    }
    for _ in 0..2 {
        let delay = end(Cause::Timeout).await;
        assert!((60_000..=80_000).contains(&delay), "{delay} ms: the cap holds for the jitter as well");
    }
    check::structures(&world).await;
}

#[tokio::test]
async fn tasks_that_fail_together_are_not_tried_again_together() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let mut delays = Vec::new();
    for n in 0..20 {
        let id = world
            .delegate(&NewTask {
                spec: Spec { delays_ms: RetryPolicy::default().delays(), ..task(&n.to_string()).spec },
                ..task(&n.to_string())
            })
            .await;
        let claimed = world.claim(&agent).await;
        let report = Report { retry_after_ms: None, ..report(&agent, &claimed, Cause::Transient) };
        world.store.finish(&report).await.unwrap();
        delays.push(recorded(&world, &id).await);
    }
    assert!(delays.iter().all(|delay| within_jitter(1_000, *delay)), "{delays:?}");
    delays.sort_unstable();
    delays.dedup();
    assert!(delays.len() > 10, "{delays:?}");
}

#[tokio::test]
async fn a_rate_limit_that_does_not_end_when_it_should_is_waited_for_longer_each_time() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let waits = async |named: Option<u64>, is_exact| {
        let id = world
            .delegate(&NewTask {
                spec: Spec { delays_ms: RetryPolicy::default().delays(), ..task("x").spec },
                ..task("x")
            })
            .await;
        let mut waits = Vec::new();
        for _ in 0..9 {
            let claimed = world.claim(&agent).await;
            let limited = Report { retry_after_ms: named, is_exact, ..report(&agent, &claimed, Cause::RateLimited) };
            world.store.finish(&limited).await.unwrap();
            waits.push(recorded(&world, &id).await / 1_000);
            world.make_due(&id);
            world.store.release_due().await.unwrap();
        }
        let claimed = world.claim(&agent).await;
        world.store.finish(&report(&agent, &claimed, Cause::Success)).await.unwrap();
        waits
    };
    assert_eq!(waits(Some(1_000), false).await, [1, 1, 2, 4, 8, 16, 32, 64, 128]);
    assert_eq!(waits(Some(3_600_000), false).await, [3_600; 9], "a time that makes sense is kept");
    assert_eq!(waits(None, false).await, [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]);
    assert_eq!(waits(Some(6 * 86_400_000), false).await, [6 * 86_400; 9], "there are weekly limits");
    assert_eq!(waits(Some(1_000), true).await, [1; 9], "a program of the user's own knows what it asks for");
}

/// Tasks of an older release have no table.
#[tokio::test]
async fn a_task_without_a_table_has_the_default_delays() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let id = world.delegate(&task("x")).await;
    let key = world.store.keys().of("task", id.as_str());
    let () = redis::cmd("HDEL").arg(key).arg("delays_ms").query(&mut world.raw()).unwrap();
    let claimed = world.claim(&agent).await;
    assert_eq!(claimed.task.delays_ms, RetryPolicy::default().delays());
    let report = Report { retry_after_ms: None, ..report(&agent, &claimed, Cause::Transient) };
    world.store.finish(&report).await.unwrap();
    let delay = recorded(&world, &id).await;
    assert!(within_jitter(1_000, delay), "{delay}");
}
