//! `orch start` in a fresh folder: Redis, supervisor, tmux server, master, and its prompt in the pane.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use orch::redis_server::find_program;

use crate::{
    Result, clock, median,
    table::{Goal, Row, Unit},
    world::World,
};

const RUNS: usize = 7;
const PROMPT: &str = "orch> ";

pub fn measure() -> Result<Vec<Row>> {
    let (mut prompts, mut returns, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let world = World::new("")?;
        let began = Instant::now();
        world.run(&["start"])?;
        returns.push(clock::in_ms(began.elapsed()));
        shows(&world, "opus-master", PROMPT)?;
        prompts.push(clock::in_ms(began.elapsed()));
        drop(world);
        bare.push(by_hand()?);
    }
    let what = "a redis-server, then a tmux server with cat, by hand";
    Ok(vec![
        Row::new("orch start, cold: the prompt stands", Unit::Ms, Goal::AtMost(1000.0), median(&prompts), RUNS)
            .with_reference(median(&bare), what),
        Row::new("orch start, cold: the command returns", Unit::Ms, Goal::None, median(&returns), RUNS),
    ])
}

/// Polls a pane until it shows a text.
fn shows(world: &World, session: &str, text: &str) -> Result<()> {
    let target = format!("={session}:");
    world.until_by("the prompt is in the pane", Duration::from_millis(2), || {
        let pane = world.tmux(&["capture-pane", "-p", "-t", &target]).stderr(Stdio::null()).output()?;
        Ok(String::from_utf8_lossy(&pane.stdout).lines().any(|line| line.starts_with(text.trim_end())))
    })
}

/// Measures the same two servers without orch, one after the other, in ms: a redis-server until it answers, and a tmux
/// session until it shows its program's output.
fn by_hand() -> Result<f64> {
    let world = World::new("")?;
    let program = find_program()?;
    let socket = world.dir.join("redis.sock");
    let began = Instant::now();
    let mut redis = {
        use std::os::unix::process::CommandExt;
        Command::new(&program.path)
            .arg0(program.argv0)
            .args(["--port", "0", "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--unixsocket"])
            .arg(&socket)
            .current_dir(&world.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?
    };
    world.until_by("redis-server listens", Duration::from_millis(1), || {
        Ok(std::os::unix::net::UnixStream::connect(&socket).is_ok())
    })?;
    let opened = world.tmux(&["new-session", "-d", "-s", "bare", "echo ready; exec cat"]).status()?;
    if !opened.success() {
        return Err("tmux does not open a session".into());
    }
    shows(&world, "bare", "ready")?;
    let took = clock::in_ms(began.elapsed());
    redis.kill()?;
    redis.wait()?;
    Ok(took)
}
