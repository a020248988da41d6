//! Wishes, what may start while they stand, and what the supervisor and the event stream see.

use std::time::Duration;

use orch::{
    model::{cause::Cause, event::EventKind, task::Priority, task::TaskState},
    store::{
        agents::{Ending, Orphans},
        requests::Request,
        tasks::NewTask,
    },
};

use super::{check, fixture::*};

#[tokio::test]
async fn requests_read_back_and_are_withdrawn() {
    let server = Server::start();
    let world = server.world("n");
    let all = [
        Request::Stop { drain: true },
        Request::Pause(None),
        Request::Pause(Some("a".into())),
        Request::Drain,
        Request::Scale("b".into(), 0),
    ];
    for request in &all {
        assert!(world.store.request(request, EventKind::RequestPause, "r").await.unwrap());
        assert!(!world.store.request(request, EventKind::RequestPause, "r").await.unwrap(), "nothing changed");
    }
    let told = world.store.requests().await.unwrap();
    assert_eq!((told.stop, told.pause, told.drain), (Some(true), true, true));
    assert_eq!((told.paused_roles.as_slice(), told.scale["b"]), (["a".to_owned()].as_slice(), 0));
    assert!(world.store.request(&Request::Stop { drain: false }, EventKind::RequestPause, "r").await.unwrap());
    assert_eq!(world.store.observe(&[]).await.unwrap().requests.stop, Some(false));
    assert!(world.store.withdraw(&all, EventKind::RequestPause, "r").await.unwrap());
    assert!(!world.store.withdraw(&all, EventKind::RequestPause, "r").await.unwrap());
    assert_eq!(world.store.requests().await.unwrap(), Default::default());
}

#[tokio::test]
async fn a_pause_starts_nothing_and_accepts_all() {
    let server = Server::start();
    for (request, other_role) in [(Request::Pause(None), false), (Request::Pause(Some(ROLE.into())), true)] {
        let world = server.world(&format!("{other_role}"));
        let (agent, other) = (world.agent("shell-1").await, world.agent_of("o-1", "o").await);
        world.store.request(&request, EventKind::RequestPause, "r").await.unwrap();
        assert!(world.store.delegate(&task("x")).await.unwrap().created);
        world.delegate(&NewTask { spec: Spec { role: "o".into(), ..task("x").spec }, ..task("x") }).await;
        assert!(world.try_claim(&agent).await.is_none());
        assert_eq!(world.try_claim(&other).await.is_some(), other_role);
        check::structures(&world).await;
    }
}

#[tokio::test]
async fn a_drain_accepts_only_subtasks_of_what_runs() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    world.delegate(&task("x")).await;
    let claimed = world.claim(&agent).await;
    world.store.request(&Request::Drain, EventKind::RequestPause, "r").await.unwrap();
    assert_eq!(refusal(world.store.delegate(&task("new")).await), "draining");
    assert!(world.store.delegate(&subtask("sub", &agent, &claimed)).await.unwrap().created);
    world.finish(&agent, &claimed, Cause::Success).await;
    assert_eq!(world.claim(&agent).await.task.description, "sub", "what there is goes on");
}

/// However many tasks stand before them, what running tasks wait for is started, or the stop never ends.
#[tokio::test]
async fn a_stop_that_drains_starts_only_subtasks_and_finds_them_behind_all_others() {
    let server = Server::start_hasty();
    let world = server.world("n");
    let (agent, idle) = (world.agent("shell-1").await, world.agent("shell-2").await);
    world.delegate(&task("parent")).await;
    let claimed = world.claim(&agent).await;
    for _ in 0..450 {
        world.delegate(&task("new")).await;
    }
    let sub = NewTask {
        spec: Spec { priority: Priority::Low, ..subtask("sub", &agent, &claimed).spec },
        ..subtask("sub", &agent, &claimed)
    };
    world.delegate(&sub).await;
    world.store.request(&Request::Stop { drain: true }, EventKind::RequestPause, "r").await.unwrap();
    assert_eq!(world.claim(&idle).await.task.description, "sub");
    let third = world.agent("shell-3").await;
    assert!(world.try_claim(&third).await.is_none());
    world.store.request(&Request::Stop { drain: false }, EventKind::RequestPause, "r").await.unwrap();
    assert!(world.try_claim(&third).await.is_none());
    check::structures(&world).await;
}

#[tokio::test]
async fn order_is_by_priority_then_acceptance_and_a_retry_keeps_its_place() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let mut ids = Vec::new();
    for (i, priority) in [Priority::Low, Priority::Normal, Priority::High, Priority::Normal].into_iter().enumerate() {
        ids.push(
            world
                .delegate(&NewTask { spec: Spec { priority, ..task(&i.to_string()).spec }, ..task(&i.to_string()) })
                .await,
        );
    }
    assert_eq!(world.store.task_ids(None).await.unwrap().into_iter().rev().collect::<Vec<_>>(), ids);
    let mut order = Vec::new();
    let mut claimed = world.claim(&agent).await;
    world.finish(&agent, &claimed, Cause::NeedsPerson).await;
    order.push(claimed.task.description);
    claimed = world.claim(&agent).await;
    world.finish(&agent, &claimed, Cause::NeedsPerson).await;
    order.push(claimed.task.description);
    world.store.retry(&ids[1], "x").await.unwrap();
    for _ in 0..3 {
        claimed = world.claim(&agent).await;
        world.finish(&agent, &claimed, Cause::Success).await;
        order.push(claimed.task.description);
    }
    assert_eq!(order, ["2", "1", "1", "3", "0"]);
    check::structures(&world).await;
}

#[tokio::test]
async fn orphans_and_breakers_are_seen_until_they_are_taken_back() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let orphans = Orphans { agent: "shell-1".into(), session: "s".into(), process: process(5) };
    let ending = Ending { orphans: Some(&orphans), ..crash() };
    world.store.end_agent(&agent.id, &agent.incarnation, &ending).await.unwrap();
    let seen = world.store.observe(&[ROLE.into()]).await.unwrap();
    assert_eq!(seen.agents, []);
    assert_eq!(seen.orphans[&agent.incarnation], orphans);
    let breaker = &seen.breakers[ROLE];
    assert_eq!(breaker.failures, 1);
    assert!(breaker.reason.starts_with("shell-1 failed right after it started: "), "{}", breaker.reason);
    assert!(breaker.until > seen.now);
    world.store.forget_orphans(&agent.incarnation).await.unwrap();
    world.store.recovered(ROLE, "all is well").await.unwrap();
    let seen = world.store.observe(&[ROLE.into()]).await.unwrap();
    assert!(seen.orphans.is_empty() && seen.breakers.is_empty());
}

/// A fleet that dies at one blow is one failure; the next young death after the pause is the second.
#[tokio::test]
async fn deaths_within_a_pause_count_once_and_those_of_proven_agents_not_at_all() {
    let server = Server::start();
    let world = server.world("n");
    let proven = world.agent("shell-9").await;
    world.delegate(&task("x")).await;
    let claimed = world.claim(&proven).await;
    world.finish(&proven, &claimed, Cause::Success).await;
    for id in ["shell-1", "shell-2", "shell-3"] {
        let agent = world.agent(id).await;
        world.store.end_agent(&agent.id, &agent.incarnation, &crash()).await.unwrap();
    }
    world.store.end_agent(&proven.id, &proven.incarnation, &crash()).await.unwrap();
    let failures = || async { world.store.observe(&[ROLE.into()]).await.unwrap().breakers[ROLE].failures };
    assert_eq!(failures().await, 1);
    let breaker = world.store.keys().of("breaker", ROLE);
    redis::cmd("HSET").arg(breaker).arg("until").arg(0).exec(&mut world.raw()).unwrap();
    let agent = world.agent("shell-1").await;
    world.store.end_agent(&agent.id, &agent.incarnation, &crash()).await.unwrap();
    assert_eq!(failures().await, 2);
}

/// One record that does not read must not blind the supervisor to all others.
#[tokio::test]
async fn a_damaged_record_is_reported_and_left_out() {
    let server = Server::start();
    let world = server.world("n");
    world.agent("shell-1").await;
    let broken = world.agent("shell-2").await;
    let keys = world.store.keys();
    let mut raw = world.raw();
    for (key, field, value) in
        [(keys.of("agent", "shell-2"), "state", "asleep"), (keys.plain("orphans"), broken.incarnation.as_str(), "{")]
    {
        let () = redis::cmd("HSET").arg(key).arg(field).arg(value).query(&mut raw).unwrap();
    }
    let seen = world.store.observe(&[ROLE.into()]).await.unwrap();
    assert_eq!(seen.agents.len(), 1);
    assert_eq!(seen.damaged.len(), 2, "{:?}", seen.damaged);
    for key in ["agent:shell-2", "orphans"] {
        assert!(seen.damaged.iter().any(|d| d.contains(key)), "{:?}", seen.damaged);
    }
}

#[tokio::test]
async fn events_are_read_from_any_place_and_waited_for() {
    let server = Server::start();
    let world = server.world("n");
    world.store.note(EventKind::SupervisorStarted, "pid 1").await.unwrap();
    let id = world.delegate(&task("x")).await;
    let all = world.events().await;
    assert_eq!(all.iter().map(|e| e.kind.as_str()).collect::<Vec<_>>(), ["supervisor.started", "task.ready"]);
    assert_eq!(world.store.events_after(&all[0].id, 10).await.unwrap(), all[1..]);
    assert_eq!(world.store.events_last(1).await.unwrap(), all[1..]);
    assert_eq!(all[1].to.as_deref(), Some("ready"));
    assert_eq!(all[1].reason, "delegated by a test");
    let other = server.world("n");
    let after = all[1].id.clone();
    let next = tokio::spawn(async move { other.store.next_events(&after, LONG).await.unwrap() });
    world.cancel(&id).await;
    let next = next.await.unwrap();
    assert_eq!((next[0].kind.as_str(), next[0].from.as_deref()), ("task.cancelled", Some("ready")));
    let none = world.store.next_events(&next[0].id, Duration::from_millis(5)).await.unwrap();
    assert_eq!(none, []);
    assert_eq!(world.state(&id).await, TaskState::Cancelled);
}
