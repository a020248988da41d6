//! No-op tasks through some agents, from `orch resume` of a filled, paused queue to the last one's end; beside it what
//! xargs does with the same program, as many at a time, in turns with ours.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use orch::{
    model::{agent::AgentState, task::TaskState},
    ops::types::Delegate,
};

use crate::{
    Result, clock, median,
    table::{Goal, Row, Unit},
    world::World,
};

const PROGRAM: &str = "/bin/true";
const TASKS: usize = 3000;
const TURNS: usize = 3;
const WIDTHS: [usize; 2] = [4, 20];
/// Requests under way at once while the queue is filled.
const AT_ONCE: usize = 32;

pub fn measure() -> Result<Vec<Row>> {
    let roles = WIDTHS.map(|n| format!("[roles.{}]\ncommand = [{PROGRAM:?}]\nmin = {n}\nmax = {n}\n", role(n)));
    let world = World::new(&roles.concat())?;
    world.run(&["start"])?;
    let agents: usize = WIDTHS.iter().sum();
    world.until("all agents are idle", || {
        Ok(world.agents()?.iter().filter(|a| a.state == AgentState::Idle).count() == agents)
    })?;
    let mut rows = Vec::new();
    for width in WIDTHS {
        xargs(width)?;
        through(&world, width)?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            theirs.push(xargs(width)?);
            ours.push(through(&world, width)?);
        }
        let name = format!("no-op tasks through {width} agents");
        let row = Row::new(name, Unit::PerSecond, Goal::TimesReference(0.5), median(&ours), TURNS);
        rows.push(row.beside(median(&theirs), &format!("xargs -P{width} -n1 {PROGRAM}")));
    }
    Ok(rows)
}

fn role(width: usize) -> String {
    format!("noop{width}")
}

/// Tasks a second through our agents.
fn through(world: &World, width: usize) -> Result<f64> {
    world.run(&["pause"])?;
    fill(world, &role(width))?;
    let before = world.count(TaskState::Succeeded)?;
    // For the writes of the filling to be over.
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

/// Programs a second through xargs.
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
