//! What a person types to find something, with 100,000 tasks and the output of 10,000 attempts.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    time::{Duration, Instant},
};

use orch::{
    home::{
        Home, create_dir,
        output::{OutputLog, Stream},
    },
    model::{id::TaskId, time::Timestamp},
    ops::{delegate::TOGETHER, types::Delegate},
};

use crate::{
    Result, median,
    table::{Goal, Row, Unit},
    world::World,
};

const TASKS: usize = 100_000;
const ATTEMPTS: usize = 10_000;
const RUNS: usize = 15;

pub fn measure() -> Result<Vec<Row>> {
    let world =
        World::new("[redis]\nmax_memory = \"2G\"\n[supervisor]\nmax_queued = 1000000\n[roles.shell]\nmax = 1\n")?;
    world.run(&["start", "--paused"])?;
    let tasks = delegate(&world)?;
    print(&world, &tasks)?;
    let (first, middle) = (tasks[0].to_string(), tasks[TASKS / 2].to_string());
    let mut rows = Vec::new();
    for (name, words) in [
        ("orch tasks", &["tasks"][..]),
        ("orch tasks --state open --label part=7", &["tasks", "--state", "open", "--label", "part=7"]),
        ("orch status", &["status"]),
        ("orch why TASK", &["why", &first]),
        ("orch show TASK", &["show", &middle]),
        ("orch show t-..., shortened by four characters", &["show", &middle[..8]]),
        ("completion of a task's id", &["complete", "--", "orch", "show", &middle[..6]]),
        ("completion of an empty word", &["complete", "--", "orch", "show", ""]),
    ] {
        let goal = Goal::AtMost(20.0);
        let took = (0..RUNS).map(|_| timed(|| world.run(words))).collect::<Result<Vec<f64>>>()?;
        rows.push(Row::new(format!("{name}, with {TASKS} tasks"), Unit::Ms, goal, median(&took), RUNS));
    }
    let (mut whole, mut hits) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        whole.push(timed(|| world.run(&["logs", "--grep", "nowhere to be found"]))?);
        hits.push(first_hit(&world)?.as_secs_f64() * 1_000.0);
    }
    let name = format!("orch logs --grep, {ATTEMPTS} attempts");
    rows.push(Row::new(format!("{name}, nothing matches"), Unit::Ms, Goal::AtMost(1_000.0), median(&whole), RUNS));
    rows.push(Row::new(format!("{name}, until the first hit"), Unit::Ms, Goal::AtMost(100.0), median(&hits), RUNS));
    world.run(&["stop"])?;
    Ok(rows)
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed().as_secs_f64() * 1_000.0)
}

fn delegate(world: &World) -> Result<Vec<TaskId>> {
    let mut tasks = Vec::with_capacity(TASKS);
    while tasks.len() < TASKS {
        let one = |n: usize| Delegate {
            role: Some("shell".into()),
            text: format!("cargo test --package part{} --lib number {n}", n % 20),
            labels: [("part".to_owned(), (n % 20).to_string())].into(),
            ..Delegate::default()
        };
        let some = (tasks.len()..tasks.len() + TOGETHER).map(|n| (n.to_string(), one(n))).collect();
        tasks.extend(world.wait(world.ops.delegate_all(some))?.into_iter().map(|delegated| delegated.id));
    }
    Ok(tasks)
}

/// Writes what attempts would have printed: twenty lines each, and in a few of the newest ones a line to look for.
fn print(world: &World, tasks: &[TaskId]) -> Result<()> {
    let home = Home::new(world.dir.join("home"));
    for (n, task) in tasks.iter().take(ATTEMPTS).enumerate() {
        let dir = home.run(task, 1);
        create_dir(&dir)?;
        let mut log = OutputLog::new(&dir);
        for line in 0..20 {
            let text = format!("test module_{line}::case_{n} ... ok\n");
            log.append(Timestamp::now(), Stream::Out, text.as_bytes())?;
        }
        if n + 50 > ATTEMPTS {
            log.append(Timestamp::now(), Stream::Err, b"error[E0308]: mismatched types\n")?;
        }
    }
    Ok(())
}

fn first_hit(world: &World) -> Result<Duration> {
    let began = Instant::now();
    let mut command = world.orch(&["logs", "--grep", "E0308", "-n", "1000"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no pipe")?).lines();
    lines.next().ok_or("nothing was found")??;
    let took = began.elapsed();
    drop(lines);
    child.kill()?;
    child.wait()?;
    Ok(took)
}
