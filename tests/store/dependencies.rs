//! Dependencies: released when the last has succeeded, given up when one has not, and started anew by a person.

use orch::{
    model::{cause::Cause, id::TaskId, task::TaskState::*},
    store::tasks::NewTask,
};

use super::{check, fixture::*};

/// Claims the first ready task and ends it.
async fn end_next(world: &World, agent: &Agent, cause: Cause) -> TaskId {
    let claimed = world.claim(agent).await;
    world.finish(agent, &claimed, cause).await;
    claimed.task.id
}

#[tokio::test]
async fn a_task_is_blocked_until_the_last_of_its_dependencies_has_succeeded() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let done = world.delegate(&task("done")).await;
    end_next(&world, &agent, Cause::Success).await;
    let (a, b) = (world.delegate(&task("a")).await, world.delegate(&task("b")).await);
    let id = world.delegate(&task_after("x", &[&done, &a, &b, &a])).await;
    assert_eq!(world.state(&id).await, Blocked);
    assert_eq!(end_next(&world, &agent, Cause::Success).await, a);
    assert_eq!(world.state(&id).await, Blocked);
    check::structures(&world).await;
    assert_eq!(end_next(&world, &agent, Cause::Success).await, b);
    assert_eq!(world.state(&id).await, Ready);
    check::structures(&world).await;
    let of_the_past = world.delegate(&task_after("y", &[&done])).await;
    assert_eq!(world.state(&of_the_past).await, Ready);
}

#[tokio::test]
async fn what_depends_on_a_failed_task_is_cancelled_by_its_name_and_can_be_started_anew() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    for cause in [Cause::Permanent, Cause::Cancelled] {
        let a = world.delegate(&task("a")).await;
        let b = world.delegate(&task_after("b", &[&a])).await;
        let c = world.delegate(&task_after("c", &[&b])).await;
        end_next(&world, &agent, cause).await;
        for (id, before) in [(&b, &a), (&c, &b)] {
            let task = world.detail(id).await.task;
            assert_eq!((task.state, task.cause), (Cancelled, Some(Cause::Cancelled)));
            let reason = task.reason.unwrap();
            assert!(reason.contains(before.as_str()), "{reason}");
        }
        check::structures(&world).await;
        let late = world.store.delegate(&task_after("late", &[&a])).await;
        assert_eq!(refusal(late), "dependency_ended");
        assert_eq!(refusal(world.store.retry(&b, "too early").await), "dependency_ended");
        let retried = world.store.retry(&a, "x").await.unwrap();
        assert_eq!((retried.to, retried.others), (Ready, vec![b.clone(), c.clone()]));
        assert_eq!((world.state(&b).await, world.state(&c).await), (Blocked, Blocked));
        check::structures(&world).await;
        for id in [&a, &b, &c] {
            assert_eq!(end_next(&world, &agent, Cause::Success).await, *id);
        }
        check::structures(&world).await;
    }
}

/// A task that a person cancelled, and one whose other dependency has ended, stay as they are.
#[tokio::test]
async fn a_retry_revives_only_what_was_cancelled_because_of_it() {
    let server = Server::start();
    let world = server.world("n");
    let (a, other) = (world.delegate(&task("a")).await, world.delegate(&task("other")).await);
    let by_person = world.delegate(&task_after("x", &[&a])).await;
    world.cancel(&by_person).await;
    let both = world.delegate(&task_after("y", &[&a, &other])).await;
    let only = world.delegate(&task_after("z", &[&a])).await;
    world.cancel(&a).await;
    world.cancel(&other).await;
    let retried = world.store.retry(&a, "x").await.unwrap();
    assert_eq!(retried.others, std::slice::from_ref(&only));
    assert_eq!((world.state(&by_person).await, world.state(&both).await), (Cancelled, Cancelled));
    let retried = world.store.retry(&other, "x").await.unwrap();
    assert_eq!(retried.others, std::slice::from_ref(&both));
    assert_eq!(world.store.retry(&other, "x").await.unwrap().others, []);
    check::structures(&world).await;
}

/// What a task waited for when it was cancelled is of the past when it is started anew.
#[tokio::test]
async fn a_retried_task_does_not_wait_for_what_succeeded_while_it_was_cancelled() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let (a, b) = (world.delegate(&task("a")).await, world.delegate(&task("b")).await);
    let id = world.delegate(&task_after("x", &[&a, &b])).await;
    world.cancel(&a).await;
    assert_eq!(world.state(&id).await, Cancelled);
    assert_eq!(end_next(&world, &agent, Cause::Success).await, b);
    world.store.retry(&a, "x").await.unwrap();
    assert_eq!(world.store.retry(&id, "x").await.unwrap().to, Blocked);
    check::structures(&world).await;
    assert_eq!(end_next(&world, &agent, Cause::Success).await, a);
    assert_eq!(world.state(&id).await, Ready, "nothing holds it any more");
    check::structures(&world).await;
}

#[tokio::test]
async fn a_dependency_that_nobody_knows_is_refused() {
    let server = Server::start();
    let world = server.world("n");
    let id = TaskId::random();
    let answer = world.store.delegate(&task_after("x", &[&id])).await;
    assert_eq!(refusal(answer), "unknown_dependency");
    let own = task("x");
    let own = NewTask { spec: Spec { after: vec![own.id.clone()], ..own.spec }, ..own };
    assert_eq!(refusal(world.store.delegate(&own).await), "unknown_dependency");
    assert_eq!(world.store.task_ids(None).await.unwrap(), []);
    check::structures(&world).await;
}

/// Lua's stack holds some thousands of calls, and what has been written by then is not rolled back.
#[tokio::test]
async fn the_end_of_a_long_chain_of_dependents_reaches_its_last() {
    let server = Server::start_hasty();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let first = world.delegate(&task("first")).await;
    let mut last = first.clone();
    for _ in 0..8_000 {
        last = world.delegate(&task_after("next", &[&last])).await;
    }
    let claimed = world.claim(&agent).await;
    assert_eq!(world.finish(&agent, &claimed, Cause::Permanent).await, Failed);
    assert_eq!(world.state(&last).await, Cancelled);
    assert!(world.try_claim(&agent).await.is_none());
    check::structures(&world).await;
}

#[tokio::test]
async fn very_many_dependencies() {
    let server = Server::start_hasty();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let mut before = Vec::new();
    for _ in 0..3_000 {
        before.push(world.delegate(&task("before")).await);
    }
    let id = world.delegate(&NewTask { spec: Spec { after: before.clone(), ..task("x").spec }, ..task("x") }).await;
    let event = world.store.events_last(1).await.unwrap().remove(0);
    assert_eq!((event.kind.as_str(), event.task.as_deref()), ("task.blocked", Some(id.as_str())));
    assert!(event.reason.len() < 300, "a reason is a sentence: {} bytes", event.reason.len());
    assert!(event.reason.contains(before[0].as_str()), "{}", event.reason);
    for _ in &before {
        assert_eq!(world.state(&id).await, Blocked);
        end_next(&world, &agent, Cause::Success).await;
    }
    assert_eq!(world.state(&id).await, Ready);
    check::structures(&world).await;
}
