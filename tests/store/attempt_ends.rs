//! What ends an attempt, and a delay, called in each state of a task.

use orch::model::{
    agent::AgentState,
    cause::Cause,
    task::TaskState::{self, *},
};

use super::{
    check,
    fixture::*,
    task_transitions::{Case, in_each_state, told},
};

/// The holder's report: the first time it decides, again it is answered the same, from anywhere else it is stale.
#[tokio::test]
async fn finish_with_each_cause() {
    let next = |cause| match cause {
        Cause::Success => Succeeded,
        Cause::Transient | Cause::Timeout | Cause::RateLimited | Cause::Lost => Delayed,
        Cause::Permanent | Cause::Deadline => Failed,
        Cause::NeedsPerson => Held,
        Cause::Cancelled => Cancelled,
    };
    for cause in Cause::ALL {
        let finish = async |case: &Case| {
            let report = report(&case.agent, &case.claimed, *cause);
            let answer = case.world.store.finish(&report).await;
            let agent = case.world.agent_state(&case.agent).await;
            assert_eq!(agent, AgentState::Idle);
            told(answer)
        };
        let to = next(*cause);
        let name = format!("{to:?}");
        in_each_state(
            finish,
            [
                ("stale", Blocked),
                ("stale", Ready),
                ("Delayed", Delayed),
                ("Held", Held),
                (&name, to),
                ("Succeeded", Succeeded),
                ("Failed", Failed),
                ("Cancelled", Cancelled),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn expire_leaves_everything_to_an_agent_that_lives() {
    let expire = async |case: &Case| {
        let (id, fence) = (&case.id, case.claimed.fence);
        told(case.world.store.expire(id, fence, "gone").await)
    };
    let unchanged: Vec<_> = TaskState::ALL[..8].iter().map(|s| ("()", *s)).collect();
    in_each_state(expire, unchanged.try_into().unwrap()).await;
}

#[tokio::test]
async fn expire_ends_the_attempt_of_an_agent_that_is_forgotten() {
    let expire = async |case: &Case| {
        let key = case.world.store.keys().of("agent", &case.agent.id);
        let mut raw = case.world.raw();
        let () = redis::cmd("DEL").arg(key).query(&mut raw).unwrap();
        for list in ["agents", "idle:shell"] {
            let key = case.world.store.keys().plain(list);
            let () = redis::cmd("SREM").arg(key).arg(&case.agent.id).query(&mut raw).unwrap();
        }
        for fence in [case.claimed.fence + 1, case.claimed.fence, case.claimed.fence] {
            let expired = case.world.store.expire(&case.id, fence, "gone").await;
            expired.unwrap();
        }
        let detail = case.world.detail(&case.id).await;
        format!("lost {}", detail.task.lost)
    };
    let expected: Vec<_> =
        TaskState::ALL[..8].iter().map(|s| if *s == Running { ("lost 1", Delayed) } else { ("lost 0", *s) }).collect();
    in_each_state(expire, expected.try_into().unwrap()).await;
}

#[tokio::test]
async fn the_end_of_the_agent_ends_its_attempt_and_no_other() {
    let end = async |case: &Case| {
        let Agent { id, incarnation } = &case.agent;
        let answer = case.world.store.end_agent(id, incarnation, &crash()).await;
        let task = case.world.detail(&case.id).await.task;
        told(answer.map(|a| a.map(|(id, state)| (id == case.id, state, task.lost))))
    };
    let expected: Vec<_> = TaskState::ALL[..8]
        .iter()
        .map(|s| if *s == Running { ("Some((true, Delayed, 1))", Delayed) } else { ("None", *s) })
        .collect();
    in_each_state(end, expected.try_into().unwrap()).await;
}

#[tokio::test]
async fn due_releases_only_what_is_delayed_and_due() {
    let due = async |case: &Case| {
        let (count, next) = case.world.store.release_due().await.unwrap();
        assert_eq!(count, 0, "an hour is not over");
        let Some(next) = next else {
            return "none".into();
        };
        assert!(next <= LONG && next > LONG / 2, "{next:?}");
        "in an hour".into()
    };
    let expected: Vec<_> =
        TaskState::ALL[..8].iter().map(|s| if *s == Delayed { ("in an hour", *s) } else { ("none", *s) }).collect();
    in_each_state(due, expected.try_into().unwrap()).await;
}

#[tokio::test]
async fn a_delay_that_is_over_ends_in_ready() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let id = world.delegate(&task("x")).await;
    let claimed = world.claim(&agent).await;
    let mut report = report(&agent, &claimed, Cause::RateLimited);
    report.retry_after_ms = Some(0);
    assert_eq!(world.store.finish(&report).await.unwrap(), Delayed);
    assert_eq!(world.store.release_due().await.unwrap(), (1, None));
    assert_eq!(world.state(&id).await, Ready);
    let task = world.detail(&id).await.task;
    assert_eq!((task.failures, task.lost), (0, 0), "a rate limit counts nothing");
    check::structures(&world).await;
}
