//! Everything before the first pass: the lock, the log, tmux, Redis.

use std::{
    io::IsTerminal,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::{
    Mode, Supervisor, announce::Announcement, leadership::Leadership, other_redis, redis::Redis, spawn,
    stopwatch::Stopwatch,
};
use crate::{
    config::Config,
    error::{Error, Result},
    home::{Home, Log, Mark, SupervisorLock},
    model::{
        agent::AgentState,
        build,
        cause::Cause,
        event::EventKind,
        evidence::{Evidence, Observer, Rule},
        format::FORMAT,
        secret::Redactor,
    },
    mux::{Mux, TmuxMux, TmuxOptions},
    os::{self, LockOwner, failpoint},
    store::{
        Store, StoreError,
        agents::{Ending, Record},
        passes::Passes,
        requests::Request,
    },
};

/// Of the files that may be open, our Redis keeps 32 for itself; as many are for the supervisor, the master and the calls
/// of people.
const FILES_BESIDES: u64 = 64;
/// A runner has three connections, and what its program calls has one more.
const FILES_PER_AGENT: u64 = 4;
/// With room for fewer than these, nothing is started.
const FEWEST_AGENTS: u64 = 4;

/// How long to wait for a lock that names no holder: its holder is ending.
const LETS_GO: Duration = Duration::from_secs(5);
/// How long a Redis of our own that has gone away during the start is brought back.
const COMES_BACK: Duration = Duration::from_secs(30);

/// From the lock to the loop.
pub(super) async fn supervise(mut config: Config, mode: Mode, announcement: &mut Announcement) -> Result<()> {
    let home = Home::new(&config.home);
    home.check_safety()?;
    home.check_format()?;
    home.create()?;
    home.protect()?;
    let secrets = super::environment::secrets(&config, &super::environment::of_process());
    start_log(&home, mode.daemon, Redactor::new(secrets.iter().map(String::as_str)));
    let folder_lock = lock(&home, &config.namespace).await?;
    home.migrate()?;
    home.claim(&config)?;
    // Before anything is started, which would be inside too.
    super::cgroups::tidy(&home);
    failpoint!("start.locked");
    // As it is written, before anything is fitted to this machine.
    let fingerprint = config.fingerprint();
    let files = os::raise_nofile_limit().unwrap_or(u64::MAX);
    if !mode.to_stop {
        config.supervisor.max_agents = agents_for(files, config.supervisor.max_agents)?;
    }
    spawn::put_on_path(&home)?;
    let mux: Arc<dyn Mux> =
        Arc::new(TmuxMux::new(TmuxOptions { socket: config.tmux.socket.clone(), ..TmuxOptions::default() }));
    if !mode.to_stop {
        // Before anything is started that would be left behind. Processes can be ended without tmux, too.
        mux.version().await?;
    }
    let crashed = home.running().exists();
    let mark = Mark { version: build::IN_WORDS.to_owned(), config: fingerprint };
    let mut redis = start_redis(&config, &home, &mark).await?;
    failpoint!("start.redis_up");
    if let Err(e) = other_redis::check(&redis, &config, &home, mode.adopt).await {
        redis.undo_start().await;
        unmark(&home, crashed);
        return Err(e);
    }
    let store = Arc::new(redis.open(&config, redis.retry_for())?);
    let mut leadership = Leadership::of(&config, &home);
    if let Some(leadership) = &mut leadership {
        leadership.keep(&store).await.inspect_err(|_| unmark(&home, crashed))?;
    }
    if let Err(e) = migrate(&store, &mut redis).await {
        redis.undo_start().await;
        unmark(&home, crashed);
        return Err(e.into());
    }
    let began = Instant::now();
    while let Err(e) = say_hello(&store, &config, mode, crashed).await {
        // It may die in its first moments as in any other.
        if !e.is_unreachable() || began.elapsed() > COMES_BACK || matches!(redis, Redis::External(..)) {
            return Err(e.into());
        }
        tracing::warn!("{e}");
        redis.mend().await;
    }
    failpoint!("start.recorded");
    forget_the_originals_agents(&store, &home).await?;
    home.write_policy(&super::reload::policy(&config))?;
    tracing::info!(pid = std::process::id(), namespace = %config.namespace, "supervising");

    // What was measured before a crash is of the same run.
    let stopwatch = Stopwatch::since(if crashed { store.passes().await? } else { Passes::default() });
    let announcement = std::mem::take(announcement);
    let supervisor = Supervisor {
        leadership,
        stopwatch,
        ..Supervisor::assemble(config, home, folder_lock, store, mux, redis, announcement)
    };
    if let Err(e) = supervisor.jobs.record_earlier_stop().await {
        tracing::warn!("what the last stop has ended counts as lost: {e}");
    }
    supervisor.serve().await
}

/// In a state folder that was copied from a running project, and adopted: its records name agents that are the original's.
/// They end here without a signal to any process.
async fn forget_the_originals_agents(store: &Store, home: &Home) -> Result<()> {
    if !home.owner().is_some_and(|owner| owner.is_copy) {
        return Ok(());
    }
    const REASON: &str = "it belongs to the project from which this state folder was copied";
    for Record { agent, .. } in store.agents().await? {
        let evidence = Evidence::of(Rule::ProcessGone, Observer::Supervisor, &agent.id);
        let ending = Ending {
            to: AgentState::Stopped,
            reason: REASON,
            cause: Cause::Lost,
            code: Rule::ProcessGone.into(),
            attempt_reason: REASON,
            orphans: None,
            evidence: Some(&evidence),
        };
        match store.end_agent(&agent.id, &agent.incarnation, &ending).await {
            Err(e) if e.refusal().is_none() && !e.concerns_one_record() => return Err(e.into()),
            _ => {}
        }
    }
    for incarnation in store.observe(&[]).await?.orphans.keys() {
        store.forget_orphans(incarnation).await?;
    }
    home.forget_copy()
}

/// Before anything is written. Records of a format that we do not know are left as they are, and so is their server.
async fn migrate(store: &Store, redis: &mut Redis) -> Result<(), StoreError> {
    let began = Instant::now();
    loop {
        match store.migrate().await {
            Err(e) if e.is_unreachable() && began.elapsed() < COMES_BACK && matches!(redis, Redis::Managed(_)) => {
                tracing::warn!("{e}");
                redis.mend().await;
            }
            Ok(Some(older)) => {
                tracing::info!("the records were of format {older}; they are of format {FORMAT} now");
                return Ok(());
            }
            migrated => return migrated.map(drop),
        }
    }
}

/// The requests that a start takes back, and the event that tells of it. Safe to be said again.
async fn say_hello(store: &Store, config: &Config, mode: Mode, crashed: bool) -> Result<(), StoreError> {
    if !mode.to_stop {
        store.withdraw(&[Request::Stop { drain: false }], EventKind::SupervisorResumed, "orch start").await?;
        store.count_supervisor_start().await?;
        if mode.paused {
            store.request(&Request::Pause(None), EventKind::RequestPause, "orch start --paused").await?;
        }
        store.recovered(&config.master.session, "orch start").await?;
    }
    let after = if crashed { "; the one before it did not end in order" } else { "" };
    let started = format!("supervisor {}, version {}{after}", std::process::id(), build::IN_WORDS);
    let data = serde_json::json!({"version": build::VERSION, "build": build::ID});
    store.note_with(EventKind::SupervisorStarted, &started, &data).await?;
    if mode.to_stop {
        store.request(&Request::Stop { drain: false }, EventKind::SupervisorStopping, "orch stop").await?;
        failpoint!("start.stop_requested");
    }
    Ok(())
}

/// How many agents may run at once where so many files may be open. Without a free connection to Redis not
/// even `orch stop` works.
pub(super) fn agents_for(files: u64, requested: u32) -> Result<u32> {
    let room = files.saturating_sub(FILES_BESIDES) / FILES_PER_AGENT;
    if room < FEWEST_AGENTS {
        let needed = FILES_BESIDES + FEWEST_AGENTS * FILES_PER_AGENT;
        return Err(Error::config(format!("at most {files} open files are allowed, and orch needs {needed}"))
            .hint("raise the hard limit (ulimit -Hn, /etc/security/limits.conf), then: orch start"));
    }
    let agents = requested.min(u32::try_from(room).unwrap_or(u32::MAX));
    if agents < requested {
        tracing::warn!("at most {files} open files are allowed: {agents} agents instead of {requested} (max_agents)");
    }
    Ok(agents)
}

/// From here on there is something to be ended in order; unless there was nothing before, and Redis does not start.
async fn start_redis(config: &Config, home: &Home, mark: &Mark) -> Result<Redis> {
    let running = home.running();
    let something_ran = running.exists();
    mark.write(home).map_err(|e| crate::home::unusable(&running, &e))?;
    failpoint!("start.marked");
    Redis::start(config).await.inspect_err(|_| unmark(home, something_ran))
}

/// A start that comes to nothing leaves nothing to be ended, where there was nothing before.
fn unmark(home: &Home, something_ran: bool) {
    if !something_ran {
        let _ = std::fs::remove_file(home.running());
    }
}

/// One supervisor for each namespace.
async fn lock(home: &Home, namespace: &str) -> Result<SupervisorLock> {
    let began = Instant::now();
    loop {
        if let Some(lock) = home.lock_supervisor()? {
            return Ok(lock);
        }
        let pid = match home.supervisor() {
            LockOwner::Process(owner) => format!(", pid {}", owner.pid),
            // One that has taken its name out, or has died, lets go in a moment.
            _ if began.elapsed() < LETS_GO => {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
            _ => return Err(home.unseen()),
        };
        return Err(Error::conflict(format!("namespace {namespace} has a supervisor already{pid}"))
            .hint("look at it with: orch status"));
    }
}

/// Logs to the terminal in the foreground, else to our log. Where that can't be opened, standard error is what `orch start` has
/// made it.
fn start_log(home: &Home, daemon: bool, redactor: Redactor) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("ORCH_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(!daemon && std::io::stderr().is_terminal())
        .with_target(false);
    let log =
        daemon.then(|| Log::open(&home.supervisor_log()).and_then(Log::with_stderr).map(|log| log.redacted(redactor)));
    let _ = match log {
        Some(Ok(log)) => subscriber.with_writer(Mutex::new(log)).try_init(),
        _ => subscriber.with_writer(std::io::stderr).try_init(),
    };
}
