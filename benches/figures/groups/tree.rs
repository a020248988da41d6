//! A program with a tree of three hundred processes that ignore every signal that can be ignored, half of them in other
//! sessions: how long they outlive the grace time and the runner.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use orch::{model::id::TaskId, os::ProcessId};

use crate::{
    Result, clock, percentile, processes,
    table::{Goal, Row, Unit},
    world::World,
};

const RUNS: usize = 5;
const PROCESSES: usize = 300;
const ROLE: &str = "deaf";
/// The time between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_millis(500);

pub fn measure() -> Result<Vec<Row>> {
    let deaf = "trap '' TERM HUP INT QUIT; echo $$ >>\"$1\"; exec sleep 600";
    let script = format!(
        "trap '' TERM HUP INT QUIT; [ \"$1\" = 0 ] && exit; n=0; while [ $n -lt {} ]; do \
         setsid sh -c \"$2\" sh \"$1\" & sh -c \"$2\" sh \"$1\" & n=$((n+1)); done; wait",
        PROCESSES / 2
    );
    let world = World::new(&format!(
        "[supervisor]\nkill_grace = \"{}ms\"\n[roles.{ROLE}]\nmin = 1\nmax = 1\n\
         command = [\"sh\", \"-c\", {script:?}, \"sh\", \"{{prompt}}\", {deaf:?}]\n",
        GRACE.as_millis()
    ))?;
    world.run(&["start"])?;
    let (mut cancelled, mut killed, mut survivors) = (Vec::new(), Vec::new(), 0);
    for run in 0..RUNS {
        let (task, tree) = grow(&world, &world.dir.join(format!("cancelled-{run}")))?;
        let began = Instant::now();
        world.wait(world.ops.cancel(&[task]))?;
        cancelled.push(until_gone(&world, &tree, began)? - clock::in_ms(GRACE));
        // The role of an agent that dies before its first success would be suspended.
        let last = world.last_event()?;
        let proof = world.delegate(ROLE, "0")?;
        world
            .event_after(&last, |e| e.kind.as_str() == "task.succeeded" && e.task.as_deref() == Some(proof.as_str()))?;
        let (task, tree) = grow(&world, &world.dir.join(format!("killed-{run}")))?;
        let runner = world.agents()?.first().ok_or("no agent is at it")?.process.pid;
        let began = Instant::now();
        kill(Pid::from_raw(runner as i32), Signal::SIGKILL)?;
        // The task would be retried.
        world.wait(world.ops.cancel(&[task]))?;
        killed.push(until_gone(&world, &tree, began)?);
        survivors += tree.iter().filter(|p| p.is_alive()).count();
    }
    world.run(&["stop"])?;
    survivors += processes::of_folder(&world.dir).len();
    let name = |what: &str| format!("{PROCESSES} processes that ignore everything: {what}");
    let row =
        |what: &str, taken: &[f64]| Row::new(name(what), Unit::Ms, Goal::AtMost(500.0), percentile(taken, 100.0), RUNS);
    Ok(vec![
        row("cancelled, gone after the grace time, worst", &cancelled),
        row("runner killed, gone, worst", &killed),
        Row::new(name("survivors"), Unit::Count, Goal::AtMost(0.0), survivors as f64, RUNS),
    ])
}

/// Returns a task whose whole process tree runs, and the tree.
fn grow(world: &World, list: &Path) -> Result<(TaskId, Vec<ProcessId>)> {
    let task = world.delegate(ROLE, &list.display().to_string())?;
    let mut tree = Vec::new();
    world.until("the whole tree runs", || {
        let text = fs::read_to_string(list).unwrap_or_default();
        tree = text.lines().filter_map(|line| ProcessId::of(line.parse().ok()?)).collect();
        Ok(tree.len() == PROCESSES)
    })?;
    Ok((task, tree))
}

/// Returns the time until all processes have ended, in ms. A zombie counts as ended.
fn until_gone(world: &World, tree: &[ProcessId], began: Instant) -> Result<f64> {
    world.until_by("the tree is gone", Duration::from_millis(1), || Ok(!tree.iter().any(ProcessId::is_alive)))?;
    Ok(clock::in_ms(began.elapsed()))
}
