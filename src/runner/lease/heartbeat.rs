//! The heartbeat: renews the lease, says how the program is doing, and brings back what we are told.
//!
//! It runs beside the attempt, so that neither a slow Redis nor a flood of output holds the other up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Notify, mpsc, watch};

use crate::runner::{
    Agent,
    lease::blocked_on::{Changes, Waits},
    lease::registration::Standing,
    output::redact::Redactor,
};
use crate::{
    home::launch::Launch,
    os,
    store::{
        Store,
        agents::{Directive, Pulse},
        tasks::Claimed,
    },
};

/// What is held: an attempt and its fence.
pub(in crate::runner) type Lease = Arc<Claimed>;

/// What a heartbeat was answered with.
#[derive(Debug, PartialEq)]
pub(in crate::runner) enum Beat {
    /// Something is to be done; said while this lease was held.
    Directive(Option<Lease>, Directive),
    /// This lease is not ours any more.
    LeaseLost(Lease),
    /// The agent was given up.
    Gone,
}

/// The heart of one agent.
pub(in crate::runner) struct Beats {
    lease: watch::Sender<Option<Lease>>,
    progress: Arc<Progress>,
    waits: Waits,
    answers: mpsc::Receiver<Beat>,
}

/// When the program last showed a sign of life.
pub(in crate::runner) struct Progress {
    began: Instant,
    last_ms: AtomicU64,
}

impl Progress {
    /// It did just now.
    pub fn touch(&self) {
        self.last_ms.store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
    }
    fn age(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.last_ms.load(Ordering::Relaxed)))
    }
}

impl Beats {
    pub fn start(agent: &Agent) -> Self {
        let (store, launch) = (agent.store.clone(), agent.launch.clone());
        let lease = watch::Sender::new(None);
        let progress = Arc::new(Progress { began: Instant::now(), last_ms: AtomicU64::new(0) });
        let (waits, now) = (Waits::new(Redactor::of(&launch)), Arc::new(Notify::new()));
        tokio::spawn(crate::runner::lease::wakeups::wait_for_inbox(store.clone(), launch.agent.clone(), now.clone()));
        let (sender, answers) = mpsc::channel(8);
        let heart = Heart {
            store,
            launch,
            standing: agent.standing.clone(),
            lease: lease.subscribe(),
            progress: progress.clone(),
            waits: waits.clone(),
            cpu: Duration::ZERO,
        };
        tokio::spawn(heart.beat(now, waits.changes(), sender));
        tokio::spawn(crate::runner::lease::blocked_on::ring(waits.clone(), agent.pane.clone()));
        Beats { lease, progress, waits, answers }
    }

    /// From now on this lease is renewed, or none. What the program before waited for is settled.
    pub fn hold(&self, lease: Option<Lease>) {
        self.progress.touch();
        self.waits.set(None);
        self.lease.send_replace(lease);
    }
    /// Where the attempt notes signs of life.
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }
    /// Where is noted what the program waits for; the heart says it at once.
    pub fn waits(&self) -> Waits {
        self.waits.clone()
    }
    /// The next answer that asks for something. One about a lease that is not held any more is old news.
    pub async fn next(&mut self) -> Beat {
        loop {
            match self.answers.recv().await {
                Some(Beat::LeaseLost(lease)) if self.lease.borrow().as_ref() != Some(&lease) => {}
                Some(Beat::Directive(lease, Directive::Cancel(_))) if *self.lease.borrow() != lease => {}
                Some(beat) => return beat,
                // The heart stops only with the process; nothing more will be said.
                None => std::future::pending().await,
            }
        }
    }
}

struct Heart {
    store: Arc<Store>,
    launch: Arc<Launch>,
    standing: Arc<Standing>,
    lease: watch::Receiver<Option<Lease>>,
    progress: Arc<Progress>,
    waits: Waits,
    cpu: Duration,
}

impl Heart {
    async fn beat(mut self, now: Arc<Notify>, mut waits: Changes, answers: mpsc::Sender<Beat>) {
        let mut tick = tokio::time::interval(self.launch.heartbeat);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first tick is at once; `hello` or `claim` has just said as much.
        tick.tick().await;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = now.notified() => {}
                () = waits.next() => {}
            }
            // What an attempt has needed is not kept for the next one, or a runner is as large as its largest moment.
            if self.lease.has_changed().unwrap_or(false) {
                os::give_memory_back();
            }
            let (lease, epoch) = (self.lease.borrow_and_update().clone(), self.standing.epoch());
            let pulse = self.pulse(lease.as_deref());
            let answer =
                self.store.heartbeat(&self.launch.agent, &self.launch.incarnation, self.launch.lease, &pulse).await;
            let beat = match answer {
                Ok(directive) => {
                    self.standing.was_known(epoch);
                    match directive {
                        Directive::Go => continue,
                        directive => Beat::Directive(lease, directive),
                    }
                }
                Err(e) if e.is_stale() => match self.standing.reinstate_beside(lease.as_deref()).await {
                    Ok(true) => continue,
                    Ok(false) => match lease {
                        Some(lease) if stale_task(&e, &lease) => Beat::LeaseLost(lease),
                        _ => Beat::Gone,
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
        let wait = self.waits.get();
        let Some(lease) = lease else {
            let own = std::process::id();
            // The master's program is there without a lease.
            let below = match self.launch.master {
                true => os::descendants(&os::ProcessId::current()).unwrap_or_default(),
                false => Vec::new(),
            };
            let rss_bytes = Some(below.iter().chain([&own]).filter_map(|pid| os::rss_bytes(*pid)).sum());
            return Pulse { rss_bytes, wait, ..Pulse::default() };
        };
        // Who waits for a person does not hang, nor who says that its service is away; the attempt's own time is its bound.
        // Nor is it the program's silence, once it was answered.
        if wait.is_some() {
            self.progress.touch();
        }
        // A program that computes without a word makes progress too: its tree's processor time says so.
        let own = os::ProcessId::current();
        let mut rss_bytes = None;
        if let Ok(below) = os::descendants(&own) {
            rss_bytes = Some(below.iter().chain([&own.pid]).filter_map(|pid| os::rss_bytes(*pid)).sum());
            let cpu: Duration = below.iter().filter_map(|pid| os::cpu_time(*pid)).sum();
            if cpu > self.cpu {
                self.progress.touch();
            }
            self.cpu = cpu;
        }
        let lease = Some((lease.task.id.clone(), lease.fence));
        Pulse { lease, rss_bytes, progress_age: Some(self.progress.age()), wait }
    }
}

fn stale_task(error: &crate::store::StoreError, lease: &Lease) -> bool {
    matches!(error, crate::store::StoreError::Refused { detail, .. } if *detail == lease.task.id.as_str())
}
