//! Fairness: how plans share the slots of a role and what that takes, and how long the choice of a role takes.

use std::{
    fs,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use orch::{
    model::{id::Process, routing::Record, task::TaskState},
    ops::types::{Delegate, PlanSource},
    routing::{self, Candidate},
};

use crate::{
    Result, median, percentile,
    table::{Goal, Row, Unit},
    world::World,
};

const AGENTS: u32 = 10;
const LARGE: usize = 10_000;
const SMALL: usize = 100;
/// No-op tasks of a round, and how many plans they are divided into.
const NOOPS: usize = 1_000;
const PLANS: usize = 50;
const ROUNDS: usize = 3;
/// Ready tasks while claims are measured.
const READY: usize = 100_000;
const CLAIMS: usize = 1_000;
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Roles among which one is chosen, and the routes of each.
const ROLES: usize = 10;
const ROUTES: usize = 3;

pub fn measure() -> Result<Vec<Row>> {
    let mut rows = vec![routed()?];
    let wait = MAX_WAIT.as_secs();
    let world = World::new(&format!(
        "[supervisor]\nmax_queued = 1000000\nmax_wait = \"{wait}s\"\nmax_agents = 100\n\
         [roles.noop]\ncommand = [\"/bin/true\"]\nmin = 4\nmax = 4\n\
         [roles.sleeper]\ncommand = [\"/bin/sleep\", \"0.2\"]\nmin = {AGENTS}\nmax = {AGENTS}\n\
         [roles.single]\ncommand = [\"/bin/sleep\", \"0.2\"]\nmin = 1\nmax = 1\n\
         [roles.measured]\ncommand = [\"/bin/true\"]\nmax = 100000\n"
    ))?;
    world.run(&["start"])?;
    rows.push(halves(&world)?);
    rows.push(low_under_high(&world)?);
    rows.push(divided(&world)?);
    rows.extend(claims(&world)?);
    world.run(&["stop"])?;
    Ok(rows)
}

/// A plan of tasks that do not wait for each other.
fn document(name: &str, role: &str, tasks: usize) -> String {
    let mut document = format!("name = \"{name}\"\n");
    for n in 0..tasks {
        document += &format!("[tasks.t{n}]\nrole = \"{role}\"\ntext = \"{name} {n}\"\n");
    }
    document
}

fn submit(world: &World, name: &str, role: &str, tasks: usize) -> Result<String> {
    let source = PlanSource { document: document(name, role, tasks), ..PlanSource::default() };
    Ok(world.wait(world.ops.submit_plan(&source))?.id.to_string())
}

/// How many tasks of a role and a plan wait.
fn waiting(world: &World, role: &str, plan: &str) -> Result<u64> {
    let turns = world.wait(world.store.turns(role, None))?;
    Ok(turns.queues.iter().find(|queue| turns.shares[queue.share].id == plan).map_or(0, |queue| queue.ready))
}

/// The part of the starts that a small plan gets beside a large one, until it has nothing left that waits. All tasks take
/// equally long, so that is its part of the slots.
fn halves(world: &World) -> Result<Row> {
    world.run(&["pause"])?;
    let large = submit(world, "large", "sleeper", LARGE)?;
    let small = submit(world, "small", "sleeper", SMALL)?;
    world.run(&["resume"])?;
    let mut beside = 0;
    world.until_by("the small plan has started", Duration::from_millis(5), || {
        let left = waiting(world, "sleeper", &small)?;
        if left > 0 {
            beside = LARGE as u64 - waiting(world, "sleeper", &large)?;
        }
        Ok(left == 0)
    })?;
    world.wait(world.ops.cancel_plan(&large.parse()?))?;
    world.until("the large plan has ended", || Ok(world.count(TaskState::Running)? == 0))?;
    let part = SMALL as f64 / (SMALL as f64 + beside as f64) * 100.0;
    let name = format!("slots of a plan of {SMALL} tasks beside one of {LARGE} (50 is fair), {AGENTS} agents");
    Ok(Row::new(name, Unit::Percent, Goal::None, part, 1))
}

/// How long a low task waits while there are always high ones that wait, of its own share.
fn low_under_high(world: &World) -> Result<Row> {
    let of = |priority, text: &str| Delegate {
        role: Some("single".to_owned()),
        priority: Some(priority),
        text: text.to_owned(),
        ..Delegate::default()
    };
    let (low, high) = ("low".parse()?, "high".parse()?);
    let mut waited = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let id = world.ask(of(low, "low"))?;
        let mut highs = Vec::new();
        world.until_by("the low task has started", Duration::from_millis(20), || {
            while waiting(world, "single", "-")? < 5 {
                highs.push(world.ask(of(high, "high"))?);
            }
            let task = world.wait(world.store.tasks(std::slice::from_ref(&id)))?.pop();
            Ok(task.is_some_and(|task| task.state != TaskState::Ready))
        })?;
        waited.push(began.elapsed().as_secs_f64() * 1e3);
        world.wait(world.ops.cancel(&highs))?;
        world.until("nothing runs", || Ok(world.count(TaskState::Running)? == 0))?;
    }
    let name = format!("wait of a low task under high ones without end, max_wait = {}s", MAX_WAIT.as_secs());
    let most = MAX_WAIT.as_secs_f64() * 1e3;
    Ok(Row::new(name, Unit::Ms, Goal::AtMost(most), percentile(&waited, 100.0), waited.len()))
}

/// The rate of no-op tasks that are divided into plans, and of those that are part of none.
fn divided(world: &World) -> Result<Row> {
    let lines: String = (0..NOOPS).map(|n| format!("nothing {n}\n")).collect();
    fs::write(world.dir.join("lines"), lines)?;
    let (mut alone, mut shared) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(rate(world, || world.run(&["delegate", "--role", "noop", "--each", "lines"]))?);
        shared.push(rate(world, || {
            (0..PLANS).try_for_each(|n| submit(world, &format!("plan-{n}"), "noop", NOOPS / PLANS).map(drop))
        })?);
    }
    let name = format!("{NOOPS} no-op tasks of {PLANS} plans, through 4 agents");
    let row = Row::new(name, Unit::PerSecond, Goal::TimesReference(0.95), median(&shared), ROUNDS);
    Ok(row.with_reference(median(&alone), "orch delegate --each, the same tasks in no plan"))
}

fn rate(world: &World, fill: impl FnOnce() -> Result<()>) -> Result<f64> {
    world.run(&["pause"])?;
    fill()?;
    std::thread::sleep(Duration::from_millis(300));
    let before = world.count(TaskState::Succeeded)?;
    let began = Instant::now();
    world.run(&["resume"])?;
    world.until("all tasks are done", || Ok(world.count(TaskState::Succeeded)? == before + NOOPS as u64))?;
    Ok(NOOPS as f64 / began.elapsed().as_secs_f64())
}

/// What a claim takes with many ready tasks, of one share and of 50, its round trip included.
fn claims(world: &World) -> Result<Vec<Row>> {
    let supervisor = world.wait(world.ops.status())?.supervisor.pid.ok_or("no supervisor")?;
    let supervisor = Pid::from_raw(i32::try_from(supervisor)?);
    // It would end agents that it did not start.
    kill(supervisor, Signal::SIGSTOP)?;
    let rows = claims_undisturbed(world).and_then(|rows| world.run(&["pause"]).map(|()| rows));
    kill(supervisor, Signal::SIGCONT)?;
    rows
}

fn claims_undisturbed(world: &World) -> Result<Vec<Row>> {
    for n in 0..PLANS {
        submit(world, &format!("ready-{n}"), "measured", READY / PLANS)?;
    }
    let process = Process { host: "elsewhere".into(), boot_id: "none".into(), pid: 1, start_time: 0 };
    let mut took = Vec::with_capacity(CLAIMS);
    for n in 0..CLAIMS {
        let (id, incarnation) = (format!("measured-{n}"), format!("bench-{n}"));
        world.wait(world.store.spawn_agent(&id, "measured", &id, &incarnation, false, "measured", None))?;
        world.wait(world.store.hello(&id, &incarnation, &process))?;
        let began = Instant::now();
        let claimed = world.wait(world.store.claim(&id, &incarnation, Duration::from_secs(600)))?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
        claimed.ok_or("nothing was claimed")?;
    }
    let name = format!("a claim with {READY} ready tasks of {PLANS} plans");
    Ok(vec![
        Row::new(format!("{name}, p50"), Unit::Ms, Goal::None, median(&took), CLAIMS),
        Row::new(format!("{name}, p99"), Unit::Ms, Goal::AtMost(2.0), percentile(&took, 99.0), CLAIMS),
    ])
}

/// The choice of a role by rules and records.
fn routed() -> Result<Row> {
    let names: Vec<String> = (0..ROLES).map(|n| format!("role-{n}")).collect();
    let routes: Vec<Vec<String>> = (0..ROLES)
        .map(|n| (0..ROUTES).map(|route| format!(r"(?i)\bsubject{n}x{route}\b|docs/{n}/.*\.md")).collect())
        .collect();
    let candidates: Vec<Candidate<'_>> = (names.iter().zip(&routes))
        .map(|(role, routes)| Candidate {
            role,
            routes,
            tags: vec!["claude"],
            reads: true,
            escalate_to: None,
            is_masters: false,
            barred: None,
            record: Record { tries: 40, successes: 30, cost_usd: Some(0.2) },
        })
        .collect();
    let text = "Change what is written about the subject. ".repeat(50) + "See subject7x1.";
    let mut took = Vec::new();
    for _ in 0..100 {
        let began = Instant::now();
        let routing = routing::choose(&text, &[], &candidates).map_err(|_| "no role was chosen")?.routing;
        took.push(began.elapsed().as_secs_f64() * 1e3);
        if routing.role != "role-7" {
            return Err(format!("{} was chosen", routing.role).into());
        }
    }
    let name = format!("choice of a role among {ROLES} with {ROUTES} routes each");
    Ok(Row::new(name, Unit::Ms, Goal::AtMost(1.0), median(&took), took.len()))
}
