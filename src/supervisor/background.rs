//! Background work: tmux, the disk and scans of processes may take long, and must not delay a decision.
//!
//! [`Background`] runs one piece of work at a time, whose result the loop takes in a later pass. [`Jobs`] are about one agent
//! each: at most one of a kind per incarnation, a bounded number of them concurrently, and their results are in Redis when
//! they end. Both wake the loop.
//!
//! The runtime has one thread, so whatever touches the disk runs on a thread of its own ([`on_a_thread`]).

use std::{
    collections::BTreeSet,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore},
    task::JoinHandle,
};

use crate::{config::Config, error::Error, home::Home, mux::Mux, store::Store};

/// How long a pass waits for work that it has started: tmux and the disk usually answer within a few milliseconds, and a
/// pass that has the answer decides better.
const WAIT: Duration = Duration::from_millis(25);
/// Sessions that are opened concurrently. tmux does one thing at a time; more would only wait in its queue.
const OPENING_AT_ONCE: usize = 4;
/// Agents whose ends are recorded concurrently.
const REAPING_AT_ONCE: usize = 4;
/// Process trees that are ended concurrently: each takes several scans of all processes.
const ENDING_AT_ONCE: usize = 4;

/// One piece of work at a time, whose result the loop takes.
pub(super) struct Background<T> {
    running: Option<(Instant, JoinHandle<T>)>,
    wake: Arc<Notify>,
    /// How long [`Self::take`] has waited since the last [`Self::take_waited`].
    waited: Duration,
}

impl<T: Send + 'static> Background<T> {
    pub fn new(wake: Arc<Notify>) -> Self {
        Background { running: None, wake, waited: Duration::ZERO }
    }

    /// Returns whether there is work whose result was not taken yet.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Starts it; work that was running continues, and its result is dropped. Call [`Self::take`] in the same pass where the
    /// result is needed: work that ends quickly does not wake the loop.
    pub fn begin(&mut self, work: impl Future<Output = T> + Send + 'static) {
        let (began, wake) = (Instant::now(), self.wake.clone());
        let running = tokio::spawn(async move {
            let result = work.await;
            // Before that, the pass in which it began waits for it.
            if began.elapsed() >= WAIT {
                wake.notify_one();
            }
            result
        });
        self.running = Some((began, running));
    }

    /// Returns its result once there is one, and waits for it until it has run for [`WAIT`].
    pub async fn take(&mut self) -> Option<T> {
        let (began, running) = self.running.as_mut()?;
        if !running.is_finished() {
            let (rest, now) = (WAIT.saturating_sub(began.elapsed()), Instant::now());
            let ended = tokio::time::timeout(rest, &mut *running).await;
            self.waited += now.elapsed();
            let ended = ended.ok()?;
            self.running = None;
            return ended.ok();
        }
        let (_, running) = self.running.take()?;
        running.await.ok()
    }

    /// Returns whether it has ended and may be started again, without waiting; its result is dropped.
    pub fn is_free(&mut self) -> bool {
        self.running.take_if(|(_, running)| running.is_finished());
        self.running.is_none()
    }

    /// Returns how long it was waited for since the last call.
    pub fn take_waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }
}

impl<T> Drop for Background<T> {
    fn drop(&mut self) {
        if let Some((_, running)) = &self.running {
            running.abort();
        }
    }
}

/// Runs a future on a thread on which it may block.
///
/// # Panics
/// Where the future does.
pub(super) async fn on_a_thread<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let runtime = Handle::current();
    match tokio::task::spawn_blocking(move || runtime.block_on(work)).await {
        Ok(result) => result,
        Err(e) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
        // The runtime is shutting down.
        Err(_) => std::future::pending().await,
    }
}

/// The agents that one kind of job works on now, by their incarnations.
#[derive(Debug, Clone, Default)]
pub(super) struct InHand(Arc<Mutex<BTreeSet<String>>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    of: InHand,
    incarnation: String,
}

impl InHand {
    /// Adds one; `None` if it was added already.
    pub fn take(&self, incarnation: &str) -> Option<Hold> {
        let is_new = self.lock().insert(incarnation.to_owned());
        is_new.then(|| Hold { of: self.clone(), incarnation: incarnation.to_owned() })
    }
    /// Returns all of them.
    pub fn now(&self) -> BTreeSet<String> {
        self.lock().clone()
    }
    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.of.lock().remove(&self.incarnation);
    }
}

/// What the jobs work on, as of the start of a pass.
#[derive(Debug, Default)]
pub(super) struct Hands {
    /// Incarnations whose sessions are being opened.
    pub opening: BTreeSet<String>,
    /// Incarnations whose ends are being recorded.
    pub reaping: BTreeSet<String>,
    /// Incarnations whose processes are being ended.
    pub ending: BTreeSet<String>,
}

/// What jobs about single agents need, and what they work on now.
#[derive(Clone)]
pub(super) struct Jobs {
    pub config: Arc<Config>,
    pub home: Home,
    pub store: Arc<Store>,
    pub mux: Arc<dyn Mux>,
    pub wake: Arc<Notify>,
    pub opening: InHand,
    pub reaping: InHand,
    pub ending: InHand,
    /// At most one, under an empty name: after a loss of data, what the disk still has is reported to Redis.
    pub recovering: InHand,
    pub opening_slots: Arc<Semaphore>,
    pub reaping_slots: Arc<Semaphore>,
    pub ending_slots: Arc<Semaphore>,
    /// Sessions may have changed since tmux was asked last.
    sessions_changed: Arc<Mutex<bool>>,
    /// Why the master's session could not be opened, until the loop has taken it.
    master_problem: Arc<Mutex<Option<Error>>>,
    /// What stands in the log and need not be logged again.
    complaints: Arc<Mutex<BTreeSet<String>>>,
}

impl Jobs {
    pub fn new(config: Arc<Config>, home: Home, store: Arc<Store>, mux: Arc<dyn Mux>, wake: Arc<Notify>) -> Self {
        Jobs {
            config,
            home,
            store,
            mux,
            wake,
            opening: InHand::default(),
            reaping: InHand::default(),
            ending: InHand::default(),
            recovering: InHand::default(),
            opening_slots: Arc::new(Semaphore::new(OPENING_AT_ONCE)),
            reaping_slots: Arc::new(Semaphore::new(REAPING_AT_ONCE)),
            ending_slots: Arc::new(Semaphore::new(ENDING_AT_ONCE)),
            sessions_changed: Arc::default(),
            master_problem: Arc::default(),
            complaints: Arc::default(),
        }
    }

    /// Returns what the jobs work on now. Call it before the store is read: a job that ends in between still counts then, and
    /// nothing is done twice.
    pub fn hands(&self) -> Hands {
        Hands { opening: self.opening.now(), reaping: self.reaping.now(), ending: self.ending.now() }
    }

    /// Records that sessions have been opened or closed.
    pub fn change_sessions(&self) {
        *lock(&self.sessions_changed) = true;
    }

    /// Returns whether that has happened since the last call.
    pub fn have_sessions_changed(&self) -> bool {
        std::mem::take(&mut *lock(&self.sessions_changed))
    }

    /// Records why the master's session could not be opened.
    pub fn note_masters_problem(&self, problem: Error) {
        *lock(&self.master_problem) = Some(problem);
    }

    /// Returns that reason, once.
    pub fn take_masters_problem(&self) -> Option<Error> {
        lock(&self.master_problem).take()
    }

    /// Logs an error once that every pass finds again.
    pub fn complain(&self, what: String) {
        let mut complaints = lock(&self.complaints);
        if complaints.len() > 1000 {
            complaints.clear();
        }
        if !complaints.contains(&what) {
            tracing::error!("{what}");
            complaints.insert(what);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_quick_is_there_in_the_same_pass_and_what_is_slow_wakes_the_loop() {
        let wake = Arc::new(Notify::new());
        let mut background = Background::new(wake.clone());
        background.begin(async { 1 });
        assert_eq!(background.take().await, Some(1));
        assert!(!background.is_running());

        let (go, gone) = tokio::sync::oneshot::channel();
        background.begin(async move { gone.await.unwrap_or(0) });
        let began = Instant::now();
        assert_eq!(background.take().await, None);
        assert!(began.elapsed() >= WAIT);
        assert_eq!(background.take().await, None, "it is not waited for again");
        go.send(2).unwrap();
        wake.notified().await;
        assert_eq!(background.take().await, Some(2));
        assert_eq!(background.take().await, None);
    }

    #[test]
    fn a_thing_is_in_hand_once_until_it_is_let_go() {
        let hands = InHand::default();
        let first = hands.take("a").unwrap();
        assert!(hands.take("a").is_none() && hands.take("b").is_some());
        assert_eq!(hands.now().len(), 1, "b was let go at once");
        drop(first);
        assert!(hands.take("a").is_some());
    }
}
