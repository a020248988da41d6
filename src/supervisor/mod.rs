//! wake → observe → decide → act.
//!
//! The loop is level-triggered: a wake-up only says "look again". Each pass observes (Redis, tmux, processes), decides
//! ([`decide`], a pure function) and acts: it records first, by compare-and-set, and then causes the effect. After a
//! crash between the two, the next pass finds the record, whether of this supervisor or of the next one. So adopting a
//! fleet after `kill -9` of a supervisor is not a special case: it is the first pass.

mod act;
mod announce;
mod background;
mod ceilings;
mod cgroups;
mod decide;
mod earlier_stop;
mod environment;
mod folder;
mod guard;
mod housekeeping;
mod leadership;
mod leaving;
mod limits;
mod notify;
mod observe;
mod other_redis;
mod pass;
mod program;
mod reap;
mod redis;
mod reload;
mod salvage;
mod schedules;
mod sessions;
mod shutdown;
mod spawn;
mod startup;
mod stopwatch;
#[cfg(test)]
mod tests;
mod watches;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
};

use self::{
    announce::Announcement,
    background::{Background, Jobs},
    leadership::Leadership,
    leaving::Leaving,
    limits::Told,
    notify::Notifier,
    observe::Observer,
    pass::Pass,
    redis::Redis,
    schedules::Schedules,
    stopwatch::Stopwatch,
    watches::Watches,
};
use crate::{
    config::Config,
    error::{Error, Result},
    home::{Home, SupervisorLock},
    model::event::EventKind,
    model::refusal::Refusal,
    model::secret::Redactor,
    mux::Mux,
    os,
    store::{Store, StoreError, requests::Request, spend::Budget},
};

/// A supervisor that wakes up this much later than planned was stopped meanwhile, perhaps with all agents.
const STOOD_STILL: Duration = Duration::from_secs(2);
/// After a pass, the next one waits for so many times of what it took, so that a storm of wake-ups takes at most a
/// quarter of a core. A wake-up after a quiet time is answered immediately.
const REST: u32 = 3;

/// How a supervisor is started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mode {
    /// In the background: one line on standard output says whether all is up, then it is closed.
    pub daemon: bool,
    /// Started only to end everything in order (`orch stop` where no supervisor lives).
    pub to_stop: bool,
    /// With everything paused from the beginning (`orch start --paused`).
    pub paused: bool,
    /// With what another Redis has than the last one (`orch start --adopt`).
    pub adopt: bool,
}

/// One supervisor.
struct Supervisor {
    config: Arc<Config>,
    home: Home,
    lock: SupervisorLock,
    /// The state folder is not where it was.
    gone: Option<folder::Gone>,
    store: Arc<Store>,
    redis: Redis,
    jobs: Jobs,
    leadership: Option<Leadership>,
    observer: Observer,
    watches: Watches,
    /// That of `orch start`: what agents may inherit of it, `environment` decides.
    environment: BTreeMap<String, String>,
    wake: Arc<Notify>,
    announcement: Announcement,
    leaving: Leaving,
    told: Told,
    /// Roles that the last pass has seen held back.
    suspended: BTreeSet<String>,
    notifier: Notifier,
    /// The request to reload whose file is being read.
    reloading: Option<String>,
    read: Background<Result<Config>>,
    /// What each role may use, and whether its program is there.
    programs: Background<Vec<Budget>>,
    /// Why the last pass ended early; many in a row say the same.
    ended_early: String,
    housekeeping: housekeeping::Schedule,
    chores: Background<()>,
    /// The loop of the schedules, once this one serves.
    schedules: Option<Schedules>,
    stopwatch: Stopwatch,
}

/// Supervises until a person stops everything.
///
/// # Errors
/// `Conflict` where another supervisor has this namespace; what keeps Redis or the master from starting.
pub async fn run(config: Config, mode: Mode) -> Result<()> {
    environment::protect(&config);
    os::share_one_heap();
    let mut announcement = Announcement::new(mode.daemon);
    let result = startup::supervise(config, mode, &mut announcement).await;
    if let Err(e) = &result {
        tracing::error!("{e}");
        announcement.failed(e);
    }
    result
}

impl Supervisor {
    /// One that has not looked at anything yet.
    fn assemble(
        config: Config,
        home: Home,
        lock: SupervisorLock,
        store: Arc<Store>,
        mux: Arc<dyn Mux>,
        redis: Redis,
        announcement: Announcement,
    ) -> Self {
        let (wake, config) = (Arc::new(Notify::new()), Arc::new(config));
        let environment = environment::of_process();
        let secrets = environment::secrets(&config, &environment);
        Supervisor {
            observer: Observer::new(&config, mux.clone(), wake.clone()),
            jobs: Jobs::new(config.clone(), home.clone(), store.clone(), mux, wake.clone()),
            programs: Background::new(wake.clone()),
            chores: Background::new(wake.clone()),
            schedules: None,
            reloading: None,
            read: Background::new(wake.clone()),
            watches: Watches::new(wake.clone()),
            environment,
            leaving: Leaving::new(),
            stopwatch: Stopwatch::default(),
            leadership: None,
            told: Told::default(),
            suspended: BTreeSet::new(),
            notifier: Notifier::new(Redactor::new(secrets.iter().map(String::as_str))),
            ended_early: String::new(),
            housekeeping: housekeeping::Schedule::default(),
            config,
            home,
            lock,
            gone: None,
            store,
            redis,
            wake,
            announcement,
        }
    }

    async fn serve(mut self) -> Result<()> {
        let listen = |kind| signal(kind).map_err(|e| Error::internal(format!("signals: {e}")));
        self.leaving.listen(&self.config, &self.home)?;
        let (mut hangup, mut handover) = (listen(SignalKind::hangup())?, listen(SignalKind::user_defined2())?);
        self.wait_for_wakeups();
        let secrets = environment::secrets(&self.config, &self.environment);
        self.schedules = Some(Schedules::start(self.config.clone(), self.store.clone(), secrets));
        let _guard = guard::Guard::of(&self.redis, &self.config)?.map(guard::Guard::watch);
        let mut changes = self.jobs.mux.changes();
        let queue = os::RunQueue::of_this_thread();
        let mut starved_until_now = queue.waited();
        loop {
            let began = Instant::now();
            self.observer.asks();
            let (pass, busy) = stopwatch::measured(self.pass()).await;
            let waited = self.observer.take_waited() + self.programs.take_waited();
            let starved = std::mem::replace(&mut starved_until_now, queue.waited());
            self.stopwatch.add(began.elapsed(), busy + waited, starved_until_now.saturating_sub(starved));
            let wait = match pass {
                Ok(Pass::Look(after)) => {
                    self.observer.asks();
                    let _ = self.stopwatch.write(&self.store).await;
                    self.observer.answered();
                    self.ended_early.clear();
                    self.redis.has_answered();
                    after
                }
                Ok(Pass::ShutDown) => return self.shut_down().await,
                Ok(Pass::Replaced) => return Err(self.replaced()),
                // Another one acts here by now: this one was stopped for too long, and its agents are the other's.
                Err(e) if e.refusal() == Some(Refusal::Supervised) => return Err(e.into()),
                // A newer release has migrated the records.
                Err(e) if e.is_of_another_format() => return Err(e.into()),
                Err(e) => {
                    let why = e.to_string();
                    if why != self.ended_early {
                        tracing::warn!("a pass ended early: {why}");
                        self.ended_early = why;
                    }
                    // It would be started in a folder that does not exist any more.
                    if self.gone.is_none() {
                        self.restart_redis().await;
                    }
                    Duration::from_millis(100)
                }
            };
            let ended = tokio::time::Instant::now();
            let rest = (began.elapsed() * REST).min(Duration::from_millis(200));
            tokio::select! {
                () = tokio::time::sleep_until(ended + wait) => {}
                () = self.wake.notified() => tokio::time::sleep_until(ended + rest).await,
                Ok(()) = changes.changed() => {
                    self.observer.look_at_tmux();
                    tokio::time::sleep_until(ended + rest).await;
                }
                () = self.redis.died(), if self.gone.is_none() => {
                    // It may have been killed together with its folder.
                    if self.look_at_folder().await.is_continue() && self.gone.is_none() {
                        self.restart_redis().await;
                    }
                }
                _ = hangup.recv() => {}
                // `orch restart`: the next supervisor adopts everything.
                _ = handover.recv() => {
                    tracing::info!("another supervisor takes over");
                    return Ok(());
                }
                () = self.leaving.changed() => {}
            }
            if self.leaving.state() == leaving::State::AskedTwice {
                // The agents continue, and the next supervisor adopts them.
                return Err(
                    Error::failed("ended by a second signal; agents and Redis go on").hint("adopt them: orch start")
                );
            }
            if ended.elapsed() > wait.max(rest) + STOOD_STILL {
                tracing::warn!("this supervisor stood still for {:?}", ended.elapsed());
                self.observer.disturbed();
            }
        }
    }

    /// No agent could report while Redis was away, however long it took to bring it back.
    async fn restart_redis(&mut self) {
        if self.redis.mend().await {
            // For `orch events`; if it can't be written, the log has it.
            let _ =
                self.store.note(EventKind::RedisRestarted, "our redis-server had gone, and was started again").await;
        }
        self.observer.disturbed();
    }

    /// What a signal asked for is a request like a person's: `orch start` takes it back. Redis may be away at that moment
    /// (a service manager signals all processes); then the next pass writes it.
    async fn request_to_leave(&mut self) -> Result<(), StoreError> {
        if self.leaving.state() == leaving::State::Asked {
            let reason = self.leaving.reason();
            self.store.request(&Request::Stop { drain: false }, EventKind::SupervisorStopping, &reason).await?;
            self.leaving.is_requested();
        }
        Ok(())
    }

    fn wait_for_wakeups(&self) {
        let (store, wake) = (self.store.clone(), self.wake.clone());
        tokio::spawn(async move {
            let mut waker = store.supervisor_waker();
            loop {
                match waker.wait(Duration::from_secs(30)).await {
                    Ok(true) => wake.notify_one(),
                    Ok(false) => {}
                    Err(_) => {
                        wake.notify_one();
                        tokio::time::sleep(Duration::from_millis(250)).await;
                    }
                }
            }
        });
    }
}
