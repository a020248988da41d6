//! The time from `kill -9` of the tmux server with fifty busy agents until all their tasks run again.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use orch::model::task::TaskState;

use crate::{
    Result, clock,
    table::{Goal, Row, Unit},
    world::World,
};

const AGENTS: usize = 50;

pub fn measure() -> Result<Vec<Row>> {
    let world = World::new(&format!(
        "[supervisor]\nmax_agents = {AGENTS}\n[roles.sleeper]\ncommand = [\"sleep\", \"{{prompt}}\"]\nmax = {AGENTS}\n"
    ))?;
    world.run(&["start"])?;
    let tasks = (0..AGENTS).map(|_| world.delegate("sleeper", "600")).collect::<Result<Vec<_>>>()?;
    let look = Duration::from_millis(20);
    world.until_by("all agents are at work", look, || Ok(world.count(TaskState::Running)? == AGENTS as u64))?;
    // The role of agents that die before their first success would be suspended.
    std::thread::sleep(Duration::from_secs(11));
    let output = world.tmux(&["display-message", "-p", "#{pid}"]).output()?;
    let server: i32 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
    let last = world.last_event()?;
    let killed = Instant::now();
    kill(Pid::from_raw(server), Signal::SIGKILL)?;
    let mut again: HashSet<String> = HashSet::new();
    let (mut after, mut took) = (last, 0.0);
    while again.len() < AGENTS {
        let event = world.event_after(&after, |e| e.kind.as_str() == "task.running")?;
        took = clock::in_ms(killed.elapsed());
        again.extend(event.task.clone());
        after = event.id;
    }
    if !tasks.iter().all(|task| again.contains(task.as_str())) {
        return Err("other tasks ran than those that were there".into());
    }
    let name = format!("the tmux server killed, {AGENTS} agents busy: all tasks run again");
    Ok(vec![Row::new(name, Unit::Ms, Goal::AtMost(5000.0), took, 1)])
}
