//! Agents that work on tasks with locks in a time of their own, and what a claim costs where much is locked. The tests and
//! `scripts/bench locks` share it.

use std::collections::BTreeMap;

use orch::{
    model::{
        cause::Cause,
        id::{PlanId, TaskId},
        lock::Pattern,
        task::Priority,
    },
    store::{
        plans::NewPlan,
        tasks::{Claimed, NewTask},
    },
};

use super::fixture::*;

/// A row of numbers that is the same in every run.
pub struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

pub fn writing(text: &str, what: &[String]) -> NewTask {
    let new = NewTask { max_queued: u32::MAX, ..task(text) };
    NewTask { spec: Spec { writes: what.iter().map(|one| one.parse().unwrap()).collect(), ..new.spec }, ..new }
}

fn excludes(one: &[Pattern], other: &[Pattern]) -> bool {
    one.iter().any(|one| other.iter().any(|other| one.meets(other)))
}

/// The longest that a small task takes.
pub const LONGEST: u64 = 100;

/// Agents that work on tasks of a given length.
struct Fleet<'a> {
    world: &'a World,
    agents: Vec<Agent>,
    now: u64,
    /// By when they end.
    running: Vec<(u64, Agent, Claimed)>,
    /// How long each task takes, and when it was claimed.
    takes: BTreeMap<TaskId, u64>,
    claimed_at: BTreeMap<TaskId, u64>,
}

impl<'a> Fleet<'a> {
    async fn new(world: &'a World, n: usize) -> Fleet<'a> {
        let mut agents = Vec::new();
        for i in 0..n {
            agents.push(world.agent(&format!("shell-{i}")).await);
        }
        Fleet { world, agents, now: 0, running: vec![], takes: BTreeMap::new(), claimed_at: BTreeMap::new() }
    }

    async fn delegate(&mut self, new: &NewTask, takes: u64) -> TaskId {
        let id = self.world.delegate(new).await;
        self.takes.insert(id.clone(), takes);
        id
    }

    /// Idle agents claim what they get. Panics if it overlaps with what runs.
    async fn claim(&mut self) {
        let mut idle = Vec::new();
        while let Some(agent) = self.agents.pop() {
            // A call that has parked some looks no further; its agent calls again.
            let mut claimed = None;
            for _ in 0..20 {
                claimed = self.world.try_claim(&agent).await;
                if claimed.is_some() {
                    break;
                }
            }
            let Some(claimed) = claimed else {
                idle.push(agent);
                break;
            };
            for (_, _, other) in &self.running {
                let (one, other) = (&claimed.task, &other.task);
                assert!(!excludes(&one.writes, &other.writes), "{:?} and {:?}", one.writes, other.writes);
            }
            let id = claimed.task.id.clone();
            self.claimed_at.insert(id.clone(), self.now);
            self.running.push((self.now + self.takes[&id], agent, claimed));
        }
        self.agents.extend(idle);
    }

    /// The time goes on to the next end; how much.
    async fn end_next(&mut self) -> u64 {
        let next = (0..self.running.len()).min_by_key(|at| self.running[*at].0).expect("something runs");
        let (ends, agent, claimed) = self.running.remove(next);
        self.world.finish(&agent, &claimed, Cause::Success).await;
        self.agents.push(agent);
        let passed = ends - self.now;
        self.now = ends;
        passed
    }
}

/// How well agents used what the locks of their tasks allow, as a share; nothing overlaps.
pub async fn parallelism(world: &World, seed: u64) -> f64 {
    let mut numbers = Numbers(seed);
    let mut fleet = Fleet::new(world, 20).await;
    let mut waiting = BTreeMap::new();
    for n in 0..200 {
        let mut what = Vec::new();
        for _ in 0..=numbers.below(3) {
            let (folder, file) = (numbers.below(12), numbers.below(6));
            what.push(match numbers.below(10) {
                0 => format!("m{folder}/**"),
                1 => format!("m{folder}/*.rs"),
                2 => format!("**/f{file}.md"),
                _ => format!("m{folder}/f{file}.rs"),
            });
        }
        let new = writing(&format!("{n}"), &what);
        let takes = 10 + numbers.below(90);
        waiting.insert(fleet.delegate(&new, takes).await, new.spec.writes.clone());
    }
    let (mut worked, mut allowed) = (0, 0);
    while !waiting.is_empty() || !fleet.running.is_empty() {
        fleet.claim().await;
        fleet.running.iter().for_each(|(_, _, claimed)| drop(waiting.remove(&claimed.task.id)));
        // What else could run: each that excludes nothing that runs, nor another one that was chosen.
        let mut all: Vec<&[Pattern]> = fleet.running.iter().map(|(_, _, c)| c.task.writes.as_slice()).collect();
        for wants in waiting.values() {
            if all.len() < 20 && !all.iter().any(|one| excludes(one, wants)) {
                all.push(wants);
            }
        }
        let (running, could) = (fleet.running.len() as u64, all.len() as u64);
        let passed = fleet.end_next().await;
        worked += passed * running;
        allowed += passed * could;
    }
    worked as f64 / allowed as f64
}

/// The longest that one of six tasks of ten locks waits among tasks of one lock, of which there are always more.
pub async fn longest_wait(world: &World, seed: u64) -> u64 {
    let mut numbers = Numbers(seed);
    let mut fleet = Fleet::new(world, 15).await;
    let names: Vec<String> = (0..10).map(|n| format!("f{n}")).collect();
    let mut longest = 0;
    for _ in 0..6 {
        for _ in 0..40 {
            let name = names[numbers.below(10) as usize].clone();
            let takes = 10 + numbers.below(LONGEST - 10);
            fleet.delegate(&writing("small", &[name]), takes).await;
        }
        fleet.claim().await;
        let new = writing("big", &names);
        let new = NewTask { spec: Spec { priority: Priority::High, ..new.spec.clone() }, ..new };
        let big = fleet.delegate(&new, 10).await;
        let began = fleet.now;
        while !fleet.claimed_at.contains_key(&big) {
            fleet.claim().await;
            if !fleet.claimed_at.contains_key(&big) {
                fleet.end_next().await;
                let name = names[numbers.below(10) as usize].clone();
                fleet.delegate(&writing("small", &[name]), 10 + numbers.below(LONGEST - 10)).await;
            }
        }
        longest = longest.max(fleet.claimed_at[&big] - began);
    }
    longest
}

/// What Redis itself needs for claims, in µs, in order.
pub struct Claims {
    /// Of claims that park sixteen tasks each.
    pub parking: Vec<f64>,
    /// Of claims that take two locks.
    pub taking: Vec<f64>,
}

/// Claims with 1,000 locks, 10,000 parked tasks, 100,000 ready ones and 50 plans, half of the ready tasks being theirs.
pub async fn claims(server: &Server, world: &World) -> Claims {
    let fill = async |texts: Vec<NewTask>| {
        for some in texts.chunks(500) {
            world.store.delegate_all(some).await.unwrap();
        }
    };
    let held = |n: u64| format!("mod{}/sub{}/file{n}.rs", n % 50, n % 7);
    fill((0..1_000).map(|n| writing("held", &[held(n)])).collect()).await;
    timed(server, world, 0, 1_000).await;
    assert_eq!(world.store.locks().await.unwrap().len(), 1_000);
    fill((0..10_000).map(|n| writing("parked", &[held(n % 1_000), format!("other{n}")])).collect()).await;
    let parking = timed(server, world, 1_000, 700).await;
    assert_eq!(world.store.parked(1).await.unwrap().1, 10_000);
    let free = |n: u64| writing("ready", &[format!("free{}/file{n}.rs", n % 100), held(n + 1_000)]);
    fill((0..50_000).map(free).collect()).await;
    for plan in 0..50 {
        submit(world, (50_000 + plan * 1_000..51_000 + plan * 1_000).map(free).collect()).await;
    }
    Claims { parking, taking: timed(server, world, 2_000, 1_000).await }
}

/// A plan of these tasks, all of which are made.
async fn submit(world: &World, tasks: Vec<NewTask>) {
    let id = PlanId::random();
    let of_plan = |(n, new): (usize, NewTask)| {
        let key = format!("k{n}");
        (key.clone(), NewTask { spec: Spec { plan: Some(id.clone()), plan_key: Some(key), ..new.spec.clone() }, ..new })
    };
    let new = NewPlan {
        id: id.clone(),
        name: "a plan".into(),
        text: "what for".into(),
        tasks: tasks.into_iter().enumerate().map(of_plan).collect(),
        notify: None,
        parent: None,
        who: "a test".into(),
        key: None,
        cap: Default::default(),
        weight: None,
    };
    let n = new.tasks.len();
    world.store.submit_plan(&new).await.unwrap();
    assert_eq!(world.store.plan_tasks(&id).await.unwrap().len(), n);
}

/// What Redis itself needs for each of some claims, in µs, in order.
pub async fn timed(server: &Server, world: &World, from: usize, n: usize) -> Vec<f64> {
    let mut agents = Vec::new();
    for i in from..from + n {
        agents.push(world.agent(&format!("shell-{i}")).await);
    }
    let mut raw = server.raw();
    let mut took = Vec::new();
    for agent in &agents {
        redis::cmd("CONFIG").arg("RESETSTAT").exec(&mut raw).unwrap();
        world.try_claim(agent).await;
        let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut raw).unwrap();
        let line = stats.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap();
        let per_call = line.split("usec_per_call=").nth(1).unwrap().split(',').next().unwrap();
        took.push(per_call.parse().unwrap());
    }
    took.sort_by(f64::total_cmp);
    took
}
