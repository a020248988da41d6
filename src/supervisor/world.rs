//! What one pass has observed: the store's snapshot, and what this machine knows about the agents' processes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{background::Hands, ceilings::Ceilings};
use crate::{
    admission,
    config::{MasterConfig, Role},
    model::{agent::Agent, time::Timestamp},
    mux::SessionInfo,
    store::observe::Snapshot,
};

/// What is known about an agent's runner process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Life {
    /// No process is recorded yet.
    Unknown,
    /// It runs; its state as `ps` shows it.
    Alive(char),
    /// It does not.
    Dead(Death),
    /// It is on another machine: only its heartbeat tells.
    Elsewhere,
}

/// How one knows that a runner is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// There is no such process any more.
    Gone,
    /// It has ended, and its parent has not collected its exit status.
    Zombie,
    /// It ran before the machine was rebooted.
    EarlierBoot,
}

/// Everything that [`super::decide`] decides by.
pub(super) struct World<'a> {
    /// The store, at one moment of Redis's clock.
    pub store: &'a Snapshot,
    /// The runners' processes, by incarnation.
    pub lives: BTreeMap<String, Life>,
    /// The tmux sessions; `None` where tmux did not answer, which says nothing about the agents.
    pub sessions: Option<&'a [SessionInfo]>,
    /// How old that look at tmux is.
    pub sessions_age: Duration,
    /// The names of all sessions that were seen last: none of them can be given to another one.
    pub taken_names: &'a [String],
    /// How long Redis and this machine have run without a break. An agent that could not report during a break gets a whole
    /// lease to do so after it.
    pub undisturbed: Duration,
    /// What counts against agents whatever was interrupted meanwhile.
    pub ceilings: &'a Ceilings,
    /// What is being done about single agents at this moment.
    pub hands: &'a Hands,
    /// The namespace, as sessions of ours carry it.
    pub namespace: &'a str,
    /// The roles.
    pub roles: &'a BTreeMap<String, Role>,
    /// The master.
    pub master: &'a MasterConfig,
    /// Why the machine has no memory for further agents (`min_free_memory`), in words.
    pub short_of_memory: Option<String>,
    /// Why the disk has no room for further agents (`min_free_disk`), in words.
    pub short_of_disk: Option<String>,
    /// Bounds and times.
    pub limits: Limits,
}

/// The bounds and times of `[supervisor]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Without a heartbeat for this long, an agent is lost.
    pub lease: Duration,
    /// Agents over all roles.
    pub max_agents: u32,
    /// How much later a task of a higher priority may be accepted and start before another one.
    pub max_wait: Duration,
    /// Between the polite and the final signal.
    pub kill_grace: Duration,
}

impl World<'_> {
    /// The living agents.
    pub fn agents(&self) -> impl Iterator<Item = &Agent> {
        self.store.agents.iter().map(|r| &r.agent)
    }

    /// Returns how long there was silence since then. A break of Redis or of this machine is no agent's fault, and does not
    /// count.
    pub fn silence(&self, since: Option<Timestamp>) -> Option<Duration> {
        since.map(|at| self.store.now.since(at).min(self.undisturbed))
    }

    /// Whether tmux says that this agent has no session.
    pub fn has_no_session(&self, agent: &Agent) -> bool {
        let is_its = |s: &SessionInfo| s.tags.as_ref().is_some_and(|t| t.incarnation == agent.incarnation);
        self.sessions.is_some_and(|sessions| !sessions.iter().any(is_its))
    }

    /// What keeps roles from starting agents, once the agents that are declared dead are gone.
    pub fn admission(&self, given_up: &BTreeSet<String>) -> admission::Snapshot {
        let mut seen = self.store.admission(&self.master.session, given_up);
        seen.configure(self.roles.values().map(|role| (role.name.as_str(), role.max)), self.limits.max_agents);
        seen.short_of_memory.clone_from(&self.short_of_memory);
        seen.short_of_disk.clone_from(&self.short_of_disk);
        seen
    }

    /// How many agents of a role are requested at least and at most: sessions.toml, or what `orch scale` said.
    pub fn bounds(&self, role: &Role) -> (u32, u32) {
        match self.store.requests.scale.get(&role.name) {
            Some(n) => (*n, *n),
            None => (role.min, role.max),
        }
    }
}
