//! Locks: what a claim costs Redis where much is locked and waits, and how well agents work on tasks whose locks overlap.
//! The second half runs in a time of its own, so that the load of the machine changes nothing.

use crate::{
    Result,
    fixture::Server,
    lock_fleet::{Claims, LONGEST, claims, longest_wait, parallelism},
    table::{Goal, Row, Unit},
};

const SEEDS: u64 = 10;

pub fn measure() -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(rows())
}

async fn rows() -> Result<Vec<Row>> {
    let server = Server::start_hasty();
    let Claims { parking, taking } = claims(&server, &server.world("claims")).await;
    let mut rows = Vec::new();
    for (what, took) in [("that takes two locks", taking), ("that parks 16 tasks", parking)] {
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize] / 1_000.0;
        let much = "100,000 ready, 1,000 locks, 10,000 parked, 50 plans";
        let name = |which: &str| format!("a claim {what}, {which}, within Redis ({much})");
        rows.push(Row::new(name("p50"), Unit::Ms, Goal::None, at(0.5), took.len()));
        rows.push(Row::new(name("p99"), Unit::Ms, Goal::AtMost(2.0), at(0.99), took.len()));
    }
    let (mut share, mut longest) = (1.0f64, 0);
    for seed in 1..=SEEDS {
        share = share.min(parallelism(&server.world(&format!("p{seed}")), seed).await);
        longest = longest.max(longest_wait(&server.world(&format!("w{seed}")), seed).await);
    }
    let name = "20 agents, 200 tasks with overlapping patterns: share of what the locks allow, the least";
    rows.push(Row::new(name, Unit::Percent, Goal::AtLeast(90.0), share * 100.0, SEEDS as usize));
    let name = "the longest wait of a task of ten locks among tasks of one, in lengths of the longest of these";
    let longest = longest as f64 / LONGEST as f64;
    rows.push(Row::new(name, Unit::Count, Goal::AtMost(3.0), longest, SEEDS as usize));
    Ok(rows)
}
