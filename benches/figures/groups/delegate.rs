//! The time from just before the start of the command `orch delegate` to the first instruction of the agent's program.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use orch::model::{agent::AgentState, task::TaskState};

use crate::{
    Result,
    clock::{self, Stamps},
    median,
    peers::{self, BullMq, TaskSpooler},
    percentile,
    table::{Goal, Row, Unit},
    world::World,
};

const WARM_UP: usize = 20;
const TO_IDLE: usize = 200;
const TO_LAUNCHED: usize = 40;
const BY_HAND: &str = "by hand: two programs, two synced writes, a folder";

/// Measures a delegation to an idle agent. Alternating with it: the minimal steps of a delegation by hand, and the two
/// peers with an idle worker.
pub fn to_idle() -> Result<Vec<Row>> {
    let world = World::new(&role("max = 1\nmin = 1"))?;
    let mut stamps = Stamps::new(&world.dir)?;
    let mut spooler = peers::installed("task-spooler", TaskSpooler::start(&world.dir, 1));
    let mut bullmq = peers::installed("BullMQ", BullMq::start(&world.dir, 1));
    world.run(&["start"])?;
    let (mut taken, mut returned, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    let (mut by_spooler, mut by_bullmq) = (Vec::new(), Vec::new());
    for run in 0..WARM_UP + TO_IDLE {
        world.until("the agent is idle", || {
            Ok(world.count(TaskState::Running)? == 0 && world.agents()?.iter().any(|a| a.state == AgentState::Idle))
        })?;
        // Lets the runner sleep again after its last check for a task.
        std::thread::sleep(Duration::from_millis(15));
        let (started, back) = delegate(&world, &mut stamps)?;
        taken.push(started);
        returned.push(back);
        bare.push(by_hand(&world, &mut stamps, run)?);
        let (program, pipe) = (own_program()?, stamps.path.display().to_string());
        let words = [program.as_str(), clock::STAMP, pipe.as_str()];
        let stamps = &mut stamps;
        let of_spooler = peers::measured(&mut spooler, "task-spooler", |peer| until_stamp(stamps, || peer.add(&words)));
        by_spooler.extend(of_spooler);
        by_bullmq.extend(peers::measured(&mut bullmq, "BullMQ", |peer| until_stamp(stamps, || peer.add(&words))));
    }
    let p = |values: &[f64], p| percentile(values.get(WARM_UP..).unwrap_or_default(), p);
    let (p50, p99) = (p(&taken, 50.0), p(&taken, 99.0));
    let row = |name, goal, value| Row::new(name, Unit::Ms, goal, value, TO_IDLE);
    let (half, rest) = ("delegate to an idle agent, p50", "delegate to an idle agent, p99");
    let mut rows = vec![
        row(half, Goal::None, p50).with_reference(p(&bare, 50.0), BY_HAND),
        row(rest, Goal::WithinReference(3.0), p99).with_reference(p50, "its own p50"),
        row("orch delegate, the command itself, p50", Goal::None, p(&returned, 50.0)),
    ];
    for (peer, goal, values) in [
        ("task-spooler", Goal::WithinReference(2.0), &by_spooler),
        ("BullMQ, a process per job", Goal::None, &by_bullmq),
    ] {
        if !values.is_empty() {
            rows.push(row(half, goal, p50).with_reference(p(values, 50.0), peer));
            rows.push(row(rest, Goal::None, p99).with_reference(p(values, 99.0), peer));
        }
    }
    Ok(rows)
}

/// Returns the time from now until the program that `start` starts has started, in ms.
fn until_stamp(stamps: &mut Stamps, start: impl FnOnce() -> Result<()>) -> Result<f64> {
    let began = clock::now();
    start()?;
    Ok(clock::ms(stamps.next()? - began))
}

/// Measures a delegation without an agent: an agent is launched for the task, and leaves after it.
pub fn to_launched() -> Result<Vec<Row>> {
    let world = World::new(&role("max = 5\ntasks_per_agent = 1"))?;
    let mut stamps = Stamps::new(&world.dir)?;
    world.run(&["start"])?;
    let (mut taken, mut bare) = (Vec::new(), Vec::new());
    for run in 0..WARM_UP / 4 + TO_LAUNCHED {
        world.until("the last agent and its session are gone", || {
            Ok(world.agents()?.is_empty() && world.wait(world.store.observe(&[]))?.orphans.is_empty())
        })?;
        std::thread::sleep(Duration::from_millis(100));
        let (started, _) = delegate(&world, &mut stamps)?;
        if run >= WARM_UP / 4 {
            taken.push(started);
            bare.push(in_a_session(&world, &mut stamps)?);
        }
    }
    let what = "the program in a new tmux session, by tmux alone";
    Ok(vec![
        Row::new("delegate, agent launched for it, p50", Unit::Ms, Goal::AtMost(25.0), median(&taken), TO_LAUNCHED)
            .with_reference(median(&bare), what),
        Row::new("delegate, agent launched for it, p99", Unit::Ms, Goal::None, percentile(&taken, 99.0), TO_LAUNCHED)
            .with_reference(percentile(&bare, 99.0), what),
    ])
}

fn own_program() -> Result<String> {
    Ok(std::env::current_exe()?.display().to_string())
}

fn role(more: &str) -> String {
    let program = own_program().unwrap_or_default();
    format!("[roles.stamp]\ncommand = [{program:?}, {:?}, \"{{prompt}}\"]\n{more}\n", clock::STAMP)
}

/// Returns the times from the start of `orch delegate` to the start of the agent's program and to the end of the
/// command, in ms.
fn delegate(world: &World, stamps: &mut Stamps) -> Result<(f64, f64)> {
    let pipe = stamps.path.display().to_string();
    let mut command = world.orch(&["delegate", "--role", "stamp", &pipe]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let began = clock::now();
    let mut child = command.spawn()?;
    let status = child.wait()?;
    let back = clock::now();
    if !status.success() {
        return Err(format!("orch delegate: {status}").into());
    }
    Ok((clock::ms(stamps.next()? - began), clock::ms(back - began)))
}

/// Measures the minimal steps of a delegation, one after the other, in ms: a process for the command, the records of
/// the task and of the claim on disk, the attempt's folder with its two files, and the agent's program.
fn by_hand(world: &World, stamps: &mut Stamps, run: usize) -> Result<f64> {
    let mut program = Command::new(own_program()?);
    program.arg(clock::STAMP).arg(&stamps.path).stdin(Stdio::null());
    let mut record = OpenOptions::new().create(true).append(true).open(world.dir.join("record"))?;
    let folder = world.dir.join("by-hand").join(run.to_string());
    let began = clock::now();
    program.spawn()?.wait()?;
    stamps.next()?;
    for _ in 0..2 {
        record.write_all(&[b'x'; 1000])?;
        record.sync_data()?;
    }
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("prompt"), b"x")?;
    fs::write(folder.join("context.json"), [b'x'; 500])?;
    let mut child = program.spawn()?;
    let started = stamps.next()?;
    child.wait()?;
    Ok(clock::ms(started - began))
}

fn in_a_session(world: &World, stamps: &mut Stamps) -> Result<f64> {
    let (program, pipe) = (own_program()?, stamps.path.display().to_string());
    let began = clock::now();
    let opened = world.tmux(&["new-session", "-d", "-s", "bare", &program, clock::STAMP, &pipe]).status()?;
    if !opened.success() {
        return Err("tmux does not open a session".into());
    }
    Ok(clock::ms(stamps.next()? - began))
}
