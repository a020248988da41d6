//! The table of causes in `model/cause.rs` and the transitions `finish` and `end_agent` are one.

use orch::model::{cause::Cause, event::EventKind, task::TaskState};
use orch::store::{agents::Ending, tasks::NewTask};

use super::{check, fixture::*};

/// How many failures and lost attempts a cause adds.
fn counts(cause: Cause) -> (u32, u32) {
    match cause {
        Cause::Transient | Cause::Timeout | Cause::Permanent => (1, 0),
        Cause::Lost => (0, 1),
        _ => (0, 0),
    }
}

enum How {
    Finish,
    EndAgent,
}

/// Ends attempts with `before` and then one with `cause`; every end is what the table says.
async fn ends(world: &World, how: &How, bounds: (u32, u32), before: &[Cause], cause: Cause) {
    let (retries, lost_max) = bounds;
    let role = format!("r-{}", orch::model::id::new_incarnation());
    let new = NewTask { spec: Spec { role: role.clone(), retries, lost_max, ..task("x").spec }, ..task("x") };
    let id = world.delegate(&new).await;
    let (mut failures, mut lost) = (0, 0);
    for cause in before.iter().chain([&cause]) {
        let agent = world.agent_of(&format!("{role}-1"), &role).await;
        let claimed = world.claim(&agent).await;
        failures += counts(*cause).0;
        lost += counts(*cause).1;
        let state = match how {
            How::Finish => {
                let mut report = report(&agent, &claimed, *cause);
                report.retry_after_ms = Some(0);
                world.store.finish(&report).await.unwrap()
            }
            How::EndAgent => {
                let ending = Ending { cause: *cause, ..crash() };
                let ended = world.store.end_agent(&agent.id, &agent.incarnation, &ending);
                ended.await.unwrap().unwrap().1
            }
        };
        assert_eq!(state, TaskState::after(*cause, failures, retries, lost, lost_max), "{before:?} {cause}");
        let detail = world.detail(&id).await;
        assert_eq!((detail.task.failures, detail.task.lost), (failures, lost));
        assert_eq!(detail.attempts.last().unwrap().cause, Some(*cause));
        assert_eq!(detail.attempts.last().unwrap().next_retry_at, detail.task.due_at);
        if matches!(how, How::Finish) {
            let ending = crash();
            let ended = world.store.end_agent(&agent.id, &agent.incarnation, &ending);
            assert_eq!(ended.await.unwrap(), None);
        }
        match state {
            TaskState::Delayed => {
                world.make_due(&id);
                assert_eq!(world.store.release_due().await.unwrap().0, 1);
            }
            _ => break,
        }
    }
}

async fn every_cause_with_every_count(how: How) {
    let server = Server::start_hasty();
    let world = server.world("n");
    for bounds in [(0, 0), (1, 1), (2, 0), (0, 2)] {
        for cause in Cause::ALL {
            for before in [
                vec![],
                vec![Cause::Transient],
                vec![Cause::Lost],
                vec![Cause::RateLimited],
                vec![Cause::Timeout, Cause::Lost],
                vec![Cause::Lost, Cause::Transient, Cause::RateLimited],
            ] {
                ends(&world, &how, bounds, &before, *cause).await;
            }
        }
    }
    check::structures(&world).await;
}

#[tokio::test]
async fn finish_keeps_to_the_table() {
    every_cause_with_every_count(How::Finish).await;
}

#[tokio::test]
async fn end_agent_keeps_to_the_table() {
    every_cause_with_every_count(How::EndAgent).await;
}

/// What ends because a person stops everything at once makes no task poison.
#[tokio::test]
async fn an_agent_ended_by_a_stop_counts_nothing() {
    let server = Server::start();
    let world = server.world("n");
    let id = world.delegate(&NewTask { spec: Spec { lost_max: 0, ..task("x").spec }, ..task("x") }).await;
    let agent = world.agent("shell-1").await;
    world.claim(&agent).await;
    let stop = orch::store::requests::Request::Stop { drain: false };
    world.store.request(&stop, EventKind::SupervisorStopping, "a test").await.unwrap();
    let ended = world.store.end_agent(&agent.id, &agent.incarnation, &crash()).await;
    assert_eq!(ended.unwrap(), Some((id.clone(), TaskState::Delayed)));
    assert_eq!(world.detail(&id).await.task.lost, 0);
}

/// A stop that drains ends nobody: who dies then has crashed, and the bound holds.
#[tokio::test]
async fn a_crash_while_draining_counts() {
    let server = Server::start();
    let world = server.world("n");
    let id = world.delegate(&NewTask { spec: Spec { lost_max: 0, ..task("x").spec }, ..task("x") }).await;
    let agent = world.agent("shell-1").await;
    world.claim(&agent).await;
    let stop = orch::store::requests::Request::Stop { drain: true };
    world.store.request(&stop, EventKind::SupervisorStopping, "a test").await.unwrap();
    let ended = world.store.end_agent(&agent.id, &agent.incarnation, &crash()).await;
    assert_eq!(ended.unwrap(), Some((id, TaskState::Failed)));
    check::structures(&world).await;
}
