//! What ended long ago is forgotten, whole, and nothing else is.

use std::time::Duration;

use orch::{
    model::{
        cause::Cause,
        id::TaskId,
        task::TaskState::{self, *},
    },
    store::tasks::NewTask,
};

use super::{check, fixture::*};

async fn ended(world: &World, new: &NewTask, cause: Cause) -> TaskId {
    let agent = world.agent(&format!("shell-{}", orch::model::id::new_incarnation())).await;
    let id = world.delegate(new).await;
    let claimed = world.claim(&agent).await;
    assert_eq!(claimed.task.id, id);
    world.finish(&agent, &claimed, cause).await;
    id
}

async fn prune(world: &World, at_most: usize) -> Vec<TaskId> {
    world.store.prune(Duration::ZERO, at_most).await.unwrap()
}

#[tokio::test]
async fn succeeded_and_cancelled_tasks_are_forgotten_and_dead_letters_stay() {
    let server = Server::start();
    let world = server.world("n");
    let keyed = NewTask { spec: Spec { key: Some("k".into()), ..task("x").spec }, ..task("x") };
    let done = ended(&world, &keyed, Cause::Success).await;
    let cancelled = ended(&world, &task("x"), Cause::Cancelled).await;
    let failed = ended(&world, &task("x"), Cause::Permanent).await;
    let ready = world.delegate(&task("x")).await;
    assert_eq!(world.store.prune(LONG, 100).await.unwrap(), [], "not old enough");
    let mut gone = prune(&world, 100).await;
    gone.sort();
    let mut expected = [done, cancelled];
    expected.sort();
    assert_eq!(gone, expected);
    let mut left = world.store.task_ids(None).await.unwrap();
    left.sort();
    let mut expected = [failed, ready];
    expected.sort();
    assert_eq!(left, expected);
    let anew = world
        .store
        .delegate(&NewTask { spec: Spec { key: Some("k".into()), ..task("x").spec }, ..task("x") })
        .await
        .unwrap();
    assert!(anew.created, "its key was forgotten with it");
    check::structures(&world).await;
}

/// Its end was told when it failed: a second time would count its parent's subtasks wrongly, and end what a person has
/// started anew since.
#[tokio::test]
async fn a_removed_dead_letter_ends_nothing_a_second_time_and_is_forgotten() {
    let server = Server::start();
    let world = server.world("n");
    let lead = world.agent_of("lead-1", "lead").await;
    let parent =
        world.delegate(&NewTask { spec: Spec { role: "lead".into(), ..task("parent").spec }, ..task("parent") }).await;
    let of_lead = world.claim(&lead).await;
    let failed = ended(&world, &subtask("child", &lead, &of_lead), Cause::Permanent).await;
    let sibling = world.delegate(&subtask("sibling", &lead, &of_lead)).await;
    assert_eq!(world.cancel(&failed).await, Some(Cancelled));
    check::structures(&world).await;
    let removed = world.detail(&failed).await.task;
    assert_eq!(removed.reason.as_deref(), Some("a test; it had failed: a test said permanent"));
    assert_eq!((world.state(&parent).await, world.state(&sibling).await), (Running, Ready));
    assert_eq!(world.cancel(&failed).await, Some(Cancelled), "twice is as good as once");
    check::structures(&world).await;

    // Its own subtasks ended with it; one that a person has started anew goes on.
    world.finish(&lead, &of_lead, Cause::Permanent).await;
    assert_eq!((world.state(&parent).await, world.state(&sibling).await), (Failed, Cancelled));
    world.store.retry(&sibling, "a test").await.unwrap();
    assert_eq!(world.cancel(&parent).await, Some(Cancelled));
    assert_eq!(world.state(&sibling).await, Ready);
    check::structures(&world).await;

    // It can be retried like any other that was cancelled.
    let retried = world.store.retry(&failed, "a test").await.unwrap();
    assert_eq!((retried.from, retried.to), (Cancelled, Ready));
    check::structures(&world).await;
    world.cancel(&failed).await;
    world.cancel(&sibling).await;
    let mut gone = prune(&world, 100).await;
    gone.sort();
    let mut expected = [failed, sibling, parent];
    expected.sort();
    assert_eq!(gone, expected);
    check::structures(&world).await;
}

#[tokio::test]
async fn what_an_open_task_refers_to_stays() {
    let server = Server::start();
    let world = server.world("n");
    let lead = world.agent_of("lead-1", "lead").await;
    let parent =
        world.delegate(&NewTask { spec: Spec { role: "lead".into(), ..task("parent").spec }, ..task("parent") }).await;
    let of_lead = world.claim(&lead).await;
    ended(&world, &subtask("child", &lead, &of_lead), Cause::Success).await;
    let done = ended(&world, &task("before"), Cause::Success).await;
    let blocked = world.delegate(&task_after("x", &[&done, &parent])).await;
    assert_eq!(world.state(&blocked).await, Blocked);
    assert_eq!(prune(&world, 100).await, []);
    check::structures(&world).await;
    world.finish(&lead, &of_lead, Cause::Success).await;
    world.cancel(&blocked).await;
    assert_eq!(prune(&world, 100).await.len(), 4);
    assert_eq!(world.store.task_ids(None).await.unwrap(), []);
    check::structures(&world).await;
}

/// Those that may not be forgotten yet must not stand before those that may.
#[tokio::test]
async fn what_must_stay_does_not_keep_the_rest() {
    let server = Server::start();
    let world = server.world("n");
    let lead = world.agent_of("lead-1", "lead").await;
    world.delegate(&NewTask { spec: Spec { role: "lead".into(), ..task("parent").spec }, ..task("parent") }).await;
    let of_lead = world.claim(&lead).await;
    for text in ["a", "b", "c"] {
        ended(&world, &subtask(text, &lead, &of_lead), Cause::Success).await;
    }
    let other = ended(&world, &task("x"), Cause::Success).await;
    assert_eq!(prune(&world, 2).await, [other]);
    check::structures(&world).await;
}

/// A dead letter outlives its parent's record; what happens to it must not leave half a record there.
#[tokio::test]
async fn a_retried_subtask_of_a_forgotten_parent() {
    let server = Server::start();
    let world = server.world("n");
    let lead = world.agent_of("lead-1", "lead").await;
    let parent =
        world.delegate(&NewTask { spec: Spec { role: "lead".into(), ..task("parent").spec }, ..task("parent") }).await;
    let of_lead = world.claim(&lead).await;
    let child = ended(&world, &subtask("child", &lead, &of_lead), Cause::Permanent).await;
    world.finish(&lead, &of_lead, Cause::Success).await;
    assert_eq!(prune(&world, 100).await, [parent]);
    check::structures(&world).await;
    assert_eq!(world.store.retry(&child, "a person").await.unwrap().to, TaskState::Ready);
    check::structures(&world).await;
    world.cancel(&child).await;
    check::structures(&world).await;
}

/// One call of Redis passes over at most a thousand of those that must stay; the next one goes on from there.
#[tokio::test]
async fn a_parent_with_many_ended_children_does_not_keep_what_comes_after_them() {
    let server = Server::start_hasty();
    let world = server.world("n");
    let lead = world.agent_of("lead-1", "lead").await;
    world.delegate(&NewTask { spec: Spec { role: "lead".into(), ..task("parent").spec }, ..task("parent") }).await;
    let of_lead = world.claim(&lead).await;
    for _ in 0..11 {
        let child = |n| NewTask { max_children: 20_000, ..subtask(&format!("child {n}"), &lead, &of_lead) };
        let children: Vec<NewTask> = (0..1_000).map(child).collect();
        let ids: Vec<TaskId> = world.store.delegate_all(&children).await.unwrap().into_iter().map(|d| d.id).collect();
        world.store.cancel(&ids, "a test").await.unwrap();
    }
    let other = world.delegate(&task("x")).await;
    world.cancel(&other).await;
    let would = world.store.prune_state(Cancelled, Duration::ZERO, 100, true).await.unwrap();
    assert_eq!(would, std::slice::from_ref(&other), "a trial");
    assert_eq!(world.state(&other).await, Cancelled);
    assert_eq!(prune(&world, 100).await, [other]);
}

#[tokio::test]
async fn dead_letters_are_forgotten_when_their_own_time_is_over() {
    let server = Server::start();
    let world = server.world("n");
    let keyed = |key: &str| NewTask { spec: Spec { key: Some(key.into()), ..task("x").spec }, ..task("x") };
    let failed = ended(&world, &keyed("k"), Cause::Permanent).await;
    let other = ended(&world, &keyed("l"), Cause::Permanent).await;
    let prune = async |keep, is_trial| world.store.prune_state(Failed, keep, 100, is_trial).await.unwrap();
    assert_eq!(prune(LONG, false).await, [], "not old enough");
    let mut both = [failed.clone(), other.clone()];
    both.sort();
    for is_trial in [true, true, false] {
        let mut gone = prune(Duration::ZERO, is_trial).await;
        gone.sort();
        assert_eq!(gone, both);
        check::structures(&world).await;
    }
    assert_eq!(prune(Duration::ZERO, false).await, []);
    assert!(world.store.delegate(&keyed("k")).await.unwrap().created, "its key was forgotten with it");
    assert!(world.store.prune_state(Ready, Duration::ZERO, 100, false).await.is_err(), "it has not ended");
    check::structures(&world).await;
}
