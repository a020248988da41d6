//! Random steps with budgets of a role, of a day, of plans and of tasks: at each claim, what is used and what is reserved are
//! within every cap; no attempt is charged less than it has reported; and what waits goes on when it may use more.

use orch::{
    model::{
        budget::Change,
        cause::Cause,
        end_code::EndCode,
        id::{PlanId, TaskId},
        task::{TaskResult, TaskState, Usage},
    },
    store::{
        agents::{Directive, Pulse, Used},
        plans::NewPlan,
        spend::{Allowance, Budget},
        tasks::{Claimed, NewTask, Report},
    },
};
use proptest::prelude::*;

use super::{check, fixture::*, plans::plan};

#[derive(Debug, Clone)]
enum Step {
    Delegate { cap: Option<u64> },
    Plan { tasks: usize, cap: Option<u64> },
    Subtask { of: usize },
    Claim { agent: usize },
    Report { at: usize, cents: u64 },
    Finish { at: usize, cause: usize, cents: u64 },
    Crash { at: usize },
    Cancel { task: usize },
    Retry { task: usize },
    Role { cap: Option<u64>, expected: u64 },
    Day { cap: Option<u64> },
    OfPlan { plan: usize, cap: Option<u64>, more: bool },
    OfTask { task: usize, more: u64 },
}

const CAUSES: [Cause; 6] =
    [Cause::Success, Cause::Success, Cause::Transient, Cause::Timeout, Cause::NeedsPerson, Cause::Lost];

fn step() -> impl Strategy<Value = Step> {
    let cap = || prop::option::weighted(0.7, 1u64..200);
    prop_oneof![
        3 => prop::option::weighted(0.4, 1u64..100).prop_map(|cap| Step::Delegate { cap }),
        2 => (1..5usize, cap()).prop_map(|(tasks, cap)| Step::Plan { tasks, cap }),
        1 => (0..4usize).prop_map(|of| Step::Subtask { of }),
        9 => (0..4usize).prop_map(|agent| Step::Claim { agent }),
        3 => (0..4usize, 0..60u64).prop_map(|(at, cents)| Step::Report { at, cents }),
        5 => (0..4usize, 0..CAUSES.len(), 0..60u64).prop_map(|(at, cause, cents)| Step::Finish { at, cause, cents }),
        1 => (0..4usize).prop_map(|at| Step::Crash { at }),
        1 => (0..20usize).prop_map(|task| Step::Cancel { task }),
        1 => (0..20usize).prop_map(|task| Step::Retry { task }),
        1 => (cap(), 0..60u64).prop_map(|(cap, expected)| Step::Role { cap, expected }),
        1 => cap().prop_map(|cap| Step::Day { cap }),
        2 => (0..4usize, cap(), any::<bool>()).prop_map(|(plan, cap, more)| Step::OfPlan { plan, cap, more }),
        1 => (0..20usize, 1..100u64).prop_map(|(task, more)| Step::OfTask { task, more }),
    ]
}

/// An attempt that runs, and the most that its program has reported.
struct Running {
    agent: Agent,
    claimed: Claimed,
    reported: u64,
}

struct Run {
    world: World,
    agents: Vec<Agent>,
    named: usize,
    running: Vec<Running>,
    tasks: Vec<TaskId>,
    plans: Vec<PlanId>,
    /// Millionths of a dollar that ended attempts have reported.
    known: u64,
}

fn cents(cents: Option<u64>) -> Allowance {
    Allowance { micro_usd: cents.map(|cents| cents * 10_000), tokens: None }
}

fn usage(cents: u64) -> Usage {
    Usage { cost_usd: cents as f64 / 100.0, input_tokens: cents, ..Usage::default() }
}

impl Run {
    async fn one_more_agent(&mut self) {
        self.named += 1;
        self.agents.push(self.world.agent(&format!("shell-{}", self.named)).await);
    }

    async fn set_role(&self, cap: Option<u64>, expected: u64) {
        let (role, account, reports) = (ROLE.into(), "claude".into(), (true, true));
        let expected = cents(Some(expected).filter(|cents| *cents > 0));
        let budget = Budget { role, account, day: cents(cap), expected, reports, ..Budget::default() };
        self.world.store.set_budget(&budget).await.unwrap();
    }

    /// At a claim nothing exceeds its cap.
    async fn claim(&mut self, agent: usize) {
        let agent = self.agents.remove(agent);
        let Some(claimed) = self.world.try_claim(&agent).await else { return self.agents.push(agent) };
        let store = &self.world.store;
        let found = store.budgets(&[ROLE.to_owned()]).await.unwrap();
        let mut rows: Vec<_> = found.day.into_iter().chain(found.roles.into_iter().map(|(_, row)| row)).collect();
        let plans = claimed.task.spec.plan.iter();
        for plan in plans {
            rows.extend(store.budgets_of_plans(Some(plan)).await.unwrap().into_iter().map(|(_, row)| row));
        }
        for row in rows {
            let within = row.cap.micro_usd.is_none_or(|cap| row.spent.0 + row.reserved.0 <= cap && row.spent.0 < cap);
            assert!(within, "{row:?}");
        }
        assert!(claimed.left.micro_usd.is_none_or(|left| left > 0), "{claimed:?}");
        self.running.push(Running { agent, claimed, reported: 0 });
    }

    /// The end of an attempt; one that is told that its task has used what it may says so.
    async fn finish(&mut self, at: usize, cause: Cause, used: u64) {
        let Running { agent, claimed, reported } = self.running.remove(at);
        let result = Some(TaskResult { usage: Some(usage(used)), ..TaskResult::default() });
        let code = if cause == Cause::NeedsPerson { EndCode::OverBudget } else { EndCode::Unknown };
        let end = Report { result, code, retry_after_ms: Some(0), ..report(&agent, &claimed, cause) };
        self.world.store.finish(&end).await.unwrap();
        self.known += 10_000 * reported.max(used);
        self.agents.push(agent);
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Delegate { cap } => {
                let max_cost_usd = cap.map(|cents| cents as f64 / 100.0);
                let new = task("x");
                let spec = Spec { max_cost_usd, ..new.spec };
                self.tasks.push(self.world.delegate(&NewTask { spec, ..new }).await);
            }
            Step::Plan { tasks, cap } => {
                let keys: Vec<String> = (0..*tasks).map(|n| format!("k{n}")).collect();
                let planned: Vec<(&str, &[_])> = keys.iter().map(|key| (key.as_str(), &[][..])).collect();
                let new = NewPlan { cap: cents(*cap), ..plan(&planned) };
                self.tasks.extend(new.tasks.iter().map(|(_, task)| task.id.clone()));
                self.plans.push(self.world.store.submit_plan(&new).await.unwrap().id);
            }
            Step::Subtask { of } => {
                if let Some(Running { agent, claimed, .. }) = self.running.get(*of) {
                    let new = subtask(&format!("{}", self.tasks.len()), agent, claimed);
                    if let Ok(done) = self.world.store.delegate(&new).await {
                        self.tasks.push(done.id);
                    }
                }
            }
            Step::Claim { agent } if *agent < self.agents.len() => self.claim(*agent).await,
            Step::Report { at, cents } => {
                let Some(one) = self.running.get_mut(*at) else { return };
                let used = Some(Used { usage: usage(*cents), metered: None });
                let pulse = Pulse { used, ..pulse(&one.claimed) };
                let store = &self.world.store;
                let told = store.heartbeat(&one.agent.id, &one.agent.incarnation, LEASE, &pulse).await.unwrap();
                one.reported = one.reported.max(*cents);
                if matches!(told, Directive::OverBudget(_)) {
                    self.finish(*at, Cause::NeedsPerson, *cents).await;
                }
            }
            Step::Finish { at, cause, cents } if *at < self.running.len() => {
                self.finish(*at, CAUSES[*cause], *cents).await;
            }
            Step::Crash { at } if *at < self.running.len() => {
                let Running { agent, reported, .. } = self.running.remove(*at);
                self.world.store.end_agent(&agent.id, &agent.incarnation, &crash()).await.unwrap();
                self.known += 10_000 * reported;
                self.one_more_agent().await;
            }
            Step::Cancel { task } if *task < self.tasks.len() => {
                let id = self.tasks[*task].clone();
                self.world.cancel(&id).await;
            }
            Step::Retry { task } if *task < self.tasks.len() => {
                let _ = self.world.store.retry(&self.tasks[*task], "a test").await;
            }
            Step::Role { cap, expected } => self.set_role(*cap, *expected).await,
            Step::Day { cap } => {
                self.world.store.set_budget(&Budget { day: cents(*cap), ..Budget::default() }).await.unwrap();
            }
            Step::OfPlan { plan, cap, more } => {
                let Some(plan) = self.plans.get(*plan) else { return };
                let to = match (cap, more) {
                    (Some(cents), true) => Change::More(cents * 10_000),
                    (Some(cents), false) => Change::To(cents * 10_000),
                    (None, _) => Change::Unlimited,
                };
                let _ = self.world.store.set_cap_of_plan(plan, Some(to), None, "a test").await;
            }
            Step::OfTask { task, more } if *task < self.tasks.len() => {
                let more = Some(Change::More(more * 10_000));
                let _ = self.world.store.set_cap_of_task(&self.tasks[*task], more, None, "a test").await;
            }
            _ => {}
        }
    }

    /// Everything may use what it wants, and goes on; nothing may be left.
    async fn drain(&mut self) {
        self.set_role(None, 1).await;
        self.world.store.set_budget(&Budget::default()).await.unwrap();
        for plan in &self.plans {
            let _ = self.world.store.set_cap_of_plan(plan, Some(Change::Unlimited), None, "a test").await;
        }
        for _ in 0..300 {
            for id in self.world.store.task_ids(Some(TaskState::Held)).await.unwrap() {
                self.world.cancel(&id).await;
            }
            self.world.store.release_due().await.unwrap();
            for id in self.world.store.task_ids(Some(TaskState::Delayed)).await.unwrap() {
                self.world.make_due(&id);
            }
            self.world.store.release_due().await.unwrap();
            for _ in 0..self.agents.len() {
                self.claim(0).await;
            }
            while !self.running.is_empty() {
                self.finish(0, Cause::Success, 0).await;
            }
            let mut open = 0;
            for state in [TaskState::Ready, TaskState::Blocked, TaskState::Delayed, TaskState::Held] {
                open += self.world.store.task_ids(Some(state)).await.unwrap().len();
            }
            if open == 0 {
                return;
            }
        }
        panic!("something waits for ever: {:?}", self.world.store.short_plans().await.unwrap());
    }
}

#[test]
fn whatever_is_done_no_claim_exceeds_a_cap_and_nothing_waits_for_ever() {
    let server = Server::start_hasty();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let count = std::cell::Cell::new(0);
    let cases = std::env::var("ORCH_TEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(25);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(steps in prop::collection::vec(step(), 1..80))| {
        count.set(count.get() + 1);
        runtime.block_on(async {
            let world = server.world(&format!("n{}", count.get()));
            let mut run = Run {
                world,
                agents: vec![],
                named: 0,
                running: vec![],
                tasks: vec![],
                plans: vec![],
                known: 0,
            };
            for _ in 0..4 {
                run.one_more_agent().await;
            }
            run.set_role(Some(300), 20).await;
            for step in &steps {
                run.step(step).await;
                check::structures(&run.world).await;
            }
            run.drain().await;
            check::structures(&run.world).await;
            let budgets = run.world.store.budgets(&[ROLE.to_owned()]).await.unwrap();
            let day = budgets.day.unwrap();
            assert_eq!((day.reserved, run.world.store.short_plans().await.unwrap()), ((0, 0), vec![]));
            assert!(day.spent.0 >= run.known, "{} of {} that was reported", day.spent.0, run.known);
        });
    });
}
