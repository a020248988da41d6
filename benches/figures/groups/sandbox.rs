//! What a sandbox adds to the start of an attempt: the same delegations to an idle agent without one and in one, in turns.

use std::{
    fs,
    process::{Command, Stdio},
};

use orch::model::{agent::AgentState, task::TaskState};

use crate::{
    Result,
    clock::{self, Stamps},
    median, percentile,
    table::{Goal, Row, Unit},
    world::World,
};

const WARM_UP: usize = 10;
const RUNS: usize = 100;
/// The program of both roles, copied to the working folder.
const PROGRAM: &str = "stamp";
const ROLES: [&str; 2] = ["direct", "boxed"];

pub fn measure() -> Result<Vec<Row>> {
    if let Err(e) = Command::new("bwrap").arg("--version").stdout(Stdio::null()).status() {
        eprintln!("bench: without bwrap: {e}");
        return Ok(Vec::new());
    }
    // In the working folder, which a sandbox has: the build folder may be in a home, which it does not have.
    let world = World::new(&roles())?;
    fs::copy(std::env::current_exe()?, world.dir.join(PROGRAM))?;
    let mut stamps = Stamps::new(&world.dir)?;
    world.run(&["start"])?;
    let mut taken = [Vec::new(), Vec::new()];
    for run in 0..WARM_UP + RUNS {
        for (role, taken) in ROLES.iter().zip(&mut taken) {
            world.until("both agents are idle", || {
                Ok(world.count(TaskState::Running)? == 0
                    && world.agents()?.iter().filter(|a| a.state == AgentState::Idle).count() == ROLES.len())
            })?;
            let began = clock::now();
            world.delegate(role, &format!("exec ./{PROGRAM} {} {}", clock::STAMP, stamps.path.display()))?;
            let started = clock::ms(stamps.next()? - began);
            if run >= WARM_UP {
                taken.push(started);
            }
        }
    }
    let [direct, boxed] = &taken;
    let row = |name, goal, value| Row::new(name, Unit::Ms, goal, value, RUNS);
    Ok(vec![
        row("delegate to an idle agent in bwrap, p50", Goal::None, median(boxed))
            .with_reference(median(direct), "without a sandbox"),
        row("start of an attempt, added by bwrap, p50", Goal::AtMost(15.0), median(boxed) - median(direct)),
        row("start of an attempt, added by bwrap, p99", Goal::None, percentile(boxed, 99.0) - percentile(direct, 99.0)),
    ])
}

fn roles() -> String {
    let role = |name: &str, sandbox: &str| {
        format!("[roles.{name}]\ndriver = \"shell\"\nsandbox = {sandbox:?}\nmin = 1\nmax = 1\n")
    };
    role(ROLES[0], "none") + &role(ROLES[1], "bwrap")
}
