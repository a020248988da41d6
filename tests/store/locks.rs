//! Locks: who gets one, who waits, and in which order; that nobody waits for ever, and that nothing overlaps.

use std::time::Duration;

use orch::{
    model::{
        cause::Cause,
        id::TaskId,
        lock::{HolderKind, LockMode, Pattern},
        task::TaskState,
    },
    store::{
        locks::{Holder, NewLocks},
        tasks::{Claimed, NewTask},
    },
};
use proptest::prelude::*;

use super::{check, fixture::*};

fn patterns(all: &[&str]) -> Vec<Pattern> {
    all.iter().map(|one| one.parse().unwrap()).collect()
}

/// A task that writes these.
fn writing(what: &[&str]) -> NewTask {
    let new = task(&what.join(" "));
    NewTask { spec: Spec { writes: patterns(what), ..new.spec }, ..new }
}

fn reading(what: &[&str]) -> NewTask {
    let new = task(&what.join(" "));
    NewTask { spec: Spec { reads: patterns(what), ..new.spec }, ..new }
}

/// As many idle agents.
async fn agents(world: &World, n: usize) -> Vec<Agent> {
    let mut agents = Vec::new();
    for i in 1..=n {
        agents.push(world.agent(&format!("shell-{i}")).await);
    }
    agents
}

/// Claims until there is nothing more to be had.
async fn claim_all(world: &World, agents: &[Agent]) -> Vec<(Agent, Claimed)> {
    let mut claimed = Vec::new();
    for agent in agents {
        if world.agent_state(agent).await == orch::model::agent::AgentState::Idle
            && let Some(got) = world.try_claim(agent).await
        {
            claimed.push((agent.clone(), got));
        }
    }
    check::structures(world).await;
    claimed
}

fn ids(claimed: &[(Agent, Claimed)]) -> Vec<TaskId> {
    claimed.iter().map(|(_, claimed)| claimed.task.id.clone()).collect()
}

#[tokio::test]
async fn tasks_whose_paths_overlap_run_one_after_the_other() {
    let server = Server::start();
    let world = server.world("n");
    let first = world.delegate(&writing(&["src/api/**"])).await;
    let second = world.delegate(&writing(&["docs", "src/api/mod.rs"])).await;
    let third = world.delegate(&writing(&["src/db"])).await;
    let agents = agents(&world, 3).await;
    let running = claim_all(&world, &agents).await;
    assert_eq!(ids(&running), [first.clone(), third.clone()], "the second waits, and what it needs is not locked");
    let (parked, count) = world.store.parked(10).await.unwrap();
    assert_eq!((parked[0].task.clone(), parked[0].pattern.as_str(), count), (second.clone(), "src/api/mod.rs", 1));
    let locked = world.store.locks().await.unwrap();
    let named: Vec<_> = locked.iter().map(|lock| (lock.pattern.as_str(), lock.task.clone().unwrap())).collect();
    assert_eq!(named, [("src/api", first), ("src/db", third)]);
    assert_eq!(locked[0].agent.as_deref(), Some("shell-1"));
    world.finish(&running[0].0, &running[0].1, Cause::Success).await;
    let running = claim_all(&world, &agents).await;
    assert_eq!(ids(&running), std::slice::from_ref(&second));
    assert_eq!(world.detail(&second).await.task.parked_at, None);
    world.finish(&running[0].0, &running[0].1, Cause::Success).await;
    check::structures(&world).await;
    check::history(&world).await;
}

#[tokio::test]
async fn readers_share_and_exclude_writers() {
    let server = Server::start();
    let world = server.world("n");
    let readers = [world.delegate(&reading(&["src"])).await, world.delegate(&reading(&["src/api"])).await];
    let writer = world.delegate(&writing(&["src/api/a.rs"])).await;
    let agents = agents(&world, 4).await;
    let running = claim_all(&world, &agents).await;
    assert_eq!(ids(&running), readers);
    world.finish(&running[1].0, &running[1].1, Cause::Success).await;
    assert!(claim_all(&world, &agents).await.is_empty(), "src is still read");
    world.finish(&running[0].0, &running[0].1, Cause::Success).await;
    let later = [world.delegate(&reading(&["src"])).await, world.delegate(&reading(&["src"])).await];
    let running = claim_all(&world, &agents).await;
    assert_eq!(ids(&running), [writer]);
    world.finish(&running[0].0, &running[0].1, Cause::Success).await;
    assert_eq!(ids(&claim_all(&world, &agents).await), later, "both read at the same time");
}

/// Every way in which an attempt can end.
#[tokio::test]
async fn locks_end_with_the_lease_however_that_ends() {
    let server = Server::start();
    let world = server.world("n");
    for (n, end) in ["success", "transient", "needs_person", "cancel", "crash", "quarantine"].iter().enumerate() {
        let (one, other) = (world.agent(&format!("shell-{n}a")).await, world.agent(&format!("shell-{n}b")).await);
        world.delegate(&writing(&["a"])).await;
        let waits = world.delegate(&writing(&["a/b"])).await;
        let first = world.claim(&one).await;
        assert!(world.try_claim(&other).await.is_none());
        match *end {
            "cancel" => {
                world.cancel(&first.task.id).await;
                world.finish(&one, &first, Cause::Cancelled).await;
            }
            "crash" => {
                world.store.end_agent(&one.id, &one.incarnation, &crash()).await.unwrap();
            }
            "quarantine" => {
                world.store.quarantine(first.task.id.as_str(), "", "a test").await.unwrap();
            }
            cause => {
                world.finish(&one, &first, cause.parse().unwrap()).await;
            }
        }
        let next = world.claim(&other).await;
        assert_eq!(next.task.id, waits, "{end}");
        world.finish(&other, &next, Cause::Success).await;
        for id in [&first.task.id, &waits] {
            world.cancel(id).await;
        }
        assert_eq!(world.store.locks().await.unwrap(), [], "{end}");
        check::structures(&world).await;
    }
}

#[tokio::test]
async fn a_parked_task_that_is_cancelled_leaves_nothing_and_the_next_one_gets_the_lock() {
    let server = Server::start();
    let world = server.world("n");
    let all = [writing(&["a"]), writing(&["a"]), writing(&["a"]), writing(&["a"])];
    let mut tasks = Vec::new();
    for new in &all {
        tasks.push(world.delegate(new).await);
    }
    let agents = agents(&world, 2).await;
    let running = claim_all(&world, &agents).await;
    world.cancel(&tasks[1]).await;
    check::structures(&world).await;
    world.finish(&running[0].0, &running[0].1, Cause::Success).await;
    // It was offered: it is in nobody's hands, and goes.
    world.cancel(&tasks[2]).await;
    check::structures(&world).await;
    assert_eq!(ids(&claim_all(&world, &agents).await), [tasks[3].clone()]);
}

/// A parent may hand on what it has locked; its subtasks exclude each other.
#[tokio::test]
async fn a_subtask_locks_what_its_parent_has_locked() {
    let server = Server::start();
    let world = server.world("n");
    world.delegate(&writing(&["src"])).await;
    let agents = agents(&world, 3).await;
    let parent = world.claim(&agents[0]).await;
    let outsider = world.delegate(&writing(&["src/a"])).await;
    let child = |what: &str| NewTask { spec: writing(&[what]).spec, ..subtask(what, &agents[0], &parent) };
    let one = world.delegate(&child("src/a")).await;
    let other = world.delegate(&NewTask { fingerprint: Some("other".into()), ..child("src/a") }).await;
    let running = claim_all(&world, &agents).await;
    assert_eq!(ids(&running), [one]);
    world.finish(&running[0].0, &running[0].1, Cause::Success).await;
    let running = claim_all(&world, &agents).await;
    assert_eq!(ids(&running), [other], "although one that is no subtask has waited longer for the same");
    world.finish(&running[0].0, &running[0].1, Cause::Success).await;
    assert!(claim_all(&world, &agents).await.is_empty());
    world.finish(&agents[0], &parent, Cause::Success).await;
    assert_eq!(ids(&claim_all(&world, &agents).await), [outsider]);
}

/// One that needs many locks, among many that need one each.
#[tokio::test]
async fn a_task_that_needs_many_locks_is_not_overtaken_for_ever() {
    let server = Server::start();
    let world = server.world("n");
    let names: Vec<String> = (0..10).map(|n| format!("f{n}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let agents = agents(&world, 11).await;
    for name in &all {
        world.delegate(&writing(&[name])).await;
    }
    let mut running = claim_all(&world, &agents).await;
    assert_eq!(running.len(), 10);
    let big = world.delegate(&writing(&all)).await;
    for round in 0..3 {
        for name in &all {
            world.delegate(&writing(&[name])).await;
        }
        let mut next = Vec::new();
        for (agent, claimed) in running {
            world.finish(&agent, &claimed, Cause::Success).await;
            next.extend(claim_all(&world, &agents).await);
        }
        running = next;
        if ids(&running).contains(&big) {
            assert!(round <= 2);
            return;
        }
    }
    panic!("the big one still waits: {:?}", world.store.locks().await.unwrap());
}

#[tokio::test]
async fn a_persons_lock_keeps_tasks_out_until_it_is_released_or_has_expired() {
    let server = Server::start();
    let world = server.world("n");
    let lock = |id: &str, what: &[&str], ttl: Option<Duration>| NewLocks {
        holder: Holder::Person(id.into()),
        mode: LockMode::Write,
        patterns: patterns(what),
        reason: Some("because".into()),
        ttl,
        who: "a person".into(),
        owner: "a person".into(),
    };
    assert_eq!(world.store.take_locks(&lock("l-1", &["src"], None)).await.unwrap(), None);
    assert_eq!(world.store.take_locks(&lock("l-2", &["docs"], Some(Duration::from_millis(1)))).await.unwrap(), None);
    let in_the_way = world.store.take_locks(&lock("l-3", &["x", "src/a"], None)).await.unwrap().unwrap();
    assert_eq!((in_the_way.wanted.as_str(), in_the_way.lock.unwrap().id.as_deref()), ("src/a", Some("l-1")));
    let (one, other) = (world.delegate(&writing(&["src/a"])).await, world.delegate(&writing(&["docs/b", "x"])).await);
    let agents = agents(&world, 2).await;
    // The other's time has passed, whether or not anything has noticed.
    tokio::time::sleep(Duration::from_millis(3)).await;
    let running = claim_all(&world, &agents).await;
    assert_eq!(ids(&running), [other]);
    world.store.end_locks().await.unwrap();
    assert!(world.store.locks().await.unwrap().iter().all(|lock| lock.id.as_deref() != Some("l-2")));
    let released = world.store.release_locks(&Holder::Person("l-1".into()), &[], "a person").await.unwrap();
    assert_eq!(released, patterns(&["src"]));
    assert_eq!(ids(&claim_all(&world, &agents).await), [one]);
    let in_the_way = world.store.take_locks(&lock("l-4", &["."], None)).await.unwrap().unwrap();
    assert_eq!(in_the_way.lock.unwrap().holder, HolderKind::Task);
}

#[tokio::test]
async fn a_running_task_takes_and_releases_further_locks() {
    let server = Server::start();
    let world = server.world("n");
    world.delegate(&writing(&["a"])).await;
    world.delegate(&writing(&["b"])).await;
    let agents = agents(&world, 3).await;
    let running = claim_all(&world, &agents).await;
    let new = |at: usize, what: &[&str]| NewLocks {
        holder: Holder::Attempt(capability(&running[at].0, &running[at].1)),
        mode: LockMode::Write,
        patterns: patterns(what),
        reason: None,
        ttl: None,
        who: "an agent".into(),
        owner: "an agent".into(),
    };
    assert!(world.store.take_locks(&new(0, &["c", "b/x"])).await.unwrap().is_some(), "all or none");
    assert_eq!(world.store.locks().await.unwrap().len(), 2);
    assert_eq!(world.store.take_locks(&new(0, &["a/b", "c"])).await.unwrap(), None);
    let waits = world.delegate(&writing(&["c"])).await;
    assert!(claim_all(&world, &agents).await.is_empty());
    let holder = new(0, &[]).holder;
    assert_eq!(world.store.release_locks(&holder, &patterns(&["c"]), "x").await.unwrap(), patterns(&["c"]));
    assert_eq!(ids(&claim_all(&world, &agents).await), [waits]);
    world.finish(&running[0].0, &running[0].1, Cause::Success).await;
    let late = world.store.take_locks(&new(0, &["z"])).await;
    assert_eq!(refusal(late), "stale");
    assert_eq!(refusal(world.store.release_locks(&holder, &[], "x").await), "stale");
}

/// Many tasks that wait for one lock each are offered some at a time, and none is forgotten.
#[tokio::test]
async fn a_lock_of_everything_that_ends_lets_all_go_on() {
    let server = Server::start_hasty();
    let world = server.world("n");
    world.delegate(&writing(&["."])).await;
    let first = world.agent("shell-0").await;
    let whole = world.claim(&first).await;
    let mut tasks = Vec::new();
    for n in 0..300 {
        tasks.push(world.delegate(&writing(&[&format!("d{n}/f")])).await);
    }
    let agent = world.agent("shell-1").await;
    for _ in 0..40 {
        assert!(world.try_claim(&agent).await.is_none());
    }
    assert_eq!(world.store.parked(1).await.unwrap().1, 300);
    world.finish(&first, &whole, Cause::Success).await;
    for id in &tasks {
        let claimed = world.claim(&agent).await;
        assert_eq!(world.finish(&agent, &claimed, Cause::Success).await, TaskState::Succeeded, "{id}");
    }
    check::structures(&world).await;
}

fn part() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "ab", "a.b", "*", "**", "a*", "*b", "a*b"]).prop_map(str::to_owned)
}

/// The script computes what `Pattern::meets` computes.
#[test]
fn the_scripts_relation_is_that_of_the_patterns() {
    let server = Server::start_hasty();
    let world = server.world("n");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let one = || prop::collection::vec(part(), 1..5).prop_map(|parts| parts.join("/").parse::<Pattern>().unwrap());
    let count = std::cell::Cell::new(0);
    proptest!(ProptestConfig::with_cases(1_000), |(one in one(), other in one())| {
        count.set(count.get() + 1);
        let n = count.get();
        let lock = |id: String, pattern: &Pattern| NewLocks {
            holder: Holder::Person(id), mode: LockMode::Write, patterns: vec![pattern.clone()],
            reason: None, ttl: None, who: "x".into(), owner: "x".into(),
        };
        let excluded = runtime.block_on(async {
            let (first, second) = (format!("l-{n}a"), format!("l-{n}b"));
            assert_eq!(world.store.take_locks(&lock(first.clone(), &one)).await.unwrap(), None);
            let excluded = world.store.take_locks(&lock(second.clone(), &other)).await.unwrap().is_some();
            for id in [first, second] {
                world.store.release_locks(&Holder::Person(id), &[], "x").await.unwrap();
            }
            excluded
        });
        prop_assert_eq!(excluded, one.meets(&other), "{} and {}", one, other);
    });
}
