//! Each transition of a task, called in each of its states but skipped, for which see `edges`.

use std::time::Duration;

use orch::{
    model::{
        cause::Cause,
        id::TaskId,
        refusal::Refusal,
        task::TaskState::{self, *},
    },
    store::{
        agents::Pulse,
        tasks::{Claimed, NewTask},
    },
};

use super::{check, fixture::*};

/// A task in a given state, and the last attempt that somebody had at it.
pub(super) struct Case {
    pub world: World,
    pub id: TaskId,
    /// Who has, or had, the attempt; an agent without one where there never was any.
    pub agent: Agent,
    pub claimed: Claimed,
}

async fn bring(server: &Server, name: &str, state: TaskState) -> Case {
    let world = server.world(name);
    let agent = world.agent("shell-1").await;
    let (id, claimed) = if state == Blocked {
        let dependency = TaskId::random();
        let elsewhere = orch::store::tasks::NewTask {
            id: dependency.clone(),
            spec: Spec { role: "nobody".into(), ..task("before").spec },
            ..task("before")
        };
        world.delegate(&elsewhere).await;
        let id = world.delegate(&task_after("x", &[&dependency])).await;
        (id, None)
    } else {
        let id = world.delegate(&task("x")).await;
        if state == Ready {
            (id, None)
        } else {
            let claimed = world.claim(&agent).await;
            let cause = match state {
                Delayed => Some(Cause::Transient),
                Held => Some(Cause::NeedsPerson),
                Succeeded => Some(Cause::Success),
                Failed => Some(Cause::Permanent),
                Cancelled => Some(Cause::Cancelled),
                _ => None,
            };
            if let Some(cause) = cause {
                world.finish(&agent, &claimed, cause).await;
            }
            (id, Some(claimed))
        }
    };
    let detail = world.detail(&id).await;
    assert_eq!(detail.task.state, state);
    let (fence, time_left, questions) = (1, None, vec![]);
    let nothing = Claimed {
        task: detail.task,
        attempt: 1,
        fence,
        time_left,
        questions,
        counted: None,
        has_mail: false,
        left: Default::default(),
    };
    let claimed = claimed.unwrap_or(nothing);
    Case { world, id, agent, claimed }
}

/// Brings a task into each state, calls, and compares with `expected`: the answer, and the state afterwards.
pub(super) async fn in_each_state<F>(call: F, expected: [(&str, TaskState); 8])
where
    F: AsyncFn(&Case) -> String,
{
    let server = Server::start();
    for (state, (answer, after)) in TaskState::ALL[..8].iter().zip(expected) {
        let case = bring(&server, state.as_str(), *state).await;
        assert_eq!(call(&case).await, answer, "the answer while {state}");
        let is = case.world.state(&case.id).await;
        assert_eq!(is, after, "the state after {state}");
        assert!(*state == is || state.may_become(is) || (*state == Running), "{state} to {is} is not in the table");
        check::structures(&case.world).await;
    }
}

pub(super) fn told<T: std::fmt::Debug>(answer: Result<T, orch::store::StoreError>) -> String {
    match answer {
        Ok(value) => format!("{value:?}"),
        Err(e) => e.refusal().unwrap_or_else(|| panic!("{e}")).to_string(),
    }
}

#[tokio::test]
async fn delegate_sent_again() {
    let again = async |case: &Case| {
        let mut same = task("x");
        same.id = case.id.clone();
        let answer = case.world.store.delegate(&same).await.unwrap();
        assert_eq!((&answer.id, answer.created), (&case.id, true));
        answer.state.to_string()
    };
    let others = TaskState::ALL[..8].iter();
    in_each_state(again, others.map(|s| (s.as_str(), *s)).collect::<Vec<_>>().try_into().unwrap()).await;
}

#[tokio::test]
async fn claim_takes_what_is_ready_and_nothing_else() {
    let claim = async |case: &Case| {
        let other = case.world.agent("shell-2").await;
        let claimed = case.world.try_claim(&other).await;
        assert!(claimed.iter().all(|c| c.task.id == case.id && c.task.state == Running));
        claimed.map_or("nothing".into(), |c| format!("attempt {}", c.attempt))
    };
    let nothing = |state| ("nothing", state);
    in_each_state(
        claim,
        [
            nothing(Blocked),
            ("attempt 1", Running),
            nothing(Delayed),
            nothing(Held),
            nothing(Running),
            nothing(Succeeded),
            nothing(Failed),
            nothing(Cancelled),
        ],
    )
    .await;
}

#[tokio::test]
async fn heartbeat_renews_a_lease_that_is_held() {
    let beat = async |case: &Case| {
        let Agent { id, incarnation } = &case.agent;
        let pulse = pulse(&case.claimed);
        told(case.world.store.heartbeat(id, incarnation, LONG, &pulse).await)
    };
    let stale = |state| ("stale", state);
    in_each_state(
        beat,
        [
            stale(Blocked),
            stale(Ready),
            stale(Delayed),
            stale(Held),
            ("Go", Running),
            stale(Succeeded),
            stale(Failed),
            stale(Cancelled),
        ],
    )
    .await;
}

/// The supervisor ends an agent that is busy for much longer.
#[tokio::test]
async fn a_claim_records_the_deadline_of_its_attempt_and_the_end_removes_it() {
    let server = Server::start();
    let world = server.world("n");
    let new = task("x");
    let limit = new.spec.timeout_ms;
    world.delegate(&new).await;
    let agent = world.agent("shell-1").await;
    let claimed = world.claim(&agent).await;
    let record = world.store.agent(&agent.id).await.unwrap().unwrap();
    let claimed_at = record.agent.since;
    assert_eq!(record.deadline.map(|at| at.0), Some(claimed_at.0 + limit));
    world.store.finish(&report(&agent, &claimed, Cause::Success)).await.unwrap();
    assert_eq!(world.store.agent(&agent.id).await.unwrap().unwrap().deadline, None);
}

/// A program's own word counts as a sign of progress, and its runner, who has seen none, does not take it back.
#[tokio::test]
async fn a_programs_word_on_its_progress_stands_until_there_is_a_later_sign() {
    let server = Server::start();
    let world = server.world("n");
    let id = world.delegate(&task("x")).await;
    let agent = world.agent("shell-1").await;
    let claimed = world.claim(&agent).await;
    let beat = async |age| {
        let pulse = Pulse { progress_age: Some(age), ..pulse(&claimed) };
        world.store.heartbeat(&agent.id, &agent.incarnation, LONG, &pulse).await.unwrap();
        world.store.agent(&agent.id).await.unwrap().unwrap().progress_at
    };
    let claimed_at = world.store.agent(&agent.id).await.unwrap().unwrap().progress_at;
    let () =
        redis::cmd("HSET").arg(&["orch:{n}:agent:shell-1", "progress_at", "1000"]).query(&mut world.raw()).unwrap();
    world.store.progress(&capability(&agent, &claimed), "half of it").await.unwrap();
    let told = beat(LONG).await;
    assert!(told >= claimed_at, "{told:?} {claimed_at:?}");
    assert!(beat(Duration::ZERO).await >= told);
    let said = world.events().await.pop().unwrap();
    assert_eq!(
        (said.kind.as_str(), said.task, said.agent),
        ("task.progress", Some(id.to_string()), Some("shell-1".to_owned()))
    );
    assert_eq!(said.reason, "half of it");
}

#[tokio::test]
async fn cancel_ends_what_is_open_and_tells_the_agent_of_what_runs() {
    let cancel = async |case: &Case| {
        let answer = case.world.cancel(&case.id).await.unwrap();
        let task = case.world.detail(&case.id).await.task;
        assert_eq!(task.cancelling, task.state == Running);
        if answer == Cancelled && case.claimed.task.state != Running {
            assert_eq!(task.cause, Some(Cause::Cancelled));
            assert_eq!(task.reason.as_deref(), Some("a test"));
        }
        answer.to_string()
    };
    in_each_state(
        cancel,
        [
            ("cancelled", Cancelled),
            ("cancelled", Cancelled),
            ("cancelled", Cancelled),
            ("cancelled", Cancelled),
            ("running", Running),
            ("succeeded", Succeeded),
            ("cancelled", Cancelled),
            ("cancelled", Cancelled),
        ],
    )
    .await;
}

#[tokio::test]
async fn retry_starts_anew_what_a_person_may() {
    let retry = async |case: &Case| {
        let answer = case.world.store.retry(&case.id, "a test").await.unwrap();
        let task = case.world.detail(&case.id).await.task;
        if task.state == Ready && answer.from != Delayed {
            assert_eq!((task.failures, task.lost, task.cause), (0, 0, None));
        }
        format!("{} {}", answer.from, answer.to)
    };
    in_each_state(
        retry,
        [
            ("blocked blocked", Blocked),
            ("ready ready", Ready),
            ("delayed ready", Ready),
            ("held ready", Ready),
            ("running running", Running),
            ("succeeded succeeded", Succeeded),
            ("failed ready", Ready),
            ("cancelled ready", Ready),
        ],
    )
    .await;
}

#[tokio::test]
async fn waiting_is_for_the_holder() {
    let wait = async |case: &Case| {
        let me = capability(&case.agent, &case.claimed);
        let answer = case.world.store.mark_waiting(&me, &[], LONG).await;
        let waiting = case.world.detail(&case.id).await.task.waiting;
        assert_eq!(waiting, answer.is_ok());
        check::structures(&case.world).await;
        if waiting {
            case.world.store.mark_waiting(&me, &[], Duration::ZERO).await.unwrap();
            assert!(!case.world.detail(&case.id).await.task.waiting);
        }
        told(answer)
    };
    let expected: Vec<_> =
        TaskState::ALL[..8].iter().map(|s| if *s == Running { ("()", *s) } else { ("stale", *s) }).collect();
    in_each_state(wait, expected.try_into().unwrap()).await;
}

#[tokio::test]
async fn a_running_task_that_is_being_cancelled() {
    let server = Server::start();
    // Whatever its agent says afterwards is its end as cancelled, but success: what is done is done.
    for cause in Cause::ALL {
        let case = bring(&server, cause.as_str(), Running).await;
        case.world.cancel(&case.id).await;
        let Agent { id, incarnation } = &case.agent;
        let pulse = pulse(&case.claimed);
        let beat = case.world.store.heartbeat(id, incarnation, LEASE, &pulse).await;
        assert_eq!(told(beat), r#"Cancel("a test")"#);
        let sub = case.world.store.delegate(&subtask("s", &case.agent, &case.claimed)).await;
        assert_eq!(refusal(sub), "stale");
        let to = case.world.finish(&case.agent, &case.claimed, *cause).await;
        let expected = if *cause == Cause::Success { Succeeded } else { Cancelled };
        assert_eq!(to, expected, "{cause}");
        check::structures(&case.world).await;
    }
}

#[tokio::test]
async fn several_tasks_are_accepted_together_or_none_is() {
    let server = Server::start();
    let world = server.world("n");
    let first = world.delegate(&task("first")).await;
    let keyed = NewTask { spec: Spec { key: Some("k".into()), ..task("a").spec }, ..task("a") };
    let all = [
        keyed.clone(),
        NewTask { id: TaskId::random(), ..keyed },
        NewTask { spec: Spec { after: vec![first.clone()], ..task("b").spec }, ..task("b") },
        task("c"),
    ];
    let accepted = world.store.delegate_all(&all).await.unwrap();
    let told: Vec<_> = accepted.iter().map(|d| (d.state, d.created)).collect();
    use TaskState::{Blocked, Ready};
    assert_eq!(told, [(Ready, true), (Ready, false), (Blocked, true), (Ready, true)]);
    assert_eq!(accepted[1].id, accepted[0].id, "the same key within one call");
    let again = world.store.delegate_all(&all).await.unwrap();
    assert_eq!(again.iter().map(|d| &d.id).collect::<Vec<_>>(), accepted.iter().map(|d| &d.id).collect::<Vec<_>>());
    assert_eq!(world.store.task_ids(None).await.unwrap().len(), 4);

    let wrong = NewTask { spec: Spec { after: vec![TaskId::random()], ..task("d").spec }, ..task("d") };
    let refused = world.store.delegate_all(&[task("e"), wrong]).await.unwrap_err();
    assert_eq!(refused.refusal(), Some(Refusal::UnknownDependency));
    assert_eq!(world.store.task_ids(None).await.unwrap().len(), 4);

    let agent = world.agent("shell-1").await;
    let parent = world.claim(&agent).await;
    let child = |text: &str| NewTask {
        parent: Some(capability(&agent, &parent)),
        fingerprint: Some("the same".into()),
        max_children: 3,
        ..task(text)
    };
    let two = world.store.delegate_all(&[child("f"), child("f")]).await.unwrap();
    assert_ne!(two[0].id, two[1].id, "the first and the second call with this content");
    let more = world.store.delegate_all(&[child("f"), child("f")]).await.unwrap_err();
    assert_eq!(more.refusal(), Some(Refusal::TooManyChildren));
    assert_eq!(world.store.task_ids(None).await.unwrap().len(), 6);
    check::structures(&world).await;
}
