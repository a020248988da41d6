//! What runs in a pane: claim → run → renew → report.
//!
//! One runner is one agent. It holds the lease of its attempt, so it decides nothing about other agents, and it does
//! not need the supervisor: with the supervisor dead it goes on taking tasks, with Redis away it goes on with the one
//! it has and reports when somebody hears it.
//!
//! Everything waits in one place at a time: [`Agent::idle`], or the loop of an [`attempt`]. Beside it run the heartbeat
//! ([`lease::heartbeat`]), the two waiters for wake-ups, and the thread that writes to the pane ([`output::pane`]).

mod attempt;
mod interactive;
mod lease;
mod output;
mod signals;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use self::{
    attempt::{cgroup::RunnerCgroup, earlier_ends::EarlierEnds},
    lease::heartbeat::{Beat, Beats},
    lease::registration::Standing,
    lease::wakeups::Wakeups,
    output::pane::Pane,
    signals::{Signal, Signals},
};
use crate::{
    config::DriverKind,
    error::{Error, Result},
    home::{
        Home, Journal,
        launch::{Launch, RedisAt},
    },
    model::{agent::AgentState, cause::Cause, id::Process, text::count},
    os::{self, failpoint},
    store::{
        Store, StoreError,
        agents::{Directive, Ending, Orphans},
        checkpoint::Checkpoint,
        tasks::Claimed,
    },
};

/// How long a call tries again while Redis is away: a private server that was killed is back within a second, a user's
/// own may take longer. The lease decides in the end.
const RETRY_FOR: Duration = Duration::from_secs(20);

/// One agent's runner.
struct Agent {
    launch: Arc<Launch>,
    home: Home,
    store: Arc<Store>,
    process: Process,
    standing: Arc<Standing>,
    pane: Pane,
    journal: Mutex<Journal>,
    earlier_ends: Mutex<EarlierEnds>,
    /// `None` where none can be made.
    cgroup: Option<RunnerCgroup>,
}

/// Why the runner leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Leave {
    /// It was told to.
    Told(String),
    /// Its tmux session was closed under it.
    SessionClosed,
    /// Somebody sent SIGTERM.
    Terminated,
    /// It has done as many tasks as its role wants of one agent.
    Done(u32),
    /// The supervisor has given it up: it must not touch anything any more.
    GivenUp,
    /// Its program cannot run.
    Broken(String),
}

impl Leave {
    fn in_words(&self) -> String {
        match self {
            Leave::Told(reason) | Leave::Broken(reason) => reason.clone(),
            Leave::SessionClosed => "crashed: its tmux session was closed".into(),
            Leave::Terminated => "its runner was sent SIGTERM".into(),
            Leave::Done(n) => format!("it has done {} (tasks_per_agent)", count(*n, "task", "tasks")),
            Leave::GivenUp => "it was given up by the supervisor".into(),
        }
    }
}

/// Runs an agent until it leaves.
///
/// # Errors
/// When the launch does not read, or Redis cannot be reached at the beginning.
pub async fn run(launch: &Path) -> Result<()> {
    os::share_one_heap();
    let launch = Arc::new(Launch::take(launch)?);
    let home = Home::new(&launch.home);
    home.check_format()?;
    start_log(&home, &launch.agent);
    let cgroup = attempt::cgroup::enter(&home, &launch);
    failpoint!("hello.launch_taken");
    os::become_subreaper().map_err(|e| Error::internal(format!("cannot become a subreaper: {e}")))?;
    let signals = Signals::new()?;
    let store = Arc::new(open_store(&launch)?);
    let own = os::ProcessId::current();
    let process = Process { host: os::hostname(), boot_id: os::boot_id(), pid: own.pid, start_time: own.start_time };
    match store.hello(&launch.agent, &launch.incarnation, &process).await {
        Ok(_) => {}
        Err(e) if e.is_stale() => return Ok(()),
        Err(e) => return Err(e.into()),
    }
    failpoint!("hello.said");
    tracing::info!(agent = %launch.agent, pid = own.pid, "on duty");
    let standing = Arc::new(Standing::new(store.clone(), launch.clone(), home.clone(), process.clone()));
    // Before anything is started.
    let cgroup = cgroup.await.ok().flatten();
    let journal = Mutex::new(Journal::new(&home, &launch.incarnation));
    let agent = Agent {
        launch,
        home,
        store,
        process,
        standing,
        pane: Pane::start(),
        journal,
        earlier_ends: Mutex::default(),
        cgroup,
    };
    let leave = if agent.launch.master {
        interactive::master::serve(&agent, signals).await
    } else {
        agent.serve(signals).await
    };
    tracing::info!(?leave, "leaving");
    agent.leave(leave).await;
    agent.journal().close();
    let _ = std::fs::remove_dir_all(agent.home.scratch(&agent.launch.incarnation));
    Ok(())
}

fn open_store(launch: &Launch) -> Result<Store> {
    let store = match &launch.redis {
        RedisAt::Socket(path) => Store::at_socket(path, &launch.namespace, RETRY_FOR)?,
        RedisAt::Url(url) => Store::at_url(url, &launch.namespace, RETRY_FOR)?,
    };
    Ok(store.with_checkpoint(Checkpoint::new(Home::new(&launch.home).epoch(), launch.lease)))
}

fn start_log(home: &Home, agent: &str) {
    let Ok(log) = crate::home::Log::open(&home.agent_log(agent)) else { return };
    // A second subscriber in one process (tests) is no reason to fail.
    let _ = tracing_subscriber::fmt()
        .with_writer(Mutex::new(log))
        .with_ansi(false)
        .with_target(false)
        .with_max_level(tracing::Level::INFO)
        .try_init();
}

impl Agent {
    /// The journal, for as long as one record takes.
    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of an agent that takes tasks.
    async fn serve(&self, mut signals: Signals) -> Leave {
        let Some(driver) = crate::drivers::of(self.launch.driver) else {
            return Leave::Broken(no_driver(&self.launch));
        };
        let mut beats = Beats::start(self);
        let wakeups = Wakeups::start(self.store.clone(), &self.launch);
        self.pane.say(&format!("orch: {} is ready for tasks of role {}", self.launch.agent, self.launch.role.name));
        let mut done = 0;
        loop {
            let mut next = match self.idle(&mut beats, &wakeups, &mut signals).await {
                Ok(claimed) => Some(claimed),
                Err(leave) => return leave,
            };
            while let Some(claimed) = next.take() {
                let claimed = Arc::new(claimed);
                let ended = attempt::run(self, driver, &claimed, &mut beats, &mut signals).await;
                beats.hold(None);
                done += 1;
                self.standing.has_done_one();
                let enough = self.launch.role.tasks_per_agent > 0 && done >= self.launch.role.tasks_per_agent;
                let leave = ended.leave.or(enough.then_some(Leave::Done(done)));
                let claim_next = leave.is_none();
                match lease::report::tell(self, &claimed, ended.report, claim_next, &mut beats).await {
                    Ok(claimed) => next = claimed,
                    Err(()) => return Leave::GivenUp,
                }
                if let Some(leave) = leave {
                    return leave;
                }
            }
        }
    }

    /// Waits until there is a task, or a reason to leave.
    async fn idle(&self, beats: &mut Beats, wakeups: &Wakeups, signals: &mut Signals) -> Result<Claimed, Leave> {
        loop {
            // Look once before sleeping: what came meanwhile has perhaps no wake-up left.
            let epoch = self.standing.epoch();
            match self.store.claim(&self.launch.agent, &self.launch.incarnation, self.launch.lease).await {
                Ok(Some(claimed)) => {
                    self.standing.was_known(epoch);
                    failpoint!("claim.answered");
                    wakeups.set_idle(false);
                    return Ok(claimed);
                }
                Ok(None) => self.standing.was_known(epoch),
                Err(e) if e.is_stale() => match self.standing.reinstate(None).await {
                    Ok(true) => continue,
                    Ok(false) => return Err(Leave::GivenUp),
                    Err(e) => tracing::warn!("claim: {e}"),
                },
                Err(e) => tracing::warn!("claim: {e}"),
            }
            wakeups.set_idle(true);
            self.sleep(beats, wakeups, signals).await?;
        }
    }

    /// Until a task may be ready, or there is a reason to leave.
    async fn sleep(&self, beats: &mut Beats, wakeups: &Wakeups, signals: &mut Signals) -> Result<(), Leave> {
        loop {
            tokio::select! {
                () = wakeups.role() => return Ok(()),
                beat = beats.next() => match beat {
                    Beat::Directive(_, Directive::Stop(reason)) => return Err(Leave::Told(reason)),
                    Beat::Gone => return Err(Leave::GivenUp),
                    Beat::Directive(..) | Beat::LeaseLost(_) => {}
                },
                signal = signals.next() => match signal {
                    Signal::Interrupt => self.pane.say("orch: nothing is running here (orch kill ends this agent)"),
                    Signal::Hangup => return Err(Leave::SessionClosed),
                    Signal::Terminate => return Err(Leave::Terminated),
                },
            }
        }
    }

    /// Records the end. What may be left of us is looked at by the supervisor, not believed.
    async fn leave(&self, leave: Leave) {
        use AgentState::{Failed, Stopped};
        let to = match leave {
            Leave::GivenUp => return,
            Leave::Told(_) | Leave::Done(_) | Leave::Terminated => Stopped,
            Leave::SessionClosed | Leave::Broken(_) => Failed,
        };
        let reason = leave.in_words();
        let evidence = self.evidence(leave.rule(), &reason, None);
        let orphans = Orphans {
            agent: self.launch.agent.clone(),
            session: self.launch.session.clone(),
            process: self.process.clone(),
        };
        let ending = Ending {
            to,
            reason: &reason,
            cause: Cause::Lost,
            code: leave.rule().into(),
            attempt_reason: &reason,
            orphans: Some(&orphans),
            evidence: Some(&evidence),
        };
        failpoint!("leave.decided");
        match self.store.end_agent(&self.launch.agent, &self.launch.incarnation, &ending).await {
            Ok(_) => {}
            Err(StoreError::Refused { .. }) => {}
            Err(e) => tracing::error!("could not say goodbye: {e}"),
        }
        failpoint!("leave.said");
    }
}

fn no_driver(launch: &Launch) -> String {
    match launch.driver {
        DriverKind::Console => format!(
            "role {} has no agent program: its driver is the console, which takes no tasks (set driver in sessions.toml)",
            launch.role.name
        ),
        other => format!("role {}: driver {other} cannot take tasks", launch.role.name),
    }
}
