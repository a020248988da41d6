//! Random steps with locks: after each, all that is stored agrees and nothing overlaps; and in the end nothing still waits.

use std::time::Duration;

use orch::{
    admission::locks::lacking,
    model::{cause::Cause, id::TaskId, lock::LockMode, task::TaskState},
    store::{
        locks::{Holder, NewLocks},
        tasks::{Claimed, NewTask},
    },
};
use proptest::prelude::*;

use super::{check, fixture::*};

#[derive(Debug, Clone)]
enum Step {
    Delegate { writes: Vec<usize>, reads: Vec<usize> },
    Subtask { of: usize, writes: Vec<usize> },
    Claim { agent: usize },
    Finish { at: usize, cause: usize },
    Cancel { task: usize },
    Retry { task: usize },
    Crash { at: usize },
    Lock { what: usize, read: bool, soon: bool },
    Unlock { at: usize },
    LockInTask { at: usize, what: usize },
    End,
}

const PATTERNS: [&str; 9] = ["a", "a/b", "a/b/c", "a/*", "*", "**/c", "b", "b/c", "."];
const CAUSES: [Cause; 5] = [Cause::Success, Cause::Success, Cause::Transient, Cause::NeedsPerson, Cause::Lost];

fn some() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..PATTERNS.len(), 0..3)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (some(), some()).prop_map(|(writes, reads)| Step::Delegate { writes, reads }),
        1 => (0..4usize, some()).prop_map(|(of, writes)| Step::Subtask { of, writes }),
        8 => (0..4usize).prop_map(|agent| Step::Claim { agent }),
        5 => (0..4usize, 0..CAUSES.len()).prop_map(|(at, cause)| Step::Finish { at, cause }),
        1 => (0..20usize).prop_map(|task| Step::Cancel { task }),
        1 => (0..20usize).prop_map(|task| Step::Retry { task }),
        1 => (0..4usize).prop_map(|at| Step::Crash { at }),
        1 => (0..PATTERNS.len(), any::<bool>(), any::<bool>()).prop_map(|(what, read, soon)| Step::Lock { what, read, soon }),
        2 => (0..3usize).prop_map(|at| Step::Unlock { at }),
        1 => (0..4usize, 0..PATTERNS.len()).prop_map(|(at, what)| Step::LockInTask { at, what }),
        1 => Just(Step::End),
    ]
}

struct Run {
    world: World,
    agents: Vec<Agent>,
    named: usize,
    running: Vec<(Agent, Claimed)>,
    persons: Vec<String>,
    tasks: Vec<TaskId>,
}

fn patterns(what: &[usize]) -> Vec<orch::model::lock::Pattern> {
    what.iter().map(|at| PATTERNS[*at].parse().unwrap()).collect()
}

impl Run {
    async fn one_more_agent(&mut self) {
        self.named += 1;
        self.agents.push(self.world.agent(&format!("shell-{}", self.named)).await);
    }

    async fn claim(&mut self, agent: usize) {
        let agent = self.agents.remove(agent);
        // A call looks at some tasks only; an agent that is woken calls again.
        for _ in 0..20 {
            if let Some(claimed) = self.world.try_claim(&agent).await {
                self.running.push((agent, claimed));
                return;
            }
        }
        self.agents.push(agent);
        self.every_ready_task_lacks_a_lock().await;
    }

    /// The rule as those compute it who explain it: an agent got nothing only because each ready task lacks a lock.
    async fn every_ready_task_lacks_a_lock(&self) {
        let store = &self.world.store;
        let ids = store.task_ids(Some(TaskState::Ready)).await.unwrap();
        let (tasks, locks, now) =
            (store.tasks(&ids).await.unwrap(), store.locks().await.unwrap(), store.now().await.unwrap());
        for task in &tasks {
            let (place, above) = store.place_and_family(&task.id).await.unwrap();
            let lacks = lacking(task, &above, place, &locks, now);
            assert!(lacks.is_some(), "{} lacks no lock, and nobody got it: {locks:?}", task.id);
        }
    }

    async fn finish(&mut self, at: usize, cause: Cause) {
        let (agent, claimed) = self.running.remove(at);
        // One with open subtasks, or that was cancelled, ends in its own way.
        self.world.store.finish(&report(&agent, &claimed, cause)).await.unwrap();
        self.agents.push(agent);
    }

    async fn step(&mut self, step: &Step) {
        let locks = |holder, what: usize, read| NewLocks {
            holder,
            mode: if read { LockMode::Read } else { LockMode::Write },
            patterns: patterns(&[what]),
            reason: None,
            ttl: None,
            who: "x".into(),
            owner: "x".into(),
        };
        match step {
            Step::Delegate { writes, reads } => {
                let new = task("x");
                let spec = Spec { writes: patterns(writes), reads: patterns(reads), ..new.spec };
                self.tasks.push(self.world.delegate(&NewTask { spec, ..new }).await);
            }
            Step::Subtask { of, writes } => {
                if let Some((agent, claimed)) = self.running.get(*of) {
                    let new = subtask(&format!("{}", self.tasks.len()), agent, claimed);
                    let new = NewTask { spec: Spec { writes: patterns(writes), ..new.spec }, ..new };
                    // Its parent may be too deep, or about to be cancelled.
                    if let Ok(done) = self.world.store.delegate(&new).await {
                        self.tasks.push(done.id);
                    }
                }
            }
            Step::Claim { agent } if *agent < self.agents.len() => self.claim(*agent).await,
            Step::Finish { at, cause } if *at < self.running.len() => self.finish(*at, CAUSES[*cause]).await,
            Step::Cancel { task } if *task < self.tasks.len() => {
                let id = self.tasks[*task].clone();
                self.world.cancel(&id).await;
            }
            Step::Retry { task } if *task < self.tasks.len() => {
                let _ = self.world.store.retry(&self.tasks[*task], "a test").await;
            }
            Step::Crash { at } if *at < self.running.len() => {
                let (agent, _) = self.running.remove(*at);
                self.world.store.end_agent(&agent.id, &agent.incarnation, &crash()).await.unwrap();
                self.one_more_agent().await;
            }
            Step::Lock { what, read, soon } => {
                let id = format!("l-{}", self.named + self.persons.len() + self.tasks.len() * 100);
                let new = NewLocks {
                    ttl: soon.then_some(Duration::from_millis(1)),
                    ..locks(Holder::Person(id.clone()), *what, *read)
                };
                if self.world.store.take_locks(&new).await.unwrap().is_none() && !self.persons.contains(&id) {
                    self.persons.push(id);
                }
            }
            Step::Unlock { at } if *at < self.persons.len() => {
                let holder = Holder::Person(self.persons.remove(*at));
                self.world.store.release_locks(&holder, &[], "x").await.unwrap();
            }
            Step::LockInTask { at, what } => {
                if let Some((agent, claimed)) = self.running.get(*at) {
                    let _ = self
                        .world
                        .store
                        .take_locks(&locks(Holder::Attempt(capability(agent, claimed)), *what, false))
                        .await;
                }
            }
            Step::End => self.world.store.end_locks().await.unwrap(),
            _ => {}
        }
    }

    /// Everything goes on; nothing may be left.
    async fn drain(&mut self) {
        for id in std::mem::take(&mut self.persons) {
            self.world.store.release_locks(&Holder::Person(id), &[], "x").await.unwrap();
        }
        for _ in 0..300 {
            self.world.store.end_locks().await.unwrap();
            for id in self.world.store.task_ids(Some(TaskState::Held)).await.unwrap() {
                self.world.cancel(&id).await;
            }
            for id in self.world.store.task_ids(Some(TaskState::Delayed)).await.unwrap() {
                self.world.make_due(&id);
            }
            self.world.store.release_due().await.unwrap();
            for _ in 0..self.agents.len() {
                self.claim(0).await;
            }
            while !self.running.is_empty() {
                self.finish(0, Cause::Success).await;
            }
            let mut open = 0;
            for state in [TaskState::Ready, TaskState::Blocked, TaskState::Delayed, TaskState::Held] {
                open += self.world.store.task_ids(Some(state)).await.unwrap().len();
            }
            if open == 0 {
                return;
            }
        }
        panic!("something waits for ever: {:?}", self.world.store.parked(10).await.unwrap());
    }
}

#[test]
fn whatever_is_done_nothing_overlaps_and_nothing_waits_for_ever() {
    let server = Server::start_hasty();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let count = std::cell::Cell::new(0);
    proptest!(ProptestConfig::with_cases(25), |(steps in prop::collection::vec(step(), 1..80))| {
        count.set(count.get() + 1);
        runtime.block_on(async {
            let world = server.world(&format!("n{}", count.get()));
            let mut run = Run { world, agents: vec![], named: 0, running: vec![], persons: vec![], tasks: vec![] };
            for _ in 0..4 {
                run.one_more_agent().await;
            }
            for step in &steps {
                run.step(step).await;
                check::structures(&run.world).await;
            }
            run.drain().await;
            check::structures(&run.world).await;
            assert_eq!(run.world.store.parked(1).await.unwrap().1, 0);
            assert_eq!(run.world.store.locks().await.unwrap(), []);
        });
    });
}
