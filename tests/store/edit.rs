//! `orch edit`: what a task was delegated with is changed while no attempt of it runs.

use std::{collections::BTreeMap, time::Duration};

use orch::{
    model::{
        cause::Cause,
        id::TaskId,
        task::{MAX_WAIT, Priority, TaskState},
    },
    store::{StoreError, edit::Edit, tasks::NewTask},
};

use super::{check, fixture::*};

async fn edit(world: &World, id: &TaskId, edit: Edit) -> Result<(TaskState, TaskState), StoreError> {
    world.store.edit(id, &edit, MAX_WAIT, "a test").await
}

fn text(text: &str) -> Edit {
    Edit { text: Some(text.into()), ..Edit::default() }
}

#[tokio::test]
async fn a_ready_task_gets_another_text_role_and_place() {
    let server = Server::start();
    let world = server.world("n");
    let (first, second) = (world.delegate(&task("first")).await, world.delegate(&task("second")).await);
    let high = Edit { priority: Some(Priority::High), ..text("now the first") };
    assert_eq!(edit(&world, &second, high).await.unwrap(), (TaskState::Ready, TaskState::Ready));
    let labels = BTreeMap::from([("area".to_owned(), "ui".to_owned())]);
    let all = Edit {
        role: Some("other".into()),
        labels: Some(labels.clone()),
        timeout: Some(Duration::from_secs(7)),
        deadline: Some(Some(LONG)),
        retries: Some(0),
        ..Edit::default()
    };
    edit(&world, &first, all).await.unwrap();
    check::structures(&world).await;
    let agents = [world.agent("shell-1").await, world.agent_of("other-1", "other").await];
    let claimed = world.claim(&agents[0]).await.task;
    assert_eq!(
        (claimed.id, claimed.description.as_str(), claimed.spec.priority),
        (second, "now the first", Priority::High)
    );
    let claimed = world.claim(&agents[1]).await.task;
    assert_eq!((&claimed.id, &claimed.labels, claimed.timeout_ms, claimed.retries), (&first, &labels, 7_000, 0));
    let deadline = claimed.deadline_at.unwrap();
    assert_eq!(deadline.since(claimed.created_at), LONG);
    let idle = world.agent("shell-2").await;
    assert_eq!(world.try_claim(&idle).await, None);
    check::structures(&world).await;
    check::history(&world).await;
}

#[tokio::test]
async fn a_deadline_and_labels_are_taken_away() {
    let server = Server::start();
    let world = server.world("n");
    let spec = Spec { deadline_ms: Some(1), labels: BTreeMap::from([("a".into(), "b".into())]), ..task("x").spec };
    let id = world.delegate(&NewTask { spec, ..task("x") }).await;
    let none = Edit { deadline: Some(None), labels: Some(BTreeMap::new()), ..Edit::default() };
    edit(&world, &id, none).await.unwrap();
    assert_eq!(world.store.end_late().await.unwrap(), 0);
    let task = world.detail(&id).await.task;
    assert_eq!((task.deadline_at, task.deadline_ms, task.labels.len()), (None, None, 0));
    check::structures(&world).await;
}

#[tokio::test]
async fn what_a_task_comes_after_is_replaced_and_makes_no_circle() {
    let server = Server::start();
    let world = server.world("n");
    let (a, b) = (world.delegate(&task("a")).await, world.delegate(&task("b")).await);
    let c = world.delegate(&task_after("c", &[&b])).await;
    let after = |ids: &[&TaskId]| Edit { after: Some(ids.iter().map(|id| (*id).clone()).collect()), ..Edit::default() };
    assert_eq!(edit(&world, &a, after(&[&c])).await.unwrap(), (TaskState::Ready, TaskState::Blocked));
    check::structures(&world).await;
    for circle in [&a, &c] {
        let refused = edit(&world, &b, after(&[circle])).await;
        assert_eq!(refusal(refused), "ancestor");
    }
    assert_eq!(refusal(edit(&world, &b, after(&[&b])).await), "ancestor");
    assert_eq!(refusal(edit(&world, &b, after(&[&TaskId::random()])).await), "unknown_dependency");
    assert_eq!(edit(&world, &c, after(&[])).await.unwrap(), (TaskState::Blocked, TaskState::Ready));
    check::structures(&world).await;
    let agent = world.agent("shell-1").await;
    for expected in [&b, &c, &a] {
        let claimed = world.claim(&agent).await;
        assert_eq!(claimed.task.id, *expected);
        world.finish(&agent, &claimed, Cause::Success).await;
    }
    check::structures(&world).await;
    check::history(&world).await;
}

#[tokio::test]
async fn a_failed_task_is_changed_and_retried_and_one_that_runs_or_is_done_is_not() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let id = world.delegate(&task("wrong")).await;
    let claimed = world.claim(&agent).await;
    assert_eq!(refusal(edit(&world, &id, text("x")).await), "task_runs");
    world.finish(&agent, &claimed, Cause::Permanent).await;
    assert_eq!(edit(&world, &id, text("right")).await.unwrap(), (TaskState::Failed, TaskState::Failed));
    check::structures(&world).await;
    world.store.retry(&id, "a test").await.unwrap();
    let claimed = world.claim(&agent).await;
    assert_eq!(claimed.task.description, "right");
    world.finish(&agent, &claimed, Cause::Success).await;
    assert_eq!(refusal(edit(&world, &id, text("x")).await), "task_ended");
    assert_eq!(refusal(edit(&world, &TaskId::random(), text("x")).await), "unknown");
    check::structures(&world).await;
}
