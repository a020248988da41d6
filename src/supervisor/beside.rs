//! Work beside the loop: what may take its time (tmux, the disk, scans of processes) delays no decision by it.
//!
//! [`Beside`] is one piece of work at a time whose result the loop takes in a later pass. [`Jobs`] are those about one
//! agent: each kind at most once per incarnation, a bounded number of them at the same time, and what they have done is
//! in Redis when they end. Both wake the loop.
//!
//! The runtime has one thread, so what touches the disk runs on a thread of its own ([`on_a_thread`]).

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

/// A pass waits this long for what was begun in it: tmux and the disk answer in a few milliseconds as a rule, and a pass
/// that knows decides better than one that does not.
const WAIT: Duration = Duration::from_millis(25);
/// Sessions that are opened at the same time. tmux does one thing at a time; more would only wait in its queue.
const OPENING_AT_ONCE: usize = 4;
/// Agents whose ends are recorded at the same time.
const REAPING_AT_ONCE: usize = 4;
/// Process trees that are ended at the same time: each takes some scans of all processes.
const ENDING_AT_ONCE: usize = 4;

/// One piece of work at a time, of which the loop takes the result.
pub(super) struct Beside<T> {
    running: Option<(Instant, JoinHandle<T>)>,
    wake: Arc<Notify>,
    /// For how long it was waited for since that was asked last.
    waited: Duration,
}

impl<T: Send + 'static> Beside<T> {
    pub fn new(wake: Arc<Notify>) -> Self {
        Beside { running: None, wake, waited: Duration::ZERO }
    }

    /// Whether there is some whose result was not taken.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Begins it; what ran before goes on, and its result is dropped. Where its result is needed, [`Self::take`] is to
    /// follow in the same pass: what is quick wakes nobody.
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

    /// Whether it has ended, and may be begun again; its result is dropped. It is not waited for.
    pub fn is_free(&mut self) -> bool {
        self.running.take_if(|(_, running)| running.is_finished());
        self.running.is_none()
    }

    /// For how long it was waited for since the last call.
    pub fn take_waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }
}

impl<T> Drop for Beside<T> {
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
        // The runtime ends, and everything with it.
        Err(_) => std::future::pending().await,
    }
}

/// What is being done about some agents, by their incarnations.
#[derive(Debug, Clone, Default)]
pub(super) struct InHand(Arc<Mutex<BTreeSet<String>>>);

/// One of them; dropped, it is done.
#[derive(Debug)]
pub(super) struct Hold {
    of: InHand,
    incarnation: String,
}

impl InHand {
    /// Takes one on; `None` where that was done already.
    pub fn take(&self, incarnation: &str) -> Option<Hold> {
        let is_new = self.lock().insert(incarnation.to_owned());
        is_new.then(|| Hold { of: self.clone(), incarnation: incarnation.to_owned() })
    }
    /// All of them at this moment.
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

/// What is in hand, as a pass has found it when it began.
#[derive(Debug, Default)]
pub(super) struct Hands {
    /// Incarnations whose sessions are being opened.
    pub opening: BTreeSet<String>,
    /// Incarnations whose ends are being recorded.
    pub reaping: BTreeSet<String>,
    /// Incarnations whose processes are being ended.
    pub ending: BTreeSet<String>,
}

/// What the work about single agents needs, and which of it is in hand.
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
    /// At most one, under this name: what the disk knows better is told after a loss of data.
    pub recovering: InHand,
    pub opening_slots: Arc<Semaphore>,
    pub reaping_slots: Arc<Semaphore>,
    pub ending_slots: Arc<Semaphore>,
    /// Sessions may have changed since tmux was asked last.
    sessions_changed: Arc<Mutex<bool>>,
    /// Why the master's session could not be opened, until the loop has taken it.
    master_problem: Arc<Mutex<Option<Error>>>,
    /// What has been said in the log and need not be said again.
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

    /// What is in hand now. Looked at before the store is: what ends in between is still in hand then, and so nothing is
    /// done twice.
    pub fn hands(&self) -> Hands {
        Hands { opening: self.opening.now(), reaping: self.reaping.now(), ending: self.ending.now() }
    }

    /// Notes that sessions have been opened or closed.
    pub fn change_sessions(&self) {
        *lock(&self.sessions_changed) = true;
    }

    /// Whether they have since this was asked last.
    pub fn have_sessions_changed(&self) -> bool {
        std::mem::take(&mut *lock(&self.sessions_changed))
    }

    /// Notes why the master's session could not be opened.
    pub fn note_masters_problem(&self, problem: Error) {
        *lock(&self.master_problem) = Some(problem);
    }

    /// That, once.
    pub fn take_masters_problem(&self) -> Option<Error> {
        lock(&self.master_problem).take()
    }

    /// Logs once what every pass finds again.
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
        let mut beside = Beside::new(wake.clone());
        beside.begin(async { 1 });
        assert_eq!(beside.take().await, Some(1));
        assert!(!beside.is_running());

        let (go, gone) = tokio::sync::oneshot::channel();
        beside.begin(async move { gone.await.unwrap_or(0) });
        let began = Instant::now();
        assert_eq!(beside.take().await, None);
        assert!(began.elapsed() >= WAIT);
        assert_eq!(beside.take().await, None, "it is not waited for again");
        go.send(2).unwrap();
        wake.notified().await;
        assert_eq!(beside.take().await, Some(2));
        assert_eq!(beside.take().await, None);
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
