//! A Redis that comes up with less than it had: fences grow all the same, and who lives is known again.

use std::path::PathBuf;

use orch::{
    model::{cause::Cause, id::TaskId, task::TaskState},
    store::{
        Store,
        checkpoint::Checkpoint,
        epoch::{FENCES_PER_EPOCH, Known, Living, Reinstated, Speaker},
        people::Reader,
        tasks::{Claimed, NewTask},
    },
};

use super::{
    check,
    fixture::{Agent, LEASE, Server, Spec, World, process, refusal, report, subtask, task, task_after},
};

/// A server with a folder beside it that remembers.
struct Place {
    server: Server,
    memory: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        Place { server: Server::start(), memory: tempfile::tempdir().unwrap() }
    }
    fn checkpoint(&self) -> PathBuf {
        self.memory.path().join("epoch.json")
    }
    /// The store of one who gives leases, as he would open it now.
    fn world(&self) -> World {
        let world = self.server.world("n");
        World { store: world.store.with_checkpoint(Checkpoint::new(self.checkpoint(), LEASE)), ..world }
    }
    /// All that is stored.
    fn copy(&self) -> Vec<(String, Vec<u8>)> {
        let mut c = self.server.raw();
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut c).unwrap();
        keys.into_iter().map(|key| (key.clone(), redis::cmd("DUMP").arg(key).query(&mut c).unwrap())).collect()
    }
    /// Puts a copy in the place of what is stored, as if another server had taken over.
    fn restore(&self, copy: &[(String, Vec<u8>)]) {
        self.empty();
        let mut c = self.server.raw();
        for (key, dump) in copy {
            let () = redis::cmd("RESTORE").arg(key).arg(0).arg(dump).query(&mut c).unwrap();
        }
        // What takes over has a run id of its own.
        let () = redis::cmd("HSET").arg("orch:{n}:epoch").arg("run_id").arg("another").query(&mut c).unwrap();
    }
    /// The same server without anything in it.
    fn empty(&self) {
        let () = redis::cmd("FLUSHALL").query(&mut self.server.raw()).unwrap();
    }
}

async fn remember(world: &World) {
    world.store.remember(&world.store.observe(&[]).await.unwrap()).unwrap();
}

async fn settle(world: &World) {
    world.store.settled("a test").await.unwrap();
}

fn living() -> Living {
    Living {
        role: "shell".into(),
        session: "a-1".into(),
        master: false,
        started_at: 1_700_000_000_000,
        tasks_done: 3,
        process: process(1),
    }
}

async fn reinstate(
    store: &Store,
    agent: &Agent,
    epoch: u64,
    held: Option<&Claimed>,
) -> Result<Reinstated, orch::store::StoreError> {
    let living = living();
    let who = Speaker { agent: &agent.id, incarnation: &agent.incarnation, epoch, living: Some(&living) };
    store.reinstate(who, held.map(known)).await
}

fn known(claimed: &Claimed) -> Known<'_> {
    Known { task: &claimed.task, attempt: claimed.attempt, fence: Some(claimed.fence) }
}

#[tokio::test]
async fn fences_go_on_above_all_others_whenever_a_server_comes_up() {
    let mut place = Place::new();
    let world = place.world();
    let agent = world.agent("a-1").await;
    world.delegate(&task("x")).await;
    let first = world.claim(&agent).await;
    assert_eq!((first.fence, world.store.epoch()), (1, 0), "a new namespace begins at the beginning");
    assert_eq!(world.finish(&agent, &first, Cause::Success).await, TaskState::Succeeded);

    place.server.kill();
    place.server.start_again();
    world.delegate(&task("y")).await;
    let second = world.claim(&agent).await;
    assert_eq!((second.fence, world.store.epoch()), (FENCES_PER_EPOCH + 1, 1));
    // Nothing was lost, so nobody is waited for.
    assert_eq!(world.store.observe(&[]).await.unwrap().epoch.loss, None);
    check::structures(&world).await;
    check::history(&world).await;
}

#[tokio::test]
async fn fences_grow_and_the_loss_is_told_when_redis_comes_back_empty() {
    let place = Place::new();
    let world = place.world();
    let agent = world.agent("a-1").await;
    for _ in 0..3 {
        world.delegate(&task("x")).await;
        let claimed = world.claim(&agent).await;
        world.finish(&agent, &claimed, Cause::Success).await;
    }
    remember(&world).await;
    place.empty();

    let world = place.world();
    let agent = world.agent("a-1").await;
    world.delegate(&task("y")).await;
    assert_eq!(world.try_claim(&agent).await, None, "those who live say first what they have");
    settle(&world).await;
    assert_eq!(world.claim(&agent).await.fence, FENCES_PER_EPOCH + 1);
    let seen = world.store.observe(&[]).await.unwrap();
    assert!(seen.epoch.loss.unwrap().contains("3 tasks had been accepted, and the newest it knows is number 0"));
    let kinds: Vec<String> = world.events().await.into_iter().map(|e| e.kind.to_string()).collect();
    assert!(kinds.contains(&"redis.lost_data".to_owned()) && kinds.contains(&"redis.settled".to_owned()), "{kinds:?}");
    check::structures(&world).await;
    check::history(&world).await;
}

#[tokio::test]
async fn everybody_who_notices_at_once_raises_the_epoch_once() {
    let mut place = Place::new();
    let worlds: Vec<World> = (0..8).map(|_| place.world()).collect();
    for world in &worlds {
        world.store.info().await.unwrap();
    }
    place.server.kill();
    place.server.start_again();
    place.server.raw();
    futures_util::future::join_all(worlds.iter().map(|w| w.store.observe(&[]))).await;
    let epochs: Vec<u64> = worlds.iter().map(|w| w.store.epoch()).collect();
    assert_eq!(epochs, [1; 8]);
}

#[tokio::test]
async fn an_epoch_that_was_taken_and_not_used_is_left_out() {
    let mut place = Place::new();
    place.world().store.info().await.unwrap();
    std::fs::write(place.checkpoint(), r#"{"reserved": 7, "epoch": 0, "fence": 0, "accepted": 0}"#).unwrap();
    place.server.kill();
    place.server.start_again();
    let world = place.world();
    // INFO is answered even while the server still loads; a read of records waits for it.
    world.store.observe(&[]).await.unwrap();
    assert_eq!(world.store.epoch(), 8);
}

#[tokio::test]
async fn a_living_agent_and_its_attempt_are_known_again_and_end_as_if_nothing_had_been() {
    let place = Place::new();
    let world = place.world();
    let agent = world.agent("a-1").await;
    let parent = world.delegate(&task("parent")).await;
    let claimed = world.claim(&agent).await;
    let child = world.delegate(&subtask("child", &agent, &claimed)).await;
    let other = world.agent("a-2").await;
    let childs = world.claim(&other).await;
    remember(&world).await;
    place.empty();

    let world = place.world();
    world.store.info().await.unwrap();
    // The child before its parent: neither order may count it wrongly.
    for (who, held) in [(&other, &childs), (&agent, &claimed)] {
        for _ in 0..2 {
            assert_eq!(reinstate(&world.store, who, 0, Some(held)).await, Ok(Reinstated::Done));
            check::structures(&world).await;
            check::history(&world).await;
        }
    }
    settle(&world).await;
    let shown = world.detail(&parent).await;
    assert_eq!(shown.task.children, std::slice::from_ref(&child));
    assert_eq!((shown.attempts.len(), shown.attempts[0].fence), (1, claimed.fence));
    for (who, held) in [(&other, &childs), (&agent, &claimed)] {
        assert_eq!(world.finish(who, held, Cause::Success).await, TaskState::Succeeded);
        check::structures(&world).await;
        check::history(&world).await;
    }
    let agent = world.store.agent("a-1").await.unwrap().unwrap().agent;
    assert_eq!((agent.tasks_done, agent.process), (4, process(1)));
}

#[tokio::test]
async fn a_claim_that_was_lost_is_taken_over_and_the_task_goes_to_nobody_else() {
    let place = Place::new();
    let world = place.world();
    let (agent, other) = (world.agent("a-1").await, world.agent("a-2").await);
    let id = world.delegate(&task("x")).await;
    let copy = place.copy();
    let claimed = world.claim(&agent).await;
    remember(&world).await;
    place.restore(&copy);

    let world = place.world();
    assert_eq!(world.state(&id).await, TaskState::Ready);
    assert_eq!(world.try_claim(&other).await, None);
    assert_eq!(reinstate(&world.store, &agent, 0, Some(&claimed)).await, Ok(Reinstated::Done));
    settle(&world).await;
    assert_eq!(world.try_claim(&other).await, None);
    assert_eq!(world.finish(&agent, &claimed, Cause::Success).await, TaskState::Succeeded);
    check::structures(&world).await;
    check::history(&world).await;
}

#[tokio::test]
async fn an_end_that_was_lost_has_to_be_told_first() {
    let place = Place::new();
    let world = place.world();
    let agent = world.agent("a-1").await;
    let (first, second) = (world.delegate(&task("x")).await, world.delegate(&task("y")).await);
    let before = world.claim(&agent).await;
    let copy = place.copy();
    world.finish(&agent, &before, Cause::Success).await;
    let now = world.claim(&agent).await;
    remember(&world).await;
    place.restore(&copy);

    let world = place.world();
    let busy = Reinstated::Busy { task: first.clone(), attempt: 1, fence: before.fence };
    assert_eq!(reinstate(&world.store, &agent, 0, Some(&now)).await, Ok(busy));
    assert_eq!(world.finish(&agent, &before, Cause::Success).await, TaskState::Succeeded);
    assert_eq!(reinstate(&world.store, &agent, 0, Some(&now)).await, Ok(Reinstated::Done));
    assert_eq!((world.state(&first).await, world.state(&second).await), (TaskState::Succeeded, TaskState::Running));
    check::structures(&world).await;
    check::history(&world).await;
}

#[tokio::test]
async fn what_redis_knows_better_wins() {
    let mut place = Place::new();
    let world = place.world();
    let (agent, other) = (world.agent("a-1").await, world.agent("a-2").await);
    world.delegate(&task("x")).await;
    let claimed = world.claim(&agent).await;
    // In the epoch in which it was known, whoever is refused was given up.
    assert_eq!(refusal(reinstate(&world.store, &agent, 0, Some(&claimed)).await), "stale");
    place.server.kill();
    place.server.start_again();
    let world = place.world();
    world.store.observe(&[]).await.unwrap();
    let retried = super::fixture::crash();
    world.store.end_agent(&agent.id, &agent.incarnation, &retried).await.unwrap();
    assert_eq!(refusal(reinstate(&world.store, &agent, 0, Some(&claimed)).await), "stale", "it was given up");
    world.store.release_due().await.unwrap();
    let again = world.claim(&other).await;
    assert!(again.fence > claimed.fence);
    let third = world.spawn("a-3", "shell").await;
    let as_another = Agent { id: third.id.clone(), incarnation: "of-long-ago".into() };
    assert_eq!(refusal(reinstate(&world.store, &as_another, 0, Some(&claimed)).await), "taken");
    let as_new = Agent { id: "a-4".into(), incarnation: "forgotten".into() };
    assert_eq!(refusal(reinstate(&world.store, &as_new, 0, Some(&claimed)).await), "stale", "a later lease was given");
    world.finish(&other, &again, Cause::Success).await;
    assert_eq!(refusal(reinstate(&world.store, &as_new, 0, Some(&again)).await), "stale", "it has ended");
    assert_eq!(world.state(&again.task.id).await, TaskState::Succeeded);
    check::structures(&world).await;
    check::history(&world).await;
}

#[tokio::test]
async fn a_task_of_which_only_a_file_is_left_is_ready_again() {
    let place = Place::new();
    let world = place.world();
    let agent = world.agent("a-1").await;
    let mut new = task("x");
    new.spec.key = Some("k".into());
    new.context = Some(serde_json::json!({"a": [1, 2]}));
    let id = world.delegate(&new).await;
    let claimed = world.claim(&agent).await;
    remember(&world).await;
    place.empty();

    let world = place.world();
    let gone = Speaker { agent: "", incarnation: "", epoch: 0, living: None };
    let over = Known { fence: None, ..known(&claimed) };
    assert_eq!(world.store.unknown(std::slice::from_ref(&id)).await.unwrap(), std::slice::from_ref(&id));
    assert_eq!(world.store.reinstate(gone, Some(over)).await, Ok(Reinstated::Done));
    assert_eq!(world.store.unknown(std::slice::from_ref(&id)).await.unwrap(), [] as [TaskId; 0]);
    settle(&world).await;
    assert_eq!(refusal(world.store.reinstate(gone, Some(over)).await), "stale");
    let shown = world.detail(&id).await.task;
    assert_eq!((shown.context, shown.created_at), (new.context.clone(), claimed.task.created_at));
    let another = NewTask { id: TaskId::random(), ..new };
    let again = world.store.delegate(&another).await.unwrap();
    assert_eq!((again.id, again.created), (id.clone(), false), "the same key is the same task");
    let agent = world.agent("a-2").await;
    assert_eq!(world.claim(&agent).await.attempt, 2);
    check::structures(&world).await;
    check::history(&world).await;
}

#[tokio::test]
async fn a_report_of_one_who_has_died_is_told_after_a_loss() {
    let place = Place::new();
    let world = place.world();
    let agent = world.agent("a-1").await;
    let (id, later) = {
        let id = world.delegate(&task("x")).await;
        let later = world.delegate(&task_after("y", &[&id])).await;
        (id, later)
    };
    let claimed = world.claim(&agent).await;
    remember(&world).await;
    place.empty();

    let world = place.world();
    world.store.info().await.unwrap();
    let dead = Speaker { agent: &agent.id, incarnation: &agent.incarnation, epoch: 0, living: None };
    assert_eq!(world.store.reinstate(dead, Some(known(&claimed))).await, Ok(Reinstated::Done));
    let told = world.store.finish(&report(&agent, &claimed, Cause::Success)).await.unwrap();
    assert_eq!((told, world.state(&id).await), (TaskState::Succeeded, TaskState::Succeeded));
    assert!(world.store.task(&later).await.unwrap().is_none(), "it is lost, and nobody pretends otherwise");
    check::structures(&world).await;
    check::history(&world).await;
}

/// What a runner holds in memory, and what lies in an attempt's folder, is the same task.
#[tokio::test]
async fn the_master_hears_of_what_it_delegated_before_the_loss() {
    let place = Place::new();
    let world = place.world();
    let agent = world.agent("a-1").await;
    let mut claimed = Vec::new();
    for _ in 0..2 {
        world
            .delegate(&NewTask { spec: Spec { notify: Some("opus-master".into()), ..task("x").spec }, ..task("x") })
            .await;
        claimed.push(world.claim(&agent).await);
        if claimed.len() == 1 {
            world.finish(&agent, &claimed[0], Cause::NeedsPerson).await;
        }
    }
    remember(&world).await;
    place.empty();

    let world = place.world();
    world.store.info().await.unwrap();
    assert_eq!(reinstate(&world.store, &agent, 0, Some(&claimed[1])).await, Ok(Reinstated::Done));
    let gone = Speaker { agent: "", incarnation: "", epoch: 0, living: None };
    let context = serde_json::from_value(serde_json::to_value(&claimed[0].task).unwrap()).unwrap();
    let on_disk = Known { task: &context, attempt: 1, fence: None };
    assert_eq!(world.store.reinstate(gone, Some(on_disk)).await, Ok(Reinstated::Done));
    settle(&world).await;
    world.finish(&agent, &claimed[1], Cause::Success).await;
    let again = world.claim(&agent).await;
    world.finish(&agent, &again, Cause::Success).await;
    let (told, _) = world.store.read_inbox(&Reader::Master, "opus-master", "t", 9).await.unwrap();
    let told: Vec<_> = told.into_iter().map(|m| m.task).collect();
    assert_eq!(told, [Some(claimed[1].task.id.clone()), Some(claimed[0].task.id.clone())]);
    check::structures(&world).await;
    check::history(&world).await;
}
