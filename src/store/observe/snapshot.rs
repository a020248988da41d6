//! The stored state at one moment.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use crate::{
    admission::{self, RoleState, Shortage, Stop},
    model::{agent::AgentState, id::TaskId, time::Timestamp},
    store::{
        agents::{Orphans, Record},
        epoch::Epoch,
        spend::Suspended,
    },
};

/// Of how many ready tasks of a role the places are read: no more agents are started in one pass.
pub const HEADS: usize = 32;

/// What people asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests {
    /// `Some(true)`: end everything once running tasks have finished; `Some(false)`: now.
    pub stop: Option<bool>,
    /// Start nothing new.
    pub pause: bool,
    /// Start nothing new of these roles.
    pub paused_roles: Vec<String>,
    /// Accept nothing new.
    pub drain: bool,
    /// sessions.toml is to be read again: the text of the request.
    pub reload: Option<String>,
    /// Requested numbers of agents.
    pub scale: BTreeMap<String, u32>,
    /// What was reported about Redis up to then needs no person any more.
    pub dismissed: Option<Timestamp>,
    /// Requests for one more agent: the role, and the field that is removed when the request is fulfilled.
    pub spawn: Vec<(String, String)>,
}

impl Requests {
    pub(in crate::store) fn from_fields(fields: HashMap<String, String>) -> Self {
        let mut requests = Requests::default();
        for (field, value) in fields {
            match field.split_once(':') {
                None if field == "stop" => requests.stop = Some(value == "drain"),
                None if field == "pause" => requests.pause = true,
                None if field == "drain" => requests.drain = true,
                None if field == "reload" => requests.reload = Some(value),
                None if field == "dismissed" => requests.dismissed = value.parse().ok().map(Timestamp),
                Some(("pause", role)) => requests.paused_roles.push(role.to_owned()),
                Some(("scale", role)) => {
                    if let Ok(n) = value.parse() {
                        requests.scale.insert(role.to_owned(), n);
                    }
                }
                Some(("spawn", rest)) => {
                    let role = rest.split(':').next().unwrap_or(rest);
                    requests.spawn.push((role.to_owned(), field.clone()));
                }
                _ => {}
            }
        }
        requests.paused_roles.sort();
        requests.spawn.sort();
        requests
    }
    /// Whether tasks of this role may start.
    pub fn may_start(&self, role: &str) -> bool {
        !self.pause && !self.paused_roles.iter().any(|r| r == role)
    }
}

/// The open breaker of a role: its agents fail right after they start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    /// How often in a row.
    pub failures: u32,
    /// Until when none is started.
    pub until: Timestamp,
    /// In words.
    pub reason: String,
}

/// The load of one role.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Tasks that wait for an agent.
    pub ready: u64,
    /// Tasks that agents have, the waiting ones among them.
    pub running: u64,
    /// Running tasks that wait for their own subtasks.
    pub waiting: u64,
}

/// A running task whose lease has expired.
#[derive(Debug, Clone, PartialEq)]
pub struct Overdue {
    /// The task.
    pub task: TaskId,
    /// The fence of that lease.
    pub fence: u64,
    /// The agent that held the lease.
    pub agent: String,
}

/// What is stored, at one moment of Redis's clock.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Redis's clock.
    pub now: Timestamp,
    /// The living agents.
    pub agents: Vec<Record>,
    /// The load of each role that was asked for.
    pub load: BTreeMap<String, Load>,
    /// The places of the first ready tasks of each role, in their order, at most [`HEADS`] (`place_of` in
    /// `lua/prelude/moves.lua`: the lower one goes first, also between roles).
    pub heads: BTreeMap<String, Vec<u64>>,
    /// Ready tasks that lack a slot, as they were published last.
    pub shortage: Shortage,
    /// Until when that holds; `None`: nothing is published.
    pub shortage_until: Option<Timestamp>,
    /// The published `min` of each role.
    pub mins: BTreeMap<String, u32>,
    /// Tasks of all roles that run.
    pub running: u64,
    /// When the next delayed task is due.
    pub next_due: Option<Duration>,
    /// When the deadline of the next task passes.
    pub next_deadline: Option<Duration>,
    /// When the next lock of a person or reservation ends; zero where tasks are to be offered what has become free.
    pub next_lock_end: Option<Duration>,
    /// When the time limit of the next approval passes.
    pub next_approval_end: Option<Duration>,
    /// Running tasks whose lease has expired.
    pub overdue: Vec<Overdue>,
    /// What people asked for.
    pub requests: Requests,
    /// Roles of which nothing is started until some time: rate limited, or beyond what they may use a day.
    pub suspended: BTreeMap<String, Suspended>,
    /// How many attempts of each role may start now, where budgets or its account limit that.
    pub rooms: BTreeMap<String, u64>,
    /// How many notices wait for the supervisor.
    pub notices: u64,
    /// The open breakers, by role.
    pub breakers: BTreeMap<String, Breaker>,
    /// What may be left of ended agents, by incarnation.
    pub orphans: BTreeMap<String, Orphans>,
    /// Which server these records are used with, and what was lost before it.
    pub epoch: Epoch,
    /// The last fence that was given.
    pub fence: u64,
    /// How many tasks were accepted so far.
    pub accepted: u64,
    /// Records that do not read, with why.
    pub damaged: Vec<String>,
    /// Running tasks whose lease has expired and whose records name no holder: they are to be quarantined.
    pub broken: Vec<String>,
}

impl Snapshot {
    /// What is recorded of what keeps tasks and roles from starting, but for agents that are `given_up` (incarnations). The
    /// caller adds what is configured. `master` is the session by which the master's breaker goes.
    pub fn admission(&self, master: &str, given_up: &BTreeSet<String>) -> admission::Snapshot {
        let breaker = |role: &str| {
            let breaker = self.breakers.get(role)?;
            Some(admission::Breaker { until: breaker.until, reason: breaker.reason.clone() })
        };
        let mut seen = admission::Snapshot {
            now: self.now,
            stop: self.requests.stop.map(|drain| if drain { Stop::Drain } else { Stop::Now }),
            paused: self.requests.pause,
            recovering: self.epoch.is_settling(self.now),
            masters_breaker: breaker(master),
            shortage: self
                .shortage_until
                .filter(|until| *until > self.now)
                .map(|_| self.shortage.clone())
                .unwrap_or_default(),
            ..admission::Snapshot::default()
        };
        let requests = &self.requests;
        let named = self.load.keys().chain(self.suspended.keys()).chain(self.breakers.keys());
        let named = named.chain(&requests.paused_roles).chain(requests.scale.keys());
        for role in named.filter(|role| *role != master) {
            let load = self.load.get(role).copied().unwrap_or_default();
            let suspension = self.suspended.get(role).map(|held| admission::Suspension {
                code: held.code,
                until: held.until,
                reason: held.reason.clone(),
                account: held.account.clone(),
            });
            let scale = requests.scale.get(role).copied();
            let state = RoleState {
                configured: false,
                paused: requests.paused_roles.contains(role),
                slots: scale,
                scaled_to_zero: scale == Some(0),
                taken: u32::try_from(load.running.saturating_sub(load.waiting)).unwrap_or(u32::MAX),
                ready: load.ready,
                head: self.heads.get(role).and_then(|heads| heads.first().copied()),
                min: self.mins.get(role).copied().unwrap_or(0),
                breaker: breaker(role),
                suspension,
                ..RoleState::default()
            };
            seen.roles.insert(role.clone(), state);
        }
        let live = self.agents.iter().map(|record| &record.agent);
        for agent in live.filter(|a| !a.master && !a.waiting && !given_up.contains(&a.incarnation)) {
            let role = seen.roles.entry(agent.role.clone()).or_default();
            role.agents += 1;
            role.idle += u32::from(agent.state == AgentState::Idle);
        }
        seen
    }
}
