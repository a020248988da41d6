//! Fences grow with every lease, and whoever holds an old one changes nothing.

use orch::{
    model::{cause::Cause, task::TaskState},
    store::tasks::Report,
};

use super::{check, fixture::*};

#[tokio::test]
async fn fences_grow_over_tasks_agents_attempts_and_restarts() {
    let mut server = Server::start();
    let world = server.world("n");
    let mut last = 0;
    for round in 0..6 {
        let mut held = Vec::new();
        for i in 0..3 {
            world.delegate(&task("x")).await;
            let agent = world.agent(&format!("shell-{round}-{i}")).await;
            let claimed = world.claim(&agent).await;
            assert!(claimed.fence > last, "{} after {last}", claimed.fence);
            last = claimed.fence;
            held.push((agent, claimed));
        }
        for (agent, claimed) in held {
            let mut report = report(&agent, &claimed, Cause::RateLimited);
            report.retry_after_ms = Some(0);
            world.store.finish(&report).await.unwrap();
        }
        world.store.release_due().await.unwrap();
        if round == 3 {
            server.kill();
            server.start_again();
        }
    }
    assert_eq!(world.store.observe(&[]).await.unwrap().fence, last);
    check::structures(&world).await;
}

/// The supervisor has given an agent up, and another has the task: the first one's words count for nothing.
#[tokio::test]
async fn a_stale_holder_changes_nothing_but_an_event() {
    let server = Server::start();
    let world = server.world("n");
    let id = world.delegate(&task("x")).await;
    let old = world.agent("shell-1").await;
    let stale = world.claim(&old).await;
    let ending = crash();
    world.store.end_agent(&old.id, &old.incarnation, &ending).await.unwrap();
    world.store.release_due().await.unwrap();
    // A successor that bears the same id.
    let new = world.agent("shell-1").await;
    let current = world.claim(&new).await;
    assert_eq!((&current.task.id, current.attempt), (&id, 2));

    let forged = Agent { id: new.id.clone(), incarnation: "forged".into() };
    let attempts = [(&old, &stale), (&old, &current), (&new, &stale), (&forged, &current)];
    for (agent, claimed) in attempts {
        let before = check::dump(&world);
        let events = world.events().await.len();
        for cause in Cause::ALL {
            let late = world.store.finish(&report(agent, claimed, *cause)).await;
            assert_eq!(refusal(late), "stale");
        }
        assert_eq!(world.events().await.len(), events + Cause::ALL.len());
        let beat = world.store.heartbeat(&agent.id, &agent.incarnation, LONG, &pulse(claimed)).await;
        assert_eq!(refusal(beat), "stale");
        let me = capability(agent, claimed);
        assert_eq!(refusal(world.store.mark_waiting(&me, &[], LONG).await), "stale");
        assert_eq!(refusal(world.store.progress(&me, "late").await), "stale");
        let sub = subtask("late", agent, claimed);
        assert_eq!(refusal(world.store.delegate(&sub).await), "stale");
        assert_eq!(check::dump(&world), before);
    }
    let old_claim = world.store.claim(&old.id, &old.incarnation, LEASE).await;
    assert_eq!(refusal(old_claim), "stale");
    let old_end = world.store.end_agent(&old.id, &old.incarnation, &crash()).await;
    assert_eq!(refusal(old_end), "stale", "its id is another's now");
    world.store.expire(&id, stale.fence, "late").await.unwrap();
    assert_eq!(world.state(&id).await, TaskState::Running);
    assert_eq!(world.finish(&new, &current, Cause::Success).await, TaskState::Succeeded);
    check::structures(&world).await;
}

#[tokio::test]
async fn the_lease_ends_when_it_is_not_renewed() {
    let server = Server::start();
    let world = server.world("n");
    let id = world.delegate(&task("x")).await;
    let agent = world.agent("shell-1").await;
    let claimed = world.claim(&agent).await;
    let roles = [ROLE.to_owned()];
    assert_eq!(world.store.observe(&roles).await.unwrap().overdue, []);
    let zero = std::time::Duration::ZERO;
    world.store.heartbeat(&agent.id, &agent.incarnation, zero, &pulse(&claimed)).await.unwrap();
    let overdue = world.store.observe(&roles).await.unwrap().overdue;
    assert_eq!(overdue.len(), 1);
    assert_eq!((&overdue[0].task, overdue[0].fence), (&id, claimed.fence));
    assert_eq!(overdue[0].agent, "shell-1");
    world.store.heartbeat(&agent.id, &agent.incarnation, LEASE, &pulse(&claimed)).await.unwrap();
    assert_eq!(world.store.observe(&roles).await.unwrap().overdue, []);
}

/// After a hundred thousand epochs, a fence has more digits than cjson writes.
#[tokio::test]
async fn a_fence_of_fifteen_digits_and_more_stays_exact() {
    let server = Server::start();
    for (n, last) in [99_999_999_999_999u64, 123_456_789_012_345, 8_999_999_999_999_999].into_iter().enumerate() {
        let world = server.world(&format!("n{n}"));
        let key = world.store.keys().plain("fence");
        let () = redis::cmd("SET").arg(key).arg(last).query(&mut world.raw()).unwrap();
        let id = world.delegate(&task("x")).await;
        let agent = world.agent("shell-1").await;
        let claimed = world.claim(&agent).await;
        assert_eq!(claimed.fence, last + 1);
        world.store.heartbeat(&agent.id, &agent.incarnation, LONG, &pulse(&claimed)).await.unwrap();
        let failed = Report { retry_after_ms: Some(0), ..report(&agent, &claimed, Cause::Transient) };
        // Sent twice: the second one is known by its fence.
        for _ in 0..2 {
            world.store.finish(&failed).await.unwrap();
        }
        world.store.release_due().await.unwrap();
        let again = world.claim(&agent).await;
        world.finish(&agent, &again, Cause::Success).await;
        let fences: Vec<u64> = world.detail(&id).await.attempts.iter().map(|attempt| attempt.fence).collect();
        assert_eq!(fences, [last + 1, last + 2]);
        check::structures(&world).await;
    }
}
