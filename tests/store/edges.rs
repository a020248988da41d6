//! What comes of a task by the terms of its edges, and by what the tasks before it have left open.

use orch::{
    model::{
        cause::Cause,
        edge::{Edge, OnFailure, Outcome, When},
        end_code::EndCode,
        id::TaskId,
        task::TaskState::{self, *},
    },
    store::tasks::NewTask,
};

use super::{check, fixture::*};

fn task_with(text: &str, first: &TaskId, edge: Edge) -> NewTask {
    let after = task_after(text, &[first]);
    NewTask { spec: Spec { edges: [(first.clone(), edge)].into(), ..after.spec }, ..after }
}

/// Ends the next task of the queue.
async fn end_next(world: &World, agent: &Agent, cause: Cause) -> TaskId {
    let claimed = world.claim(agent).await;
    world.finish(agent, &claimed, cause).await;
    claimed.task.id
}

#[tokio::test]
async fn an_edge_decides_as_its_table_says() {
    let server = Server::start_hasty();
    for (n, edge) in Edge::all().enumerate() {
        for end in [Succeeded, Failed, Cancelled, Skipped] {
            let world = server.world(&format!("n{n}{end}"));
            let agent = world.agent("shell-1").await;
            let root = world.delegate(&task("root")).await;
            let skips = Edge { when: When::Failed, on_failure: OnFailure::Fail };
            let first = match end {
                Skipped => world.delegate(&task_with("first", &root, skips)).await,
                _ => root,
            };
            let second = world.delegate(&task_with("second", &first, edge)).await;
            let third = world.delegate(&task_after("third", &[&second])).await;
            assert_eq!(world.state(&second).await, Blocked);
            let cause = match end {
                Failed => Cause::Permanent,
                Cancelled => Cause::Cancelled,
                _ => Cause::Success,
            };
            end_next(&world, &agent, cause).await;
            assert_eq!(world.state(&first).await, end, "{edge:?}");
            let expected = match edge.outcome(end) {
                Outcome::Open => Blocked,
                Outcome::Met => Ready,
                Outcome::Skip => Skipped,
                Outcome::Cancel => Cancelled,
            };
            assert_eq!(world.state(&second).await, expected, "{edge:?} after {end}");
            let follows = if expected == Ready { Blocked } else { expected };
            assert_eq!(world.state(&third).await, follows, "what comes after {edge:?} after {end}");
            check::structures(&world).await;
        }
    }
}

#[tokio::test]
async fn a_skipped_task_names_its_edge_and_nothing_but_a_retry_moves_it() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let first = world.delegate(&task("first")).await;
    let edge = Edge { when: When::Succeeded, on_failure: OnFailure::Skip };
    let id = world.delegate(&task_with("second", &first, edge)).await;
    end_next(&world, &agent, Cause::Permanent).await;
    let detail = world.detail(&id).await;
    assert_eq!((detail.task.state, detail.task.code, detail.task.cause), (Skipped, Some(EndCode::NotNeeded), None));
    assert!(detail.task.reason.unwrap().contains(first.as_str()));
    assert_eq!(world.cancel(&id).await, Some(Skipped));
    assert!(world.try_claim(&agent).await.is_none());
    let refused = world.store.retry(&id, "x").await.unwrap_err();
    assert_eq!(refused.refusal().unwrap().as_str(), "dependency_ended", "{refused}");
    check::structures(&world).await;

    let retried = world.store.retry(&first, "x").await.unwrap();
    assert_eq!(retried.others, std::slice::from_ref(&id), "what was skipped because of it is needed again");
    assert_eq!(world.state(&id).await, Blocked);
    end_next(&world, &agent, Cause::Success).await;
    assert_eq!(world.state(&id).await, Ready);
    check::structures(&world).await;
    end_next(&world, &agent, Cause::Success).await;
    assert_eq!(world.store.prune(std::time::Duration::ZERO, 10).await.unwrap().len(), 2);
}

/// Whichever end is propagated first.
#[tokio::test]
async fn of_two_ends_at_one_moment_the_one_that_cancels_decides() {
    let server = Server::start_hasty();
    let skip = Edge { when: When::Succeeded, on_failure: OnFailure::Skip };
    for n in 0..8 {
        let world = server.world(&format!("n{n}"));
        let agent = world.agent("shell-1").await;
        let root = world.delegate(&task("root")).await;
        let [a, b] =
            [world.delegate(&task_after("a", &[&root])).await, world.delegate(&task_after("b", &[&root])).await];
        let last = task_after("last", &[&a, &b]);
        let last = NewTask { spec: Spec { edges: [(a, skip)].into(), ..last.spec }, ..last };
        let last = world.delegate(&last).await;
        end_next(&world, &agent, Cause::Permanent).await;
        assert_eq!(world.state(&last).await, Cancelled);
    }
}

/// A script that delegates further tasks ends without waiting for them.
#[tokio::test]
async fn what_waits_for_a_task_waits_for_the_subtasks_that_it_has_left_open() {
    let server = Server::start();
    let world = server.world("n");
    let (one, two) = (world.agent("shell-1").await, world.agent("shell-2").await);
    let first = world.delegate(&task("first")).await;
    let waits = world.delegate(&task_after("waits", &[&first])).await;
    let claimed = world.claim(&one).await;
    let child = world.delegate(&subtask("child", &one, &claimed)).await;
    let detached = subtask("detached", &one, &claimed);
    let detached = NewTask { spec: Spec { detached: true, role: "nobody".into(), ..detached.spec }, ..detached };
    world.delegate(&detached).await;
    let of_child = world.claim(&two).await;
    assert_eq!(of_child.task.id, child);
    world.finish(&one, &claimed, Cause::Success).await;
    assert_eq!(world.state(&waits).await, Blocked, "its predecessor has left a subtask open");
    check::structures(&world).await;
    let late = world.delegate(&task_after("delegated after its end", &[&first])).await;
    assert_eq!(world.state(&late).await, Blocked);
    let grandchild = world.delegate(&subtask("grandchild", &two, &of_child)).await;
    world.finish(&two, &of_child, Cause::Success).await;
    assert_eq!([world.state(&waits).await, world.state(&late).await], [Blocked, Blocked]);
    check::structures(&world).await;
    assert_eq!(end_next(&world, &two, Cause::Permanent).await, grandchild, "however it ends");
    assert_eq!([world.state(&waits).await, world.state(&late).await], [Ready, Ready]);
    check::structures(&world).await;
}

/// It would wait for ever: one for its subtask, and that for it.
#[tokio::test]
async fn a_subtask_that_comes_after_its_parent_does_not_keep_it() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let parent = world.delegate(&task("parent")).await;
    let waits = world.delegate(&task_after("waits", &[&parent])).await;
    let claimed = world.claim(&agent).await;
    let follows = subtask("follows", &agent, &claimed);
    let follows = NewTask { spec: Spec { after: vec![parent.clone()], ..follows.spec }, ..follows };
    let follows = world.delegate(&follows).await;
    let behind = subtask("behind", &agent, &claimed);
    let behind = NewTask { spec: Spec { after: vec![waits.clone()], ..behind.spec }, ..behind };
    let behind = world.delegate(&behind).await;
    let mut report = report(&agent, &claimed, Cause::Success);
    report.awaits = true;
    assert_eq!(world.store.finish(&report).await.unwrap(), Succeeded);
    assert_eq!(world.state(&follows).await, Ready);
    check::structures(&world).await;
    for expected in [&follows, &waits, &behind] {
        assert_eq!(&end_next(&world, &agent, Cause::Success).await, expected);
    }
    assert_eq!(world.state(&behind).await, TaskState::Succeeded);
    check::structures(&world).await;
}

#[tokio::test]
async fn a_predecessor_that_is_retried_is_waited_for_again() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let first = world.delegate(&task("first")).await;
    let other = NewTask { spec: Spec { role: "nobody".into(), ..task("other").spec }, ..task("other") };
    let other = world.delegate(&other).await;
    let run = Edge { when: When::Succeeded, on_failure: OnFailure::Run };
    let waits = task_after("waits", &[&first, &other]);
    let waits = NewTask { spec: Spec { edges: [(first.clone(), run)].into(), ..waits.spec }, ..waits };
    let waits = world.delegate(&waits).await;
    end_next(&world, &agent, Cause::Permanent).await;
    assert_eq!(world.state(&waits).await, Blocked, "the other one is open");
    assert_eq!(world.store.retry(&first, "x").await.unwrap().others, []);
    check::structures(&world).await;
    world.cancel(&other).await;
    assert_eq!(world.state(&waits).await, Cancelled);
    check::structures(&world).await;
}
