//! Subtasks: found again by a retried parent, bounded, and ended with their parent.

use std::time::Duration;

use orch::{
    model::{
        cause::Cause,
        id::TaskId,
        task::{
            Priority,
            TaskState::{self, *},
        },
    },
    store::tasks::{Claimed, NewTask, Report},
};

use super::{check, fixture::*};

/// A running parent. It is of a role of its own, so that its agent never takes a subtask.
async fn parent(world: &World) -> (TaskId, Agent, Claimed) {
    let id =
        world.delegate(&NewTask { spec: Spec { role: "lead".into(), ..task("parent").spec }, ..task("parent") }).await;
    let agent = world.agent_of("lead-1", "lead").await;
    let claimed = world.claim(&agent).await;
    (id, agent, claimed)
}

/// The parent's attempt is over, and the next one begins.
async fn again(world: &World, agent: &Agent, claimed: &Claimed) -> Claimed {
    let mut report = report(agent, claimed, Cause::RateLimited);
    report.retry_after_ms = Some(0);
    report.is_exact = true;
    world.store.finish(&report).await.unwrap();
    world.store.release_due().await.unwrap();
    world.claim(agent).await
}

#[tokio::test]
async fn a_retried_parent_finds_its_subtasks_again() {
    let server = Server::start();
    let world = server.world("n");
    let (_, agent, claimed) = parent(&world).await;
    let a1 = world.delegate(&subtask("a", &agent, &claimed)).await;
    let a2 = world.delegate(&subtask("a", &agent, &claimed)).await;
    let b = world.delegate(&subtask("b", &agent, &claimed)).await;
    assert_ne!(a1, a2, "two equal calls in one attempt are two tasks");

    let worker = world.agent("shell-1").await;
    let of_a1 = world.claim(&worker).await;
    assert_eq!(of_a1.task.id, a1);
    world.finish(&worker, &of_a1, Cause::Success).await;

    let claimed = again(&world, &agent, &claimed).await;
    for (text, id) in [("b", &b), ("a", &a1), ("a", &a2)] {
        let found = world.store.delegate(&subtask(text, &agent, &claimed)).await.unwrap();
        assert_eq!((&found.id, found.created), (id, false), "{text}");
    }
    let third = world.store.delegate(&subtask("a", &agent, &claimed)).await.unwrap();
    assert!(third.created, "a third one was never made");
    check::structures(&world).await;
}

#[tokio::test]
async fn failed_and_cancelled_subtasks_are_made_anew() {
    let server = Server::start();
    let world = server.world("n");
    let (_, agent, claimed) = parent(&world).await;
    let failed = world.delegate(&subtask("f", &agent, &claimed)).await;
    let cancelled = world.delegate(&subtask("c", &agent, &claimed)).await;
    let worker = world.agent("shell-1").await;
    let of_f = world.claim(&worker).await;
    world.finish(&worker, &of_f, Cause::Permanent).await;
    world.cancel(&cancelled).await;
    let mut claimed = claimed;
    let mut made = Vec::new();
    for round in 0..2 {
        claimed = again(&world, &agent, &claimed).await;
        for text in ["f", "c"] {
            let new = world.store.delegate(&subtask(text, &agent, &claimed)).await.unwrap();
            assert_eq!(new.created, round == 0, "{text}");
            made.push(new.id);
        }
    }
    assert_eq!(made[..2], made[2..], "the new ones are found from then on");
    assert!(!made.contains(&failed) && !made.contains(&cancelled));
    check::structures(&world).await;
}

/// A parent that has as many open subtasks as it may, and is retried, must find them, or it can never go on.
#[tokio::test]
async fn a_retried_parent_at_its_bound_finds_its_subtasks() {
    let server = Server::start();
    let world = server.world("n");
    let (_, agent, claimed) = parent(&world).await;
    let bounded = |text: &str, claimed: &Claimed| NewTask { max_children: 2, ..subtask(text, &agent, claimed) };
    let made = [world.delegate(&bounded("a", &claimed)).await, world.delegate(&bounded("b", &claimed)).await];
    assert_eq!(refusal(world.store.delegate(&bounded("c", &claimed)).await), "too_many_children");
    let claimed = again(&world, &agent, &claimed).await;
    for (text, id) in ["a", "b"].iter().zip(&made) {
        let found = world.store.delegate(&bounded(text, &claimed)).await.unwrap();
        assert_eq!((&found.id, found.created), (id, false));
    }
    assert_eq!(refusal(world.store.delegate(&bounded("c", &claimed)).await), "too_many_children");
    world.cancel(&made[0]).await;
    assert!(world.store.delegate(&bounded("c", &claimed)).await.unwrap().created, "a place is free");
    check::structures(&world).await;
}

#[tokio::test]
async fn depth_is_bounded_and_counted() {
    let server = Server::start();
    let world = server.world("n");
    world.delegate(&task("0")).await;
    for depth in 1..=4 {
        let agent = world.agent(&format!("shell-{depth}")).await;
        let claimed = world.claim(&agent).await;
        assert_eq!(claimed.task.depth, depth - 1);
        let sub = world.store.delegate(&subtask("deeper", &agent, &claimed)).await;
        if depth == 4 {
            assert_eq!(refusal(sub), "too_deep");
        } else {
            assert!(sub.unwrap().created);
        }
    }
    check::structures(&world).await;
}

/// parent ── open children in every state, one of them running with a child of its own.
async fn family(world: &World) -> (TaskId, Agent, Claimed, Vec<TaskId>) {
    let (id, agent, claimed) = parent(world).await;
    let sub = |text: &str| subtask(text, &agent, &claimed);
    let mut children = Vec::new();
    for (text, cause) in [("held", Cause::NeedsPerson), ("delayed", Cause::Transient), ("done", Cause::Success)] {
        let worker = world.agent(&format!("shell-{text}")).await;
        children.push(world.delegate(&sub(text)).await);
        let claimed = world.claim(&worker).await;
        world.finish(&worker, &claimed, cause).await;
    }
    children.push(world.delegate(&sub("running")).await);
    let worker = world.agent("shell-running").await;
    let of_worker = world.claim(&worker).await;
    children.push(world.delegate(&sub("ready")).await);
    let blocked = NewTask { spec: Spec { after: vec![children[4].clone()], ..sub("blocked").spec }, ..sub("blocked") };
    children.push(world.delegate(&blocked).await);
    children.push(world.delegate(&subtask("grandchild", &worker, &of_worker)).await);
    let states = [Held, Delayed, Succeeded, Running, Ready, Blocked, Ready];
    assert_eq!(states_of(world, &children).await, states);
    (id, agent, claimed, children)
}

async fn states_of(world: &World, ids: &[TaskId]) -> Vec<TaskState> {
    let tasks = world.store.tasks(ids).await.unwrap();
    tasks.into_iter().map(|t| t.state).collect()
}

#[tokio::test]
async fn a_parent_that_fails_or_is_cancelled_takes_its_open_subtasks_with_it() {
    let server = Server::start();
    for cause in [Cause::Permanent, Cause::Cancelled] {
        let world = server.world(cause.as_str());
        let (id, agent, claimed, children) = family(&world).await;
        world.finish(&agent, &claimed, cause).await;
        let told = [Cancelled, Cancelled, Succeeded, Running, Cancelled, Cancelled, Ready];
        assert_eq!(states_of(&world, &children).await, told, "one agent has to stop first");
        let running = world.detail(&children[3]).await.task;
        assert!(running.cancelling);
        check::structures(&world).await;

        // It stops, and what it had delegated goes with it.
        let worker = world.store.agent("shell-running").await.unwrap().unwrap().agent;
        let end = world.store.end_agent(&worker.id, &worker.incarnation, &crash()).await.unwrap();
        assert_eq!(end, Some((children[3].clone(), Cancelled)), "lost or not, it was cancelled");
        let ended = [Cancelled, Cancelled, Succeeded, Cancelled, Cancelled, Cancelled, Cancelled];
        assert_eq!(states_of(&world, &children).await, ended);
        let reason = world.detail(&children[0]).await.task.reason.unwrap();
        assert!(reason.contains(id.as_str()), "{reason}");
        let reason = world.detail(&children[6]).await.task.reason.unwrap();
        assert!(reason.contains(children[3].as_str()), "{reason}");
        check::structures(&world).await;

        // Each can be started anew by itself; the parent counts it again.
        for child in &children[..2] {
            let retried = world.store.retry(child, "a person").await.unwrap();
            assert_eq!((retried.from, retried.to), (Cancelled, Ready));
        }
        check::structures(&world).await;
        assert_eq!(world.store.retry(&id, "a person").await.unwrap().to, Ready);
        check::structures(&world).await;
    }
}

#[tokio::test]
async fn a_parent_that_succeeds_or_is_tried_again_leaves_its_subtasks_alone() {
    let server = Server::start();
    for cause in [Cause::Success, Cause::Transient, Cause::NeedsPerson, Cause::Lost] {
        let world = server.world(cause.as_str());
        let (_, agent, claimed, children) = family(&world).await;
        let before = states_of(&world, &children).await;
        world.finish(&agent, &claimed, cause).await;
        assert_eq!(states_of(&world, &children).await, before);
        check::structures(&world).await;
    }
}

#[tokio::test]
async fn a_parent_cancelled_while_it_waits_to_be_tried_again_takes_its_subtasks_with_it() {
    let server = Server::start();
    let world = server.world("n");
    let (id, agent, claimed, children) = family(&world).await;
    world.finish(&agent, &claimed, Cause::Transient).await;
    assert_eq!(world.cancel(&id).await, Some(Cancelled));
    assert_eq!(states_of(&world, &children).await[0], Cancelled);
    check::structures(&world).await;
}

#[tokio::test]
async fn waiting_for_oneself_or_an_ancestor_is_refused() {
    let server = Server::start();
    let world = server.world("n");
    let (id, agent, claimed) = parent(&world).await;
    let child = world.delegate(&subtask("child", &agent, &claimed)).await;
    let worker = world.agent("shell-1").await;
    let of_child = world.claim(&worker).await;
    let me = capability(&worker, &of_child);
    for what in [&id, &child] {
        let wait = world.store.mark_waiting(&me, std::slice::from_ref(what), LONG).await;
        assert_eq!(refusal(wait), "ancestor");
    }
    let lead = capability(&agent, &claimed);
    world.store.mark_waiting(&lead, &[child], LONG).await.unwrap();
    check::structures(&world).await;
}

/// What starts only after the waiter has ended is never there while it waits.
#[tokio::test]
async fn waiting_for_what_waits_for_oneself_is_refused() {
    let server = Server::start();
    let world = server.world("n");
    let (id, agent, claimed) = parent(&world).await;
    let next = world.delegate(&task_after("next", &[&id])).await;
    let last = world.delegate(&task_after("last", &[&next])).await;
    let me = capability(&agent, &claimed);
    for what in [&next, &last] {
        let wait = world.store.mark_waiting(&me, std::slice::from_ref(what), LONG).await;
        assert_eq!(refusal(wait), "ancestor");
    }
}

/// A person who wants something first does not have its parts wait behind everything else.
#[tokio::test]
async fn a_subtask_without_a_priority_gets_that_of_its_parent() {
    let server = Server::start();
    let world = server.world("n");
    let high = |text: &str| NewTask { spec: Spec { priority: Priority::High, ..task(text).spec }, ..task(text) };
    world.delegate(&high("parent")).await;
    let agent = world.agent("shell-1").await;
    let claimed = world.claim(&agent).await;
    let inherits = |text: &str| NewTask { inherits_priority: true, ..subtask(text, &agent, &claimed) };
    let child = world.delegate(&inherits("child")).await;
    let explicit = world.delegate(&subtask("explicit", &agent, &claimed)).await;
    let own = world.delegate(&NewTask { inherits_priority: true, ..task("own") }).await;
    let mut of = Vec::new();
    for id in [&child, &explicit, &own] {
        of.push(world.detail(id).await.task.priority);
    }
    assert_eq!(of, [Priority::High, Priority::Normal, Priority::Normal]);
    check::structures(&world).await;
}

/// No task waits for ever behind those of a higher priority.
#[tokio::test]
async fn a_task_is_not_overtaken_by_what_was_accepted_more_than_max_wait_later() {
    let server = Server::start();
    let world = server.world("n");
    let of = |priority: Priority, max_wait: Duration| NewTask {
        max_wait,
        spec: Spec { priority, ..task("x").spec },
        ..task("x")
    };
    let agent = world.agent("shell-1").await;
    for (max_wait, first) in [(LONG, Priority::High), (Duration::ZERO, Priority::Low)] {
        let low = world.delegate(&of(Priority::Low, max_wait)).await;
        let high = world.delegate(&of(Priority::High, max_wait)).await;
        let expected = if first == Priority::High { [&high, &low] } else { [&low, &high] };
        for id in expected {
            let claimed = world.claim(&agent).await;
            assert_eq!(&claimed.task.id, id, "{max_wait:?}");
            check::structures(&world).await;
            world.finish(&agent, &claimed, Cause::Success).await;
        }
    }
    // Those of one call keep their order.
    let together: Vec<NewTask> = (0..200).map(|n| task(&format!("{n}"))).collect();
    let ids: Vec<TaskId> = world.store.delegate_all(&together).await.unwrap().into_iter().map(|d| d.id).collect();
    let after = world.delegate(&task("after")).await;
    for id in ids.iter().chain([&after]) {
        let claimed = world.claim(&agent).await;
        assert_eq!(&claimed.task.id, id);
        world.finish(&agent, &claimed, Cause::Success).await;
    }
}

#[tokio::test]
async fn no_more_tasks_are_accepted_than_may_wait() {
    let server = Server::start();
    let world = server.world("n");
    let bounded = |text: &str| NewTask { max_queued: 3, ..task(text) };
    let first = world.delegate(&bounded("1")).await;
    world.delegate(&NewTask { max_queued: 3, ..task_after("2", &[&first]) }).await;
    let two = [bounded("3"), bounded("4")];
    assert_eq!(refusal(world.store.delegate_all(&two).await), "queue_full");
    let [third, fourth] = two;
    world.delegate(&third).await;
    assert_eq!(refusal(world.store.delegate(&fourth).await), "queue_full");
    assert!(!world.store.delegate(&third).await.unwrap().id.as_str().is_empty(), "what is known adds nothing");
    // One that runs has left the queue.
    let agent = world.agent("shell-1").await;
    world.claim(&agent).await;
    world.delegate(&fourth).await;
    check::structures(&world).await;
}

#[tokio::test]
async fn a_parent_that_ends_with_open_subtasks_waits_and_goes_on_with_their_results() {
    let server = Server::start();
    let world = server.world("n");
    let (id, agent, claimed) = parent(&world).await;
    let a = world.delegate(&subtask("a", &agent, &claimed)).await;
    let b = world.delegate(&subtask("b", &agent, &claimed)).await;
    let apart = subtask("c", &agent, &claimed);
    world.delegate(&NewTask { spec: Spec { detached: true, ..apart.spec.clone() }, ..apart }).await;
    let report = Report { awaits: true, ..report(&agent, &claimed, Cause::Success) };
    for _ in 0..2 {
        assert_eq!(world.store.finish(&report).await.unwrap(), Blocked, "the same answer again");
    }
    let waits = world.store.tasks(std::slice::from_ref(&id)).await.unwrap().remove(0);
    assert!(waits.waiting && waits.agent.is_none(), "{waits:#?}");
    check::structures(&world).await;

    let worker = world.agent("shell-1").await;
    let of_a = world.claim(&worker).await;
    assert_eq!(of_a.task.id, a);
    world.finish(&worker, &of_a, Cause::Permanent).await;
    assert_eq!(world.try_claim(&agent).await, None, "one is open");
    check::structures(&world).await;
    // A person retries the one that has failed: it is waited for again.
    world.store.retry(&a, "by hand").await.unwrap();
    world.cancel(&b).await;
    assert_eq!(world.try_claim(&agent).await, None);
    check::structures(&world).await;
    world.cancel(&a).await;
    let again = world.claim(&agent).await;
    assert_eq!((&again.task.id, again.attempt, again.task.failures, again.task.lost), (&id, 2, 0, 0));
    let inputs = world.store.inputs(&again.task).await.unwrap();
    assert_eq!(inputs.awaited, [a.clone(), b.clone()]);
    let states: Vec<_> = inputs.subtasks.iter().map(|one| (one.id == a || one.id == b, one.state)).collect();
    assert_eq!(states, [(true, Cancelled), (true, Cancelled), (false, Ready)]);
    let done = Report { fence: again.fence, attempt: 2, ..report };
    assert_eq!(world.store.finish(&done).await.unwrap(), Succeeded, "a detached one is not waited for");
    check::structures(&world).await;
}

#[tokio::test]
async fn a_waiting_parent_that_is_cancelled_ends_with_its_subtasks() {
    let server = Server::start();
    let world = server.world("n");
    let (id, agent, claimed) = parent(&world).await;
    let a = world.delegate(&subtask("a", &agent, &claimed)).await;
    let report = Report { awaits: true, ..report(&agent, &claimed, Cause::Success) };
    assert_eq!(world.store.finish(&report).await.unwrap(), Blocked);
    world.cancel(&id).await;
    let states: Vec<TaskState> =
        world.store.tasks(&[id, a]).await.unwrap().into_iter().map(|task| task.state).collect();
    assert_eq!(states, [Cancelled, Cancelled]);
    check::structures(&world).await;
}
