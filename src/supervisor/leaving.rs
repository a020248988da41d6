//! SIGTERM and Ctrl-C to the supervisor mean `orch stop`.
//!
//! The loop writes the request to Redis and executes it. If it cannot, because Redis does not accept the request or
//! something else hangs, this module forces the stop ([`Home::end_processes`]): a service manager, or a person who
//! presses Ctrl-C, gets a stop in any case.

use std::{
    process,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::timeout,
};

use crate::{
    config::Config,
    error::{Error, Result},
    home::{Home, marker},
    os::{self, ProcessId, Tree},
    redis_server,
};

/// How long Redis may take to accept the request.
const ACCEPTS: Duration = Duration::from_secs(2);
/// How long everything may take from then on, beyond two graces of the programs: the agents', then the master's.
const ENDS: Duration = Duration::from_secs(10);
/// The longest grace of the runners in a stop by force.
const GRACE: Duration = Duration::from_secs(1);
/// How long killed processes may take to be gone.
const LIMIT: Duration = Duration::from_secs(1);

/// Whether a signal has asked us to end everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// None has.
    No,
    /// One has, and Redis does not know it yet.
    Asked,
    /// It is a request by now.
    Requested,
    /// A second one has: this supervisor ends, and the agents continue.
    AskedTwice,
}

/// What the signals have asked for.
#[derive(Debug)]
pub(super) struct Leaving {
    state: watch::Sender<State>,
    changed: watch::Receiver<State>,
    /// Why everything is to end, where no signal has asked for it.
    why: Option<String>,
    known: Arc<Mutex<Known>>,
}

/// What a stop by force ends without the state folder, which is gone.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// The folder is gone, and what is in its place is another supervisor's.
    is_gone: bool,
    /// The incarnations and processes of the runners.
    runners: Vec<(String, ProcessId)>,
    /// The private Redis.
    redis: Option<ProcessId>,
}

impl Known {
    /// Ends the processes. Blocks.
    pub(super) fn end(&self, but_redis: bool) {
        let processes: Vec<ProcessId> = self.runners.iter().map(|(_, process)| *process).collect();
        let markers = self.runners.iter().map(|(incarnation, _)| marker(incarnation)).collect();
        let tree = Tree { roots: processes.clone(), sessions: processes, markers, ..Tree::default() };
        match os::end_tree(&tree, &[], Duration::ZERO, LIMIT) {
            Ok(report) => tracing::info!(?report, "the agents of the folder that is gone have ended"),
            Err(e) => tracing::error!("what runs is unknown: {e}"),
        }
        if let Some(redis) = self.redis.filter(|_| !but_redis) {
            let _ = redis.signal(nix::sys::signal::Signal::SIGKILL);
        }
    }
}

impl Leaving {
    /// Nothing was asked for.
    pub fn new() -> Self {
        let (state, changed) = watch::channel(State::No);
        Leaving { state, changed, why: None, known: Arc::default() }
    }

    /// Asks for it as a signal does, because the state folder is gone.
    pub fn ask_without_folder(&mut self, why: String) {
        self.why = Some(why);
        self.lock().is_gone = true;
        self.state.send_if_modified(|state| *state == State::No && replaced(state, State::Asked));
    }

    /// Why it was asked for.
    pub fn reason(&self) -> String {
        self.why.clone().unwrap_or_else(|| "the supervisor was sent a signal".to_owned())
    }

    /// Remembers what runs, as long as any does.
    pub fn remember(&self, runners: Vec<(String, ProcessId)>, redis: Option<ProcessId>) {
        if !runners.is_empty() {
            let mut known = self.lock();
            (known.runners, known.redis) = (runners, redis.or(known.redis));
        }
    }

    /// Remembers what else runs: the folder that lists all of it is gone.
    pub fn remember_also(&self, runners: impl Iterator<Item = (String, ProcessId)>) {
        let mut known = self.lock();
        for runner in runners {
            if !known.runners.contains(&runner) {
                known.runners.push(runner);
            }
        }
    }

    /// What was remembered last.
    pub fn known(&self) -> Known {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Waits for the next change.
    pub async fn changed(&mut self) {
        // The sender lives as long as this does.
        let _ = self.changed.changed().await;
    }

    /// What was asked for is a request by now.
    pub fn is_requested(&self) {
        self.state.send_if_modified(|state| *state == State::Asked && replaced(state, State::Requested));
    }

    /// The request was withdrawn: `orch start`.
    pub fn is_withdrawn(&self) {
        self.state.send_if_modified(|state| *state == State::Requested && replaced(state, State::No));
    }

    /// Listens to the signals, independently of the loop.
    pub fn listen(&self, config: &Config, home: &Home) -> Result<()> {
        let listen = |kind| signal(kind).map_err(|e| Error::internal(format!("signals: {e}")));
        let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        let state = self.state.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                state.send_modify(|state| {
                    *state = if *state == State::No { State::Asked } else { State::AskedTwice };
                });
            }
        });
        let (state, home, grace) = (self.changed.clone(), home.clone(), config.supervisor.kill_grace);
        let (private, known) = (config.redis.url.is_none(), self.known.clone());
        tokio::spawn(async move {
            let why = overdue(state, ACCEPTS, ENDS + grace * 2).await;
            let known = known.lock().unwrap_or_else(PoisonError::into_inner).clone();
            stop_by_force(&home, private, grace, &known, why)
        });
        Ok(())
    }
}

fn replaced(state: &mut State, by: State) -> bool {
    *state = by;
    true
}

/// Returns once a stop that was asked for is overdue: why.
async fn overdue(mut state: watch::Receiver<State>, accepts: Duration, ends: Duration) -> &'static str {
    loop {
        if state.wait_for(|state| *state == State::Asked).await.is_err() {
            std::future::pending::<()>().await;
        }
        if timeout(accepts, state.wait_for(|state| *state != State::Asked)).await.is_err() {
            return "Redis does not accept the request to stop";
        }
        if timeout(ends, state.wait_for(|state| *state != State::Requested)).await.is_err() {
            return "not all has ended in time";
        }
    }
}

/// Ends everything by its processes, and this one. Blocks the runtime's only thread on purpose: the loop must not start
/// anything meanwhile.
fn stop_by_force(home: &Home, private: bool, grace: Duration, known: &Known, why: &str) -> ! {
    tracing::error!("{why}: everything is ended by force");
    if known.is_gone {
        known.end(!private);
        process::exit(0)
    }
    let redis = if private { redis_server::running(home.path()) } else { None };
    let spared: Vec<u32> = redis.iter().map(|process| process.pid).collect();
    match home.end_processes(None, &spared, grace.min(GRACE), LIMIT) {
        Ok(ended) => tracing::warn!(?ended, "the agents were ended"),
        Err(e) => tracing::error!("what runs is unknown: {e}"),
    }
    if private {
        redis_server::end(home.path(), LIMIT);
    }
    home.mark_stopped();
    process::exit(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_is_overdue_only_while_it_was_asked_for_and_has_not_happened() {
        const SHORT: Duration = Duration::from_millis(20);
        const LONG: Duration = Duration::from_secs(60);
        let leaving = Leaving::new();
        let waits = |accepts, ends| timeout(SHORT * 5, overdue(leaving.changed.clone(), accepts, ends));
        assert!(waits(SHORT, SHORT).await.is_err(), "nothing was asked for");
        leaving.state.send_replace(State::Asked);
        assert_eq!(waits(SHORT, LONG).await, Ok("Redis does not accept the request to stop"));
        let requested = async { leaving.is_requested() };
        assert_eq!(tokio::join!(waits(LONG, SHORT), requested).0, Ok("not all has ended in time"));
        leaving.state.send_replace(State::Asked);
        let withdrawn = async {
            leaving.is_requested();
            leaving.is_withdrawn();
        };
        assert!(tokio::join!(waits(LONG, LONG), withdrawn).0.is_err(), "it was withdrawn");
    }
}
