//! Runs one drill from its beginning to its end.

use std::{cell::RefCell, future::Future, time::Duration};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::Instant,
};

use super::{
    Options, after,
    bystanders::Bystanders,
    faults::{Deed, Target},
    gather,
    history::{self, History},
    inject,
    measure::{Facts, GIVEN_UP_WITHIN, HELD_UP_WITHIN, Injected},
    plan,
    report::{self, Report},
    rng::Rng,
    scene::Scene,
    steady::Samples,
    workload::{self, Job},
    world::{Fleet, LEASE, TIMELINE, World},
};
use crate::{
    error::{Error, Result},
    model::id::TaskId,
    mux::Mux,
    store::passes::Passes,
};

/// How long after the last fault everything may take to come to rest. A runner that does not report is declared dead after
/// 20 s, and a role whose agents die at once is held back for a while.
const QUIET_WITHIN: Duration = Duration::from_secs(90);
/// So many `orch delegate` at the same time.
const CALLERS: usize = 8;
/// How often a task with a key is delegated again if there was no answer.
const AGAIN: usize = 3;

pub(super) async fn run(options: &Options) -> Result<Report> {
    let listen = |kind| signal(kind).map_err(|e| Error::internal(format!("signals: {e}")));
    let (mut int, mut term) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let mut hup = listen(SignalKind::hangup())?;
    // The world ends in every case, because it is dropped.
    tokio::select! {
        report = drill(options) => report,
        _ = int.recv() => Err(interrupted()),
        _ = term.recv() => Err(interrupted()),
        _ = hup.recv() => Err(interrupted()),
    }
}

fn interrupted() -> Error {
    Error::failed("interrupted: the drill's world has ended, and its folder is removed")
}

async fn drill(options: &Options) -> Result<Report> {
    let began = Instant::now();
    let fleet = if options.rate.is_some() { Fleet::Steady } else { Fleet::Changing };
    let world = World::create(fleet, options.agents, options.faults.iter().any(|fault| fault.deed == Deed::FillDisk))?;
    world.mux.version().await?;
    let started = world.orch(&["start", "--json"]).await;
    if started.code != 0 {
        return Err(said(&started));
    }
    let scene = Scene::new(world, !options.faults.is_empty());
    let tmux_ends = options.faults.iter().any(|fault| fault.ends_tmux());
    let mut bystanders = Bystanders::start(&scene.world, !tmux_ends).await?;

    let (injected, missed, samples) = beside(trouble(&scene, options), keeping(&scene, options)).await;
    after::look_for_programs(&scene).await;
    let mut history = match gather::history(&scene).await {
        Ok(history) => history,
        Err(e) => {
            scene.violated("everything recovers", "Redis", e.message);
            History::default()
        }
    };
    let (accepted, executions) = (gather::accepted(&history), history.executions.len());
    if options.rate.is_some() {
        gather::remove_expired(&mut history);
    }
    for contradiction in scene.world.store.audit().await.unwrap_or_default() {
        scene.violated("stored records are consistent", "Redis", contradiction);
    }
    let passes = scene.world.store.passes().await.unwrap_or_default();
    after::stop_and_look(&scene, bystanders.spared()).await;
    bystanders.check(&scene).await;
    scene.check_too_late(&history.tasks);
    for violation in history::check(&history) {
        scene.violated(violation.invariant, violation.subject, violation.facts);
    }
    let growth = samples.growth(options.duration);
    for grown in growth.iter().filter(|g| !g.within) {
        let facts = format!("from {:.0} to {:.0} {} ({:+.1} %)", grown.first, grown.last, grown.unit, grown.percent);
        scene.violated("nothing grows under an even load", grown.what, facts);
    }
    let facts = Facts::new(&history.events, &history.tasks);
    delays(&scene, &injected, &facts, passes);
    let faults = report::faults(&injected, &missed, &facts);
    finish(
        scene,
        Report {
            seed: options.seed,
            replay: options.replay.clone(),
            took_ms: began.elapsed().as_millis() as u64,
            faults,
            accepted,
            unanswered: 0,
            executions,
            attempts_lost: report::lost(&history),
            tasks: report::states(&history),
            growth,
            passes,
            violations: Vec::new(),
            timeline: None,
            folder: None,
        },
        options,
        &history,
    )
}

/// Whether a decision was delayed. A supervisor that was itself stopped is not to blame.
fn delays(scene: &Scene, injected: &[Injected], facts: &Facts, passes: Passes) {
    if injected.iter().any(|i| i.fault.deed == Deed::Stop(Target::Supervisor)) {
        return;
    }
    // A machine that has no processor for the supervisor delays it, and nothing that it does would help.
    let starved = Duration::from_millis(passes.max_starved_ms);
    for (event, silence) in facts.silences().filter(|(_, silence)| *silence > LEASE + GIVEN_UP_WITHIN + starved) {
        let agent = event.agent.clone().unwrap_or_default();
        let facts = format!(
            "it was given up after {silence:?}, and its lease is {LEASE:?}: event {}; the longest pass took {} ms, and for \
             {starved:?} at most there was no processor",
            event.id, passes.max_ms
        );
        scene.violated("who hangs is given up in time", agent, facts);
    }
    let held_up = Duration::from_millis(passes.max_held_up_ms);
    if held_up > HELD_UP_WITHIN {
        let facts = format!("a pass was held up for {held_up:?} by something else than Redis");
        scene.violated("nothing slow delays a decision", "supervisor", facts);
    }
}

/// Adds what the scene knows, and keeps the folder where it is needed.
fn finish(mut scene: Scene, mut report: Report, options: &Options, history: &History) -> Result<Report> {
    report.unanswered = scene.unanswered.get();
    report.violations = scene.violations.take();
    if report.violations.is_empty() && !options.keep {
        return Ok(report);
    }
    let root = scene.world.root.clone();
    let timeline = root.join(TIMELINE);
    scene.world.keep = true;
    report::write_timeline(&timeline, &scene.notes.borrow(), &history.events)
        .map_err(|e| Error::config(format!("{}: {e}", timeline.display())))?;
    report.timeline = Some(timeline.display().to_string());
    report.folder = Some(root.display().to_string());
    Ok(report)
}

/// Returns the error with which `orch start` failed.
fn said(output: &super::world::Output) -> Error {
    #[derive(serde::Deserialize)]
    struct Answer {
        error: Error,
    }
    match serde_json::from_str::<Answer>(&output.stdout) {
        Ok(answer) => answer.error,
        Err(_) => Error::failed(format!("orch start: {}", output.complaint())),
    }
}

/// Runs the first future to completion while also polling the second.
async fn beside<T>(first: impl Future<Output = T>, second: impl Future<Output = ()>) -> T {
    tokio::pin!(first, second);
    loop {
        tokio::select! {
            done = &mut first => return done,
            () = &mut second => {}
        }
    }
}

/// Observes supervisors and agents, and starts a supervisor that has ended, forever.
async fn keeping(scene: &Scene, options: &Options) {
    tokio::join!(scene.watch_supervisors(), scene.watch_agents(), scene.keep_started(Rng::new(options.seed, 3)),);
}

/// Delegates the tasks and injects the faults, and then waits until all tasks have ended.
async fn trouble(scene: &Scene, options: &Options) -> (Vec<Injected>, Vec<&'static str>, Samples) {
    let jobs = match options.rate {
        Some(_) => workload::even(options.tasks, options.duration),
        None => workload::jobs(options.seed, options.tasks, options.duration),
    };
    let samples = async {
        match options.rate {
            Some(_) => Samples::take(scene, options.duration).await,
            None => Samples::default(),
        }
    };
    let ((), (injected, missed), samples) = tokio::join!(feed(scene, &jobs), break_things(scene, options), samples);
    scene.note("no more tasks, no more faults");
    scene.quiet(QUIET_WITHIN).await;
    (injected, missed, samples)
}

/// Injects every fault at its time, also while earlier ones still run.
async fn break_things(scene: &Scene, options: &Options) -> (Vec<Injected>, Vec<&'static str>) {
    let began = Instant::now();
    let planned = plan::faults(options.seed, &options.faults, options.duration);
    let mut going: FuturesUnordered<_> = planned
        .into_iter()
        .map(|planned| async move {
            tokio::time::sleep_until(began + planned.at).await;
            let name = planned.fault.name;
            (name, inject::inject(scene, planned).await)
        })
        .collect();
    let (mut injected, mut missed) = (Vec::new(), Vec::new());
    while let Some((name, done)) = going.next().await {
        match done {
            Some(done) => injected.push(done),
            None => missed.push(name),
        }
    }
    (injected, missed)
}

/// The outcome of a job on which other jobs depend.
#[derive(Clone)]
enum Fate {
    Open,
    Accepted(TaskId),
    Lost,
}

/// Delegates every job at its time.
async fn feed(scene: &Scene, jobs: &[Job]) {
    let began = Instant::now();
    let fates = RefCell::new(vec![Fate::Open; jobs.len()]);
    let one = |i: usize| {
        let (fates, job) = (&fates, &jobs[i]);
        async move {
            let after = match job.after {
                Some(earlier) => settled(fates, earlier).await,
                None => None,
            };
            let accepted = delegate(scene, job, after.as_ref()).await;
            fates.borrow_mut()[i] = accepted.map_or(Fate::Lost, Fate::Accepted);
        }
    };
    let mut going = FuturesUnordered::new();
    for (i, job) in jobs.iter().enumerate() {
        let at = tokio::time::sleep_until(began + job.at);
        tokio::pin!(at);
        loop {
            tokio::select! {
                () = &mut at, if going.len() < CALLERS => break,
                Some(()) = going.next(), if !going.is_empty() => {}
            }
        }
        going.push(one(i).boxed_local());
    }
    while going.next().await.is_some() {}
}

/// Returns the task of an earlier job; `None` if it was not accepted.
async fn settled(fates: &RefCell<Vec<Fate>>, i: usize) -> Option<TaskId> {
    loop {
        let fate = fates.borrow()[i].clone();
        match fate {
            Fate::Accepted(task) => return Some(task),
            Fate::Lost => return None,
            Fate::Open => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Delegates a job. A job with a key is delegated twice concurrently, and again if there was no answer. A job without a
/// key is delegated once, because it may have been accepted without an answer.
async fn delegate(scene: &Scene, job: &Job, after: Option<&TaskId>) -> Option<TaskId> {
    if job.part == workload::PLANNED {
        return submit(scene, job).await;
    }
    let words = job.words(after.map(TaskId::as_str));
    let Some(key) = &job.key else { return scene.delegate(&words, None, after).await };
    for _ in 0..AGAIN {
        let both = tokio::join!(scene.delegate(&words, Some(key), after), scene.delegate(&words, Some(key), after));
        if let (Some(task), _) | (_, Some(task)) = both {
            return Some(task);
        }
    }
    None
}

/// Submits the plan, twice concurrently where the job has a key. Returns its last task.
async fn submit(scene: &Scene, job: &Job) -> Option<TaskId> {
    let file = scene.world.path.join("plan.toml").to_string_lossy().into_owned();
    let mut words = ["plan", "submit", "--json", &file].map(str::to_owned).to_vec();
    let Some(key) = &job.key else { return scene.submit(&words).await };
    words.extend(["--key".to_owned(), key.clone()]);
    for _ in 0..AGAIN {
        let both = tokio::join!(scene.submit(&words), scene.submit(&words));
        if let (Some(task), _) | (_, Some(task)) = both {
            return Some(task);
        }
    }
    None
}
