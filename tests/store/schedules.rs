//! Schedules: each occurrence runs exactly once, or there is a reason why it does not.

#![cfg(debug_assertions)]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use orch::{
    config::{Config, Env},
    model::{
        event::EventKind,
        schedule::{Outcome, Overlap, RunId, ScheduleRecord},
        task::TaskState,
        time::Timestamp,
    },
    ops::{Caller, Ops, Person},
    schedule::Rule,
    store::{Store, requests::Request},
};

use super::{check, fixture::*};

const MINUTE: u64 = 60_000;
pub const HOUR: u64 = 60 * MINUTE;
/// 2027-03-20T00:00:00Z: within the next 30 days, the clocks of Europe go forward and those of Australia back.
pub const START: u64 = 1_805_500_800_000;

/// A supervisor's part that keeps schedules.
pub struct Keeper {
    ops: Ops,
    pub rules: BTreeMap<String, Rule>,
}

impl Keeper {
    /// One with these tables of sessions.toml, as its supervisor starts.
    pub async fn started(world: &World, tables: &str) -> Keeper {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("sessions.toml"), format!("[master]\ndefault_role = \"shell\"\n{tables}"))
            .unwrap();
        std::fs::write(folder.path().join("plan.toml"), PLAN).unwrap();
        let env = Env { cwd: folder.path().to_owned(), home: Some(folder.path().to_owned()), ..Env::default() };
        let config = Config::load_with(&env, None).unwrap();
        // The plan's file stays.
        let _ = folder.keep();
        let ops = Ops::on(Arc::new(config), Caller::Person(Person::default()), Arc::new(same_store(world)));
        ops.define_schedules().await.unwrap();
        Keeper { rules: ops.schedule_rules(), ops }
    }

    /// Looks until nothing is left to be done now.
    pub async fn look(&self) -> Duration {
        loop {
            let rest = self.ops.keep_schedules(&self.rules).await.unwrap();
            if !rest.is_zero() {
                return rest;
            }
        }
    }
}

const PLAN: &str = "name = \"p\"\n[tasks.a]\nrole = \"shell\"\ntext = \"true\"\n[tasks.b]\nrole = \"shell\"\ntext = \"true\"\nafter = [\"a\"]\n";

/// Another connection to the same namespace.
fn same_store(world: &World) -> Store {
    world.again().store
}

/// Sets the clock of the transitions.
pub fn set_clock(world: &World, at: u64) {
    // In whole seconds, as the store reads it.
    let ahead = (at as i64 - Timestamp::now().0 as i64 + 999).div_euclid(1000) * 1000;
    let key = world.store.keys().plain("clock_offset");
    let () = redis::cmd("SET").arg(key).arg(ahead).query(&mut world.raw()).unwrap();
}

async fn record(world: &World, name: &str) -> ScheduleRecord {
    world.store.schedules(&[name.to_owned()]).await.unwrap().1.remove(name).unwrap()
}

async fn last_task(world: &World, name: &str) -> orch::model::id::TaskId {
    match record(world, name).await.last {
        Some(RunId::Task(id)) => id,
        other => panic!("{other:?}"),
    }
}

fn hourly(more: &str) -> String {
    format!("[schedules.a]\ncron = \"@hourly\"\ntimezone = \"UTC\"\ntext = \"true\"\n{more}")
}

/// The outcomes of a schedule with their reasons, the oldest first.
async fn outcomes(world: &World, name: &str) -> Vec<(Outcome, u64, String)> {
    let log = world.store.schedule_log(name, 200).await.unwrap();
    log.into_iter().rev().map(|one| (one.outcome, one.count, one.reason)).collect()
}

#[tokio::test]
async fn an_occurrence_becomes_a_task_with_a_label_a_key_and_a_reason() {
    let server = Server::start();
    let world = server.world("n");
    set_clock(&world, START + 1);
    let keeper = Keeper::started(&world, &hourly("role = \"shell\"\npriority = \"low\"")).await;
    assert!(keeper.look().await > Duration::from_secs(20));
    assert_eq!(record(&world, "a").await.last, None, "it occurs from now on");
    set_clock(&world, START + HOUR);
    keeper.look().await;
    let task = world.store.task(&last_task(&world, "a").await).await.unwrap().unwrap().task;
    assert_eq!((task.state, task.role.as_str(), task.description.as_str()), (TaskState::Ready, "shell", "true"));
    assert_eq!(task.labels["schedule"], "a");
    assert_eq!(task.key.as_deref(), Some("schedule:a:2027-03-20T01:00:00.000Z"));
    keeper.look().await;
    assert_eq!(outcomes(&world, "a").await.len(), 1, "it is decided once");
    let events = world.events().await;
    let accepted = events.iter().find(|event| event.kind == EventKind::TaskReady).unwrap();
    assert!(accepted.reason.contains("schedule a, the occurrence of 2027-03-20 01:00"), "{}", accepted.reason);
    check::structures(&world).await;
}

#[tokio::test]
async fn two_supervisors_and_a_repeated_call_decide_an_occurrence_once() {
    let server = Server::start();
    let world = server.world("n");
    set_clock(&world, START + 1);
    let (one, other) = (Keeper::started(&world, &hourly("")).await, Keeper::started(&world, &hourly("")).await);
    for hour in 1..=10 {
        set_clock(&world, START + hour * HOUR);
        tokio::join!(one.look(), other.look());
        world.cancel(&last_task(&world, "a").await).await;
    }
    let outcomes = outcomes(&world, "a").await;
    assert_eq!(outcomes.iter().filter(|one| one.0 == Outcome::Run).count(), 10, "{outcomes:#?}");
    assert_eq!(world.store.task_ids(None).await.unwrap().len(), 10);
}

#[tokio::test]
async fn an_overlapping_occurrence_is_skipped_queued_or_replaces() {
    let server = Server::start();
    for overlap in Overlap::ALL {
        let world = server.world(overlap.as_str());
        set_clock(&world, START + 1);
        let keeper = Keeper::started(&world, &hourly(&format!("overlap = \"{overlap}\""))).await;
        set_clock(&world, START + HOUR);
        keeper.look().await;
        let first = last_task(&world, "a").await;
        for hour in [2, 3] {
            set_clock(&world, START + hour * HOUR);
            keeper.look().await;
        }
        let seen = record(&world, "a").await;
        let state = world.state(&first).await;
        match overlap {
            Overlap::Skip => {
                assert_eq!((state, seen.waiting.len()), (TaskState::Ready, 0));
                let (outcome, _, reason) = &outcomes(&world, "a").await[1];
                assert_eq!(
                    (*outcome, reason.as_str()),
                    (Outcome::Skipped, &*format!("the run before, {first}, is not over"))
                );
            }
            Overlap::Queue => {
                assert_eq!((state, seen.waiting.len()), (TaskState::Ready, 2));
                assert!(seen.obstacle.unwrap().contains("is not over"));
                world.cancel(&first).await;
                keeper.look().await;
                assert_eq!(record(&world, "a").await.waiting.len(), 1, "one after the other");
                world.cancel(&last_task(&world, "a").await).await;
                keeper.look().await;
                assert_eq!(outcomes(&world, "a").await.len(), 3);
            }
            Overlap::Replace => {
                assert_eq!(state, TaskState::Cancelled);
                assert_ne!(last_task(&world, "a").await, first);
                assert_eq!(outcomes(&world, "a").await.iter().filter(|one| one.0 == Outcome::Run).count(), 3);
            }
        }
        check::structures(&world).await;
    }
}

#[tokio::test]
async fn what_cannot_be_accepted_waits_and_says_why() {
    let server = Server::start();
    let world = server.world("n");
    set_clock(&world, START + 1);
    let keeper =
        Keeper::started(&world, &format!("[supervisor]\nmax_queued = 1\n{}", hourly("overlap = \"queue\""))).await;
    world.store.request(&Request::Drain, EventKind::RequestDrain, "a test").await.unwrap();
    set_clock(&world, START + HOUR);
    keeper.look().await;
    let waits = record(&world, "a").await;
    assert_eq!((waits.waiting.len(), waits.last), (1, None));
    assert!(waits.obstacle.as_ref().unwrap().contains("drain"), "{:?}", waits.obstacle);
    world.store.withdraw(&[Request::Drain], EventKind::RequestResume, "a test").await.unwrap();
    let other = world.delegate(&task("other")).await;
    keeper.look().await;
    let waits = record(&world, "a").await;
    assert!(waits.obstacle.as_ref().unwrap().contains("max_queued"), "{:?}", waits.obstacle);
    world.cancel(&other).await;
    keeper.look().await;
    let ran = record(&world, "a").await;
    assert_eq!((ran.waiting.len(), ran.obstacle, ran.last_at), (0, None, Some(Timestamp(START + HOUR))));
    check::structures(&world).await;
}

#[tokio::test]
async fn pauses_requests_changes_and_removals() {
    let server = Server::start();
    let world = server.world("n");
    set_clock(&world, START + 1);
    let keeper = Keeper::started(&world, &hourly("")).await;
    let store = &world.store;
    assert!(store.pause_schedule("a", "a person", true).await.unwrap());
    assert!(!store.pause_schedule("a", "a person", true).await.unwrap());
    set_clock(&world, START + HOUR);
    keeper.look().await;
    assert_eq!(outcomes(&world, "a").await, [(Outcome::Skipped, 1, "the schedule was paused by a person".into())]);
    // A run that is asked for runs also while it is paused.
    let at = store.request_run("a", Overlap::Skip, "a person", "token").await.unwrap();
    assert_eq!(store.request_run("a", Overlap::Skip, "a person", "token").await.unwrap(), at, "the same request");
    keeper.look().await;
    let first = last_task(&world, "a").await;
    assert_eq!(record(&world, "a").await.last_at, Some(at));
    let refused = store.request_run("a", Overlap::Skip, "a person", "another").await.unwrap_err();
    assert_eq!(refused.refusal(), Some(orch::model::refusal::Refusal::Overlaps));
    world.cancel(&first).await;
    assert!(store.pause_schedule("a", "a person", false).await.unwrap());
    set_clock(&world, START + 2 * HOUR);
    keeper.look().await;
    assert_ne!(last_task(&world, "a").await, first);

    // Other times: what was due by the earlier ones is not.
    set_clock(&world, START + 5 * HOUR + 30 * MINUTE);
    let keeper = Keeper::started(&world, &hourly("").replace("@hourly", "*/5 * * * *")).await;
    keeper.look().await;
    assert_eq!(outcomes(&world, "a").await.len(), 3);
    let none = Keeper::started(&world, "").await;
    none.look().await;
    assert_eq!(record(&world, "a").await, ScheduleRecord::default());
    let unknown = store.pause_schedule("a", "a person", true).await.unwrap_err();
    assert_eq!(unknown.refusal(), Some(orch::model::refusal::Refusal::Unknown));
    check::structures(&world).await;
}

#[tokio::test]
async fn a_plan_runs_and_one_with_mistakes_fails_with_its_reason() {
    let server = Server::start();
    let world = server.world("n");
    set_clock(&world, START + 1);
    let tables = "[schedules.a]\ncron = \"@hourly\"\ntimezone = \"UTC\"\nplan = \"plan.toml\"\n";
    let keeper = Keeper::started(&world, tables).await;
    set_clock(&world, START + HOUR);
    keeper.look().await;
    let Some(RunId::Plan(plan)) = record(&world, "a").await.last else { panic!("no plan") };
    assert_eq!(world.store.plan_tasks(&plan).await.unwrap().len(), 2);
    assert!(record(&world, "a").await.is_open);
    world.store.cancel_plan(&plan, "a test").await.unwrap();
    let file = keeper.ops.config().root.join("plan.toml");
    std::fs::write(&file, "name = \"p\"\n[tasks.a]\nrole = \"nobody\"\n").unwrap();
    set_clock(&world, START + 2 * HOUR);
    keeper.look().await;
    let failed = outcomes(&world, "a").await.pop().unwrap();
    assert_eq!(failed.0, Outcome::Failed);
    assert!(failed.2.contains("nobody"), "{failed:?}");
    assert!(record(&world, "a").await.failure.is_some());
    std::fs::write(&file, PLAN).unwrap();
    set_clock(&world, START + 3 * HOUR);
    keeper.look().await;
    let again = record(&world, "a").await;
    assert_eq!((again.failure, again.last_at), (None, Some(Timestamp(START + 3 * HOUR))));
    check::structures(&world).await;
}
