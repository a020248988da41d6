//! Damage at random. What it found is a test of its own beside this.

use orch::{
    model::{
        cause::Cause,
        id::TaskId,
        task::TaskState::{self, *},
    },
    store::{
        StoreError,
        tasks::{Claimed, Report},
    },
};
use proptest::{prelude::*, test_runner::TestRunner};

use super::{super::fixture::*, run};

/// Whatever is written into records: every sound task ends, nothing is refused for a reason of the scripts' own, and what
/// is left agrees.
#[test]
fn any_damage_holds_up_nobody() {
    let fields = prop::sample::select(vec![
        "role",
        "text",
        "priority",
        "seq",
        "number",
        "state",
        "timeout_ms",
        "created_at",
        "retries",
        "failures",
        "lost",
        "lost_max",
        "depth",
        "labels",
        "after",
        "artifacts",
        "context",
        "parent",
        "key",
        "cwd",
        "ready_at",
        "since",
        "fence",
        "agent",
        "incarnation",
        "open_children",
        "result",
        "cause",
        "evidence",
        "waiting_until",
        "cancelling",
    ]);
    let values = prop_oneof![
        Just(None),
        prop::collection::vec(any::<u8>(), 0..12).prop_map(Some),
        "[-+0-9.eE]{1,24}".prop_map(|s| Some(s.into_bytes())),
        "[\\[\\]{}\":,a1]{0,8}".prop_map(|s| Some(s.into_bytes())),
        prop::sample::select(vec!["ready", "failed", "t-7k2m9qx4hz", "high", "null"]).prop_map(|s| Some(s.into())),
    ];
    let damages = prop::collection::vec((0usize..4, fields, values), 1..6);
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cases = std::env::var("ORCH_FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(48);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let namespaces = std::cell::Cell::new(0);
    TestRunner::new(config)
        .run(&damages, |damages| {
            namespaces.set(namespaces.get() + 1);
            runtime.block_on(survives(&server.world(&format!("f{}", namespaces.get())), &damages));
            let () = redis::cmd("FLUSHALL").query(&mut server.raw()).unwrap();
            Ok(())
        })
        .unwrap();
}

/// Refusals are answers; what a script could not do is not.
fn answered<T>(answer: Result<T, StoreError>) -> Option<T> {
    match answer {
        Err(e) => e.refusal().map(|_| None).unwrap_or_else(|| panic!("{e}")),
        Ok(answer) => Some(answer),
    }
}

/// A ready, a blocked, a delayed and a running task are damaged; two sound ones stand behind them.
async fn survives(world: &World, damages: &[(usize, &str, Option<Vec<u8>>)]) {
    let (holder, worker) = (world.agent("shell-1").await, world.agent("shell-2").await);
    let delayed = world.delegate(&task("delayed")).await;
    let report = Report { retry_after_ms: Some(0), ..report(&worker, &world.claim(&worker).await, Cause::Transient) };
    world.store.finish(&report).await.unwrap();
    let running = world.delegate(&task("running")).await;
    let held = world.claim(&holder).await;
    assert_eq!(held.task.id, running);
    let ready = world.delegate(&task("ready")).await;
    let blocked = world.delegate(&task_after("blocked", &[&ready])).await;
    let sound = [world.delegate(&task("sound")).await, world.delegate(&task_after("sound", &[])).await];
    let all = [&ready, &blocked, &delayed, &running];
    for (which, field, value) in damages {
        let key = world.store.keys().of("task", all[*which].as_str());
        match value {
            Some(value) => run(&mut world.raw(), &[b"HSET", key.as_bytes(), field.as_bytes(), value]),
            None => run(&mut world.raw(), &[b"HDEL", key.as_bytes(), field.as_bytes()]),
        }
    }
    answered(world.store.finish(&report_of(&holder, &held)).await);
    for _ in 0..20 {
        answered(world.store.release_due().await);
        let Some(claimed) = answered(world.store.claim(&worker.id, &worker.incarnation, LEASE).await).flatten() else {
            continue;
        };
        answered(world.store.finish(&report_of(&worker, &claimed)).await);
    }
    for id in &sound {
        assert_eq!(world.state(id).await, Succeeded);
    }
    let ids: Vec<TaskId> = all.into_iter().cloned().collect();
    world.store.quarantine_damaged(&ids).await.unwrap();
    let (tasks, damaged) = world.store.tasks_and_damaged(&ids).await.unwrap();
    assert_eq!((tasks.len(), damaged), (ids.len(), vec![]), "whatever was damaged reads again");
    for id in &ids {
        answered(world.store.retry(id, "a test").await);
        world.store.cancel(std::slice::from_ref(id), "a test").await.unwrap();
    }
    let states: Vec<TaskState> = world.store.tasks(&ids).await.unwrap().iter().map(|t| t.state).collect();
    let may_stay = |s: &TaskState| s.is_terminal() || *s == Running;
    assert!(states.iter().all(may_stay), "{states:?}");
}

fn report_of(agent: &Agent, claimed: &Claimed) -> Report {
    report(agent, claimed, Cause::Success)
}
