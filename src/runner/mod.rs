//! What runs in a pane: claim → run → renew → report.
//!
//! A runner runs one agent. It owns the lease of its attempt, decides nothing about other agents, and does not need
//! the supervisor: while the supervisor is down, it continues to claim tasks, and while Redis is down, it continues
//! its current attempt and reports the result until Redis acknowledges it.
//!
//! All waiting happens in one place at a time: [`Agent::idle`], or the loop of an [`attempt`]. The heartbeat
//! ([`lease::heartbeat`]), the two wake-up listeners, and the thread that writes to the pane ([`output::pane`]) run
//! concurrently.

mod asking;
mod attempt;
mod interactive;
mod lease;
mod output;
mod signals;
mod socket;

use std::{
    ffi::OsStr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use self::{
    asking::Asking,
    attempt::{cgroup::RunnerCgroup, earlier_ends::EarlierEnds},
    lease::heartbeat::{Heartbeat, Reply},
    lease::registration::Registration,
    lease::wakeups::Wakeups,
    output::pane::Pane,
    signals::{Signal, Signals},
    socket::AgentSocket,
};
pub use crate::launchers::bwrap::inside::Inside;
use crate::{
    config::DriverKind,
    error::{Error, Result},
    home::{
        Home, Journal, PolicyWatch,
        launch::{Launch, RedisAt},
    },
    launchers,
    model::{
        agent::AgentState,
        cause::Cause,
        duration::human,
        id::Process,
        secret::{Redactor, looks_secret},
        text::count,
    },
    ops::socket::VARIABLE,
    os::{self, failpoint},
    redis_server::agent_socket,
    store::{
        Store, StoreError, Tls,
        agents::{Directive, Ending, Orphans},
        checkpoint::Checkpoint,
        tasks::Claimed,
    },
};

/// How long a call is retried while Redis is unavailable. A private server that was killed is back within a second; a
/// user's own server may take longer. In the end the lease decides.
const RETRY_FOR: Duration = Duration::from_secs(20);

/// One agent's runner.
struct Agent {
    launch: Arc<Launch>,
    home: Home,
    store: Arc<Store>,
    process: Process,
    /// Removes secrets from everything that the runner stores, shows or sends.
    redactor: Redactor,
    registration: Arc<Registration>,
    pane: Pane,
    /// What its program asks a person.
    asking: Asking,
    journal: Mutex<Journal>,
    earlier_ends: Mutex<EarlierEnds>,
    /// `None` where no cgroup can be created.
    cgroup: Option<RunnerCgroup>,
    /// How its programs reach orch.
    socket: AgentSocket,
}

/// Why the runner leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Leave {
    /// A directive requested it.
    Requested(String),
    /// Its tmux session was closed while it ran.
    SessionClosed,
    /// The runner received SIGTERM.
    Terminated,
    /// The agent has finished `tasks_per_agent` tasks.
    Done(u32),
    /// The supervisor has declared the agent lost: it must not touch anything any more.
    DeclaredLost,
    /// Its program cannot run.
    Broken(String),
}

impl Leave {
    fn in_words(&self) -> String {
        match self {
            Leave::Requested(reason) | Leave::Broken(reason) => reason.clone(),
            Leave::SessionClosed => "crashed: its tmux session was closed".into(),
            Leave::Terminated => "its runner received SIGTERM".into(),
            Leave::Done(n) => format!("it has done {} (tasks_per_agent)", count(*n, "task", "tasks")),
            Leave::DeclaredLost => "the supervisor declared it lost".into(),
        }
    }
}

/// Runs an agent until it leaves.
///
/// # Errors
/// Fails when the launch file cannot be read, or when Redis cannot be reached at startup.
pub async fn run(launch: &Path) -> Result<()> {
    protect();
    os::share_one_heap();
    let mut launch = Launch::take(launch)?;
    launch.attributes.take().into_iter().for_each(os::take_over);
    let home = Home::new(&launch.home);
    home.check_safety()?;
    home.check_format()?;
    let redactor = launch.redactor();
    start_log(&home, &launch.agent, redactor.clone());
    // Before any program is started: which agent a process belongs to is found through this entry.
    let _registered = home
        .register_runner(&launch.agent, &launch.incarnation)
        .map_err(|e| crate::home::unusable(&home.runners(), &e))?;
    let socket = agent_socket(&launch.home, &launch.incarnation)?;
    launch.env.insert(VARIABLE.to_owned(), socket.display().to_string());
    let launch = Arc::new(launch);
    let cgroup = attempt::cgroup::enter(&home, &launch);
    failpoint!("hello.launch_taken");
    os::become_subreaper().map_err(|e| Error::internal(format!("cannot become a subreaper: {e}")))?;
    let signals = Signals::new()?;
    let checkpoint = Checkpoint::new(home.epoch(), launch.lease);
    let store = Arc::new(open_store(&launch, RETRY_FOR)?.with_checkpoint(checkpoint));
    let own = os::ProcessId::current();
    let process = Process { host: os::hostname(), boot_id: os::boot_id(), pid: own.pid, start_time: own.start_time };
    match store.hello(&launch.agent, &launch.incarnation, &process).await {
        Ok(_) => {}
        Err(e) if e.is_stale() => return Ok(()),
        Err(e) => return Err(e.into()),
    }
    failpoint!("hello.registered");
    tracing::info!(agent = %launch.agent, pid = own.pid, "on duty");
    let registration = Arc::new(Registration::new(store.clone(), launch.clone(), home.clone(), process.clone()));
    // Before any program is started.
    let cgroup = cgroup.await.ok().flatten();
    let pane = Pane::start();
    let asking = Asking::new(pane.clone());
    let (mux, tags) = (interactive::follow::mux(&launch), interactive::follow::tags(&launch));
    asking.show_in_status_line(mux, launch.session.clone(), tags);
    let socket = AgentSocket::listen(&launch, open_store, asking.clone())?;
    let journal = Mutex::new(Journal::new(&home, &launch.incarnation));
    let agent = Agent {
        redactor,
        launch,
        home,
        store,
        process,
        registration,
        pane,
        asking,
        journal,
        earlier_ends: Mutex::default(),
        cgroup,
        socket,
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

/// Removes what the tmux server had of its user's secrets from this process's own environment, and closes the process to
/// others of its user. What its program gets stands in the launch.
fn protect() {
    let is_secret = |name: &OsStr, value: &OsStr| match (name.to_str(), value.to_str()) {
        (Some(name), _) if name.starts_with("ORCH_") => false,
        (Some(name), Some(value)) => looks_secret(name, value),
        _ => false,
    };
    if let Err(e) = os::without_secrets(is_secret, false).and_then(|()| os::protect_this_process()) {
        tracing::warn!("other processes of this user can read the secrets of this agent: {e}");
    }
}

/// Runs the program of a sandbox, as its first process, and returns its exit code.
///
/// # Errors
/// Fails when this is not the first process of a sandbox, or the program cannot be started.
pub fn run_sandboxed(inside: Inside) -> Result<u8> {
    launchers::bwrap::inside::run(inside).map_err(|e| Error::failed(format!("the sandbox's program: {e}")))
}

fn open_store(launch: &Launch, retry_for: Duration) -> Result<Store> {
    match &launch.redis {
        RedisAt::Socket { path, login } => Ok(Store::at_socket(path, login.clone(), &launch.namespace, retry_for)?),
        RedisAt::Url { url, ca_file } => {
            Ok(Store::at_url(url, Tls { ca_file: ca_file.clone() }, &launch.namespace, retry_for)?)
        }
    }
}

fn start_log(home: &Home, agent: &str, redactor: Redactor) {
    let Ok(log) = crate::home::Log::open(&home.agent_log(agent)) else { return };
    let log = log.redacted(redactor);
    // A second subscriber in one process (tests) is no reason to fail.
    let _ = tracing_subscriber::fmt()
        .with_writer(Mutex::new(log))
        .with_ansi(false)
        .with_target(false)
        .with_max_level(tracing::Level::INFO)
        .try_init();
}

impl Agent {
    /// Locks the journal, for the time that one record takes.
    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs an agent that takes tasks.
    async fn serve(&self, mut signals: Signals) -> Leave {
        let Some(driver) = crate::drivers::of(self.launch.driver) else {
            return Leave::Broken(no_driver(&self.launch));
        };
        let mut heartbeat = Heartbeat::start(self);
        let wakeups = Wakeups::start(self.store.clone(), &self.launch);
        self.pane.print(&format!(
            "orch: {} is ready for tasks of role {}; what you start in this session ends with it",
            self.launch.agent, self.launch.role.name
        ));
        let mut done = 0;
        let mut policy = PolicyWatch::new(self.home.path());
        if let Err(leave) = self.prove(&mut heartbeat, &wakeups, &mut signals).await {
            return leave;
        }
        loop {
            let mut next = match self.idle(&mut heartbeat, &wakeups, &mut signals, &mut policy).await {
                Ok(claimed) => Some(claimed),
                Err(leave) => return leave,
            };
            while let Some(claimed) = next.take() {
                // The delegator may not have known what is a secret here.
                let claimed = Arc::new(claimed.redacted(&self.redactor));
                let ended = attempt::run(self, driver, &claimed, &mut heartbeat, &mut signals).await;
                heartbeat.hold(None);
                done += 1;
                self.registration.count_task();
                let enough = self.launch.role.tasks_per_agent > 0 && done >= self.launch.role.tasks_per_agent;
                let leave =
                    ended.leave.or(enough.then_some(Leave::Done(done))).or_else(|| self.is_outdated(&mut policy));
                let claim_next = leave.is_none();
                match lease::report::deliver(self, &claimed, ended.report, claim_next, &mut heartbeat).await {
                    Ok(claimed) => next = claimed,
                    Err(()) => return Leave::DeclaredLost,
                }
                if let Some(leave) = leave {
                    return leave;
                }
            }
        }
    }

    /// Returns why it leaves, where the supervisor starts agents of other settings by now. An older supervisor records none.
    fn is_outdated(&self, policy: &mut PolicyWatch) -> Option<Leave> {
        let now =
            policy.new_agents().filter(|now| *now != self.launch.generation && !self.launch.generation.is_empty());
        now.map(|_| Leave::Requested("replaced: sessions.toml has changed (orch reload)".to_owned()))
    }

    /// Waits until there is a task, or a reason to leave.
    async fn idle(
        &self,
        heartbeat: &mut Heartbeat,
        wakeups: &Wakeups,
        signals: &mut Signals,
        policy: &mut PolicyWatch,
    ) -> Result<Claimed, Leave> {
        loop {
            if let Some(leave) = self.is_outdated(policy) {
                return Err(leave);
            }
            // Check once before sleeping: a task that arrived in the meantime may have no wake-up left.
            let epoch = self.registration.epoch();
            match self.store.claim(&self.launch.agent, &self.launch.incarnation, self.launch.lease).await {
                Ok(Some(claimed)) => {
                    self.registration.record_epoch(epoch);
                    failpoint!("claim.answered");
                    wakeups.set_idle(false);
                    return Ok(claimed);
                }
                Ok(None) => self.registration.record_epoch(epoch),
                Err(e) if e.is_stale() => match self.registration.reinstate(None).await {
                    Ok(true) => continue,
                    Ok(false) => return Err(Leave::DeclaredLost),
                    Err(e) => tracing::warn!("claim: {e}"),
                },
                Err(e) => tracing::warn!("claim: {e}"),
            }
            wakeups.set_idle(true);
            self.sleep(heartbeat, wakeups, signals).await?;
        }
    }

    /// Waits until the agent has run for its probation: those before it ended right after they started, and what ended them
    /// may end this one, too.
    async fn prove(&self, heartbeat: &mut Heartbeat, wakeups: &Wakeups, signals: &mut Signals) -> Result<(), Leave> {
        let probation = self.launch.probation;
        if probation.is_zero() {
            return Ok(());
        }
        self.pane.print(&format!(
            "orch: agents of role {} ended right after they started; this one takes no task for {}",
            self.launch.role.name,
            human(probation)
        ));
        let over = tokio::time::sleep(probation);
        tokio::select! {
            () = over => Ok(()),
            left = self.sleep(heartbeat, wakeups, signals) => left,
        }
    }

    /// Sleeps until a task may be ready, or there is a reason to leave.
    async fn sleep(&self, heartbeat: &mut Heartbeat, wakeups: &Wakeups, signals: &mut Signals) -> Result<(), Leave> {
        loop {
            tokio::select! {
                () = wakeups.role() => return Ok(()),
                beat = heartbeat.next() => match beat {
                    Reply::Directive(_, Directive::Stop(reason)) => return Err(Leave::Requested(reason)),
                    Reply::AgentLost => return Err(Leave::DeclaredLost),
                    Reply::Directive(..) | Reply::LeaseLost(_) => {}
                },
                signal = signals.next() => match signal {
                    Signal::Interrupt => self.pane.print("orch: nothing is running here (orch kill ends this agent)"),
                    Signal::Hangup => return Err(Leave::SessionClosed),
                    Signal::Terminate => return Err(Leave::Terminated),
                },
            }
        }
    }

    /// Records the end of the agent. The supervisor checks for itself which processes are left.
    async fn leave(&self, leave: Leave) {
        use AgentState::{Failed, Stopped};
        let to = match leave {
            Leave::DeclaredLost => return,
            Leave::Requested(_) | Leave::Done(_) | Leave::Terminated => Stopped,
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
            Err(e) => tracing::error!("the end of the agent could not be recorded: {e}"),
        }
        failpoint!("leave.recorded");
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
