//! Observes the store, the runners' processes and tmux, and whether any of them was unavailable.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    background::Hands,
    ceilings::Ceilings,
    sessions::Sessions,
    world::{Death, Life, Limits, World},
};
use crate::{
    config::Config,
    model::{
        agent::{Agent, AgentState},
        id::{Place, new_incarnation},
        time::Timestamp,
    },
    mux::{Mux, SessionInfo, Tags},
    os,
    store::{Result, Store, agents::Record, observe::Snapshot, requests::ClockBack},
};

/// When Redis's clock and ours part by more than this, the machine slept, or a clock was set.
const JUMP: Duration = Duration::from_secs(2);

/// For this part of a lease, Redis may be away before an answer and as long between two looks without being noticed. Both and a
/// heartbeat, which is half a lease at most, are less than a lease: no agent is declared hung for that.
const UNNOTICED: u32 = 6;

/// Looks, and remembers what it needs to judge the next look.
pub(super) struct Observer {
    /// Whose sessions are ours.
    world: String,
    /// The state folder, whose disk must not be full.
    home: PathBuf,
    roles: Vec<String>,
    host: String,
    boot_id: String,
    /// Since when all has been there without a break.
    since: Instant,
    /// Since when Redis has been asked.
    asked: Instant,
    /// An answer that takes longer is a disturbance.
    patience: Duration,
    /// The last look: our clock when it was answered, and Redis's.
    last: Option<(Instant, Timestamp)>,
    epoch: u64,
    /// Silence and overtime that no disturbance resets.
    ceilings: Ceilings,
    /// Jumps of Redis's clock that Redis has not followed yet.
    jumps: Vec<ClockBack>,
    sessions: Sessions,
}

/// The roles that are looked at; the master's breaker goes by its session.
fn roles(config: &Config) -> Vec<String> {
    config.roles.keys().chain([&config.master.session]).cloned().collect()
}

/// One look.
pub(super) struct Observed {
    pub snapshot: Arc<Snapshot>,
    world: String,
    lives: BTreeMap<String, Life>,
    sessions: Option<Vec<SessionInfo>>,
    sessions_age: Duration,
    taken_names: Vec<String>,
    hands: Hands,
    undisturbed: Duration,
    ceilings: Ceilings,
    /// Memory available on this machine, in bytes.
    free_memory: Option<u64>,
    /// Free space on the state folder's disk, in bytes.
    free_disk: Option<u64>,
}

impl Observer {
    pub fn new(config: &Config, mux: Arc<dyn Mux>, wake: Arc<Notify>) -> Self {
        Observer {
            world: Tags::world(&config.namespace, &config.home),
            home: config.home.clone(),
            roles: roles(config),
            host: os::hostname(),
            boot_id: os::boot_id(),
            since: Instant::now(),
            asked: Instant::now(),
            patience: config.supervisor.lease / UNNOTICED,
            last: None,
            epoch: 0,
            ceilings: Ceilings::default(),
            jumps: Vec::new(),
            sessions: Sessions::new(mux, wake),
        }
    }

    /// Looks at the roles of this configuration from now on.
    pub fn roles_of(&mut self, config: &Config) {
        self.roles = roles(config);
    }

    /// Something was away: agents that could not report meanwhile get a whole lease to do so.
    pub fn disturbed(&mut self) {
        self.since = Instant::now();
    }
    /// The longest time that an answer may take, and that may pass between two looks.
    pub fn patience(&self) -> Duration {
        self.patience
    }
    /// Redis is asked from now on.
    pub fn asks(&mut self) {
        self.asked = Instant::now();
    }
    /// Redis has answered. If that took it long, no agent could report meanwhile.
    pub fn answered(&mut self) {
        if self.asked.elapsed() > self.patience {
            self.disturbed();
        }
        self.asks();
    }
    /// The sessions may have changed.
    pub fn look_at_tmux(&mut self) {
        self.sessions.changed();
    }

    /// Returns how long something other than Redis was waited for since the last call.
    pub fn take_waited(&mut self) -> Duration {
        self.sessions.take_waited()
    }

    /// Looks. `hands` is as of a moment before.
    pub async fn observe(&mut self, store: &Store, hands: Hands) -> Result<Observed> {
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
            // Living agents may be missing in these records.
            self.look_at_tmux();
        }
        self.answered();
        // As of the snapshot: heartbeats that come after it are not in it.
        let undisturbed = now.saturating_duration_since(self.since);
        let lives = snapshot.agents.iter().map(|r| (r.agent.incarnation.clone(), self.life(&r.agent))).collect();
        self.sessions.look().await;
        let free_memory = os::available_memory();
        Ok(Observed {
            snapshot: Arc::new(snapshot),
            world: self.world.clone(),
            lives,
            sessions: self.sessions.known(),
            sessions_age: self.sessions.age(),
            taken_names: self.sessions.names(),
            hands,
            undisturbed,
            ceilings: Ceilings::default(),
            free_memory,
            free_disk: os::free_space(&self.home),
        })
    }

    /// Counts the time since the last call that an agent has no excuse for.
    pub fn count(&mut self, observed: &mut Observed) {
        self.ceilings.count(Instant::now(), &observed.snapshot);
        observed.ceilings = self.ceilings.clone();
    }

    /// Redis read its clock at some moment between the two of ours.
    fn compare_clocks(&mut self, asked: Instant, answered: Instant, redis: Timestamp) {
        let Some((then, redis_then)) = self.last.replace((answered, redis)) else { return };
        let (ours, theirs) = (answered - then, redis.since(redis_then));
        if theirs.abs_diff(ours) > JUMP || redis < redis_then {
            tracing::warn!(?ours, ?theirs, "the clocks parted: the machine slept, or a clock was set");
            self.disturbed();
            self.ceilings.slept(theirs.saturating_sub(ours));
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

    /// Whether an agent of this id has reported and lives. The record of one that has died says that it is idle until its
    /// end is recorded.
    pub fn is_up(&self, id: &str) -> bool {
        let lives = |incarnation| matches!(self.lives.get(incarnation), Some(Life::Alive(_) | Life::Elsewhere));
        let is_up = |agent: &Agent| matches!(agent.state, AgentState::Idle | AgentState::Busy);
        let agent = self.snapshot.agents.iter().map(|record| &record.agent).find(|agent| agent.id == id);
        agent.is_some_and(|agent| is_up(agent) && lives(&agent.incarnation))
    }

    /// Whether an agent has not reported for longer than this, for whatever reason.
    pub fn is_anyone_silent(&self, limit: Duration) -> bool {
        let last = |r: &Record| r.agent.heartbeat_at.map(|at| self.snapshot.now.since(at));
        self.snapshot.agents.iter().filter_map(last).any(|silence| silence > limit)
    }

    pub fn world<'a>(&'a self, config: &'a Config) -> World<'a> {
        World {
            store: &self.snapshot,
            lives: self.lives.clone(),
            sessions: self.sessions.as_deref(),
            sessions_age: self.sessions_age,
            taken_names: &self.taken_names,
            undisturbed: self.undisturbed,
            ceilings: &self.ceilings,
            hands: &self.hands,
            namespace: &self.world,
            roles: &config.roles,
            master: &config.master,
            short_of_memory: config.supervisor.short_of_memory(self.free_memory),
            short_of_disk: config.supervisor.short_of_disk(self.free_disk),
            limits: Limits {
                lease: config.supervisor.lease,
                max_agents: config.supervisor.max_agents,
                max_wait: config.supervisor.max_wait,
                kill_grace: config.supervisor.kill_grace,
            },
        }
    }

    /// When something is due by the clock alone.
    pub fn next_look(&self, lease: Duration) -> Duration {
        let breakers = self.snapshot.breakers.values().map(|b| b.until.since(self.snapshot.now));
        let due = self
            .snapshot
            .next_due
            .into_iter()
            .chain(self.snapshot.next_deadline)
            .chain(self.snapshot.next_lock_end)
            .chain(self.snapshot.next_approval_end)
            .chain(breakers.filter(|d| !d.is_zero()));
        due.chain(self.next_lease_end(lease)).min().unwrap_or(Duration::MAX)
    }

    /// When the first of those whose lease has not ended would be silent for longer than it.
    fn next_lease_end(&self, lease: Duration) -> Option<Duration> {
        let heard = self.snapshot.agents.iter().filter_map(|r| r.agent.heartbeat_at);
        let silences = heard.map(|at| self.snapshot.now.since(at).min(self.undisturbed));
        let rests = silences.filter_map(|silence| lease.checked_sub(silence));
        rests.min().map(|rest| rest + Duration::from_millis(1))
    }
}
