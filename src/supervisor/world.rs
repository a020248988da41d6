//! What one pass has observed: the store's snapshot, and what this machine says about the agents' processes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    config::{MasterConfig, Role},
    model::agent::Agent,
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
    /// It does not; in words, how one knows.
    Dead(String),
    /// It is on another machine: only its heartbeat tells.
    Elsewhere,
}

/// Everything that [`super::decide`] decides by.
pub(super) struct World<'a> {
    /// The store, at one moment of Redis's clock.
    pub store: &'a Snapshot,
    /// The runners' processes, by incarnation.
    pub lives: BTreeMap<String, Life>,
    /// The tmux sessions; `None` where tmux did not answer, which says nothing about the agents.
    pub sessions: Option<&'a [SessionInfo]>,
    /// For how long Redis and this machine have been there without a break. Whoever could not report during a break is
    /// given a whole lease to do so after it.
    pub undisturbed: Duration,
    /// Incarnations whose remains are being ended at this moment.
    pub ending: &'a BTreeSet<String>,
    /// The namespace.
    pub namespace: &'a str,
    /// The roles.
    pub roles: &'a BTreeMap<String, Role>,
    /// The master.
    pub master: &'a MasterConfig,
    /// Whether the machine has no memory for further agents (`min_free_memory`).
    pub short_of_memory: bool,
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
    /// Between the polite and the final signal.
    pub kill_grace: Duration,
}

impl World<'_> {
    /// The living agents.
    pub fn agents(&self) -> impl Iterator<Item = &Agent> {
        self.store.agents.iter().map(|r| &r.agent)
    }

    /// How many agents of a role are wished at least and at most: sessions.toml, or what `orch scale` said.
    pub fn bounds(&self, role: &Role) -> (u32, u32) {
        match self.store.intents.scale.get(&role.name) {
            Some(n) => (*n, *n),
            None => (role.min, role.max),
        }
    }
}
