//! The time from `kill -9` of a runner or of an agent's program to the event that records it.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use orch::{
    model::{event::Event, id::TaskId},
    ops::types::Delegate,
};

use crate::{
    Result, clock, percentile, processes,
    table::{Goal, Row, Unit},
    world::World,
};

const RUNS: usize = 20;
const ROLE: &str = "sleeper";

pub fn measure() -> Result<Vec<Row>> {
    let world = World::new(&format!("[roles.{ROLE}]\ncommand = [\"sleep\", \"{{prompt}}\"]\nmin = 1\nmax = 1\n"))?;
    world.run(&["start"])?;
    let (mut runners, mut programs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let (task, _, program) = at_work(&world)?;
        let its_end = |e: &Event| e.task.as_deref() == Some(task.as_str()) && e.from.as_deref() == Some("running");
        programs.push(until_recorded(&world, program, its_end)?);
        world.wait(world.ops.cancel(&[task]))?;
        let (task, runner, _) = at_work(&world)?;
        runners.push(until_recorded(&world, runner, |e| e.kind.as_str() == "agent.failed")?);
        world.wait(world.ops.cancel(&[task]))?;
    }
    let rows = |what: &str, taken: &[f64]| {
        [
            Row::new(format!("{what} killed, p50"), Unit::Ms, Goal::AtMost(100.0), percentile(taken, 50.0), RUNS),
            Row::new(format!("{what} killed, p99"), Unit::Ms, Goal::None, percentile(taken, 99.0), RUNS),
        ]
    };
    Ok([rows("a runner", &runners), rows("a program", &programs)].concat())
}

/// Returns a running task, and the pids of its runner and its program. The agent has completed a task before, because
/// the role of an agent that dies before its first success is suspended for a while.
fn at_work(world: &World) -> Result<(TaskId, u32, u32)> {
    let task = |text: &str| Delegate { role: Some(ROLE.into()), text: text.into(), ..Delegate::default() };
    let last = world.last_event()?;
    let first = world.ask(task("0"))?;
    world.event_after(&last, |e| e.kind.as_str() == "task.succeeded" && e.task.as_deref() == Some(first.as_str()))?;
    let second = world.ask(task("600"))?;
    let mut found = None;
    world.until("the program runs", || {
        let agent = world.agents()?.into_iter().find(|a| a.task.as_ref() == Some(&second));
        found = agent.and_then(|a| Some((a.process.pid, *processes::children(a.process.pid).first()?)));
        Ok(found.is_some())
    })?;
    let (runner, program) = found.ok_or("no agent is at it")?;
    Ok((second, runner, program))
}

/// Returns the time in ms; the event's time is Redis's, with a resolution of one millisecond.
fn until_recorded(world: &World, pid: u32, is_it: impl Fn(&Event) -> bool) -> Result<f64> {
    let last = world.last_event()?;
    let killed = clock::time_of_day_ms();
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL)?;
    let event = world.event_after(&last, is_it)?;
    Ok(event.at.0 as f64 - killed)
}
