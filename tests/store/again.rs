//! Every call is safe to send again: the same state, and the same answer.

use std::time::Duration;

use orch::{
    model::{agent::AgentState, cause::Cause, event::EventKind, id::TaskId, task::TaskState},
    store::{
        requests::Request,
        tasks::{Delegated, NewTask},
    },
};

use super::{check, fixture::*};

#[tokio::test]
async fn delegate_with_the_same_key_is_the_same_task() {
    let server = Server::start();
    let world = server.world("n");
    let keyed = || NewTask { spec: Spec { key: Some("k".into()), ..task("x").spec }, ..task("x") };
    let first = world.store.delegate(&keyed()).await.unwrap();
    assert!(first.created);
    let again = world.store.delegate(&keyed()).await.unwrap();
    assert_eq!(again, Delegated { created: false, ..first.clone() });

    let agent = world.agent("shell-1").await;
    let claimed = world.claim(&agent).await;
    world.finish(&agent, &claimed, Cause::Permanent).await;
    let after_its_end = world.store.delegate(&keyed()).await.unwrap();
    assert_eq!(after_its_end, Delegated { state: TaskState::Failed, created: false, ..first });
    assert_eq!(world.store.task_ids(None).await.unwrap().len(), 1);
    check::structures(&world).await;
}

#[tokio::test]
async fn a_known_key_is_answered_while_draining() {
    let server = Server::start();
    let world = server.world("n");
    let keyed = || NewTask { spec: Spec { key: Some("k".into()), ..task("x").spec }, ..task("x") };
    let first = world.delegate(&keyed()).await;
    world.store.request(&Request::Drain, EventKind::RequestDrain, "a test").await.unwrap();
    let again = world.store.delegate(&keyed()).await.unwrap();
    assert_eq!((again.id, again.created), (first, false));
    assert_eq!(refusal(world.store.delegate(&task("new")).await), "draining");
}

/// 50 random bits meet, once in a very long while: the second task must not vanish into the first.
#[tokio::test]
async fn an_id_that_another_task_has_is_given_up_for_a_new_one() {
    let server = Server::start();
    let world = server.world("n");
    let first = world.delegate(&task("one")).await;
    let other = NewTask { id: first.clone(), ..task("two") };
    let second = world.store.delegate(&other).await.unwrap();
    assert_ne!(second.id, first);
    assert_eq!(world.detail(&second.id).await.task.description, "two");
    assert_eq!(world.detail(&first).await.task.description, "one");
    check::structures(&world).await;
}

/// A call whose answer was lost on the way is sent again, and must not be taken for the parent's next call.
#[tokio::test]
async fn a_subtask_found_again_is_the_same_when_the_call_is_sent_again() {
    let server = Server::start();
    let world = server.world("n");
    world.delegate(&task("parent")).await;
    let agent = world.agent("shell-1").await;
    let claimed = world.claim(&agent).await;
    let made = world.delegate(&subtask("sub", &agent, &claimed)).await;
    let mut report = report(&agent, &claimed, Cause::Transient);
    report.retry_after_ms = Some(0);
    world.store.finish(&report).await.unwrap();
    world.store.release_due().await.unwrap();
    // The subtask is ready, too; the parent is older.
    let claimed = world.claim(&agent).await;
    assert_eq!(claimed.attempt, 2);
    let call = subtask("sub", &agent, &claimed);
    let found = world.store.delegate(&call).await.unwrap();
    assert_eq!((&found.id, found.created), (&made, false));
    assert_eq!(world.store.delegate(&call).await.unwrap(), found);
    let next = world.store.delegate(&subtask("sub", &agent, &claimed)).await.unwrap();
    assert!(next.created, "the second call of this content in this attempt");
    check::structures(&world).await;
}

#[tokio::test]
async fn finish_is_answered_the_same_for_ever() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let id = world.delegate(&task("x")).await;
    let mut reports = Vec::new();
    for cause in [Cause::RateLimited, Cause::Transient, Cause::Success] {
        let claimed = world.claim(&agent).await;
        let mut report = report(&agent, &claimed, cause);
        report.retry_after_ms = Some(0);
        let state = world.store.finish(&report).await.unwrap();
        reports.push((report, state));
        for (report, state) in &reports {
            let before = check::dump(&world);
            assert_eq!(world.store.finish(report).await.unwrap(), *state);
            assert_eq!(check::dump(&world), before);
        }
        world.store.release_due().await.unwrap();
    }
    let record = world.store.agent(&agent.id).await.unwrap().unwrap().agent;
    // An attempt whose task is tried again is not a task done.
    assert_eq!((record.tasks_done, record.state), (1, AgentState::Idle));
    assert_eq!(world.state(&id).await, TaskState::Succeeded);
    check::structures(&world).await;
}

#[tokio::test]
async fn finish_and_claim_sent_again_is_the_same_claim() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    world.delegate(&task("one")).await;
    world.delegate(&task("two")).await;
    let claimed = world.claim(&agent).await;
    let report = report(&agent, &claimed, Cause::Success);
    let mut fences = Vec::new();
    for _ in 0..2 {
        let (state, next) = world.store.finish_and_claim(&report, LEASE).await.unwrap();
        assert_eq!(state.unwrap(), TaskState::Succeeded);
        let next = next.unwrap().unwrap();
        assert_eq!(next.task.description, "two");
        fences.push(next.fence);
    }
    assert_eq!(fences[0], fences[1]);
    check::structures(&world).await;
}

#[tokio::test]
async fn end_agent_twice_gives_one_answer() {
    let server = Server::start();
    let world = server.world("n");
    let id = world.delegate(&task("x")).await;
    let busy = world.agent("shell-1").await;
    world.claim(&busy).await;
    let idle = world.agent("shell-2").await;
    for (agent, expected) in [(&busy, Some((id, TaskState::Delayed))), (&idle, None)] {
        let end = async || world.store.end_agent(&agent.id, &agent.incarnation, &crash()).await.unwrap();
        assert_eq!(end().await, expected);
        let before = check::dump(&world);
        assert_eq!(end().await, expected, "again");
        assert_eq!(check::dump(&world), before);
    }
    check::structures(&world).await;
}

/// The answer is about the attempt that ended with the agent, not about one that it had finished before.
#[tokio::test]
async fn end_agent_twice_names_no_task_that_was_finished() {
    let server = Server::start();
    let world = server.world("n");
    world.delegate(&task("x")).await;
    let agent = world.agent("shell-1").await;
    let claimed = world.claim(&agent).await;
    world.finish(&agent, &claimed, Cause::Success).await;
    for _ in 0..2 {
        let end = world.store.end_agent(&agent.id, &agent.incarnation, &crash()).await;
        assert_eq!(end.unwrap(), None);
    }
}

#[tokio::test]
async fn cancel_requests_and_marks_twice_are_once() {
    let server = Server::start();
    let world = server.world("n");
    let running = world.delegate(&task("x")).await;
    let agent = world.agent("shell-1").await;
    world.claim(&agent).await;
    let ready = world.delegate(&task("x")).await;
    let ids = [running, ready];
    for what in ["cancel", "place", "request", "withdraw"] {
        for again in [false, true] {
            let before = check::dump(&world);
            match what {
                "cancel" => {
                    let states = world.store.cancel(&ids, "a test").await.unwrap();
                    assert_eq!(states, [Some(TaskState::Running), Some(TaskState::Cancelled)]);
                }
                "place" => world.store.place_agent("shell-1", &agent.incarnation, &process(4)).await.unwrap(),
                "request" => {
                    let changed =
                        world.store.request(&Request::Pause(None), EventKind::RequestPause, "a test").await.unwrap();
                    assert_ne!(changed, again);
                }
                _ => {
                    let changed = world
                        .store
                        .withdraw(&[Request::Pause(None)], EventKind::RequestResume, "a test")
                        .await
                        .unwrap();
                    assert_ne!(changed, again);
                }
            }
            assert_eq!(check::dump(&world) == before, again, "{what}");
        }
    }
    assert_eq!(world.cancel(&TaskId::random()).await, None, "nobody knows it");
    check::structures(&world).await;
}

/// A request that was fulfilled before its call was sent again stays fulfilled.
#[tokio::test]
async fn a_spawn_requested_again_with_its_token_is_one_agent() {
    let server = Server::start();
    let world = server.world("n");
    let request = async || world.store.request_spawn(ROLE, "token", "a test").await.unwrap();
    request().await;
    request().await;
    let requests = world.store.requests().await.unwrap().spawn;
    assert_eq!(requests.len(), 1);
    let spawned = world.store.spawn_agent("shell-1", ROLE, "s", "i", false, "requested", Some(&requests[0].1));
    spawned.await.unwrap();
    request().await;
    assert_eq!(world.store.requests().await.unwrap().spawn, []);
    world.store.request_spawn(ROLE, "another", "a test").await.unwrap();
    assert_eq!(world.store.requests().await.unwrap().spawn.len(), 1);
}

#[tokio::test]
async fn waiting_is_one_event_however_often_it_is_renewed() {
    let server = Server::start();
    let world = server.world("n");
    world.delegate(&task("x")).await;
    let agent = world.agent("shell-1").await;
    let claimed = world.claim(&agent).await;
    let me = capability(&agent, &claimed);
    for for_ in [LONG, LONG, Duration::ZERO, Duration::ZERO] {
        world.store.mark_waiting(&me, &[], for_).await.unwrap();
    }
    let kinds: Vec<_> = world.events().await.into_iter().map(|e| e.kind.to_string()).collect();
    for kind in ["task.waiting", "task.resumed"] {
        assert_eq!(kinds.iter().filter(|k| *k == kind).count(), 1, "{kind}");
    }
    check::structures(&world).await;
}
