//! `orch stop` with 20 agents that ignore signals, while what it usually needs does not do its part.

use std::{fs, process::Stdio, time::Instant};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use orch::{
    model::task::TaskState,
    redis_server::{User, url_with_password},
};

use crate::{
    Result, clock,
    disk::Disk,
    processes,
    table::{Goal, Row, Unit},
    world::World,
};

const AGENTS: usize = 20;
const RUNS: usize = 3;
/// The program that each agent starts outside of its own session.
const CHILD: &str = "76543";
/// How long the whole of it may take.
const GOAL: f64 = 5000.0;

/// What is broken when `orch stop` is called.
#[derive(Clone, Copy)]
struct Broken {
    disk: bool,
    memory: bool,
    redis: bool,
    tmux: bool,
    supervisor: bool,
}

const NOTHING: Broken = Broken { disk: false, memory: false, redis: false, tmux: false, supervisor: false };

const ALL: [(&str, Broken); 7] = [
    ("nothing broken", NOTHING),
    ("the disk full", Broken { disk: true, ..NOTHING }),
    ("Redis out of memory", Broken { memory: true, ..NOTHING }),
    ("Redis stopped", Broken { redis: true, ..NOTHING }),
    ("tmux stopped", Broken { tmux: true, ..NOTHING }),
    ("the supervisor stopped", Broken { supervisor: true, ..NOTHING }),
    ("all of it at once", Broken { disk: true, memory: true, redis: true, tmux: true, supervisor: true }),
];

pub fn measure() -> Result<Vec<Row>> {
    let (mut rows, mut left) = (Vec::new(), 0);
    for (what, broken) in ALL {
        let mut worst: f64 = 0.0;
        for _ in 0..RUNS {
            let Some(stopped) = stop(broken)? else { continue };
            worst = worst.max(stopped.ms);
            left += stopped.left;
        }
        let goal = if broken.any() { Goal::AtMost(GOAL) } else { Goal::None };
        if worst > 0.0 {
            rows.push(Row::new(format!("orch stop, {AGENTS} agents, {what}, worst"), Unit::Ms, goal, worst, RUNS));
        }
    }
    rows.push(Row::new(
        "processes left by these stops",
        Unit::Count,
        Goal::AtMost(0.0),
        left as f64,
        rows.len() * RUNS,
    ));
    Ok(rows)
}

struct Stopped {
    ms: f64,
    /// Processes that are left, except a tmux server that was stopped.
    left: usize,
}

/// Starts the agents, breaks what is to be broken, and measures the stop; `None` where no small disk can be mounted. Then
/// everything is repaired, and all tasks must succeed after the next start.
fn stop(broken: Broken) -> Result<Option<Stopped>> {
    let world = World::new(&format!("[roles.shell]\nmax = {AGENTS}\n"))?;
    let home = world.dir.join("home");
    let disk = match broken.disk {
        true => match Disk::new(&home) {
            Some(disk) => Some(disk),
            None => return Ok(None),
        },
        false => None,
    };
    world.run(&["start"])?;
    let go = world.dir.join("go");
    let text = format!(
        "[ -e '{}' ] && exit\ntrap '' TERM HUP INT\n(setsid nohup sleep {CHILD} >/dev/null 2>&1 &)\n\
         while :; do sleep 1; done",
        go.display()
    );
    for _ in 0..AGENTS {
        world.delegate("shell", &text)?;
    }
    world.until("all agents are at work", || Ok(children(&world) == AGENTS))?;

    let tmux = String::from_utf8(world.tmux(&["display-message", "-p", "#{pid}"]).output()?.stdout)?.trim().parse()?;
    let supervisor = world.wait(world.ops.status())?.supervisor.pid.ok_or("no supervisor")?;
    let redis: u32 = fs::read_to_string(home.join("redis/server.lock"))?.trim().parse()?;
    if broken.memory {
        let client = redis::Client::open(url_with_password(&home, User::Supervisor)?)?;
        redis::cmd("CONFIG").arg(&["SET", "maxmemory", "1"]).exec(&mut client.get_connection()?)?;
    }
    for (pid, stopped) in [(tmux, broken.tmux), (supervisor, broken.supervisor), (redis, broken.redis)] {
        if stopped {
            signal(pid, Signal::SIGSTOP)?;
        }
    }
    if let Some(disk) = &disk {
        disk.fill();
    }

    let began = Instant::now();
    let output = world.orch(&["stop", "--json"]).stdin(Stdio::null()).output()?;
    let ms = clock::in_ms(began.elapsed());
    if !output.status.success() {
        return Err(format!("orch stop: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let left = processes::of_folder(&world.dir).into_iter().filter(|pid| !broken.tmux || *pid != tmux).count();

    if broken.tmux {
        signal(tmux, Signal::SIGCONT)?;
    }
    if let Some(disk) = &disk {
        disk.free();
    }
    world.until("nothing is left", || Ok(processes::of_folder(&world.dir).is_empty()))?;
    fs::write(&go, "")?;
    world.run(&["start"])?;
    world.until("all tasks have succeeded", || Ok(world.count(TaskState::Succeeded)? == AGENTS as u64))?;
    world.run(&["stop"])?;
    Ok(Some(Stopped { ms, left }))
}

impl Broken {
    fn any(self) -> bool {
        self.disk || self.memory || self.redis || self.tmux || self.supervisor
    }
}

fn children(world: &World) -> usize {
    let is_child = |pid: &u32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.starts_with(b"sleep") && words.split(|byte| *byte == 0).any(|word| word == CHILD.as_bytes())
    };
    processes::of_folder(&world.dir).iter().filter(|pid| is_child(pid)).count()
}

fn signal(pid: u32, which: Signal) -> Result<()> {
    Ok(kill(Pid::from_raw(pid as i32), which)?)
}
