//! A hundred agents: their memory, their processor time while idle and while each runs a sleeping task, and how fast a
//! new supervisor adopts them.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::{Signal, kill},
        stat::Mode,
    },
    unistd::{Pid, mkfifo},
};
use orch::model::{
    agent::{Agent, AgentState},
    task::TaskState,
};

use crate::{
    Result, clock, median,
    processes::{self, Memory},
    table::{Goal, Row, Unit},
    world::World,
};

const AGENTS: usize = 100;
const IDLE: Duration = Duration::from_secs(20);
const ADOPTIONS: usize = 5;

pub fn measure() -> Result<Vec<Row>> {
    let world = World::new(&format!(
        "[supervisor]\nmax_agents = {AGENTS}\n[roles.idler]\ncommand = [\"cat\", \"{{prompt}}\"]\nmin = {AGENTS}\nmax = {AGENTS}\n"
    ))?;
    let began = Instant::now();
    world.run(&["start"])?;
    world.until("all agents are idle", || Ok(idle(&world)?.len() == AGENTS))?;
    let mut rows =
        vec![Row::new(format!("{AGENTS} agents started"), Unit::Ms, Goal::None, clock::in_ms(began.elapsed()), 1)];
    // Lets the system become quiet after the starts.
    std::thread::sleep(Duration::from_secs(3));
    rows.extend(memory(&world)?);
    rows.extend(rest(&world, "at rest", Goal::AtMost(2.0))?);
    rows.push(adoption(&world)?);
    all_at_work(&world)?;
    rows.extend(rest(&world, "at work that sleeps", Goal::None)?);
    Ok(rows)
}

fn idle(world: &World) -> Result<Vec<Agent>> {
    let mut agents = world.agents()?;
    agents.retain(|agent| agent.state == AgentState::Idle);
    Ok(agents)
}

fn supervisor(world: &World) -> Result<Option<u32>> {
    Ok(world.wait(world.ops.status())?.supervisor.pid)
}

fn memory(world: &World) -> Result<Vec<Row>> {
    let megabytes = |bytes: f64| bytes / 1e6;
    let supervisor = processes::memory(supervisor(world)?.ok_or("no supervisor")?);
    let runners: Vec<Memory> = idle(world)?.iter().map(|agent| processes::memory(agent.process.pid)).collect();
    let of = |what: fn(&Memory) -> f64| megabytes(median(&runners.iter().map(what).collect::<Vec<_>>()));
    let sleep = {
        let mut child = std::process::Command::new("sleep").arg("60").stdin(Stdio::null()).spawn()?;
        std::thread::sleep(Duration::from_millis(50));
        let memory = processes::memory(child.id());
        child.kill()?;
        child.wait()?;
        memory
    };
    Ok(vec![
        Row::new("supervisor's memory (RSS)", Unit::Mb, Goal::AtMost(30.0), megabytes(supervisor.rss), 1),
        Row::new("an idle runner's memory, private", Unit::Mb, Goal::AtMost(6.0), of(|m| m.private), AGENTS)
            .with_reference(megabytes(sleep.private), "sleep"),
        Row::new("an idle runner's memory, RSS", Unit::Mb, Goal::None, of(|m| m.rss), AGENTS)
            .with_reference(megabytes(sleep.rss), "sleep"),
    ])
}

/// Gives each agent a task that waits for a pipe that is never opened, and lets the system become quiet.
fn all_at_work(world: &World) -> Result<()> {
    let gate = world.dir.join("gate");
    mkfifo(&gate, Mode::S_IRUSR | Mode::S_IWUSR)?;
    for _ in 0..AGENTS {
        world.delegate("idler", &gate.display().to_string())?;
    }
    world.until("all agents are at work", || Ok(world.count(TaskState::Running)? == AGENTS as u64))?;
    std::thread::sleep(Duration::from_secs(3));
    Ok(())
}

/// Measures the processor time while nothing happens.
fn rest(world: &World, when: &str, goal: Goal) -> Result<Vec<Row>> {
    let output = world.tmux(&["display-message", "-p", "#{pid}"]).output()?;
    let tmux: u32 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
    let pids = processes::of_folder(&world.dir);
    let (began, before): (_, Vec<u64>) = (Instant::now(), pids.iter().map(|pid| processes::cpu_ns(*pid)).collect());
    std::thread::sleep(IDLE);
    let after: Vec<u64> = pids.iter().map(|pid| processes::cpu_ns(*pid)).collect();
    let elapsed = began.elapsed().as_nanos() as f64;
    let supervisor = supervisor(world)?;
    let (mut all, mut of_tmux, mut of_supervisor) = (0.0, 0.0, 0.0);
    for ((pid, before), after) in pids.iter().zip(before).zip(after) {
        let used = after.saturating_sub(before) as f64 / elapsed * 100.0;
        if *pid == tmux {
            of_tmux += used;
        } else {
            all += used;
        }
        if Some(*pid) == supervisor {
            of_supervisor = used;
        }
    }
    let row = |name: &str, goal, n| Row::new(format!("{AGENTS} agents {when}: {name}"), Unit::Percent, goal, n, 1);
    Ok(vec![
        row("all of orch and Redis", goal, all),
        row("of it the supervisor", Goal::None, of_supervisor),
        row("the tmux server", Goal::None, of_tmux),
    ])
}

/// Measures `orch start` after `kill -9` of the supervisor, until it returns with all previous agents adopted.
fn adoption(world: &World) -> Result<Row> {
    let mut taken = Vec::new();
    for _ in 0..ADOPTIONS {
        let pids = |agents: Vec<Agent>| agents.into_iter().map(|agent| agent.process.pid).collect::<Vec<_>>();
        let before = pids(idle(world)?);
        let old = supervisor(world)?.ok_or("no supervisor")?;
        kill(Pid::from_raw(old as i32), Signal::SIGKILL)?;
        world.until("the supervisor has ended", || Ok(supervisor(world)?.is_none()))?;
        let began = Instant::now();
        world.run(&["start"])?;
        world.until("all agents have a supervisor", || {
            Ok(supervisor(world)?.is_some_and(|new| new != old) && idle(world)?.len() == AGENTS)
        })?;
        taken.push(clock::in_ms(began.elapsed()));
        if pids(idle(world)?) != before {
            return Err("agents were replaced, not adopted".into());
        }
    }
    Ok(Row::new(
        format!("supervisor killed: {AGENTS} agents adopted"),
        Unit::Ms,
        Goal::AtMost(2000.0),
        median(&taken),
        ADOPTIONS,
    ))
}
