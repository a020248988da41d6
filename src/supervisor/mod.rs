//! wake → observe → decide → act.
//!
//! The loop is level-triggered: a wake-up only says "look again". Each pass observes (Redis, tmux, processes), decides
//! ([`decide`], a pure function) and acts: record first, by compare-and-set, then the effect. Whatever crashes between
//! the two is found by the next pass, of this supervisor or of the next one. So adopting a fleet after `kill -9` of a
//! supervisor is not a special case: it is the first pass.

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
mod passes;
mod program;
mod reap;
mod redis;
mod reload;
mod salvage;
mod sessions;
mod spawn;
mod startup;
#[cfg(test)]
mod tests;
mod watches;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
};

use self::{
    announce::Announcement,
    background::{Background, Jobs, on_a_thread},
    decide::Action,
    leadership::Leadership,
    leaving::Leaving,
    limits::Told,
    notify::Notifier,
    observe::{Observed, Observer},
    passes::Stopwatch,
    redis::Redis,
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
    os::{self, failpoint},
    redis_server,
    store::{Store, StoreError, observe::Snapshot, requests::Request, spend::Budget},
};

/// Without any wake-up, look again after this long.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
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
        let _guard = guard::Guard::of(&self.redis, &self.config)?.map(guard::Guard::watch);
        let mut changes = self.jobs.mux.changes();
        let queue = os::RunQueue::of_this_thread();
        let mut starved_until_now = queue.waited();
        loop {
            let began = Instant::now();
            self.observer.asks();
            let (pass, busy) = passes::measured(self.pass()).await;
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
                // The agents go on, and the next supervisor adopts them.
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

    /// One look, one decision, its actions.
    async fn pass(&mut self) -> Result<Pass, StoreError> {
        if let ControlFlow::Break(pass) = self.look_at_folder().await {
            return Ok(pass);
        }
        if let Some(leadership) = &mut self.leadership {
            leadership.keep(&self.store).await?;
        }
        self.request_to_leave().await?;
        let mut observed = self.observe().await?;
        self.remember_runners(observed.runners().map(|(incarnation, process)| (incarnation.to_owned(), process)));
        if self.jobs.mux.restore_socket(&mut observed.runners().map(|(_, process)| process)) {
            tracing::warn!("the socket of tmux was removed: its server makes it again");
            self.observer.look_at_tmux();
            // Before anything is opened, which would start another server.
            return Ok(Pass::Look(Duration::from_millis(50)));
        }
        let epoch = &observed.snapshot.epoch;
        if !epoch.is_known || epoch.number < self.store.epoch() {
            // Redis was emptied while it served.
            self.store.look_at_epoch().await?;
            return Ok(Pass::Look(Duration::ZERO));
        }
        if observed.snapshot.requests.stop.is_none() {
            self.leaving.is_withdrawn();
        }
        // While Redis answers but does not write, no agent can report, and a supervisor that only reads would not notice.
        if observed.is_anyone_silent(self.config.supervisor.lease / 2) {
            self.store.can_write().await?;
        }
        for damaged in &observed.snapshot.damaged {
            self.jobs.complain(damaged.clone());
        }
        for id in &observed.snapshot.broken {
            self.store.quarantine(id, "", "it ran, and does not say by whom").await?;
        }
        if self.reload(&observed.snapshot).await? {
            observed = self.observe().await?;
        }
        if self.tell_limits(&observed.snapshot).await? {
            // Roles that are suspended from now on are not in that snapshot.
            observed = self.observe().await?;
        }
        self.release(&observed.snapshot).await?;
        if observed.snapshot.notices > 0 {
            self.notifier.tell(&self.store, &self.config, &self.environment).await?;
        }
        if let Some(problem) = self.jobs.take_masters_problem() {
            self.start_has_failed(problem, &observed.snapshot).await?;
        }
        self.watches.keep(observed.runners());
        // Redis has answered, and writes: silence during this pass is an agent's own.
        self.observer.count(&mut observed);
        let actions = decide::decide(&observed.world(&self.config));
        let mut worked = false;
        for action in actions {
            if self.leadership.as_ref().is_some_and(|leadership| !leadership.is_sure()) {
                // This pass has taken too long; whether we still decide is asked first.
                return Ok(Pass::Look(Duration::ZERO));
            }
            if action == Action::ShutDown {
                return Ok(Pass::ShutDown);
            }
            tracing::debug!(?action);
            let what = format!("{action:?}");
            match self.act(action, &observed).await {
                Ok(()) => worked = true,
                // What is wrong with one thing must not hold up everything else.
                Err(e) if e.concerns_one_record() => self.jobs.complain(format!("{what}: {e}")),
                Err(e) => return Err(e),
            }
        }
        // While everything is being stopped, no `orch start` waits for a master.
        if observed.snapshot.requests.stop.is_none() {
            let session = &self.config.master.session;
            let breaker = observed.snapshot.breakers.get(session);
            let is_up = observed.is_up(session) && observed.snapshot.epoch.settling_until.is_none();
            self.announcement.master(is_up, breaker, || self.home.agent_log(session));
        }
        self.keep_house(&observed.snapshot);
        let next = observed.next_look(self.config.supervisor.lease).min(LOOK_AGAIN).min(self.observer.patience());
        // Actions change what is to be decided next, so the next look comes soon, but not immediately.
        Ok(Pass::Look(if worked { next.min(Duration::from_millis(50)) } else { next }))
    }

    async fn observe(&mut self) -> Result<Observed, StoreError> {
        let hands = self.jobs.hands();
        if self.jobs.have_sessions_changed() {
            self.observer.look_at_tmux();
        }
        self.observer.observe(&self.store, hands).await
    }

    /// Begins the chores that are due, once those before them have ended.
    fn keep_house(&mut self, snapshot: &Arc<Snapshot>) {
        // Not in a folder that another supervisor may have made in the place of ours.
        if self.gone.is_some() || !self.chores.is_free() {
            return;
        }
        let Some(due) = self.housekeeping.due(&self.config) else { return };
        let (store, home, config) = (self.store.clone(), self.home.clone(), self.config.clone());
        let snapshot = snapshot.clone();
        self.chores.begin(on_a_thread(async move {
            if let Err(e) = due.run(&store, &home, &config, &snapshot).await {
                tracing::warn!("housekeeping: {e}");
            }
        }));
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

    /// Nothing is left but Redis and us.
    async fn shut_down(mut self) -> Result<()> {
        failpoint!("stop.all_ended");
        if self.gone.is_none()
            && let Ok(seen) = self.store.observe(&[]).await
        {
            // A runner that was ended while it told its own may have left it.
            if let Err(e) = salvage::tell_all(&self.store, &self.home, &seen).await {
                tracing::warn!("reports stay for the next start: {e}");
            }
            if let Err(e) = self.store.remember(&seen) {
                tracing::warn!("what Redis has come to could not be remembered: {e}");
            }
        }
        // The next start takes the request back as well, and the event is news at best: neither may keep us from ending.
        let reason = "everything has ended in order";
        if let Err(e) =
            self.store.withdraw(&[Request::Stop { drain: false }], EventKind::SupervisorStopped, reason).await
        {
            tracing::warn!("the request to stop stays, and its end was not recorded: {e}");
        }
        if let Some(leadership) = &self.leadership {
            leadership.end(&self.store).await;
        }
        if self.gone.is_some() {
            self.end_known().await;
        }
        let home = self.reachable_home();
        if let Some(home) = &home {
            // No runner is left that could be writing one.
            home.remove_unfinished_reports(Duration::ZERO);
            home.remove_ended_runners(|_| false);
            cgroups::end_all(home).await;
            let _ = std::fs::remove_dir_all(home.program());
        }
        failpoint!("stop.withdrawn");
        match self.redis.shut_down().await {
            // What it leaves on the disk is where the folder is now, or nowhere.
            Err(e) if self.gone.is_some() => {
                tracing::info!("redis-server has ended: {e}");
                if let Some(home) = &home {
                    redis_server::end(home.path(), Duration::from_secs(1));
                }
            }
            ended => ended?,
        }
        failpoint!("stop.redis_ended");
        home.iter().for_each(|home| drop(std::fs::remove_file(home.running())));
        failpoint!("stop.unmarked");
        self.announcement.ready();
        tracing::info!("stopped");
        Ok(())
    }
}

/// What a pass came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Look again after this long, or when woken.
    Look(Duration),
    /// All has ended.
    ShutDown,
    /// Another supervisor has taken over.
    Replaced,
}
