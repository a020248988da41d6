//! Fair shares of the slots of a role, in simulated time: plans and the subtasks of a task share with each other and with the
//! tasks of no plan, by weight, and no task waits for ever behind more important ones.

use std::{collections::BTreeMap, time::Duration};

use orch::{
    admission::shares::ALONE,
    model::{
        cause::Cause,
        id::{PlanId, TaskId},
        task::{MAX_WAIT, Priority},
    },
    store::tasks::{Claimed, NewTask},
};
use proptest::{prelude::*, test_runner::TestRunner};

use super::{check, fixture::*, lock_fleet::timed};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;

/// A task of a plan.
fn planned(plan: &PlanId, text: &str) -> NewTask {
    let mut new = task(text);
    new.spec.plan = Some(plan.clone());
    new
}

/// A task of that priority.
fn of_priority(priority: Priority, text: &str) -> NewTask {
    let mut new = task(text);
    new.spec.priority = priority;
    new
}

/// Agents, and how long each attempt takes.
struct Fleet<'a> {
    world: &'a World,
    free: Vec<Agent>,
    /// With when it ends.
    running: Vec<(u64, Agent, Claimed)>,
    now: u64,
    takes: fn(&Claimed) -> u64,
    /// For how long tasks of each plan have run.
    occupied: BTreeMap<Option<PlanId>, u64>,
    started: Vec<(u64, TaskId)>,
}

impl<'a> Fleet<'a> {
    async fn new(world: &'a World, agents: usize, takes: fn(&Claimed) -> u64) -> Fleet<'a> {
        let mut free = Vec::new();
        for n in 0..agents {
            free.push(world.agent(&format!("shell-{n}")).await);
        }
        Fleet { world, free, running: Vec::new(), now: 0, takes, occupied: BTreeMap::new(), started: Vec::new() }
    }

    /// Redis's clock is that of the fleet.
    fn set_clock(&self) {
        let key = self.world.store.keys().plain("clock_offset");
        let () = redis::cmd("SET").arg(key).arg(self.now).query(&mut self.world.raw()).unwrap();
    }

    /// Free agents claim what they get. Returns whether all of them got something.
    async fn claim(&mut self) -> bool {
        while let Some(agent) = self.free.pop() {
            let Some(claimed) = self.world.try_claim(&agent).await else {
                self.free.push(agent);
                return false;
            };
            self.started.push((self.now, claimed.task.id.clone()));
            self.running.push((self.now + (self.takes)(&claimed), agent, claimed));
        }
        true
    }

    /// The time goes on to the next end.
    async fn end_next(&mut self) {
        let next = (0..self.running.len()).min_by_key(|at| self.running[*at].0).expect("something runs");
        let ends = self.running[next].0;
        for (.., claimed) in &self.running {
            *self.occupied.entry(claimed.task.plan.clone()).or_default() += ends - self.now;
        }
        let (_, agent, claimed) = self.running.remove(next);
        self.now = ends;
        self.set_clock();
        self.world.finish(&agent, &claimed, Cause::Success).await;
        self.free.push(agent);
    }

    /// Which part of the slots the tasks of a plan have had.
    fn part_of(&self, plan: &PlanId) -> f64 {
        let all: u64 = self.occupied.values().sum();
        self.occupied.get(&Some(plan.clone())).copied().unwrap_or(0) as f64 / all as f64
    }
}

fn weigh(world: &World, plan: &PlanId, weight: u32) {
    let key = world.store.keys().plain("weights");
    let () = redis::cmd("HSET").arg(key).arg(plan.as_str()).arg(weight).query(&mut world.raw()).unwrap();
}

/// The large plan takes half of the time for a task that the small one takes.
fn by_text(claimed: &Claimed) -> u64 {
    if claimed.task.description.starts_with("large") { 2 * MINUTE } else { 4 * MINUTE }
}

#[tokio::test]
async fn two_plans_have_half_of_the_slots_each_while_both_have_tasks() {
    for (agents, weight, expected) in [(10, 1, 0.5), (7, 1, 0.5), (1, 1, 0.5), (8, 3, 0.75)] {
        let server = Server::start_hasty();
        let world = server.world("n");
        let (large, small) = (PlanId::random(), PlanId::random());
        weigh(&world, &large, weight);
        let of_large: Vec<NewTask> = (0..1_000).map(|n| planned(&large, &format!("large {n}"))).collect();
        world.store.delegate_all(&of_large).await.unwrap();
        let mut fleet = Fleet::new(&world, agents, by_text).await;
        // The small plan comes when the large one has had every slot for an hour.
        while fleet.now < 60 * MINUTE {
            assert!(fleet.claim().await, "a slot is idle although tasks wait");
            fleet.end_next().await;
        }
        fleet.occupied.clear();
        let of_small: Vec<NewTask> = (0..100).map(|n| planned(&small, &format!("small {n}"))).collect();
        world.store.delegate_all(&of_small).await.unwrap();
        let waiting = async |plan| {
            let turns = world.store.turns(ROLE, None).await.unwrap();
            let is_of = |queue: &orch::admission::shares::Queue| turns.shares[queue.share].id == plan;
            turns.queues.iter().find(|queue| is_of(queue)).map_or(0, |queue| queue.ready)
        };
        let until = fleet.now + 40 * MINUTE;
        while (fleet.now < until || agents == 1 && fleet.now < until + 120 * MINUTE)
            && waiting(small.as_str()).await > 0
        {
            assert!(fleet.claim().await, "a slot is idle although tasks wait");
            fleet.end_next().await;
        }
        let is = fleet.part_of(&large);
        // At first the large plan has every slot.
        let began_with_all = 2.0 / 40.0 / 2.0;
        assert!((is - expected).abs() <= 0.03 + began_with_all, "{agents} agents, weight {weight}: {is:.3}");
        check::structures(&world).await;
        // What is left alone has every slot.
        while fleet.started.len() < 1_100 {
            assert!(fleet.claim().await || waiting(large.as_str()).await + waiting(small.as_str()).await == 0);
            fleet.end_next().await;
        }
    }
}

#[tokio::test]
async fn subtasks_share_as_their_topmost_task_and_not_each_for_itself() {
    let server = Server::start();
    let world = server.world("n");
    let lead = world.agent_of("lead-1", "lead").await;
    let of_role = |mut new: NewTask, role: &str| {
        new.spec.role = role.into();
        new
    };
    let top = world.delegate(&of_role(task("top"), "lead")).await;
    let leads = world.claim(&lead).await;
    // Two levels down, five subtasks of one task and one of another; and one of the topmost task itself.
    for (middle, below) in [("one", 5), ("other", 1)] {
        let middle_agent = world.agent_of(&format!("{middle}-1"), middle).await;
        world.delegate(&of_role(subtask(middle, &lead, &leads), middle)).await;
        let claimed = world.claim(&middle_agent).await;
        for n in 0..below {
            world.delegate(&subtask(&format!("{middle} {n}"), &middle_agent, &claimed)).await;
        }
    }
    for n in 0..9 {
        world.delegate(&task(&format!("alone {n}"))).await;
    }
    let turns = world.store.turns(ROLE, None).await.unwrap();
    let shares: Vec<&str> = turns.shares.iter().map(|share| share.id.as_str()).collect();
    assert_eq!((shares.len(), shares.contains(&ALONE), shares.contains(&top.as_str())), (2, true, true), "{shares:?}");
    let mut below = 0;
    for n in 0..8 {
        let claimed = world.claim(&world.agent(&format!("shell-{n}")).await).await;
        below += usize::from(claimed.task.parent.is_some());
    }
    assert_eq!(below, 4);
    check::structures(&world).await;
}

#[tokio::test]
async fn a_task_that_waits_for_its_subtasks_occupies_none_of_the_slots_of_its_share() {
    let server = Server::start();
    let world = server.world("n");
    let (one, other) = (PlanId::random(), PlanId::random());
    for n in 0..9 {
        world.delegate(&planned(&one, &format!("one {n}"))).await;
    }
    let slots = async |plan: &PlanId| {
        let turns = world.store.turns(ROLE, None).await.unwrap();
        turns.shares.iter().find(|share| share.id == plan.as_str()).map(|share| share.busy)
    };
    let (first, second) = (world.agent("shell-1").await, world.agent("shell-2").await);
    let claimed = [world.claim(&first).await, world.claim(&second).await];
    world.delegate(&planned(&other, "other")).await;
    let mut below = subtask("below", &first, &claimed[0]);
    below.spec.role = "other".into();
    let below = world.delegate(&below).await;
    let holder = capability(&first, &claimed[0]);
    for wait in [LONG, LONG] {
        world.store.mark_waiting(&holder, std::slice::from_ref(&below), wait).await.unwrap();
        assert_eq!(slots(&one).await, Some(1));
        check::structures(&world).await;
    }
    for _ in 0..2 {
        world.store.mark_waiting(&holder, std::slice::from_ref(&below), Duration::ZERO).await.unwrap();
        assert_eq!(slots(&one).await, Some(2));
        check::structures(&world).await;
    }
    world.store.mark_waiting(&holder, &[below], LONG).await.unwrap();
    world.finish(&first, &claimed[0], Cause::Success).await;
    assert_eq!(slots(&one).await, Some(1));
    check::structures(&world).await;
}

#[tokio::test]
async fn a_low_task_starts_within_max_wait_under_high_ones_without_end() {
    for agents in [1, 4] {
        let server = Server::start_hasty();
        let world = server.world("n");
        let mut fleet = Fleet::new(&world, agents, |_| MINUTE).await;
        let plan = PlanId::random();
        // Of the same share as the high ones, and of another one.
        let low = [
            world.delegate(&of_priority(Priority::Low, "low")).await,
            world
                .delegate(&NewTask {
                    spec: orch::model::spec::Spec { priority: Priority::Low, ..planned(&plan, "low").spec },
                    ..task("low")
                })
                .await,
        ];
        while fleet.now < 2 * MAX_WAIT.as_millis() as u64 {
            fleet.set_clock();
            // More than can start, at every moment.
            for n in 0..=2 * agents {
                world.delegate(&of_priority(Priority::High, &format!("high {n}"))).await;
            }
            fleet.claim().await;
            fleet.end_next().await;
        }
        for id in &low {
            let started = fleet.started.iter().find(|(_, task)| task == id).map(|(at, _)| *at);
            let within = started.is_some_and(|at| at <= MAX_WAIT.as_millis() as u64 + MINUTE);
            assert!(within, "{agents} agents: {started:?}");
        }
        let early = fleet.started.iter().filter(|(at, id)| low.contains(id) && *at < 5 * MINUTE).count();
        assert_eq!(early, 0, "what is more important goes first");
    }
}

#[tokio::test]
async fn what_a_release_without_shares_has_left_is_shared_from_then_on() {
    let server = Server::start();
    let world = server.world("n");
    let (one, other) = (PlanId::random(), PlanId::random());
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(world.delegate(&planned(&one, &format!("one {n}"))).await);
        ids.push(world.delegate(&planned(&other, &format!("other {n}"))).await);
    }
    let first = world.claim(&world.agent("shell-1").await).await;
    let mut redis = world.raw();
    for kind in ["queue:*", "turns:*", "shares:*"] {
        let keys: Vec<String> = redis::cmd("KEYS").arg(world.store.keys().plain(kind)).query(&mut redis).unwrap();
        let () = redis::cmd("DEL").arg(keys).query(&mut redis).unwrap();
    }
    let second = world.claim(&world.agent("shell-2").await).await;
    assert_ne!(first.task.plan, second.task.plan);
    check::structures(&world).await;
    for n in 3..9 {
        world.claim(&world.agent(&format!("shell-{n}")).await).await;
    }
    check::structures(&world).await;
}

#[tokio::test]
#[ignore = "a measurement"]
async fn a_claim_among_the_tasks_of_many_plans() {
    let server = Server::start_hasty();
    for plans in [50, 1, 0] {
        let world = server.world(&format!("n{plans}"));
        let ids: Vec<PlanId> = (0..plans).map(|_| PlanId::random()).collect();
        let new = |n: usize| ids.get(n % plans.max(1)).map_or_else(|| task("x"), |plan| planned(plan, "x"));
        for some in (0..100_000).collect::<Vec<usize>>().chunks(500) {
            let some: Vec<NewTask> = some.iter().map(|n| new(*n)).collect();
            world.store.delegate_all(&some).await.unwrap();
        }
        let took = timed(&server, &world, 0, 1_000).await;
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
        println!("100,000 tasks of {plans} plans: {:.0} µs p50, {:.0} p99, {:.0} max", at(0.5), at(0.99), at(1.0));
    }
}

/// A random step.
#[derive(Debug, Clone)]
enum Step {
    /// A plan, or none; a priority; how many.
    Delegate(Option<usize>, Priority, u8),
    /// Minutes pass.
    Pass(u8),
    Claim(usize),
    Finish(usize, Cause),
    Cancel(usize),
    Edit(usize, Priority),
    Damage(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let priority = || prop::sample::select(vec![Priority::Low, Priority::Normal, Priority::High]);
    let cause = prop::sample::select(vec![Cause::Success, Cause::Permanent, Cause::Lost]);
    let step = prop_oneof![
        6 => (prop::option::weighted(0.8, 0usize..3), priority(), 1u8..4).prop_map(|(p, of, n)| Step::Delegate(p, of, n)),
        2 => (1u8..15).prop_map(Step::Pass),
        8 => (0usize..5).prop_map(Step::Claim),
        5 => ((0usize..5), cause).prop_map(|(agent, cause)| Step::Finish(agent, cause)),
        1 => any::<prop::sample::Index>().prop_map(|at| Step::Cancel(at.index(1_000))),
        1 => (any::<prop::sample::Index>(), priority()).prop_map(|(at, of)| Step::Edit(at.index(1_000), of)),
        1 => any::<prop::sample::Index>().prop_map(|at| Step::Damage(at.index(1_000))),
    ];
    prop::collection::vec(step, 1..60)
}

#[test]
fn a_claim_takes_the_task_whose_turn_it_is_and_a_slot_is_never_idle_while_one_waits() {
    let server = Server::start_hasty();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cases = std::env::var("ORCH_TEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let case = std::cell::Cell::new(0);
    let weights = prop::collection::vec(1u32..4, 3);
    TestRunner::new(config)
        .run(&(weights, steps()), |(weights, steps)| {
            case.set(case.get() + 1);
            let world = server.world(&format!("n{}", case.get()));
            runtime.block_on(play(&world, &weights, &steps));
            Ok(())
        })
        .unwrap();
}

async fn play(world: &World, weights: &[u32], steps: &[Step]) {
    let plans: Vec<PlanId> = weights.iter().map(|_| PlanId::random()).collect();
    plans.iter().zip(weights).for_each(|(plan, weight)| weigh(world, plan, *weight));
    let (mut agents, mut holds, mut ids, mut now) = (Vec::new(), vec![None; 5], Vec::new(), 0);
    for n in 0..5 {
        agents.push(world.agent(&format!("shell-{n}")).await);
    }
    let mut redis = world.raw();
    for step in steps {
        match step {
            Step::Delegate(plan, priority, n) => {
                for _ in 0..*n {
                    let mut new = plan.map_or_else(|| task("x"), |plan| planned(&plans[plan], "x"));
                    new.spec.priority = *priority;
                    ids.push(world.delegate(&new).await);
                }
            }
            Step::Pass(minutes) => {
                now += u64::from(*minutes) * MINUTE;
                let key = world.store.keys().plain("clock_offset");
                let () = redis::cmd("SET").arg(key).arg(now).query(&mut redis).unwrap();
            }
            Step::Claim(agent) if holds[*agent].is_none() => {
                let turns = world.store.turns(ROLE, None).await.unwrap();
                let expected = turns.next().map(|queue| queue.first.0.clone());
                let claimed = world.try_claim(&agents[*agent]).await;
                let ready = world.store.observe(&[ROLE.into()]).await.unwrap().load[ROLE].ready;
                assert_eq!(claimed.as_ref().map(|c| &c.task.id), expected.as_ref(), "{turns:#?}");
                assert!(claimed.is_some() || ready == 0, "work is conserved");
                holds[*agent] = claimed;
            }
            Step::Finish(agent, cause) => {
                if let Some(claimed) = holds[*agent].take() {
                    world.finish(&agents[*agent], &claimed, *cause).await;
                }
            }
            Step::Cancel(at) if !ids.is_empty() => drop(world.cancel(&ids[at % ids.len()]).await),
            Step::Edit(at, priority) if !ids.is_empty() => {
                let edit = orch::store::edit::Edit { priority: Some(*priority), ..Default::default() };
                // One that runs or has ended is refused.
                drop(world.store.edit(&ids[at % ids.len()], &edit, MAX_WAIT, "a test").await);
            }
            // Its record says another priority than that by which it is queued.
            Step::Damage(at) if !ids.is_empty() => {
                let id = &ids[at % ids.len()];
                if world.state(id).await == orch::model::task::TaskState::Ready {
                    let key = world.store.keys().of("shares", ROLE);
                    let () = redis::cmd("HSET").arg(key).arg("mistrusted").arg(1).query(&mut redis).unwrap();
                }
            }
            _ => {}
        }
    }
    check::structures(world).await;
}
