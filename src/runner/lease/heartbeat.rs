//! The heartbeat: renews the lease, reports the program's state, and receives directives.
//!
//! It runs concurrently with the attempt, so that neither a slow Redis nor a flood of output delays the other.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Notify, mpsc, watch};

use crate::runner::{
    Agent,
    lease::blocked_on::{BlockedOn, Changes},
    lease::idling::Idling,
    lease::registration::Registration,
};
use crate::{
    home::launch::Launch,
    model::wait::{Need, Needs, Wait},
    os,
    store::{
        Store,
        agents::{Directive, Pulse, Used},
        tasks::Claimed,
    },
};

/// An attempt and its fence.
pub(in crate::runner) type Lease = Arc<Claimed>;

/// An answer to a heartbeat that requires action.
#[derive(Debug, PartialEq)]
pub(in crate::runner) enum Reply {
    /// A directive, and the lease that was owned when it arrived.
    Directive(Option<Lease>, Directive),
    /// This lease now belongs to another agent.
    LeaseLost(Lease),
    /// The supervisor has declared the agent lost.
    AgentLost,
}

/// The heartbeat of one agent, as seen by the runner.
pub(in crate::runner) struct Heartbeat {
    lease: watch::Sender<Option<Lease>>,
    progress: Arc<Progress>,
    blocked_on: BlockedOn,
    asks: BlockedOn,
    answers: mpsc::Receiver<Reply>,
}

/// When the program last made progress.
pub(in crate::runner) struct Progress {
    began: Instant,
    last_ms: AtomicU64,
    /// Whether the program has called a tool that has not answered yet.
    runs_tool: AtomicBool,
    /// What the program has reported to have used.
    used: Mutex<Option<Used>>,
}

impl Progress {
    /// Records progress now.
    pub fn touch(&self) {
        self.last_ms.store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
    }
    /// Records whether the program waits for a tool, and not for its model.
    pub fn set_runs_tool(&self, runs: bool) {
        self.runs_tool.store(runs, Ordering::Relaxed);
    }
    /// Records what the program has used so far; each heartbeat reports it.
    pub fn set_used(&self, used: Option<Used>) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = used;
    }
    fn used(&self) -> Option<Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    fn age(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.last_ms.load(Ordering::Relaxed)))
    }
}

impl Heartbeat {
    pub fn start(agent: &Agent) -> Self {
        let (store, launch) = (agent.store.clone(), agent.launch.clone());
        let lease = watch::Sender::new(None);
        let (last_ms, runs_tool) = (AtomicU64::new(0), AtomicBool::new(false));
        let progress = Arc::new(Progress { began: Instant::now(), last_ms, runs_tool, used: Mutex::default() });
        let (blocked_on, now) = (BlockedOn::new(agent.redactor.clone()), Arc::new(Notify::new()));
        let asks = BlockedOn::new(agent.redactor.clone());
        tokio::spawn(crate::runner::lease::wakeups::wait_for_inbox(store.clone(), launch.agent.clone(), now.clone()));
        let (sender, answers) = mpsc::channel(8);
        let task = HeartbeatLoop {
            store,
            launch,
            registration: agent.registration.clone(),
            lease: lease.subscribe(),
            progress: progress.clone(),
            blocked_on: blocked_on.clone(),
            asks: asks.clone(),
            idling: Idling::default(),
        };
        tokio::spawn(task.run(now, blocked_on.changes(), sender));
        tokio::spawn(crate::runner::lease::blocked_on::ring(blocked_on.clone(), agent.pane.clone()));
        Heartbeat { lease, progress, blocked_on, asks, answers }
    }

    /// Renews this lease from now on, or none. Clears what the previous program was blocked on.
    pub fn hold(&self, lease: Option<Lease>) {
        self.progress.touch();
        self.progress.set_runs_tool(false);
        self.progress.set_used(None);
        self.blocked_on.set(None);
        self.asks.set(None);
        self.lease.send_replace(lease);
    }
    /// Returns where the attempt records progress.
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }
    /// Returns where the attempt records what its program is blocked on; each change is sent immediately.
    pub fn blocked_on(&self) -> BlockedOn {
        self.blocked_on.clone()
    }
    /// Returns what the program waits for with `orch ask`, as of the last heartbeat.
    pub fn asks(&self) -> BlockedOn {
        self.asks.clone()
    }
    /// Returns the next answer that requires action. Skips answers about a lease that is no longer owned.
    pub async fn next(&mut self) -> Reply {
        loop {
            match self.answers.recv().await {
                Some(Reply::LeaseLost(lease)) if self.lease.borrow().as_ref() != Some(&lease) => {}
                Some(Reply::Directive(lease, Directive::Cancel(_) | Directive::OverBudget(_)))
                    if *self.lease.borrow() != lease => {}
                Some(beat) => return beat,
                // The sender lives as long as the process; no further answer can come.
                None => std::future::pending().await,
            }
        }
    }
}

struct HeartbeatLoop {
    store: Arc<Store>,
    launch: Arc<Launch>,
    registration: Arc<Registration>,
    lease: watch::Receiver<Option<Lease>>,
    progress: Arc<Progress>,
    blocked_on: BlockedOn,
    asks: BlockedOn,
    idling: Idling,
}

impl HeartbeatLoop {
    async fn run(mut self, now: Arc<Notify>, mut blocked_on: Changes, answers: mpsc::Sender<Reply>) {
        let mut tick = tokio::time::interval(self.launch.heartbeat);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first tick fires immediately; registration or `claim` has just reported the same.
        tick.tick().await;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = now.notified() => {}
                () = blocked_on.next() => {}
            }
            // Memory that one attempt needed is returned before the next; otherwise a runner would stay as large as
            // its peak.
            if self.lease.has_changed().unwrap_or(false) {
                os::give_memory_back();
            }
            let (lease, epoch) = (self.lease.borrow_and_update().clone(), self.registration.epoch());
            let pulse = self.pulse(lease.as_deref());
            let answer =
                self.store.heartbeat(&self.launch.agent, &self.launch.incarnation, self.launch.lease, &pulse).await;
            let beat = match answer {
                Ok(directive) => {
                    self.registration.record_epoch(epoch);
                    let asks = match &directive {
                        Directive::Asks(of) => Some(Wait::Person(Need { what: Needs::Input, of: of.clone() })),
                        _ => None,
                    };
                    self.asks.set(asks.filter(|_| *self.lease.borrow() == lease));
                    match directive {
                        Directive::Go | Directive::Asks(_) => continue,
                        directive => Reply::Directive(lease, directive),
                    }
                }
                Err(e) if e.is_stale() => match self.registration.reinstate_concurrently(lease.as_deref()).await {
                    Ok(true) => continue,
                    Ok(false) => match lease {
                        Some(lease) if stale_task(&e, &lease) => Reply::LeaseLost(lease),
                        _ => Reply::AgentLost,
                    },
                    Err(e) => {
                        tracing::warn!("heartbeat: {e}");
                        continue;
                    }
                },
                Err(e) => {
                    tracing::warn!("heartbeat: {e}");
                    continue;
                }
            };
            if answers.send(beat).await.is_err() {
                return;
            }
        }
    }

    fn pulse(&mut self, lease: Option<&Claimed>) -> Pulse {
        let wait = self.blocked_on.get();
        let Some(lease) = lease else {
            let own = std::process::id();
            // The master's program runs without a lease.
            let below = match self.launch.master {
                true => os::descendants(&os::ProcessId::current()).unwrap_or_default(),
                false => Vec::new(),
            };
            let rss_bytes = Some(below.iter().chain([&own]).filter_map(|pid| os::rss_bytes(*pid)).sum());
            let works = self.launch.master && self.blocked_on.works();
            return Pulse { rss_bytes, wait, works, ..Pulse::default() };
        };
        // A program that waits for a person or reports that its service is unavailable does not hang; the attempt's
        // time limit applies. Nor does the waiting time count as silence after it is answered.
        if wait.is_some() || self.asks.get().is_some() {
            self.progress.touch();
        }
        // A program that computes silently makes progress too: the processor time of its process tree shows it. That of an
        // agent program which waits for its model counts only beyond what the program uses when it idles.
        let own = os::ProcessId::current();
        let mut rss_bytes = None;
        if let Ok(below) = os::descendants(&own) {
            rss_bytes = Some(below.iter().chain([&own.pid]).filter_map(|pid| os::rss_bytes(*pid)).sum());
            let cpu: Duration = below.iter().filter_map(|pid| os::cpu_time(*pid)).sum();
            let idle = match self.launch.driver.manifest() {
                Some(manifest) if !self.progress.runs_tool.load(Ordering::Relaxed) => manifest.idle_share,
                _ => 0.0,
            };
            if self.idling.is_at_work(Instant::now(), cpu, idle) {
                self.progress.touch();
            }
        }
        let lease = Some((lease.task.id.clone(), lease.fence));
        let used = self.progress.used();
        Pulse { lease, rss_bytes, progress_age: Some(self.progress.age()), wait, works: false, used }
    }
}

fn stale_task(error: &crate::store::StoreError, lease: &Lease) -> bool {
    matches!(error, crate::store::StoreError::Refused { detail, .. } if *detail == lease.task.id.as_str())
}
