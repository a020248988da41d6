//! Injects the faults, each into a random target.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{
    faults::{Deed, Fault, Target},
    measure::{GIVEN_UP_WITHIN, Injected, Well},
    plan::Planned,
    rng::Rng,
    scene::Scene,
    workload,
    world::LEASE,
};
use crate::{
    model::{id::TaskId, time::Timestamp},
    mux::Mux,
    os::{self, ProcessId},
    redis_server,
    store::agents::Record,
};

/// How long the injection waits for a target, such as a busy agent.
const TARGET_WITHIN: Duration = Duration::from_secs(3);
/// The time by which a stop is longer than a lease, in ms.
const BEYOND_LEASE_MS: (u64, u64) = (400, 1_000);
/// How long a probe waits for Redis to recover. Afterwards the drill itself waits for it.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(30);
/// The time limit for the refusal of a second supervisor, which may wait some seconds for a lock whose holder is
/// ending.
const REFUSED_WITHIN: Duration = Duration::from_secs(15);

/// The target process of a fault, and the sign of its recovery.
struct Hit {
    process: ProcessId,
    name: String,
    well: Well,
}

/// Injects a planned fault. Returns `None` if there was no target.
pub(super) async fn inject(scene: &Scene, planned: Planned) -> Option<Injected> {
    let Planned { fault, mut rng, .. } = planned;
    let done = match fault.deed {
        Deed::Kill(target) => kill(scene, fault, target, &mut rng).await,
        Deed::KillAll => kill_all(scene, fault).await,
        Deed::Stop(target) => stop(scene, fault, target, &mut rng).await,
        Deed::StopTmuxAndRunner => stop_tmux_and_runner(scene, fault, &mut rng).await,
        Deed::Redis(disturbance) => {
            let at = Timestamp::now();
            match tokio::time::timeout(TARGET_WITHIN, scene.world.store.disturb(disturbance)).await {
                Ok(Ok(())) => {
                    scene.note(format!("FAULT {}", fault.name));
                    Some(Injected { fault, at, hit: "Redis".into(), well: probe(scene, at).await })
                }
                _ => None,
            }
        }
        Deed::CloseSession => close_session(scene, fault, &mut rng).await,
        Deed::SecondSupervisor => second_supervisor(scene, fault).await,
        Deed::Cancel => cancel(scene, fault, &mut rng).await,
        Deed::KillAgent => kill_agent(scene, fault, &mut rng).await,
        Deed::FillDisk => fill_disk(scene, fault, &mut rng).await,
        Deed::Hostile => hostile(scene, fault).await,
    };
    if done.is_none() {
        scene.note(format!("{}: there was nothing to hit", fault.name));
    }
    done
}

fn injected(scene: &Scene, fault: &'static Fault, hit: String, well: Well) -> Injected {
    scene.note(format!("FAULT {} {hit}", fault.name));
    Injected { fault, at: Timestamp::now(), hit, well }
}

async fn kill(scene: &Scene, fault: &'static Fault, target: Target, rng: &mut Rng) -> Option<Injected> {
    let hit = find(scene, target, rng).await?;
    if target == Target::Supervisor {
        scene.killed.borrow_mut().insert(hit.process);
    }
    let mut done = injected(scene, fault, hit.name, hit.well);
    hit.process.signal(Signal::SIGKILL).ok().filter(|sent| *sent)?;
    if target == Target::Redis {
        done.well = probe(scene, done.at).await;
    }
    Some(done)
}

async fn kill_all(scene: &Scene, fault: &'static Fault) -> Option<Injected> {
    let records = scene.look_at_agents().await;
    let supervisor = scene.world.supervisor();
    let redis = redis_server::running(scene.world.home.path());
    let all: Vec<ProcessId> =
        records.iter().filter_map(runner).chain(tmux(&records)).chain(supervisor).chain(redis).collect();
    scene.killed.borrow_mut().extend(supervisor);
    let done = injected(scene, fault, format!("{} processes", all.len()), tmux_well(&records));
    for order in [Signal::SIGSTOP, Signal::SIGKILL] {
        for process in &all {
            // A process that has already ended needs no signal.
            let _ = process.signal(order);
        }
    }
    (!all.is_empty()).then_some(done)
}

async fn stop(scene: &Scene, fault: &'static Fault, target: Target, rng: &mut Rng) -> Option<Injected> {
    let hit = find(scene, target, rng).await?;
    let mut done = injected(scene, fault, hit.name, hit.well);
    hit.process.signal(Signal::SIGSTOP).ok().filter(|sent| *sent)?;
    tokio::time::sleep(LEASE + rng.ms(BEYOND_LEASE_MS.0, BEYOND_LEASE_MS.1)).await;
    // The process may have been killed meanwhile.
    let _ = hit.process.signal(Signal::SIGCONT);
    scene.note(format!("{} {} goes on", fault.name, done.hit));
    if matches!(target, Target::Supervisor | Target::Redis | Target::Tmux) {
        done.well = probe(scene, Timestamp::now()).await;
    }
    Some(done)
}

/// A runner that hangs must be declared dead even while tmux does not answer, and no pass may wait for tmux.
async fn stop_tmux_and_runner(scene: &Scene, fault: &'static Fault, rng: &mut Rng) -> Option<Injected> {
    let server = find(scene, Target::Tmux, rng).await?;
    let runner = find(scene, Target::Runner, rng).await?;
    let hit = injected(scene, fault, runner.name, runner.well);
    // tmux continues the stopped processes of its panes, so it is stopped first.
    let stopped = |process: &ProcessId| process.signal(Signal::SIGSTOP).ok().filter(|sent| *sent);
    let done = stopped(&server.process).and_then(|_| stopped(&runner.process));
    if done.is_some() {
        tokio::time::sleep(LEASE + GIVEN_UP_WITHIN + rng.ms(BEYOND_LEASE_MS.0, BEYOND_LEASE_MS.1)).await;
        let _ = runner.process.signal(Signal::SIGCONT);
    }
    let _ = server.process.signal(Signal::SIGCONT);
    scene.note(format!("{} {} goes on", fault.name, hit.hit));
    done.map(|_| hit)
}

/// Delegates a task until one is accepted: then all is well.
async fn probe(scene: &Scene, since: Timestamp) -> Well {
    let mut words = workload::delegate("worker", "high");
    words.push(workload::text("plain"));
    while Timestamp::now().since(since) < ACCEPTED_WITHIN {
        if scene.delegate(&words, None, None).await.is_some() {
            return Well::Took(Timestamp::now().since(since));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Well::Unknown
}

async fn close_session(scene: &Scene, fault: &'static Fault, rng: &mut Rng) -> Option<Injected> {
    let records = scene.look_at_agents().await;
    let sessions = scene.world.mux.sessions().await.ok()?;
    let ours: Vec<_> = sessions.iter().filter_map(|s| Some((&s.name, s.tags.as_ref()?))).collect();
    let (name, tags) = *rng.pick(&ours)?;
    let well = records.iter().find(|r| r.agent.id == tags.agent).map_or(Well::Unknown, agent_well);
    let done = injected(scene, fault, name.clone(), well);
    matches!(scene.world.mux.close(name, tags).await, Ok(true)).then_some(done)
}

/// Starts a second supervisor. It must refuse to run, unless the first one dies meanwhile: then it may take over.
async fn second_supervisor(scene: &Scene, fault: &'static Fault) -> Option<Injected> {
    let first = scene.world.supervisor()?;
    let program = scene.world.path.join("bin/orch");
    let mut command = scene.world.command(&program.to_string_lossy());
    let done = injected(scene, fault, format!("beside {}", first.pid), Well::Unknown);
    let mut second = command.arg("supervise").stdout(std::process::Stdio::null()).spawn().ok()?;
    let began = Instant::now();
    let ended = tokio::time::timeout(REFUSED_WITHIN, second.wait()).await;
    let first_lives = first.is_alive() && scene.world.supervisor() == Some(first);
    match ended {
        Ok(Ok(status)) if status.code() == Some(6) => {
            return Some(Injected { well: Well::Took(began.elapsed()), ..done });
        }
        Ok(Ok(status)) if first_lives => {
            let facts = format!("another one ended beside it with {status} and not with exit code 6");
            scene.violated("there is one supervisor", format!("supervisor {}", first.pid), facts);
        }
        Err(_) if first_lives => {
            let facts = format!("another one runs beside it for {REFUSED_WITHIN:?}");
            scene.violated("there is one supervisor", format!("supervisor {}", first.pid), facts);
        }
        // It continues to run until `orch stop` or another fault ends it.
        Err(_) => drop(tokio::spawn(async move { second.wait().await })),
        Ok(_) => {}
    }
    Some(done)
}

async fn cancel(scene: &Scene, fault: &'static Fault, rng: &mut Rng) -> Option<Injected> {
    let mut known: Vec<TaskId> = scene.acks.borrow().iter().map(|ack| ack.id.clone()).collect();
    known.sort();
    known.dedup();
    rng.shuffle(&mut known);
    let mut open = Vec::new();
    for task in scene.world.store.tasks(&known).await.ok()? {
        if !task.state.is_terminal() && open.len() <= rng.below(3) {
            open.push(task.id);
        }
    }
    let first = open.first()?.clone();
    let done = injected(scene, fault, words_of(&open), Well::Ended(first));
    let words: Vec<String> = std::iter::once("cancel".to_owned()).chain(open.iter().map(TaskId::to_string)).collect();
    let output = scene.world.orch(&words).await;
    if output.code != 0 {
        // 1: one of the tasks has ended meanwhile.
        scene.refused_but_for(&[1], "orch cancel", &output);
    }
    Some(done)
}

async fn kill_agent(scene: &Scene, fault: &'static Fault, rng: &mut Rng) -> Option<Injected> {
    let records = scene.look_at_agents().await;
    let record = rng.pick(&records)?;
    let done = injected(scene, fault, record.agent.id.clone(), agent_well(record));
    let output = scene.world.orch(&["kill", &record.agent.id]).await;
    if output.code != 0 {
        // 2 and 6: the agent has ended meanwhile.
        scene.refused_but_for(&[2, 6], "orch kill", &output);
    }
    Some(done)
}

/// Nothing can be stored for longer than a lease: whatever is reported, and whatever ends meanwhile, is stored later.
async fn fill_disk(scene: &Scene, fault: &'static Fault, rng: &mut Rng) -> Option<Injected> {
    let disk = scene.world.disk.as_ref()?;
    disk.fill().ok()?;
    let mut done = injected(scene, fault, "the state folder's".to_owned(), Well::Unknown);
    tokio::time::sleep(LEASE + rng.ms(BEYOND_LEASE_MS.0, BEYOND_LEASE_MS.1)).await;
    disk.free();
    scene.note(format!("{}: there is room again", fault.name));
    done.well = probe(scene, Timestamp::now()).await;
    Some(done)
}

/// Delegates a task that tries to break out. What it achieves, it writes down itself (see [`workload::SCRIPT`]).
async fn hostile(scene: &Scene, fault: &'static Fault) -> Option<Injected> {
    let mut words = workload::delegate("worker", "high");
    words.push(workload::text("hostile"));
    let task = scene.delegate(&words, None, None).await?;
    Some(injected(scene, fault, task.to_string(), Well::Ended(task)))
}

async fn find(scene: &Scene, target: Target, rng: &mut Rng) -> Option<Hit> {
    let began = Instant::now();
    loop {
        let records = scene.look_at_agents().await;
        let hit = match target {
            Target::Supervisor => scene.world.supervisor().map(|process| ("", process, Well::Started)),
            Target::Redis => redis_server::running(scene.world.home.path()).map(|process| ("", process, Well::Unknown)),
            Target::Tmux => tmux(&records).map(|process| ("", process, tmux_well(&records))),
            Target::Runner => {
                let all: Vec<_> = records.iter().filter_map(|r| Some((r, runner(r)?))).collect();
                rng.pick(&all).map(|(r, process)| (r.agent.id.as_str(), *process, agent_well(r)))
            }
            Target::Program | Target::Grandchild => {
                let busy = records.iter().filter(|r| r.agent.task.is_some());
                let programs = busy
                    .flat_map(|r| runner(r).map(|p| os::children_of(&p)).into_iter().flatten().map(move |p| (r, p)));
                let all: Vec<_> = match target {
                    Target::Program => programs.collect(),
                    _ => programs.flat_map(|(r, p)| os::children_of(&p).into_iter().map(move |c| (r, c))).collect(),
                };
                let well = |r| if target == Target::Program { agent_well(r) } else { Well::Unknown };
                rng.pick(&all).map(|(r, process)| (r.agent.id.as_str(), *process, well(r)))
            }
        };
        if let Some((whose, process, well)) = hit.filter(|(_, process, _)| process.is_alive()) {
            let name = format!("{whose} pid {}", process.pid).trim_start().to_owned();
            return Some(Hit { process, name, well });
        }
        if began.elapsed() > TARGET_WITHIN {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn runner(record: &Record) -> Option<ProcessId> {
    let process = &record.agent.process;
    let process = ProcessId { pid: process.pid, start_time: process.start_time };
    process.is_alive().then_some(process)
}

/// Returns the tmux server, which is the parent of the panes' processes.
fn tmux(records: &[Record]) -> Option<ProcessId> {
    records.iter().filter_map(runner).find_map(|process| os::parent_of(&process)).filter(|process| process.pid > 1)
}

/// Returns the sign of an agent's recovery: its task is ready again, or, if it has none, its end is recorded.
fn agent_well(record: &Record) -> Well {
    match &record.agent.task {
        Some(task) => Well::Again(vec![task.clone()]),
        None => Well::Noticed(record.agent.id.clone()),
    }
}

/// Returns the sign of the tmux server's recovery: every running task is ready again, and the master runs.
fn tmux_well(records: &[Record]) -> Well {
    let tasks: Vec<TaskId> = records.iter().filter_map(|r| r.agent.task.clone()).collect();
    let master = records.iter().find(|r| r.agent.master).map(|r| r.agent.id.clone());
    Well::Everybody(tasks, master)
}

fn words_of(tasks: &[TaskId]) -> String {
    tasks.iter().map(TaskId::to_string).collect::<Vec<_>>().join(" ")
}
