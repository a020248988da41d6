//! The rate of no-op tasks through some agents, from `orch resume` of a filled, paused queue to the end of the last
//! task, in rounds. The references are measured alternately in the same run: `xargs -P` with the same program,
//! task-spooler and BullMQ.
//!
//! The state folder is measured in the home folder, where users have it, and in /tmp. Both are on the disk on most
//! machines, but some file systems are slower in a folder with many changes than in a quiet one.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use orch::{
    model::{agent::AgentState, task::TaskState},
    ops::types::Delegate,
};

use crate::{
    Result, clock, median,
    peers::{self, BullMq, TaskSpooler},
    table::{Goal, Row, Unit},
    world::World,
};

const PROGRAM: &str = "/bin/true";
/// Tasks per round. The rates of the rounds show whether a world slows down while its state grows.
const TASKS: usize = 2000;
const ROUNDS: usize = 10;
const WIDTHS: [usize; 2] = [4, 20];
/// The peers take part in every third round.
const PEERS_EVERY: usize = 3;
/// The number of concurrent requests while the queue is filled.
const AT_ONCE: usize = 32;

pub fn measure() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, folder) in [("home folder", on_the_disk_of_home()), ("/tmp", PathBuf::from("/tmp"))] {
        rows.extend(measure_in(name, &folder)?);
    }
    Ok(rows)
}

/// Returns the build folder: in most checkouts it is in the home folder, and benchmarks may write to it.
fn on_the_disk_of_home() -> PathBuf {
    env!("CARGO_TARGET_TMPDIR").into()
}

fn measure_in(name: &str, folder: &Path) -> Result<Vec<Row>> {
    let roles = WIDTHS.map(|n| format!("[roles.{}]\ncommand = [{PROGRAM:?}]\nmin = {n}\nmax = {n}\n", role(n)));
    let world = World::new_in(folder, &roles.concat())?;
    world.run(&["start"])?;
    let agents: usize = WIDTHS.iter().sum();
    world.until("all agents are idle", || {
        Ok(world.agents()?.iter().filter(|a| a.state == AgentState::Idle).count() == agents)
    })?;
    let mut rows = Vec::new();
    for width in WIDTHS {
        let folder = world.dir.join(role(width));
        std::fs::create_dir(&folder)?;
        let mut spooler = peers::installed("task-spooler", TaskSpooler::start(&folder, width));
        let mut bullmq = peers::installed("BullMQ", BullMq::start(&folder, width));
        xargs(width)?;
        through(&world, width)?;
        let mut rates = Rates::default();
        for round in 0..ROUNDS {
            rates.xargs.push(xargs(width)?);
            rates.ours.push(through(&world, width)?);
            if round % PEERS_EVERY == 0 {
                let of_spooler = peers::measured(&mut spooler, "task-spooler", |peer| peer.throughput(width, PROGRAM));
                rates.spooler.extend(of_spooler);
                rates.bullmq.extend(peers::measured(&mut bullmq, "BullMQ", |peer| peer.throughput(PROGRAM)));
            }
        }
        rows.extend(rates.rows(&format!("no-op tasks, {width} agents, {name}"), width));
    }
    Ok(rows)
}

/// Rates per second, one per round.
#[derive(Default)]
struct Rates {
    ours: Vec<f64>,
    xargs: Vec<f64>,
    spooler: Vec<f64>,
    bullmq: Vec<f64>,
}

impl Rates {
    fn rows(&self, name: &str, width: usize) -> Vec<Row> {
        let row = |name: String, goal, measured| Row::new(name, Unit::PerSecond, goal, measured, self.ours.len());
        let (ours, reference) = (median(&self.ours), format!("xargs -P{width} -n1 {PROGRAM}"));
        let ratio = |pair: &(&f64, &f64)| pair.0 / pair.1;
        let slowest = self.ours.iter().zip(&self.xargs).min_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        let mut rows = vec![
            row(name.to_owned(), Goal::TimesReference(0.75), ours).with_reference(median(&self.xargs), &reference),
        ];
        if let Some((ours, theirs)) = slowest {
            let name = format!("{name}, the worst of {ROUNDS} rounds of {TASKS}");
            rows.push(row(name, Goal::None, *ours).with_reference(*theirs, &reference));
        }
        for (peer, rates) in [("task-spooler", &self.spooler), ("BullMQ, a process per job", &self.bullmq)] {
            if !rates.is_empty() {
                rows.push(row(name.to_owned(), Goal::TimesReference(1.0), ours).with_reference(median(rates), peer));
            }
        }
        rows
    }
}

fn role(width: usize) -> String {
    format!("noop{width}")
}

/// Returns the tasks per second through orch's agents.
fn through(world: &World, width: usize) -> Result<f64> {
    world.run(&["pause"])?;
    fill(world, &role(width))?;
    let before = world.count(TaskState::Succeeded)?;
    // Waits until the writes of the filling are complete.
    std::thread::sleep(Duration::from_millis(300));
    let began = clock::time_of_day_ms();
    world.run(&["resume"])?;
    world.until_by("all tasks are done", Duration::from_millis(50), || {
        Ok(world.count(TaskState::Succeeded)? == before + TASKS as u64)
    })?;
    let newest = world.wait(world.store.task_ids(Some(TaskState::Succeeded)))?;
    let last = world.wait(world.store.tasks(&newest[..1]))?;
    let ended = last.first().and_then(|task| task.ended_at).ok_or("the last task has no end")?;
    Ok(TASKS as f64 / (ended.0 as f64 - began) * 1e3)
}

fn fill(world: &World, role: &str) -> Result<()> {
    use futures_util::stream::{StreamExt, TryStreamExt, iter};
    let task = || Delegate { role: Some(role.to_owned()), text: "nothing".into(), ..Delegate::default() };
    let requests = iter((0..TASKS).map(|_| world.ops.delegate(task())));
    world.wait(requests.buffer_unordered(AT_ONCE).try_for_each(|_| std::future::ready(Ok(()))))
}

/// Returns the programs per second through xargs.
fn xargs(width: usize) -> Result<f64> {
    let mut numbers = Command::new("seq").arg(TASKS.to_string()).stdout(Stdio::piped()).spawn()?;
    let input = numbers.stdout.take().ok_or("seq has no output")?;
    let began = Instant::now();
    let status = Command::new("xargs").arg(format!("-P{width}")).args(["-n1", PROGRAM]).stdin(input).status()?;
    let took = began.elapsed();
    numbers.wait()?;
    if !status.success() {
        return Err(format!("xargs: {status}").into());
    }
    Ok(TASKS as f64 / took.as_secs_f64())
}
