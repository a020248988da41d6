//! Plans: how long checking and submitting take, whom that keeps waiting, what a plan adds to its tasks, and how close its
//! end comes to the earliest one and to what was foreseen.

use std::{
    fs,
    time::{Duration, Instant},
};

use orch::{
    model::task::TaskState,
    ops::types::PlanSource,
    plan::rank::{self, Draws, Work},
};

use crate::{
    Result, median,
    table::{Goal, Row, Unit},
    world::World,
};

const TASKS: usize = 1_000;
const EDGES: usize = 5;
const LAYERS: usize = 300;
const RUNS: usize = 7;
const AGENTS: u32 = 4;
const SEEDS: u64 = 100;
/// Plans that are run with tasks that sleep.
const TIMED: u64 = 9;
const TIMED_TASKS: usize = 32;

pub fn measure() -> Result<Vec<Row>> {
    let world = World::new(&format!(
        "[supervisor]\nmax_queued = 100000\nmax_children = 1000\n[roles.noop]\ncommand = [\"/bin/true\"]\nmin = {AGENTS}\nmax = {AGENTS}\n\
         [roles.shell]\nmin = {AGENTS}\nmax = {AGENTS}\n"
    ))?;
    world.run(&["start"])?;
    world.run(&["pause"])?;
    let mut rows = documents(&world)?;
    rows.push(others_wait(&world)?);
    rows.push(beside_independent_tasks(&world)?);
    rows.push(simulated());
    rows.extend(timed(&world)?);
    world.run(&["stop"])?;
    Ok(rows)
}

/// A plan in which each task comes after up to `EDGES` of those before it.
fn wide(name: &str, tasks: usize) -> String {
    let mut draws = Draws::new(7);
    let mut document = format!("name = \"{name}\"\n");
    for n in 0..tasks {
        let mut after: Vec<usize> =
            (0..EDGES.min(n)).map(|_| (draws.next().unwrap_or(0.0) * n as f64) as usize).collect();
        after.sort_unstable();
        after.dedup();
        let after: Vec<String> = after.iter().map(|first| format!("\"t{first}\"")).collect();
        document += &format!("[tasks.t{n}]\nrole = \"noop\"\ntext = \"nothing\"\nafter = [{}]\n", after.join(", "));
    }
    document
}

/// Layers of five, each task after the whole layer before it.
fn lattice() -> String {
    let mut document = "name = \"lattice\"\n".to_owned();
    for layer in 0..LAYERS {
        for n in 0..5 {
            document += &format!("[tasks.l{layer}-{n}]\nrole = \"noop\"\ntext = \"nothing\"\n");
            if layer > 0 {
                let after: Vec<String> = (0..5).map(|n| format!("\"l{}-{n}\"", layer - 1)).collect();
                document += &format!("after = [{}]\n", after.join(", "));
            }
        }
    }
    document
}

fn documents(world: &World) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (file, document, what, most) in [
        ("wide.toml", wide("wide", TASKS), format!("{TASKS} tasks with {EDGES} edges each"), 50.0),
        ("lattice.toml", lattice(), format!("a lattice of {LAYERS} layers of 5"), 1_000.0),
    ] {
        fs::write(world.dir.join(file), document)?;
        let took = (0..RUNS).map(|_| timed_ms(|| world.run(&["plan", "check", file]))).collect::<Result<Vec<f64>>>()?;
        rows.push(Row::new(format!("orch plan check, {what}"), Unit::Ms, Goal::AtMost(most), median(&took), RUNS));
    }
    let took = (0..RUNS).map(|_| timed_ms(|| world.run(&["plan", "wide.toml"]))).collect::<Result<Vec<f64>>>()?;
    let name = format!("orch plan submit, {TASKS} tasks with {EDGES} edges each");
    rows.push(Row::new(name, Unit::Ms, Goal::AtMost(300.0), median(&took), RUNS));
    cancel_all(world)?;
    Ok(rows)
}

fn cancel_all(world: &World) -> Result<()> {
    for plan in world.wait(world.ops.plans(1_000))?.into_iter().filter(|plan| !plan.state.is_terminal()) {
        world.wait(world.ops.cancel_plan(&plan.id))?;
    }
    Ok(())
}

/// The longest call of another caller while a plan is submitted, less what such a call takes otherwise.
fn others_wait(world: &World) -> Result<Row> {
    let call = || -> Result<f64> {
        let began = Instant::now();
        world.wait(world.store.task_count())?;
        Ok(began.elapsed().as_secs_f64() * 1e3)
    };
    let quiet = (0..200).map(|_| call()).collect::<Result<Vec<f64>>>()?;
    let mut longest = Vec::new();
    for _ in 0..RUNS {
        let mut submit = world.orch(&["plan", "wide.toml"]).stdout(std::process::Stdio::null()).spawn()?;
        let mut most = 0.0f64;
        while submit.try_wait()?.is_none() {
            most = most.max(call()?);
        }
        longest.push((most - median(&quiet)).max(0.0));
    }
    cancel_all(world)?;
    let name = format!("others' longest wait while {TASKS} tasks are submitted");
    Ok(Row::new(name, Unit::Ms, Goal::AtMost(10.0), median(&longest), RUNS))
}

/// The same no-op tasks as a plan and by themselves.
fn beside_independent_tasks(world: &World) -> Result<Row> {
    let (mut as_plan, mut alone) = (Vec::new(), Vec::new());
    let lines: String = (0..TASKS).map(|n| format!("nothing {n}\n")).collect();
    fs::write(world.dir.join("lines"), lines)?;
    for _ in 0..3 {
        alone.push(drained(world, || world.run(&["delegate", "--role", "noop", "--each", "lines"]))?);
        as_plan.push(drained(world, || world.run(&["plan", "wide.toml"]))?);
    }
    let name = format!("{TASKS} no-op tasks as a plan, through {AGENTS} agents");
    let row = Row::new(name, Unit::Ms, Goal::WithinReference(1.3), median(&as_plan), as_plan.len());
    Ok(row.with_reference(median(&alone), "orch delegate --each, the same tasks without edges"))
}

/// Fills a paused queue, and returns how long its tasks take from `orch resume` on.
fn drained(world: &World, fill: impl FnOnce() -> Result<()>) -> Result<f64> {
    world.run(&["pause"])?;
    fill()?;
    std::thread::sleep(Duration::from_millis(300));
    let before = world.count(TaskState::Succeeded)?;
    let began = Instant::now();
    world.run(&["resume"])?;
    world.until("all tasks are done", || Ok(world.count(TaskState::Succeeded)? == before + TASKS as u64))?;
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

/// A seeded graph: what each task comes after, and how long it takes.
fn graph(seed: u64, tasks: usize, shortest: u64, longest: u64) -> (Vec<Vec<usize>>, Vec<u64>) {
    let mut draws = Draws::new(seed);
    let mut draw = || draws.next().unwrap_or(0.0);
    let mut before = Vec::new();
    for n in 0..tasks {
        let mut after: Vec<usize> = (0..2.min(n)).map(|_| (draw() * n as f64) as usize).filter(|_| n % 4 > 0).collect();
        after.sort_unstable();
        after.dedup();
        before.push(after);
    }
    let durations = (0..tasks).map(|_| shortest + (draw() * (longest - shortest) as f64) as u64).collect();
    (before, durations)
}

/// The least that a plan can take.
fn bound(before: &[Vec<usize>], durations: &[u64]) -> f64 {
    let work = durations.iter().sum::<u64>() as f64 / f64::from(AGENTS);
    work.max(rank::path(before, durations).length as f64)
}

/// By the order in which orch starts tasks, without what starting them takes.
fn simulated() -> Row {
    let ratio = |seed| {
        let (before, durations) = graph(seed, 200, 100, 1_000);
        let path = rank::path(&before, &durations);
        let work: Vec<Work> = durations.iter().map(|ms| Work { role: 0, duration: *ms, runs: false }).collect();
        rank::simulate(&before, &work, &[AGENTS], &path.rank).unwrap_or(0) as f64 / bound(&before, &durations)
    };
    let ratios: Vec<f64> = (0..SEEDS).map(ratio).collect();
    let name = "time of 200 tasks over the least possible, simulated".to_owned();
    Row::new(name, Unit::Percent, Goal::AtMost(115.0), median(&ratios) * 100.0, SEEDS as usize)
}

/// Plans of tasks that sleep: their time over the least possible, and how far off the estimate at half time is.
fn timed(world: &World) -> Result<Vec<Row>> {
    world.run(&["resume"])?;
    let (mut ratios, mut errors) = (Vec::new(), Vec::new());
    // The first one makes the tasks known.
    for seed in 0..=TIMED {
        let (before, durations) = graph(seed % 3, TIMED_TASKS, 200, 600);
        let mut document = format!("name = \"timed-{}\"\n", seed % 3);
        for (n, ms) in durations.iter().enumerate() {
            let after: Vec<String> = before[n].iter().map(|first| format!("\"t{first}\"")).collect();
            let sleep = format!("sleep {}.{:03}", ms / 1000, ms % 1000);
            document +=
                &format!("[tasks.t{n}]\nrole = \"shell\"\ntext = \"{sleep}\"\nafter = [{}]\n", after.join(", "));
        }
        let began = Instant::now();
        let plan = world.wait(world.ops.submit_plan(&PlanSource { document, ..PlanSource::default() }))?;
        let least = bound(&before, &durations);
        let mut foreseen = None;
        world.until("the plan has ended", || {
            let is_half = began.elapsed().as_secs_f64() * 1e3 > least / 2.0;
            if foreseen.is_none() && is_half {
                let eta = world.wait(world.ops.show_plan(&plan.id))?.eta;
                foreseen = eta.map(|eta| began.elapsed().as_secs_f64() * 1e3 + eta.p50_ms as f64);
            }
            let plans = world.wait(world.ops.plans(1))?;
            Ok(plans.first().is_some_and(|plan| plan.state.is_terminal()))
        })?;
        let took = began.elapsed().as_secs_f64() * 1e3;
        if seed > 0 {
            ratios.push(took / least * 100.0);
            errors.extend(foreseen.map(|foreseen| (foreseen - took).abs() / took * 100.0));
        }
    }
    let what = format!("a plan of {TIMED_TASKS} tasks that sleep, {AGENTS} agents");
    let row =
        |name: String, most, all: &[f64]| Row::new(name, Unit::Percent, Goal::AtMost(most), median(all), all.len());
    Ok(vec![
        row(format!("{what}: time over the least possible"), 115.0, &ratios),
        row(format!("{what}: error of the estimate at half time"), 20.0, &errors),
    ])
}

fn timed_ms(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed().as_secs_f64() * 1e3)
}
