//! Tasks accepted per second while none of them runs: by one process per task, by `orch delegate --each`, and by calls
//! that are sent to one `orch mcp` without waiting for their answers.

use std::{io::Write, process::Stdio, time::Instant};

use serde_json::json;

use super::mcp::Client;
use crate::{
    Result, median,
    peers::{self, TaskSpooler},
    table::{Goal, Row, Unit},
    world::World,
};

const PROCESSES: usize = 200;
const LINES: usize = 10_000;
const TURNS: usize = 3;

pub fn measure() -> Result<Vec<Row>> {
    let world = World::new("[roles.shell]\nmax = 1\n")?;
    world.run(&["start"])?;
    world.run(&["pause"])?;
    let mut spooler = peers::installed("task-spooler", TaskSpooler::start(&world.dir, 1));
    let gate = spooler.as_ref().map(TaskSpooler::close).transpose()?;
    let (mut processes, mut theirs, mut each, mut calls) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        processes.push(rate(PROCESSES, || world.run(&["delegate", "--role", "shell", "true"]))?);
        let of_spooler = peers::measured(&mut spooler, "task-spooler", |peer| rate(PROCESSES, || peer.add(&["true"])));
        theirs.extend(of_spooler);
        each.push(lines(&world)?);
        calls.push(pipelined(&world)?);
    }
    if let (Some(spooler), Some(gate)) = (&spooler, &gate) {
        spooler.open(gate)?;
    }
    let row = |name, goal, rates: &[f64]| Row::new(name, Unit::PerSecond, goal, median(rates), TURNS);
    let own = row("orch delegate, a process per task, one after the other", Goal::None, &processes);
    Ok(vec![
        if theirs.is_empty() { own } else { own.with_reference(median(&theirs), "tsp, a process per job") },
        row("orch delegate --each of 10,000 lines", Goal::AtLeast(10_000.0), &each),
        row("delegate_task, 10,000 calls sent ahead to one orch mcp", Goal::None, &calls),
    ])
}

fn rate(count: usize, mut one: impl FnMut() -> Result<()>) -> Result<f64> {
    let began = Instant::now();
    for _ in 0..count {
        one()?;
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

fn lines(world: &World) -> Result<f64> {
    let lines: String = (0..LINES).map(|n| format!("true {n}\n")).collect();
    let began = Instant::now();
    let mut command = world.orch(&["delegate", "--role", "shell", "--each", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    child.stdin.take().ok_or("no pipe")?.write_all(lines.as_bytes())?;
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("orch delegate --each: {status}").into());
    }
    Ok(LINES as f64 / began.elapsed().as_secs_f64())
}

fn pipelined(world: &World) -> Result<f64> {
    let mut client = Client::start(world)?;
    let began = Instant::now();
    // Enough calls in flight that neither side waits for the other, and few enough for the pipes between them.
    const AHEAD: usize = 100;
    for n in 0..LINES {
        let arguments = json!({"text": format!("true {n}"), "role": "shell"});
        client.send("tools/call", json!({"name": "delegate_task", "arguments": arguments}))?;
        if n >= AHEAD {
            client.any_answer()?;
        }
    }
    for _ in 0..AHEAD {
        client.any_answer()?;
    }
    let rate = LINES as f64 / began.elapsed().as_secs_f64();
    client.leave()?;
    Ok(rate)
}
