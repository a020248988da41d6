//! `orch stop`: an orderly stop if supervisor and Redis take part in it, otherwise a forced one.
//!
//! In an orderly stop, the request is written to Redis, the supervisor ends agents, master and Redis, and everything
//! is recorded. The emergency stop needs none of that, and no disk space: it ends processes ([`Home::end_processes`]),
//! then the private Redis, then closes the sessions that tmux still shows. Nothing that was accepted is lost: results
//! are in the runners' journals, and the next supervisor records what has ended.
//!
//! [`Home::end_processes`]: crate::home::Home::end_processes

mod force;

use std::{
    future::pending,
    pin::pin,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use tokio::time::timeout;

use super::{Caller, Ops, Stopped, status::is_frozen};
use crate::{
    error::{Error, Kind, Result},
    model::event::EventKind,
    mux::{Mux, MuxError, TmuxMux, TmuxOptions},
    os::{ExitWatch, ProcessId, failpoint},
    redis_server,
    store::{StoreError, requests::Request},
};

/// How long Redis may take to answer and to accept the request. A private server that was killed is back within a second.
const ANSWERS: Duration = Duration::from_millis(1500);
/// How long a supervisor may take without progress, beyond the grace of the programs.
const WITHOUT_PROGRESS: Duration = Duration::from_secs(2);
/// The same once no agent is left: it records their ends, closes sessions, and ends Redis.
const LAST_STEPS: Duration = Duration::from_secs(5);
/// After this long without progress and without agents, whether tmux answers is checked.
const CHECK_TMUX: Duration = Duration::from_millis(300);
/// How long tmux may take to answer in an emergency.
const TMUX: Duration = Duration::from_millis(700);
/// How long another `orch start` or `orch stop` may take beyond the grace of the programs.
const TURN: Duration = Duration::from_secs(15);
/// How long a supervisor that was started only to stop may take beyond that grace: its Redis loads its data first.
const TO_STOP: Duration = Duration::from_secs(30);
/// How long a stop may take in all where the programs' grace is short: two graces, and what a loaded machine needs.
const STOP: Duration = Duration::from_secs(90);

/// How the attempt to stop in order ended.
enum InOrder {
    Stopped(Stopped),
    /// This has to be ended by force.
    Failed(Error),
    /// This is the answer.
    Refused(Error),
}

impl Ops {
    /// Ends everything: agents, master, Redis, supervisor.
    ///
    /// With `drain`, running tasks finish first; `limit` then bounds that, and what is left is stopped. Without it,
    /// `limit` bounds the wait. Where supervisor, Redis, tmux or the disk do not do their part, everything is ended by
    /// force.
    ///
    /// # Errors
    /// `TimedOut` if it takes longer than `limit`; it continues in the background. `Failed` if processes cannot be ended.
    pub async fn stop(&self, drain: bool, limit: Option<Duration>) -> Result<Stopped> {
        self.refuse_within_attempt("stop")?;
        if let Caller::Agent { .. } = self.caller {
            // The master's program is among what is stopped: it only asks.
            self.request_stop(drain).await?;
            return Ok(Stopped { stopped: true, ..Stopped::default() });
        }
        if !self.home.path().is_dir() {
            return self.stop_without_folder().await;
        }
        self.await_visible_supervisor().await?;
        self.continue_what_was_stopped();
        let mut stopped = match self.stop_in_order(drain, limit).await {
            InOrder::Stopped(stopped) => stopped,
            InOrder::Refused(e) => return Err(e),
            InOrder::Failed(e) => self.stop_by_force(e).await?,
        };
        stopped.left.extend(self.unsafe_folder.as_ref().map(|e| {
            let hint = e.hint.as_deref().map_or_else(String::new, |hint| format!("; {hint}"));
            format!("{e}{hint}")
        }));
        Ok(stopped)
    }

    /// Without a state folder nothing runs, unless the folder was removed under a fleet. Its supervisor notices that, and ends
    /// everything in order; where it does not, the sessions are closed here.
    async fn stop_without_folder(&self) -> Result<Stopped> {
        let (began, limit) = (Instant::now(), STOP.max(self.config.supervisor.kill_grace * 3));
        let mut stopped = Stopped::default();
        // A tmux that is missing or silent shows no session.
        while self.has_sessions().await.unwrap_or(false) {
            stopped.stopped = true;
            if began.elapsed() > limit {
                self.close_sessions().await?;
                stopped.left.push(format!(
                    "the state folder {} was removed while orch ran, and its supervisor did not end: the sessions were closed",
                    self.home.path().display()
                ));
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if !stopped.stopped {
            self.refuse_other_name()?;
        }
        Ok(stopped)
    }

    /// Whether any session carries our tags.
    pub(super) async fn has_sessions(&self) -> Result<bool> {
        Ok(self.quick_mux().sessions().await?.iter().any(|session| self.is_ours(session)))
    }

    /// A supervisor or a private Redis that was stopped by a signal does its part once it continues.
    fn continue_what_was_stopped(&self) {
        let private = self.config.redis.url.is_none();
        let redis = private.then(|| redis_server::running(self.home.path())).flatten();
        for process in self.supervisor().into_iter().chain(redis) {
            if is_frozen(&process) {
                let _ = process.signal(Signal::SIGCONT);
            }
        }
    }

    async fn stop_in_order(&self, drain: bool, limit: Option<Duration>) -> InOrder {
        // A signal means `orch stop` to every supervisor, also where it reads its requests elsewhere.
        let mut by_signal = self.unknown_redis.is_some();
        if let Some(e) = self.unknown_redis.as_ref().filter(|_| drain) {
            return InOrder::Refused(e.clone());
        }
        if !drain && !by_signal && self.supervisor().is_some() {
            match timeout(ANSWERS, self.reach()).await {
                Ok(Ok(_)) => {}
                Ok(Err(e)) if e.is_of_an_older_format() => by_signal = true,
                // Another release runs here, and knows how to stop it.
                Ok(Err(e)) if e.is_of_another_format() => return InOrder::Refused(e.into()),
                Ok(Err(e)) => return InOrder::Failed(e.into()),
                Err(_) => return InOrder::Failed(self.silent_redis(ANSWERS)),
            }
        }
        let hastened = !drain && !by_signal && self.hasten_drain().await;
        let grace = self.config.supervisor.kill_grace;
        let longest = STOP.max(grace * 3);
        let turn = match drain {
            true => self.turn().await,
            false => self.turn_within(TURN + grace * 2).await,
        };
        let _turn = match turn {
            Ok(turn) => turn,
            Err(e) => return InOrder::Failed(e),
        };
        let Some(supervisor) = self.supervisor() else {
            return match timeout(TO_STOP + grace * 2, self.stop_what_is_left()).await {
                Ok(Ok(stopped)) => InOrder::Stopped(Stopped { stopped: stopped || hastened, ..Stopped::default() }),
                // Nothing runs here, and nothing is to be ended by force.
                Ok(Err(e)) if e.kind == Kind::Conflict && !self.home.running().exists() => InOrder::Refused(e),
                Ok(Err(e)) => InOrder::Failed(e),
                Err(_) => InOrder::Failed(Error::timed_out("the supervisor that was started to stop takes very long")),
            };
        };
        if by_signal {
            if let Err(e) = supervisor.signal(Signal::SIGTERM) {
                return InOrder::Failed(Error::internal(format!("the supervisor (pid {}): {e}", supervisor.pid)));
            }
            return match self.ends(&supervisor, limit.unwrap_or(longest)).await {
                Ok(true) => InOrder::Stopped(Stopped { stopped: true, ..Stopped::default() }),
                Ok(false) => self.still_ending(&supervisor, limit),
                Err(e) => InOrder::Failed(e),
            };
        }
        let mut open_tasks = None;
        if drain {
            if let Err(e) = self.request_stop(true).await {
                // Running tasks were to finish: that is no reason to end them.
                return InOrder::Refused(e);
            }
            match ended(&supervisor, limit).await {
                Ok(true) => return self.stopped_in_order(open_tasks).await,
                Ok(false) => {}
                Err(e) => return InOrder::Failed(e),
            }
        }
        let request = async {
            let open_tasks = self.open_tasks().await;
            self.request_stop(false).await.map(|()| open_tasks)
        };
        match timeout(ANSWERS, request).await {
            Ok(Ok(open)) => open_tasks = open,
            Ok(Err(e)) => return InOrder::Failed(e),
            Err(_) => return InOrder::Failed(self.silent_redis(ANSWERS)),
        }
        failpoint!("stop.requested");
        match self.ends(&supervisor, limit.filter(|_| !drain).unwrap_or(longest)).await {
            Ok(true) => self.stopped_in_order(open_tasks).await,
            Ok(false) => self.still_ending(&supervisor, limit.filter(|_| !drain)),
            Err(e) => InOrder::Failed(e),
        }
    }

    /// The supervisor has ended. It may have been killed before it had done everything.
    async fn stopped_in_order(&self, open_tasks: Option<u64>) -> InOrder {
        match self.stop_what_is_left().await {
            Ok(_) => InOrder::Stopped(Stopped { stopped: true, open_tasks, ..Stopped::default() }),
            Err(e) => InOrder::Failed(e),
        }
    }

    /// The time is over. Where a person has set it, the supervisor continues; otherwise everything is ended by force.
    fn still_ending(&self, supervisor: &ProcessId, limit: Option<Duration>) -> InOrder {
        let error = Error::timed_out(format!(
            "not everything has ended yet; the supervisor (pid {}) continues",
            supervisor.pid
        ))
        .hint("see what is left with: orch status");
        if limit.is_some() { InOrder::Refused(error) } else { InOrder::Failed(error) }
    }

    /// A running `stop --drain` keeps its turn while tasks run. A `stop` that is called meanwhile ends the draining tasks now.
    /// Returns whether there was one.
    async fn hasten_drain(&self) -> bool {
        let hasten = async {
            let drains = self.store.requests().await.is_ok_and(|requests| requests.stop == Some(true));
            drains && self.request_stop(false).await.is_ok()
        };
        self.supervisor().is_some() && timeout(ANSWERS, hasten).await.unwrap_or(false)
    }

    /// No supervisor lives to do it: one is started for it. Where the last one ended in order, there is nothing to do.
    async fn stop_what_is_left(&self) -> Result<bool> {
        if !self.home.running().exists() {
            if self.home.owner().is_none() {
                // What is there was written after the folder was removed.
                return Ok(self.stop_without_folder().await?.stopped);
            }
            self.refuse_other_name()?;
            return Ok(false);
        }
        if let Some(quicker) = self.launch_supervisor(&["--to-stop"]).await? {
            self.request_stop(false).await?;
            ended(&quicker, Some(STOP)).await?;
        }
        Ok(true)
    }

    /// How many tasks have not ended. A stop does not wait for a Redis that does not answer.
    async fn open_tasks(&self) -> Option<u64> {
        let counts = self.store().task_counts().await.ok()?;
        Some(counts.into_iter().filter(|(state, _)| !state.is_terminal()).map(|(_, n)| n).sum())
    }

    async fn request_stop(&self, drain: bool) -> Result<()> {
        let reason = if drain { "orch stop --drain" } else { "orch stop" };
        self.ask(async |store| store.request(&Request::Stop { drain }, EventKind::SupervisorStopping, reason).await)
            .await
            .map(drop)
    }

    /// Waits until Redis answers: a private server that was killed is being restarted.
    async fn reach(&self) -> Result<(), StoreError> {
        while let Err(e) = self.store().info().await {
            if !e.is_unreachable() {
                return Err(e);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until the supervisor has ended; `false` when `limit` has passed.
    ///
    /// # Errors
    /// It makes no progress: no agent ends, and then it does not end itself.
    async fn ends(&self, supervisor: &ProcessId, limit: Duration) -> Result<bool> {
        let began = Instant::now();
        let mut progress = (self.agents_left(), Instant::now());
        let mut is_tmux_checked = false;
        // Known before the last agent has ended: a supervisor that waits for a silent tmux ends no more.
        let mut silent = pin!(self.silent_tmux());
        let mut is_silent = None;
        while began.elapsed() < limit {
            let step = Duration::from_millis(100).min(limit.saturating_sub(began.elapsed()));
            let has_ended = tokio::select! {
                has_ended = ended(supervisor, Some(step)) => has_ended?,
                error = &mut silent, if is_silent.is_none() => {
                    is_silent = Some(error);
                    false
                }
            };
            if has_ended {
                return Ok(true);
            }
            let left = self.agents_left();
            if left != progress.0 {
                progress = (left, Instant::now());
            }
            let quiet = progress.1.elapsed();
            let patience = match left {
                0 => LAST_STEPS,
                _ => self.config.supervisor.kill_grace + WITHOUT_PROGRESS,
            };
            if quiet > patience {
                let pid = supervisor.pid;
                return Err(Error::timed_out(format!("the supervisor (pid {pid}) makes no progress")));
            }
            if left == 0
                && let Some(error) = is_silent.take()
            {
                return Err(error.into());
            }
            if left == 0 && quiet > CHECK_TMUX && !std::mem::replace(&mut is_tmux_checked, true) {
                self.quick_mux().sessions().await?;
            }
        }
        Ok(false)
    }

    /// Returns once tmux has twice not answered: a busy one may miss one time limit. Waits forever where it answers.
    async fn silent_tmux(&self) -> MuxError {
        let mux = self.quick_mux();
        match (mux.sessions().await, mux.sessions().await) {
            (Err(_), Err(error)) => error,
            _ => pending().await,
        }
    }

    fn agents_left(&self) -> usize {
        self.home.living_runners().map_or(0, |runners| runners.len())
    }

    fn quick_mux(&self) -> TmuxMux {
        TmuxMux::new(TmuxOptions { socket: self.config.tmux.socket.clone(), limit: TMUX, ..TmuxOptions::default() })
    }

    /// The error for a Redis that does not answer.
    fn silent_redis(&self, waited: Duration) -> Error {
        let message = || {
            let (address, waited) = (self.store().address(), crate::model::duration::human(waited));
            Error::not_running(format!("Redis at {address} has not answered for {waited}")).hint("orch doctor")
        };
        self.frozen_redis().unwrap_or_else(message)
    }

    /// The error for a private Redis whose process was stopped by a signal; `None` if it was not.
    pub(super) fn frozen_redis(&self) -> Option<Error> {
        let private = self.config.redis.url.is_none();
        let server = private.then(|| redis_server::running(self.home.path())).flatten().filter(is_frozen)?;
        let what = format!("the private Redis (pid {}) was stopped by a signal, and does not answer", server.pid);
        Some(Error::not_running(what).hint(format!("kill -CONT {}, or end everything: orch stop", server.pid)))
    }
}

/// Whether a process ends within a time; without one, however long it takes.
pub(super) async fn ended(process: &ProcessId, within: Option<Duration>) -> Result<bool> {
    let watch = ExitWatch::new(process)
        .map_err(|e| Error::internal(format!("the supervisor (pid {}) can't be watched: {e}", process.pid)))?;
    let Some(mut watch) = watch else { return Ok(true) };
    match within {
        Some(limit) => Ok(timeout(limit, watch.exited()).await.is_ok()),
        None => {
            watch.exited().await;
            Ok(true)
        }
    }
}
