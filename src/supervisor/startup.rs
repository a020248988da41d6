//! Everything before the first pass: the lock, the log, tmux, Redis.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Mode, Supervisor, announce::Announcement, redis::Redis, spawn};
use crate::{
    config::Config,
    error::{Error, Result},
    home::Home,
    mux::{Mux, TmuxMux, TmuxOptions},
    os,
    store::{Store, StoreError, intents::Wish},
};

/// How long a lock is waited for that nobody's name is in: its holder is ending.
const LETS_GO: Duration = Duration::from_secs(5);
/// How long a Redis of our own that has gone away during the start is brought back.
const COMES_BACK: Duration = Duration::from_secs(30);

/// From the lock to the loop.
pub(super) async fn supervise(config: Config, mode: Mode, announcement: &mut Announcement) -> Result<()> {
    let home = Home::new(&config.home);
    home.create()?;
    start_log(mode.daemon);
    let _lock = lock(&home, &config.namespace).await?;
    let _ = os::raise_nofile_limit();
    spawn::put_on_path(&home)?;
    let mux: Arc<dyn Mux> =
        Arc::new(TmuxMux::new(TmuxOptions { socket: config.tmux.socket.clone(), ..TmuxOptions::default() }));
    if !mode.to_stop {
        // Before anything is started that would be left behind. Processes can be ended without tmux, too.
        mux.version().await?;
    }
    let crashed = home.running().exists();
    let mut redis = start_redis(&config, &home).await?;
    let store = Arc::new(redis.open(&config, Duration::from_millis(500))?);
    let began = Instant::now();
    while let Err(e) = say_hello(&store, &config, mode, crashed).await {
        // It may die in its first moments as in any other.
        if !e.is_unreachable() || began.elapsed() > COMES_BACK || matches!(redis, Redis::External(_)) {
            return Err(e.into());
        }
        tracing::warn!("{e}");
        redis.mend().await;
    }
    tracing::info!(pid = std::process::id(), namespace = %config.namespace, "supervising");

    let announcement = std::mem::take(announcement);
    Supervisor::assemble(config, home, store, mux, redis, announcement).serve().await
}

/// The wishes that a start takes back, and the event that tells of it. Safe to be said again.
async fn say_hello(store: &Store, config: &Config, mode: Mode, crashed: bool) -> Result<(), StoreError> {
    if !mode.to_stop {
        store.unwish(&[Wish::Stop { drain: false }], "supervisor.resumed", "orch start").await?;
        store.recovered(&config.master.session, "orch start").await?;
    }
    let after = if crashed { "; the one before it did not end in order" } else { "" };
    let started = format!("supervisor {}, version {}{after}", std::process::id(), env!("CARGO_PKG_VERSION"));
    store.note("supervisor.started", &started).await?;
    if mode.to_stop {
        store.wish(&Wish::Stop { drain: false }, "supervisor.stopping", "orch stop").await?;
    }
    Ok(())
}

/// From here on there is something to be ended in order; unless there was nothing before, and Redis does not start.
async fn start_redis(config: &Config, home: &Home) -> Result<Redis> {
    let running = home.running();
    let something_ran = running.exists();
    crate::home::write_new(&running, b"").map_err(|e| crate::home::unusable(&running, &e))?;
    Redis::start(config).await.inspect_err(|_| {
        if !something_ran {
            let _ = std::fs::remove_file(&running);
        }
    })
}

/// One supervisor for each namespace.
async fn lock(home: &Home, namespace: &str) -> Result<os::FileLock> {
    let (path, began) = (home.supervisor_lock(), Instant::now());
    loop {
        if let Some(lock) = os::lock_file(&path)? {
            return Ok(lock);
        }
        let holder = os::read_lock_holder(&path);
        // One that has taken its name out, or has died, lets go in a moment.
        if holder.is_some() || began.elapsed() > LETS_GO {
            let pid = holder.map_or_else(String::new, |p| format!(", pid {}", p.pid));
            return Err(Error::conflict(format!("namespace {namespace} has a supervisor already{pid}"))
                .hint("look at it with: orch status"));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn start_log(daemon: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("ORCH_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(!daemon)
        .with_target(false)
        .try_init();
}
