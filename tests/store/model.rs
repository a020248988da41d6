//! Random steps, each compared with [`super::reference`]: the answer, every task, every agent, and that all that is
//! stored agrees. `ORCH_TEST_CASES` and `ORCH_TEST_STEPS` ask for more of it.

use std::time::Duration;

use orch::{
    model::{
        agent::AgentState,
        cause::Cause,
        edge::Edge,
        event::EventKind,
        id::{Capability, TaskId, new_incarnation},
        task::TaskState,
    },
    store::{
        StoreError,
        agents::{Directive, Ending},
        requests::Request,
        tasks::{Claimed, NewTask, Report},
    },
};
use proptest::{prelude::*, test_runner::TestRunner};

use super::{
    check,
    fixture::*,
    reference::{MAX_CHILDREN, MAX_DEPTH, Reference, Submission},
    steps::{Step, step},
};

const ROLES: [&str; 2] = ["a", "b"];
/// Agents' ids: two of each role.
const SLOTS: usize = 4;

/// The store and its reference, side by side.
struct Pair {
    world: World,
    reference: Reference,
    ids: Vec<TaskId>,
    runs: Vec<super::fixture::Agent>,
    claims: Vec<Claimed>,
    /// The last request that was accepted, and its answer.
    last: Option<(NewTask, usize, bool)>,
}

impl Pair {
    /// The newest run in a slot.
    fn run(&self, slot: usize) -> Option<usize> {
        (0..self.runs.len()).rfind(|r| self.reference.runs[*r].slot == slot % SLOTS)
    }

    /// Mostly a lease that is held; else one of the last few, for older ones are stale in ever the same way.
    fn lease(&self, n: usize) -> Option<usize> {
        let len = self.claims.len();
        let held: Vec<usize> = (0..len).filter(|l| self.reference.holds(*l)).collect();
        if !n.is_multiple_of(4) && !held.is_empty() {
            return Some(held[n / 4 % held.len()]);
        }
        (len > 0).then(|| len - 1 - n / 4 % len.min(5))
    }

    fn task(&self, n: usize) -> Option<usize> {
        (!self.ids.is_empty()).then(|| n % self.ids.len())
    }

    fn holder(&self, lease: usize) -> &super::fixture::Agent {
        &self.runs[self.reference.leases[lease].run]
    }

    fn capability(&self, lease: usize) -> Capability {
        capability(self.holder(lease), &self.claims[lease])
    }

    fn report(&self, lease: usize, cause: Cause, due: bool) -> Report {
        let mut report = report(self.holder(lease), &self.claims[lease], cause);
        report.retry_after_ms = if due { Some(0) } else { report.retry_after_ms };
        // However many attempts in a row met a limit, `due` decides.
        report.is_exact = true;
        report
    }

    async fn take(&mut self, step: &Step) {
        match step.clone() {
            Step::Delegate { role, priority, after, parent, content, key, bounds, times, twice } => {
                let mut after: Vec<(usize, Edge)> =
                    after.iter().filter_map(|(n, edge)| Some((self.task(*n)?, *edge))).collect();
                after.sort_by_key(|(first, _)| *first);
                after.dedup_by_key(|(first, _)| *first);
                let parent = parent.and_then(|n| self.lease(n));
                let (retries, lost_max) = bounds;
                let r = Submission { role, priority, after, parent, content, key, retries, lost_max };
                for _ in 0..times {
                    self.delegate(&r).await;
                    if twice {
                        self.delegate_again().await;
                    }
                }
            }
            Step::DelegateAgain => self.delegate_again().await,
            Step::TryAgain(n) => {
                let Some(lease) = self.lease(n) else { return };
                let finished = self.world.store.finish(&self.report(lease, Cause::RateLimited, true)).await;
                same(finished, self.reference.finish(lease, Cause::RateLimited, true));
                assert_eq!(self.world.store.release_due().await.unwrap().0, self.reference.due());
                let agent = self.holder(lease);
                let answer = self.world.store.claim(&agent.id, &agent.incarnation, LEASE).await;
                self.claimed(self.reference.leases[lease].run, answer);
            }
            Step::Spawn(slot) => self.spawn(slot % SLOTS).await,
            Step::Claim(slot) => {
                let Some(run) = self.run(slot) else { return };
                let agent = &self.runs[run];
                let answer = self.world.store.claim(&agent.id, &agent.incarnation, LEASE).await;
                self.claimed(run, answer);
            }
            Step::Heartbeat(n) => {
                let Some(lease) = self.lease(n) else { return };
                let (agent, pulse) = (self.holder(lease), pulse(&self.claims[lease]));
                let answer = self.world.store.heartbeat(&agent.id, &agent.incarnation, LEASE, &pulse).await;
                let word = answer.map(|directive| match directive {
                    Directive::Go | Directive::Asks(_) => "go",
                    Directive::Stop(_) => "stop",
                    Directive::Cancel(_) => "cancel",
                    Directive::OverBudget(_) => "over",
                });
                same(word, self.reference.heartbeat(lease));
            }
            Step::Finish { lease, cause, due, twice } => {
                let Some(lease) = self.lease(lease) else { return };
                for _ in 0..if twice { 2 } else { 1 } {
                    let answer = self.world.store.finish(&self.report(lease, cause, due)).await;
                    same(answer, self.reference.finish(lease, cause, due));
                }
            }
            Step::FinishAndClaim { lease, cause } => {
                let Some(lease) = self.lease(lease) else { return };
                let report = self.report(lease, cause, true);
                let (finished, claimed) = self.world.store.finish_and_claim(&report, LEASE).await.unwrap();
                same(finished, self.reference.finish(lease, cause, true));
                self.claimed(self.reference.leases[lease].run, claimed);
            }
            Step::Cancel(n) => {
                let Some(task) = self.task(n) else { return };
                let expected = self.reference.cancel(task);
                assert_eq!(self.world.cancel(&self.ids[task]).await, Some(expected));
            }
            Step::Retry(n) => {
                let Some(task) = self.task(n) else { return };
                let answer = self.world.store.retry(&self.ids[task], "a test").await;
                let mut others = Vec::new();
                let answer = answer.map(|retried| {
                    others = retried.others;
                    (retried.from, retried.to)
                });
                let expected = self.reference.retry(task);
                same(answer, expected.as_ref().map(|(from, to, _)| (*from, *to)).map_err(|e| *e));
                let mut expected: Vec<TaskId> = expected
                    .map_or_else(|_| Vec::new(), |(.., others)| others.iter().map(|t| self.ids[*t].clone()).collect());
                others.sort();
                expected.sort();
                assert_eq!(others, expected, "what is retried with it");
            }
            Step::StopAgent { slot, only_idle } => {
                let Some(run) = self.run(slot) else { return };
                let agent = &self.runs[run];
                let answer = self.world.store.stop_agent(&agent.id, &agent.incarnation, only_idle, "a test").await;
                same(answer, Ok(self.reference.stop_agent(run, only_idle)));
            }
            Step::EndAgent { slot, failed, due } => {
                let Some(run) = self.run(slot) else { return };
                let to = if failed { AgentState::Failed } else { AgentState::Stopped };
                let ending = Ending { to, ..crash() };
                let ends_now = self.reference.runs[run].state.is_live();
                let expected = self.reference.end_agent(run, to, Cause::Lost, due);
                let expected = expected.map(|(task, state)| (self.ids[task].clone(), state));
                let agent = &self.runs[run];
                for _ in 0..2 {
                    let answer = self.world.store.end_agent(&agent.id, &agent.incarnation, &ending).await;
                    assert_eq!(answer.unwrap(), expected);
                }
                if let Some((task, TaskState::Delayed)) = expected.filter(|_| due && ends_now) {
                    self.world.make_due(&task);
                }
            }
            Step::Expire(n) => {
                // Every holder here has a record; `expire` leaves them to `end_agent`.
                let Some(lease) = self.lease(n) else { return };
                let Claimed { task, fence, .. } = &self.claims[lease];
                self.world.store.expire(&task.id, *fence, "a test").await.unwrap();
            }
            Step::Due => assert_eq!(self.world.store.release_due().await.unwrap().0, self.reference.due()),
            Step::Wait { lease, on } => {
                let Some(lease) = self.lease(lease) else { return };
                let for_ = if on { LONG } else { Duration::ZERO };
                let answer = self.world.store.mark_waiting(&self.capability(lease), &[], for_).await;
                same(answer, self.reference.wait(lease, on));
            }
            Step::Pause { role, on } => {
                match role {
                    Some(role) => self.reference.paused[role] = on,
                    None => self.reference.pause = on,
                }
                self.request(Request::Pause(role.map(|r| ROLES[r].to_owned())), on).await;
            }
            Step::Drain(on) => {
                self.reference.drain = on;
                self.request(Request::Drain, on).await;
            }
            Step::Stop(how) => {
                self.reference.stop = how;
                self.request(Request::Stop { drain: how == Some(true) }, how.is_some()).await;
            }
            Step::Limit { role, most } => {
                self.reference.limits[role] = Some(most);
                self.world.store.set_limits(&[(ROLES[role].into(), most as u32)]).await.unwrap();
            }
        }
    }

    async fn request(&self, request: Request, on: bool) {
        let store = &self.world.store;
        let done = if on {
            store.request(&request, EventKind::RequestPause, "r").await
        } else {
            store.withdraw(&[request], EventKind::RequestPause, "r").await
        };
        done.unwrap();
    }

    async fn delegate(&mut self, r: &Submission) {
        let new = NewTask {
            parent: r.parent.map(|lease| self.capability(lease)),
            fingerprint: Some(r.content.to_string()),
            max_depth: MAX_DEPTH,
            max_children: MAX_CHILDREN as u32,
            spec: Spec {
                role: ROLES[r.role].into(),
                priority: r.priority,
                after: r.after.iter().map(|(t, _)| self.ids[*t].clone()).collect(),
                edges: r.after.iter().map(|(t, edge)| (self.ids[*t].clone(), *edge)).collect(),
                notify: None,
                key: r.key.map(|k| format!("key {k}")),
                retries: r.retries,
                lost_max: r.lost_max,
                delays_ms: delays(LONG, LONG),
                ..task("x").spec
            },
            ..task("x")
        };
        let answer = self.world.store.delegate(&new).await;
        let expected = self.reference.delegate(r);
        if let Ok((task, created)) = expected {
            if created {
                self.ids.push(new.id.clone());
            }
            self.last = Some((new, task, created));
        }
        same(
            answer.map(|d| (d.id, d.state, d.created)),
            expected.map(|(task, created)| (self.ids[task].clone(), self.reference.tasks[task].state, created)),
        );
    }

    async fn delegate_again(&self) {
        let Some((new, task, created)) = &self.last else { return };
        // What was found by its key then is not found now: the same request would be new work.
        if !created && !self.reference.has_its_key(*task) {
            return;
        }
        let answer = self.world.store.delegate(new).await;
        // What was found and not made is answered as long as its caller may ask.
        if !created && answer.as_ref().is_err_and(|e| e.is_stale()) {
            return;
        }
        let answer = answer.unwrap();
        assert_eq!((&answer.id, answer.created), (&self.ids[*task], *created));
        assert_eq!(answer.state, self.reference.tasks[*task].state);
    }

    async fn spawn(&mut self, slot: usize) {
        let role = slot % ROLES.len();
        let (id, incarnation) = (format!("{}-{slot}", ROLES[role]), new_incarnation());
        let taken = self.run(slot).is_some_and(|r| self.reference.runs[r].state.is_live());
        let spawned = self.world.store.spawn_agent(&id, ROLES[role], &id, &incarnation, false, "a test", None).await;
        same(spawned, if taken { Err("taken") } else { Ok(()) });
        if !taken {
            self.world.store.hello(&id, &incarnation, &process(1)).await.unwrap();
            let state = AgentState::Idle;
            self.runs.push(super::fixture::Agent { id, incarnation });
            self.reference.runs.push(super::reference::Agent { slot, role, state, lease: None, last: None });
        }
    }

    fn claimed(&mut self, run: usize, answer: Result<Option<Claimed>, StoreError>) {
        let claimed = answer.as_ref().ok().and_then(Option::as_ref);
        let claimed = claimed.and_then(|claimed| self.ids.iter().position(|id| *id == claimed.task.id));
        let expected = self.reference.claim(run, claimed);
        if let (Ok(Some(claimed)), Ok(Some(lease))) = (&answer, expected) {
            if lease == self.claims.len() {
                let last = self.claims.last().map_or(0, |c| c.fence);
                assert!(claimed.fence > last, "fences grow");
                self.claims.push(claimed.clone());
            }
            assert_eq!(claimed.fence, self.claims[lease].fence);
        }
        let id = |lease: usize| {
            let task = self.reference.leases[lease].task;
            (self.ids[task].clone(), self.reference.tasks[task].attempts)
        };
        same(answer.map(|c| c.map(|c| (c.task.id, c.attempt))), expected.map(|lease| lease.map(id)));
    }

    async fn compare(&self) {
        let stored = self.world.store.tasks(&self.ids).await.unwrap();
        assert_eq!(stored.len(), self.reference.tasks.len());
        for (is, expected) in stored.iter().zip(&self.reference.tasks) {
            let holder = expected.lease.map(|l| self.holder(l).id.clone());
            assert_eq!(
                (is.state, is.failures, is.lost, is.depth, &is.agent, is.cancelling, is.waiting),
                (
                    expected.state,
                    expected.failures,
                    expected.lost,
                    expected.depth,
                    &holder,
                    expected.cancelling,
                    expected.waiting
                ),
                "{}",
                is.id
            );
        }
        let count = |s: TaskState| self.reference.tasks.iter().filter(|t| t.state == s).count() as u64;
        let expected: Vec<_> = TaskState::ALL.iter().map(|s| (*s, count(*s))).collect();
        assert_eq!(self.world.store.task_counts().await.unwrap(), expected);
        for run in (0..SLOTS).filter_map(|slot| self.run(slot)) {
            let is = self.world.store.agent(&self.runs[run].id).await.unwrap().unwrap().agent;
            let expected = &self.reference.runs[run];
            let task = expected.lease.map(|l| self.ids[self.reference.leases[l].task].clone());
            assert_eq!((is.state, is.task), (expected.state, task), "{}", is.id);
        }
        check::structures(&self.world).await;
    }
}

fn same<T: PartialEq + std::fmt::Debug>(answer: Result<T, StoreError>, expected: Result<T, &'static str>) {
    let answer = answer.map_err(|e| e.refusal().unwrap_or_else(|| panic!("{e}")).to_string());
    assert_eq!(answer, expected.map_err(str::to_owned));
}

fn from_environment(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn random_steps_do_what_the_reference_does() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = Server::start_hasty();
    let cases = from_environment("ORCH_TEST_CASES", 60) as u32;
    let steps = from_environment("ORCH_TEST_STEPS", 40);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&prop::collection::vec(step(), steps / 2..=steps + steps / 2), |steps| {
            let () = redis::cmd("FLUSHALL").query(&mut server.raw()).unwrap();
            runtime.block_on(async {
                let (ids, runs, claims) = (vec![], vec![], vec![]);
                let world = server.world("n");
                let mut pair = Pair { world, reference: Reference::default(), ids, runs, claims, last: None };
                for slot in 0..SLOTS {
                    pair.spawn(slot).await;
                }
                for step in &steps {
                    pair.take(step).await;
                    pair.compare().await;
                }
                check::history(&pair.world).await;
            });
            Ok(())
        })
        .unwrap();
}
