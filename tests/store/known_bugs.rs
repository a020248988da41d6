//! Mistakes that other schedulers of graphs have made: each as the sequence of calls that shows it.

use orch::{
    model::{cause::Cause, escalation::Escalation, plan::PlanState, task::TaskState::*},
    store::plans::NewPlan,
};

use super::{
    check,
    fixture::*,
    plans::{FAIL, FAILED, SKIP, end_next, plan, state, states},
};

/// A retry repeated the siblings of a failed task that had succeeded.
#[tokio::test]
async fn a_retry_does_not_repeat_siblings_that_are_done() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let new = plan(&[("a", &[]), ("b", &[("a", FAIL)]), ("c", &[("a", FAIL)]), ("d", &[("b", FAIL), ("c", FAIL)])]);
    world.store.submit_plan(&new).await.unwrap();
    for cause in [Cause::Success, Cause::Permanent, Cause::Success] {
        end_next(&world, &agent, cause).await;
    }
    assert_eq!(state(&world, &new.id).await, PlanState::Failed);
    world.store.retry(&new.tasks[1].1.id, "a test").await.unwrap();
    assert_eq!(
        [end_next(&world, &agent, Cause::Success).await, end_next(&world, &agent, Cause::Success).await],
        ["b", "d"]
    );
    assert_eq!(state(&world, &new.id).await, PlanState::Succeeded);
    for (at, attempts) in [(0, 1), (1, 2), (2, 1), (3, 1)] {
        let task = world.store.task(&new.tasks[at].1.id).await.unwrap().unwrap();
        assert_eq!(task.attempts.len(), attempts, "{}", new.tasks[at].0);
    }
}

/// A step that was cancelled with its predecessor stayed cancelled after that had succeeded in another attempt.
#[tokio::test]
async fn what_was_cancelled_with_its_predecessor_runs_after_the_predecessors_retry() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let new = plan(&[("a", &[]), ("b", &[("a", FAIL)]), ("c", &[("b", FAIL)]), ("mend", &[("a", FAILED)])]);
    world.store.submit_plan(&new).await.unwrap();
    end_next(&world, &agent, Cause::Permanent).await;
    let now = |states: Vec<(String, _)>| states.into_iter().map(|(_, state)| state).collect::<Vec<_>>();
    assert_eq!(now(states(&world, &new.id).await), [Failed, Cancelled, Cancelled, Ready]);
    world.store.retry(&new.tasks[0].1.id, "a test").await.unwrap();
    assert_eq!(now(states(&world, &new.id).await), [Ready, Blocked, Blocked, Ready], "mend was ready already");
    for _ in 0..4 {
        end_next(&world, &agent, Cause::Success).await;
    }
    assert_eq!(now(states(&world, &new.id).await), [Succeeded; 4]);
    check::structures(&world).await;
}

/// What became of a task with several predecessors depended on the order in which their ends reached it: one that is skipped by one
/// and cancelled by another was skipped if the cancelling end came later in the same step.
#[tokio::test]
async fn a_task_that_one_end_skips_and_another_cancels_is_cancelled_in_whatever_order_they_come() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    // Redis orders the dependents of a task by their ids, which are random.
    for _ in 0..12 {
        let new = plan(&[
            ("a", &[]),
            ("b-skipped", &[("a", SKIP)]),
            ("c-cancelled", &[("a", FAIL)]),
            ("d", &[("c-cancelled", FAIL)]),
            ("e", &[("b-skipped", FAIL), ("d", FAIL)]),
            ("f", &[("e", FAIL)]),
        ]);
        world.store.submit_plan(&new).await.unwrap();
        end_next(&world, &agent, Cause::Permanent).await;
        let now: Vec<_> = states(&world, &new.id).await.into_iter().map(|(_, state)| state).collect();
        assert_eq!(now, [Failed, Skipped, Cancelled, Cancelled, Cancelled, Cancelled]);
    }
    check::structures(&world).await;
}

/// A gate before a step kept the steps from starting that prepare it.
#[tokio::test]
async fn a_task_that_waits_for_approval_does_not_keep_what_comes_before_it() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let mut new: NewPlan = plan(&[("prepare", &[]), ("deploy", &[("prepare", FAIL)])]);
    new.tasks[1].1.escalation =
        Some(Escalation { reason: "more rights".into(), question: "may it?".into(), rights: Vec::new() });
    world.store.submit_plan(&new).await.unwrap();
    assert_eq!(state(&world, &new.id).await, PlanState::Running, "its first task can run");
    assert_eq!(end_next(&world, &agent, Cause::Success).await, "prepare");
    assert_eq!(state(&world, &new.id).await, PlanState::Held, "now it waits for a person");
    assert_eq!(states(&world, &new.id).await[0].1, Held);
}

/// A task that waits for its next attempt kept its slot, so that nothing else could run.
#[tokio::test]
async fn a_task_that_waits_for_its_retry_keeps_no_slot() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let mut new = plan(&[("a", &[]), ("b", &[])]);
    new.tasks[0].1.spec.retries = 3;
    world.store.submit_plan(&new).await.unwrap();
    assert_eq!(end_next(&world, &agent, Cause::Transient).await, "a");
    assert_eq!(states(&world, &new.id).await[0].1, Delayed);
    assert_eq!(end_next(&world, &agent, Cause::Success).await, "b", "the only agent is free for it");
    assert_eq!(state(&world, &new.id).await, PlanState::Running);
}

/// A dead letter that is removed was waited for again by what runs in spite of its failure.
#[tokio::test]
async fn what_runs_in_spite_of_a_failure_does_not_wait_for_the_removed_dead_letter() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let new = plan(&[("a", &[]), ("b", &[]), ("c", &[("a", FAILED), ("b", FAIL)])]);
    world.store.submit_plan(&new).await.unwrap();
    assert_eq!(end_next(&world, &agent, Cause::Permanent).await, "a");
    world.store.cancel(std::slice::from_ref(&new.tasks[0].1.id), "a test").await.unwrap();
    check::structures(&world).await;
    assert_eq!(end_next(&world, &agent, Cause::Success).await, "b");
    assert_eq!(end_next(&world, &agent, Cause::Success).await, "c");
    check::structures(&world).await;
}
