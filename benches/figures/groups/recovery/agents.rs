//! The time from `kill -9` of a runner or of a program, or from `kill-session`, until the task is ready again, without
//! the intended delay before its next attempt.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use orch::{
    model::{agent::Agent, id::TaskId},
    ops::types::Delegate,
};

use crate::{
    Result, clock, percentile, processes,
    table::{Goal, Row, Unit},
    world::World,
};

const RUNS: usize = 50;
const ROLE: &str = "sleeper";

/// Ends a part of an agent.
type End = fn(&World, &Agent) -> Result<()>;

pub fn measure() -> Result<Vec<Row>> {
    // The delay is not measured; a short one keeps the measurement short.
    let world = World::new(&format!(
        "[retry]\nbase = \"40ms\"\n[roles.{ROLE}]\ncommand = [\"sleep\", \"{{prompt}}\"]\nmin = 1\nmax = 1\n"
    ))?;
    world.run(&["start"])?;
    let mut rows = Vec::new();
    let kinds: [(&str, End); 3] = [("a runner", end_runner), ("a program", end_program), ("a session", end_session)];
    for (what, end) in kinds {
        let taken = (0..RUNS).map(|_| ready_again(&world, end)).collect::<Result<Vec<f64>>>()?;
        let row = |p: u8, goal| {
            let name = format!("{what} ends: its task is ready again, p{p}");
            Row::new(name, Unit::Ms, Goal::AtMost(goal), percentile(&taken, p.into()), RUNS)
        };
        rows.extend([row(50, 200.0), row(99, 1000.0)]);
    }
    Ok(rows)
}

/// Returns the time in ms; the event's time is Redis's, with a resolution of one millisecond.
fn ready_again(world: &World, end: End) -> Result<f64> {
    let (task, agent) = at_work(world)?;
    let last = world.last_event()?;
    let ended = clock::time_of_day_ms();
    end(world, &agent)?;
    let is_its = |kind: &'static str, task: &TaskId| {
        let task = task.to_string();
        move |e: &orch::model::event::Event| e.kind.as_str() == kind && e.task.as_deref() == Some(task.as_str())
    };
    let delayed = world.event_after(&last, is_its("task.delayed", &task))?;
    let ready = world.event_after(&delayed.id, is_its("task.ready", &task))?;
    let detail = world.wait(world.store.task(&task))?.ok_or("the task is gone")?;
    let due = detail.attempts.first().and_then(|attempt| attempt.next_retry_at).ok_or("it was not delayed")?;
    world.wait(world.ops.cancel(&[task]))?;
    let meant = due.since(delayed.at).as_secs_f64() * 1e3;
    Ok(ready.at.0 as f64 - ended - meant)
}

/// Returns a running task and its agent. The agent has completed a task before, because the role of an agent that dies
/// before its first success is suspended for a while.
fn at_work(world: &World) -> Result<(TaskId, Agent)> {
    let task = |text: &str| Delegate { role: Some(ROLE.into()), text: text.into(), ..Delegate::default() };
    let last = world.last_event()?;
    let first = world.ask(task("0"))?;
    world.event_after(&last, |e| e.kind.as_str() == "task.succeeded" && e.task.as_deref() == Some(first.as_str()))?;
    let second = world.ask(task("600"))?;
    let mut found = None;
    world.until("the program runs", || {
        let agent = world.agents()?.into_iter().find(|a| a.task.as_ref() == Some(&second));
        found = agent.filter(|a| !processes::children(a.process.pid).is_empty());
        Ok(found.is_some())
    })?;
    Ok((second, found.ok_or("no agent is at it")?))
}

fn end_runner(_: &World, agent: &Agent) -> Result<()> {
    Ok(kill(Pid::from_raw(agent.process.pid as i32), Signal::SIGKILL)?)
}

fn end_program(_: &World, agent: &Agent) -> Result<()> {
    let program = *processes::children(agent.process.pid).first().ok_or("its program is gone")?;
    Ok(kill(Pid::from_raw(program as i32), Signal::SIGKILL)?)
}

fn end_session(world: &World, agent: &Agent) -> Result<()> {
    let ended = world.tmux(&["kill-session", "-t", &format!("={}", agent.session)]).status()?;
    if ended.success() { Ok(()) } else { Err("tmux does not end the session".into()) }
}
