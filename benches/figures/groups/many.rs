//! Three hundred agents that work concurrently, and leave nothing behind.

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    time::{Duration, Instant},
};

use nix::{fcntl::OFlag, sys::stat::Mode, unistd::mkfifo};
use orch::model::task::TaskState;

use crate::{
    Result, clock, processes,
    table::{Goal, Row, Unit},
    world::World,
};

const AGENTS: usize = 300;

pub fn measure() -> Result<Vec<Row>> {
    // Each task waits at the gate, so that all of them run concurrently, and then does some work.
    let work = "read -r _ <\"$1\"; seq 2000 | sort -n | tail -n 1";
    let world = World::new(&format!(
        "[supervisor]\nmax_agents = {AGENTS}\n[roles.worker]\ncommand = [\"sh\", \"-c\", {work:?}, \"sh\", \"{{prompt}}\"]\nmax = {AGENTS}\n"
    ))?;
    let gate = world.dir.join("gate");
    mkfifo(&gate, Mode::S_IRUSR | Mode::S_IWUSR)?;
    world.run(&["start"])?;
    let began = Instant::now();
    for _ in 0..AGENTS {
        world.delegate("worker", &gate.display().to_string())?;
    }
    let look = Duration::from_millis(50);
    world.until_by("all agents are at work", look, || Ok(world.count(TaskState::Running)? == AGENTS as u64))?;
    let started = began.elapsed();
    let at_gate = Instant::now();
    world.until_by("all tasks are done", look, || {
        // Opening and closing the pipe sends an end of file to every waiting reader; a late reader gets the next one.
        // It is opened without blocking, because there may be no reader any more.
        drop(OpenOptions::new().write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&gate));
        Ok(world.count(TaskState::Succeeded)? + world.count(TaskState::Failed)? == AGENTS as u64)
    })?;
    let worked = at_gate.elapsed();
    let done = world.count(TaskState::Succeeded)?;
    let began = Instant::now();
    world.run(&["stop"])?;
    let stopped = began.elapsed();
    let left = processes::of_folder(&world.dir).len();
    let sessions = world.tmux(&["list-sessions"]).output()?;
    let left = left + String::from_utf8_lossy(&sessions.stdout).lines().count();
    let row = |name: &str, unit, goal, n| Row::new(format!("{AGENTS} agents at once: {name}"), unit, goal, n, 1);
    Ok(vec![
        row("all at work after", Unit::Ms, Goal::None, clock::in_ms(started)),
        row("their work is done after", Unit::Ms, Goal::None, clock::in_ms(worked)),
        row("tasks that failed", Unit::Count, Goal::AtMost(0.0), AGENTS as f64 - done as f64),
        row("orch stop takes", Unit::Ms, Goal::None, clock::in_ms(stopped)),
        row("processes and sessions left", Unit::Count, Goal::AtMost(0.0), left as f64),
    ])
}
