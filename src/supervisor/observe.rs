//! Observes: the store, the runners' processes, tmux, and whether any of them was away.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::world::{Death, Life, Limits, World};
use crate::{
    config::Config,
    model::{
        agent::Agent,
        id::{Place, new_incarnation},
        time::Timestamp,
    },
    mux::{Mux, SessionInfo, Tags},
    os,
    store::{Result, Store, agents::Record, observe::Snapshot, requests::ClockBack},
};

/// tmux tells of changes; this is for those it did not tell.
const LOOK_AT_TMUX: Duration = Duration::from_secs(15);
/// When Redis's clock and ours part by more than this, the machine slept, or a clock was set.
const JUMP: Duration = Duration::from_secs(2);

/// Looks, and remembers what it needs to judge the next look.
pub(super) struct Observer {
    /// Whose sessions are ours.
    world: String,
    roles: Vec<String>,
    host: String,
    boot_id: String,
    /// Since when all has been there without a break.
    since: Instant,
    /// The last look: our clock when it was answered, and Redis's.
    last: Option<(Instant, Timestamp)>,
    epoch: u64,
    /// Jumps of Redis's clock that Redis has not followed yet.
    jumps: Vec<ClockBack>,
    sessions: Option<Vec<SessionInfo>>,
    sessions_at: Option<Instant>,
}

/// One look.
pub(super) struct Observed {
    pub snapshot: Snapshot,
    world: String,
    lives: BTreeMap<String, Life>,
    sessions: Option<Vec<SessionInfo>>,
    sessions_age: Duration,
    undisturbed: Duration,
    /// Memory available on this machine, in bytes.
    free_memory: Option<u64>,
}

impl Observer {
    pub fn new(config: &Config) -> Self {
        let mut roles: Vec<String> = config.roles.keys().cloned().collect();
        // The master's breaker goes by its session.
        roles.push(config.master.session.clone());
        Observer {
            world: Tags::world(&config.namespace, &config.home),
            roles,
            host: os::hostname(),
            boot_id: os::boot_id(),
            since: Instant::now(),
            last: None,
            epoch: 0,
            jumps: Vec::new(),
            sessions: None,
            sessions_at: None,
        }
    }

    /// Something was away: whoever could not report meanwhile gets a whole lease to do so.
    pub fn disturbed(&mut self) {
        self.since = Instant::now();
    }
    /// The sessions may have changed.
    pub fn look_at_tmux(&mut self) {
        self.sessions_at = None;
    }

    pub async fn observe(&mut self, store: &Store, mux: &dyn Mux) -> Result<Observed> {
        let asked = Instant::now();
        let mut snapshot = store.observe(&self.roles).await?;
        let mut now = Instant::now();
        self.compare_clocks(asked, now, snapshot.now);
        if !self.jumps.is_empty() {
            for jump in &self.jumps {
                store.follow_clock_back(jump, &self.roles).await?;
            }
            self.jumps.clear();
            snapshot = store.observe(&self.roles).await?;
            now = Instant::now();
        }
        if std::mem::replace(&mut self.epoch, snapshot.epoch.number) != snapshot.epoch.number {
            // Who lives, and is not in these records?
            self.look_at_tmux();
        }
        // As of the snapshot: tmux may take its time, in which heartbeats come that the snapshot does not have.
        let undisturbed = now.saturating_duration_since(self.since);
        if self.sessions_at.is_none_or(|at| at.elapsed() > LOOK_AT_TMUX) {
            self.sessions = match mux.sessions().await {
                Ok(sessions) => Some(sessions),
                Err(e) => {
                    tracing::warn!("tmux: {e}");
                    None
                }
            };
            self.sessions_at = Some(now);
        }
        let lives = snapshot.agents.iter().map(|r| (r.agent.incarnation.clone(), self.life(&r.agent))).collect();
        let free_memory = os::available_memory();
        let sessions_age = self.sessions_at.map_or(Duration::ZERO, |at| at.elapsed());
        let (world, sessions) = (self.world.clone(), self.sessions.clone());
        Ok(Observed { snapshot, world, lives, sessions, sessions_age, undisturbed, free_memory })
    }

    /// Redis read its clock at some moment between the two of ours.
    fn compare_clocks(&mut self, asked: Instant, answered: Instant, redis: Timestamp) {
        let Some((then, redis_then)) = self.last.replace((answered, redis)) else { return };
        let (ours, theirs) = (answered - then, redis.since(redis_then));
        if theirs.abs_diff(ours) > JUMP || redis < redis_then {
            tracing::warn!(?ours, ?theirs, "the clocks parted: the machine slept, or a clock was set");
            self.disturbed();
        }
        // A slow answer looks like a clock that was set back: only what has certainly passed counts.
        let by = (asked.saturating_duration_since(then) + redis_then.since(redis)).saturating_sub(theirs);
        if by > JUMP {
            self.jumps.push(ClockBack { by, seen: redis_then, token: new_incarnation() });
        }
    }

    fn life(&self, agent: &Agent) -> Life {
        let p = &agent.process;
        if p.pid == 0 {
            return Life::Unknown;
        }
        match p.place(&self.host, &self.boot_id) {
            Place::ThisBoot => {}
            Place::EarlierBoot => return Life::Dead(Death::EarlierBoot),
            Place::Elsewhere => return Life::Elsewhere,
        }
        let id = os::ProcessId { pid: p.pid, start_time: p.start_time };
        match id.state() {
            Some(state) if id.is_alive() => Life::Alive(state),
            Some('Z' | 'X') => Life::Dead(Death::Zombie),
            _ => Life::Dead(Death::Gone),
        }
    }
}

impl Observed {
    /// The runners that live on this machine, by incarnation.
    pub fn runners(&self) -> impl Iterator<Item = (&str, os::ProcessId)> {
        let alive = |r: &&Record| matches!(self.lives.get(&r.agent.incarnation), Some(Life::Alive(_)));
        self.snapshot.agents.iter().filter(alive).map(|r| {
            let p = &r.agent.process;
            (r.agent.incarnation.as_str(), os::ProcessId { pid: p.pid, start_time: p.start_time })
        })
    }

    /// Whether an agent has not reported for longer than this, for whatever reason.
    pub fn is_anyone_silent(&self, limit: Duration) -> bool {
        let last = |r: &Record| r.agent.heartbeat_at.map(|at| self.snapshot.now.since(at));
        self.snapshot.agents.iter().filter_map(last).any(|silence| silence > limit)
    }

    pub fn world<'a>(&'a self, config: &'a Config, ending: &'a BTreeSet<String>) -> World<'a> {
        World {
            store: &self.snapshot,
            lives: self.lives.clone(),
            sessions: self.sessions.as_deref(),
            sessions_age: self.sessions_age,
            undisturbed: self.undisturbed,
            ending,
            namespace: &self.world,
            roles: &config.roles,
            master: &config.master,
            short_of_memory: config.supervisor.short_of_memory(self.free_memory).is_some(),
            limits: Limits {
                lease: config.supervisor.lease,
                max_agents: config.supervisor.max_agents,
                kill_grace: config.supervisor.kill_grace,
            },
        }
    }

    /// When something is due by the clock alone.
    pub fn next_look(&self) -> Duration {
        let breakers = self.snapshot.breakers.values().map(|b| b.until.since(self.snapshot.now));
        let due = self.snapshot.next_due.into_iter().chain(breakers.filter(|d| !d.is_zero()));
        due.min().unwrap_or(Duration::MAX)
    }
}
