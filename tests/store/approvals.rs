//! `approval = "after"`: the result of a task counts when a person has accepted it.

use std::time::Duration;

use orch::{
    model::{
        approval::ApprovalRule,
        cause::Cause,
        end_code::EndCode,
        escalation::Escalation,
        question::{Approval, QuestionKind, QuestionRef},
        task::{TaskResult, TaskState},
    },
    store::tasks::{NewTask, Report},
};

use super::{check, fixture::*};

fn after(text: &str) -> NewTask {
    NewTask { spec: Spec { approval: Some(ApprovalRule::After), ..task(text).spec }, ..task(text) }
}

fn with_answer(report: Report) -> Report {
    Report { result: Some(TaskResult { text: "it is 42".into(), ..TaskResult::default() }), ..report }
}

#[tokio::test]
async fn a_result_is_accepted_or_the_task_runs_again_and_is_told_why() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let id = world.delegate(&after("x")).await;
    let next = world.delegate(&task_after("y", &[&id])).await;
    let done = async || {
        let claimed = world.claim(&agent).await;
        assert_eq!(claimed.task.id, id);
        let report = with_answer(report(&agent, &claimed, Cause::Success));
        assert_eq!(world.store.finish(&report).await.unwrap(), TaskState::Held);
        assert_eq!(world.store.finish(&report).await.unwrap(), TaskState::Held, "sent again");
        claimed
    };
    done().await;
    let held = world.detail(&id).await;
    let question = &held.questions[0];
    assert_eq!((held.task.code, question.kind), (Some(EndCode::ApprovalNeeded), QuestionKind::Acceptance));
    assert_eq!(question.question, "Is the result of this task accepted? It is:\n  | it is 42");
    assert_eq!(world.state(&next).await, TaskState::Blocked, "what comes after it waits");
    check::structures(&world).await;

    let named = QuestionRef::new(&id, 1);
    let plain = world.store.answer(&named, "t1", "fine", None, "a person").await;
    assert_eq!(refusal(plain), "approve_or_deny");
    let denied = world.store.answer(&named, "t2", "count again", Some(Approval::Denied), "a person").await.unwrap();
    assert_eq!((denied.state, world.detail(&id).await.result), (TaskState::Ready, None));
    check::structures(&world).await;
    let again = done().await;
    assert_eq!(again.questions[0].answer.as_deref(), Some("count again"), "its next attempt finds why");
    let accepted = QuestionRef::new(&id, 2);
    let answer =
        async || world.store.answer(&accepted, "t3", "yes", Some(Approval::Approved), "a person").await.unwrap();
    assert_eq!((answer().await.state, answer().await.state), (TaskState::Succeeded, TaskState::Succeeded));
    assert_eq!(world.detail(&id).await.result.unwrap().text, "it is 42");
    assert_eq!(world.state(&next).await, TaskState::Ready);
    check::structures(&world).await;
    check::history(&world).await;
}

#[tokio::test]
async fn a_failure_needs_no_acceptance_and_a_retry_asks_again() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let id = world.delegate(&after("x")).await;
    let claimed = world.claim(&agent).await;
    assert_eq!(world.finish(&agent, &claimed, Cause::Permanent).await, TaskState::Failed);
    world.store.retry(&id, "a test").await.unwrap();
    let claimed = world.claim(&agent).await;
    world.store.finish(&with_answer(report(&agent, &claimed, Cause::Success))).await.unwrap();
    world.store.retry(&id, "a test").await.unwrap();
    assert!(!world.detail(&id).await.questions[0].is_open());
    check::structures(&world).await;
    let claimed = world.claim(&agent).await;
    world.store.finish(&with_answer(report(&agent, &claimed, Cause::Success))).await.unwrap();
    assert_eq!(world.cancel(&id).await, Some(TaskState::Cancelled));
    check::structures(&world).await;
    check::history(&world).await;
}

fn within(rule: ApprovalRule, default: Option<Approval>) -> NewTask {
    let spec = Spec { approval: Some(rule), approval_timeout_ms: Some(1), approval_default: default, ..task("x").spec };
    let escalation = (rule == ApprovalRule::Before).then(|| Escalation {
        question: "May it?".into(),
        reason: "a person has to approve it".into(),
        rights: vec!["x".into()],
    });
    NewTask { spec, escalation, ..task("x") }
}

/// Decides what is due, once something is.
async fn expire(world: &World) {
    let due = async || {
        let snapshot = world.store.observe(&[]).await.unwrap();
        snapshot.next_approval_end == Some(Duration::ZERO)
    };
    while !due().await {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.store.expire_approvals().await.unwrap(), 1);
    assert_eq!(world.store.expire_approvals().await.unwrap(), 0);
    check::structures(world).await;
}

#[tokio::test]
async fn an_approval_that_nobody_gives_in_time_has_the_default_of_its_role() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    for (default, state) in [
        (None, TaskState::Cancelled),
        (Some(Approval::Denied), TaskState::Cancelled),
        (Some(Approval::Approved), TaskState::Ready),
    ] {
        let id = world.delegate(&within(ApprovalRule::Before, default)).await;
        assert!(world.detail(&id).await.questions[0].until.is_some());
        expire(&world).await;
        let detail = world.detail(&id).await;
        assert_eq!((detail.task.state, detail.questions[0].is_open()), (state, false));
        if state == TaskState::Cancelled {
            assert_eq!(detail.task.code, Some(EndCode::ApprovalExpired));
        }
    }
    let claimed = world.claim(&agent).await;
    world.finish(&agent, &claimed, Cause::Success).await;
    for (default, state) in [(None, TaskState::Failed), (Some(Approval::Approved), TaskState::Succeeded)] {
        let id = world.delegate(&within(ApprovalRule::After, default)).await;
        let claimed = world.claim(&agent).await;
        world.store.finish(&with_answer(report(&agent, &claimed, Cause::Success))).await.unwrap();
        expire(&world).await;
        let detail = world.detail(&id).await;
        assert_eq!(
            (detail.task.state, detail.task.cause),
            (state, (state == TaskState::Failed).then_some(Cause::Deadline))
        );
        assert_eq!(detail.result.unwrap().text, "it is 42", "its result is kept");
    }
    check::history(&world).await;
}

#[tokio::test]
async fn an_approval_that_was_given_or_is_not_needed_any_more_has_no_time_limit() {
    let server = Server::start();
    let world = server.world("n");
    let limited = |rule| {
        let new = within(rule, None);
        NewTask { spec: Spec { approval_timeout_ms: Some(3_600_000), ..new.spec.clone() }, ..new }
    };
    let one = world.delegate(&limited(ApprovalRule::Before)).await;
    let question = QuestionRef::new(&one, 1);
    let answered = world.store.answer(&question, "t", "yes", Some(Approval::Approved), "a person").await.unwrap();
    assert_eq!(answered.state, TaskState::Ready);
    let other = world.delegate(&limited(ApprovalRule::Before)).await;
    assert!(world.store.observe(&[]).await.unwrap().next_approval_end.is_some());
    world.cancel(&other).await;
    assert_eq!(world.store.observe(&[]).await.unwrap().next_approval_end, None);
    check::structures(&world).await;
}
