//! Plans: accepted at once, made some at a time, and their states.

use std::collections::BTreeMap;

use orch::{
    model::{
        cause::Cause,
        edge::{Edge, OnFailure, When},
        event::EventKind,
        id::{PlanId, TaskId},
        plan::PlanState,
        task::TaskState::{self, *},
    },
    store::{
        plans::{NewPlan, PlanKey},
        tasks::{Again, NewTask},
    },
};

use super::{check, fixture::*};

/// A plan of these tasks: key, and what it comes after with the terms of the edge.
pub fn plan(tasks: &[(&str, &[(&str, Edge)])]) -> NewPlan {
    let id = PlanId::random();
    let ids: BTreeMap<&str, TaskId> = tasks.iter().map(|(key, _)| (*key, TaskId::random())).collect();
    let planned = tasks.iter().map(|(key, after)| {
        let spec = Spec {
            after: after.iter().map(|(first, _)| ids[first].clone()).collect(),
            edges: after.iter().map(|(first, edge)| (ids[first].clone(), *edge)).collect(),
            plan: Some(id.clone()),
            plan_key: Some((*key).to_owned()),
            ..task(key).spec
        };
        ((*key).to_owned(), NewTask { id: ids[key].clone(), spec, ..task(key) })
    });
    NewPlan {
        tasks: planned.collect(),
        id,
        name: "a plan".into(),
        text: "what for".into(),
        weight: None,
        notify: None,
        parent: None,
        who: "a test".into(),
        key: None,
        cap: Default::default(),
    }
}

pub const FAIL: Edge = Edge { when: When::Succeeded, on_failure: OnFailure::Fail };
pub const SKIP: Edge = Edge { when: When::Succeeded, on_failure: OnFailure::Skip };
const RUN: Edge = Edge { when: When::Succeeded, on_failure: OnFailure::Run };
pub const FAILED: Edge = Edge { when: When::Failed, on_failure: OnFailure::Fail };

pub async fn states(world: &World, plan: &PlanId) -> Vec<(String, TaskState)> {
    let mut states = Vec::new();
    for (key, id) in world.store.plan_tasks(plan).await.unwrap() {
        states.push((key, world.state(&id).await));
    }
    states
}

/// The plan's state, once its counts are those of its tasks.
pub async fn state(world: &World, plan: &PlanId) -> PlanState {
    let summary = world.store.plans(std::slice::from_ref(plan)).await.unwrap().remove(0);
    let mut counts = BTreeMap::new();
    for (_, state) in states(world, plan).await {
        *counts.entry(state).or_insert(0) += 1;
    }
    assert_eq!(summary.counts, counts);
    assert_eq!(summary.ended_at.is_some(), summary.state.is_terminal());
    check::structures(world).await;
    summary.state
}

pub async fn end_next(world: &World, agent: &Agent, cause: Cause) -> String {
    let claimed = world.claim(agent).await;
    world.finish(agent, &claimed, cause).await;
    claimed.task.plan_key.clone().unwrap()
}

#[tokio::test]
async fn a_plan_runs_in_the_order_of_its_edges_and_ends() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let new = plan(&[("a", &[]), ("b", &[("a", FAIL)]), ("c", &[("a", FAIL)]), ("d", &[("b", FAIL), ("c", FAIL)])]);
    assert_eq!(world.store.submit_plan(&new).await.unwrap().state, PlanState::Running);
    assert_eq!(
        world.store.submit_plan(&new).await.unwrap().state,
        PlanState::Running,
        "sent again, it is the same plan"
    );
    assert_eq!(world.store.newest_plans(10).await.unwrap(), std::slice::from_ref(&new.id));
    let mut order = Vec::new();
    for _ in 0..4 {
        assert_eq!(state(&world, &new.id).await, PlanState::Running);
        order.push(end_next(&world, &agent, Cause::Success).await);
    }
    assert_eq!(order, ["a", "b", "c", "d"]);
    assert_eq!(state(&world, &new.id).await, PlanState::Succeeded);
    let events = world.events().await;
    let kinds: Vec<EventKind> = events.iter().map(|e| e.kind).filter(|k| k.as_str().starts_with("plan.")).collect();
    assert_eq!(kinds, [EventKind::PlanRunning, EventKind::PlanSucceeded]);
}

#[tokio::test]
async fn a_plan_with_a_known_key_is_the_earlier_plan() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let with = |key: &str, digest: &str, repeats| {
        let key = Some(PlanKey { key: key.into(), digest: digest.into(), repeats });
        NewPlan { key, ..plan(&[("a", &[])]) }
    };
    let accepted = async |new: NewPlan| world.store.submit_plan(&new).await;
    let first = accepted(with("k", "d", false)).await.unwrap();
    let again = accepted(with("k", "d", false)).await.unwrap();
    assert_eq!((first.created, again.created, &again.id), (true, false, &first.id));
    assert!(accepted(with("k", "other", false)).await.is_err(), "another content");
    assert_eq!(world.store.newest_plans(10).await.unwrap(), std::slice::from_ref(&first.id));
    end_next(&world, &agent, Cause::Permanent).await;
    assert_eq!(accepted(with("k", "d", false)).await.unwrap().id, first.id, "however it has ended");
    // That of an attempt's call finds none that failed.
    let of_call = accepted(with("auto:t", "d", true)).await.unwrap();
    assert_eq!(accepted(with("auto:t", "d", true)).await.unwrap().id, of_call.id);
    end_next(&world, &agent, Cause::Permanent).await;
    assert_ne!(accepted(with("auto:t", "d", true)).await.unwrap().id, of_call.id);
    check::structures(&world).await;
}

#[tokio::test]
async fn a_task_that_has_succeeded_runs_again_only_if_it_is_named() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let new = plan(&[("a", &[]), ("b", &[("a", FAIL)]), ("c", &[("b", FAIL)])]);
    world.store.submit_plan(&new).await.unwrap();
    for _ in 0..3 {
        end_next(&world, &agent, Cause::Success).await;
    }
    assert_eq!(state(&world, &new.id).await, PlanState::Succeeded);
    let id = |at: usize| &new.tasks[at].1.id;
    let retried = world.store.retry(id(1), "a test").await.unwrap();
    assert_eq!((retried.from, retried.to), (Succeeded, Succeeded));
    let again = Again { even_succeeded: true, ..Again::default() };
    world.store.retry_as(id(1), "a test", &again).await.unwrap();
    world.store.retry_as(id(2), "a test", &again).await.unwrap();
    assert_eq!(state(&world, &new.id).await, PlanState::Running);
    let order = [end_next(&world, &agent, Cause::Success).await, end_next(&world, &agent, Cause::Success).await];
    assert_eq!(order, ["b", "c"], "in their order, and a is done");
    assert_eq!(state(&world, &new.id).await, PlanState::Succeeded);
}

#[tokio::test]
async fn what_the_end_of_a_task_decides_is_the_plans_state() {
    let server = Server::start_hasty();
    for (n, (edge, end, expected, of_plan)) in [
        (FAIL, Cause::Permanent, Cancelled, PlanState::Failed),
        (SKIP, Cause::Permanent, Skipped, PlanState::Failed),
        (RUN, Cause::Permanent, Succeeded, PlanState::Succeeded),
        (FAILED, Cause::Permanent, Succeeded, PlanState::Succeeded),
        (FAILED, Cause::Success, Skipped, PlanState::Succeeded),
        (FAIL, Cause::Success, Succeeded, PlanState::Succeeded),
    ]
    .into_iter()
    .enumerate()
    {
        let world = server.world(&format!("n{n}"));
        let agent = world.agent("shell-1").await;
        let new = plan(&[("a", &[]), ("b", &[("a", edge)])]);
        world.store.submit_plan(&new).await.unwrap();
        end_next(&world, &agent, end).await;
        if expected == Succeeded {
            assert_eq!(state(&world, &new.id).await, PlanState::Running);
            end_next(&world, &agent, Cause::Success).await;
        }
        assert_eq!(states(&world, &new.id).await[1].1, expected, "{edge:?}");
        assert_eq!(state(&world, &new.id).await, of_plan, "{edge:?} after {end:?}");
    }
}

#[tokio::test]
async fn a_plan_is_held_while_nothing_can_go_on_and_runs_again_after_a_retry() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let new = plan(&[("a", &[]), ("b", &[("a", FAIL)]), ("c", &[])]);
    world.store.submit_plan(&new).await.unwrap();
    assert_eq!(end_next(&world, &agent, Cause::NeedsPerson).await, "a");
    assert_eq!(state(&world, &new.id).await, PlanState::Running, "c is ready");
    end_next(&world, &agent, Cause::Success).await;
    assert_eq!(state(&world, &new.id).await, PlanState::Held);
    let ids = world.store.plan_tasks(&new.id).await.unwrap();
    world.store.retry(&ids["a"], "x").await.unwrap();
    assert_eq!(state(&world, &new.id).await, PlanState::Running);
    end_next(&world, &agent, Cause::Permanent).await;
    assert_eq!(state(&world, &new.id).await, PlanState::Failed);
    assert_eq!(world.store.retry(&ids["a"], "x").await.unwrap().others, [ids["b"].clone()]);
    assert_eq!(state(&world, &new.id).await, PlanState::Running);
    assert_eq!(
        [end_next(&world, &agent, Cause::Success).await, end_next(&world, &agent, Cause::Success).await],
        ["a", "b"]
    );
    assert_eq!(state(&world, &new.id).await, PlanState::Succeeded);
}

#[tokio::test]
async fn a_cancelled_plan_starts_nothing_more() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let new = plan(&[("a", &[]), ("b", &[]), ("c", &[("a", FAIL)]), ("on-failure", &[("b", FAILED)])]);
    world.store.submit_plan(&new).await.unwrap();
    let claimed = world.claim(&agent).await;
    assert_eq!(world.store.cancel_plan(&new.id, "a test").await.unwrap(), PlanState::Running);
    let of_others: Vec<TaskState> = states(&world, &new.id).await.into_iter().skip(1).map(|(_, s)| s).collect();
    assert_eq!(of_others, [Cancelled, Cancelled, Cancelled], "also the one that was to run after a failure");
    assert_eq!(state(&world, &new.id).await, PlanState::Running, "its agent has yet to stop");
    world.finish(&agent, &claimed, Cause::Cancelled).await;
    assert_eq!(state(&world, &new.id).await, PlanState::Cancelled);
    assert_eq!(world.store.cancel_plan(&new.id, "again").await.unwrap(), PlanState::Cancelled);
}

/// A caller that ends after the plan was accepted leaves tasks that are not made yet: the supervisor makes them.
#[tokio::test]
async fn a_plan_that_was_accepted_is_completed_by_whoever_comes() {
    let server = Server::start_hasty();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let keys: Vec<String> = (0..250).map(|n| format!("k{n:03}")).collect();
    let before: Vec<[(&str, Edge); 1]> = keys.iter().map(|key| [(key.as_str(), FAIL)]).collect();
    let tasks: Vec<(&str, &[(&str, Edge)])> =
        (0..250).map(|n| (keys[n].as_str(), if n == 0 { &[] as &[_] } else { before[n - 1].as_slice() })).collect();
    let new = plan(&tasks);
    world.store.submit_plan(&new).await.unwrap();
    assert_eq!(world.store.plan_tasks(&new.id).await.unwrap().len(), 250);
    assert_eq!(world.store.grow_plan(None).await.unwrap(), 0, "it is complete");
    end_next(&world, &agent, Cause::Permanent).await;
    assert_eq!(state(&world, &new.id).await, PlanState::Failed);
    let summary = world.store.plans(std::slice::from_ref(&new.id)).await.unwrap().remove(0);
    assert_eq!((summary.counts[&Failed], summary.counts[&Cancelled]), (1, 249));
}

#[tokio::test]
async fn a_plan_is_forgotten_with_its_last_task() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let new = plan(&[("a", &[]), ("b", &[])]);
    world.store.submit_plan(&new).await.unwrap();
    end_next(&world, &agent, Cause::Success).await;
    assert_eq!(world.store.prune(std::time::Duration::ZERO, 10).await.unwrap(), [], "its plan is open");
    end_next(&world, &agent, Cause::Success).await;
    assert_eq!(world.store.prune(std::time::Duration::ZERO, 10).await.unwrap().len(), 2);
    assert!(world.store.plans(std::slice::from_ref(&new.id)).await.unwrap().is_empty());
    assert!(world.store.newest_plans(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_audit_counts_the_tasks_of_a_plan_anew() {
    let server = Server::start();
    let world = server.world("n");
    let new = plan(&[("a", &[]), ("b", &[("a", FAIL)])]);
    world.store.submit_plan(&new).await.unwrap();
    check::structures(&world).await;
    let mut c = world.raw();
    let key = world.store.keys().plain(&format!("plan:{}", new.id));
    redis::cmd("HINCRBY").arg(&key).arg("n:ready").arg(1).exec(&mut c).unwrap();
    let found = world.store.audit().await.unwrap();
    assert_eq!(found, [format!("plan {}: it counts 2 ready tasks, and has 1", new.id)]);
    redis::cmd("HINCRBY").arg(&key).arg("n:ready").arg(-1).exec(&mut c).unwrap();
    redis::cmd("HSET").arg(&key).arg("state").arg("succeeded").exec(&mut c).unwrap();
    let found = world.store.audit().await.unwrap();
    assert_eq!(found, [format!("plan {}: it is succeeded, and has open tasks", new.id)]);
}

/// The plan had ended as failed before its cancellation could reach the last task.
#[tokio::test]
async fn a_dead_letter_of_a_plan_that_was_cancelled_too_late_can_be_removed() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let new = plan(&[("a", &[]), ("b", &[])]);
    world.store.submit_plan(&new).await.unwrap();
    end_next(&world, &agent, Cause::Permanent).await;
    let claimed = world.claim(&agent).await;
    assert_eq!(world.store.cancel_plan(&new.id, "a test").await.unwrap(), PlanState::Running);
    world.finish(&agent, &claimed, Cause::Success).await;
    assert_eq!(state(&world, &new.id).await, PlanState::Failed);
    assert_eq!(world.cancel(&new.tasks[0].1.id).await, Some(Cancelled));
    assert_eq!(state(&world, &new.id).await, PlanState::Failed);
}

/// What made up for the failure is forgotten first.
#[tokio::test]
async fn a_plan_that_made_up_for_a_failure_stays_succeeded_when_its_dead_letter_is_removed() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let new = plan(&[("a", &[]), ("b", &[("a", FAILED)])]);
    world.store.submit_plan(&new).await.unwrap();
    end_next(&world, &agent, Cause::Permanent).await;
    end_next(&world, &agent, Cause::Success).await;
    assert_eq!(world.store.prune(std::time::Duration::ZERO, 10).await.unwrap(), [new.tasks[1].1.id.clone()]);
    assert_eq!(world.cancel(&new.tasks[0].1.id).await, Some(Cancelled));
    assert_eq!(state(&world, &new.id).await, PlanState::Succeeded);
}
