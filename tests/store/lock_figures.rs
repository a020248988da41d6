//! Many tasks with locks on many agents, in a time of its own: nothing overlaps, agents work where locks allow it, and nothing
//! waits for long. And, run by hand, how long a claim takes where much is locked:
//! `cargo test --release --test store lock_figures -- --ignored --nocapture`

use std::{collections::BTreeMap, time::Instant};

use orch::{
    model::{cause::Cause, id::TaskId, lock::Pattern},
    store::tasks::{Claimed, NewTask},
};

use super::{check, fixture::*};

/// A row of numbers that is the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

fn writing(text: &str, what: &[String]) -> NewTask {
    let new = NewTask { max_queued: u32::MAX, ..task(text) };
    NewTask { spec: Spec { writes: what.iter().map(|one| one.parse().unwrap()).collect(), ..new.spec }, ..new }
}

fn excludes(one: &[Pattern], other: &[Pattern]) -> bool {
    one.iter().any(|one| other.iter().any(|other| one.meets(other)))
}

/// The longest that a small task takes.
const LONGEST: u64 = 100;

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

#[tokio::test]
async fn agents_work_where_the_locks_allow_it_and_nothing_overlaps() {
    let server = Server::start_hasty();
    for seed in 1..=3 {
        let world = server.world(&format!("n{seed}"));
        let mut numbers = Numbers(seed);
        let mut fleet = Fleet::new(&world, 20).await;
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
        let share = worked as f64 / allowed as f64;
        println!("seed {seed}: {:.1} % of what the locks allow, done after {}", share * 100.0, fleet.now);
        assert!(share >= 0.9, "seed {seed}: {share}");
        assert_eq!(world.store.locks().await.unwrap(), []);
        check::structures(&world).await;
    }
}

#[tokio::test]
async fn a_task_of_ten_locks_among_tasks_of_one_waits_for_at_most_three_of_them() {
    let server = Server::start_hasty();
    for seed in 1..=3 {
        let world = server.world(&format!("n{seed}"));
        let mut numbers = Numbers(seed);
        let mut fleet = Fleet::new(&world, 15).await;
        let names: Vec<String> = (0..10).map(|n| format!("f{n}")).collect();
        let mut longest = 0;
        for round in 0..6 {
            // There is always more to do of each.
            for _ in 0..40 {
                let name = names[numbers.below(10) as usize].clone();
                let takes = 10 + numbers.below(LONGEST - 10);
                fleet.delegate(&writing("small", &[name]), takes).await;
            }
            fleet.claim().await;
            let big = fleet
                .delegate(
                    &NewTask {
                        spec: Spec { priority: orch::model::task::Priority::High, ..writing("big", &names).spec },
                        ..writing("big", &names)
                    },
                    10,
                )
                .await;
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
            println!("seed {seed}, round {round}: it waited for {}", fleet.claimed_at[&big] - began);
        }
        assert!(longest <= 3 * LONGEST, "seed {seed}: {longest}");
    }
}

/// What Redis itself needs for each of some claims, in µs, in order.
pub async fn claims(server: &Server, world: &World, from: usize, n: usize) -> Vec<f64> {
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

#[tokio::test]
#[ignore = "a measurement"]
async fn a_claim_where_much_is_locked() {
    let server = Server::start_hasty();
    let world = server.world("n");
    let fill = async |texts: Vec<NewTask>| {
        for some in texts.chunks(500) {
            world.store.delegate_all(some).await.unwrap();
        }
    };
    let held = |n: u64| format!("mod{}/sub{}/file{n}.rs", n % 50, n % 7);
    fill((0..1_000).map(|n| writing("held", &[held(n)])).collect()).await;
    claims(&server, &world, 0, 1_000).await;
    assert_eq!(world.store.locks().await.unwrap().len(), 1_000);
    fill((0..10_000).map(|n| writing("parked", &[held(n % 1_000), format!("other{n}")])).collect()).await;
    let parking = claims(&server, &world, 1_000, 700).await;
    assert_eq!(world.store.parked(1).await.unwrap().1, 10_000);
    let began = Instant::now();
    fill((0..100_000).map(|n| writing("ready", &[format!("free{}/file{n}.rs", n % 100), held(n + 1_000)])).collect())
        .await;
    println!("100,000 delegated in {:?}", began.elapsed());
    let free = claims(&server, &world, 2_000, 1_000).await;
    for (what, took) in [("parks 16 tasks", parking), ("takes two locks", free)] {
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
        println!("a claim that {what}: {:.0} µs p50, {:.0} p99, {:.0} max", at(0.5), at(0.99), at(1.0));
    }
}
