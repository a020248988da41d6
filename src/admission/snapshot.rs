//! The facts that gates are computed from, at one moment of Redis's clock.

use std::collections::BTreeMap;

use crate::model::{gate::GateCode, time::Timestamp};

/// What the gates depend on. The store fills in what is recorded, its user what is configured and what the machine says.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Redis's clock.
    pub now: Timestamp,
    /// Whether everything is to end.
    pub stop: Option<Stop>,
    /// Whether everything is paused.
    pub paused: bool,
    /// Whether Redis has lost data, and living agents still report what they hold.
    pub recovering: bool,
    /// Whether a supervisor runs.
    pub supervised: bool,
    /// Agents over all roles, at most.
    pub max_agents: u32,
    /// Why the machine has no memory for another agent, in words.
    pub short_of_memory: Option<String>,
    /// Why the disk has no room for another agent, in words.
    pub short_of_disk: Option<String>,
    /// The master's breaker.
    pub masters_breaker: Option<Breaker>,
    /// Ready tasks that lack a slot under `max_agents`, as the supervisor has published them.
    pub shortage: Shortage,
    /// Each role that is configured, or of which something is recorded.
    pub roles: BTreeMap<String, RoleState>,
}

/// Ready tasks for which no agent can be started, because `max_agents` agents live and none of these is about to leave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shortage {
    /// Each of them, the most urgent first.
    pub tasks: Vec<Needy>,
    /// A role gives a slot only to tasks whose place is lower by more than this, in microseconds.
    pub tolerance: u64,
}

/// A ready task that lacks a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needy {
    /// Its role.
    pub role: String,
    /// Its place in the order of all ready tasks: the lower one starts first.
    pub place: u64,
}

impl Shortage {
    /// Returns the tasks of other roles that are more urgent than a task of `role` at `place`.
    pub fn before<'a>(&'a self, role: &'a str, place: u64) -> impl Iterator<Item = &'a Needy> {
        self.tasks.iter().filter(move |task| task.role != role && task.place.saturating_add(self.tolerance) < place)
    }
}

/// How everything is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// At once.
    Now,
    /// Once running tasks have finished.
    Drain,
}

/// What the gates of one role depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleState {
    /// Whether the configuration has it.
    pub configured: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// How many of its tasks may run at once; `None`: any number.
    pub slots: Option<u32>,
    /// Whether a person has scaled it to zero agents.
    pub scaled_to_zero: bool,
    /// Running tasks that hold a slot: one that waits for its own subtasks holds none.
    pub taken: u32,
    /// Its ready tasks.
    pub ready: u64,
    /// The place of the first of them.
    pub head: Option<u64>,
    /// How many agents it keeps whatever happens.
    pub min: u32,
    /// Its living agents that count against `max_agents`: neither the master nor one that waits for subtasks does.
    pub agents: u32,
    /// Those of these that are idle.
    pub idle: u32,
    /// Its breaker.
    pub breaker: Option<Breaker>,
    /// Why nothing of it starts for now.
    pub suspension: Option<Suspension>,
}

/// Agents of a role fail right after they start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    /// Until when none starts.
    pub until: Timestamp,
    /// In words.
    pub reason: String,
}

/// Nothing of a role starts for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// Which of [`GateCode::ProgramMissing`], [`GateCode::LoginNeeded`], [`GateCode::RateLimited`], [`GateCode::BudgetDay`],
    /// [`GateCode::BudgetTotal`], [`GateCode::BudgetReserved`].
    pub code: GateCode,
    /// Until then; `None`: until a person fixes it.
    pub until: Option<Timestamp>,
    /// In words.
    pub reason: String,
    /// Whose rate limit it is, where it is one.
    pub account: Option<String>,
}

impl Default for Snapshot {
    /// One in which nothing is known to hold anything up.
    fn default() -> Self {
        Snapshot {
            now: Timestamp(0),
            stop: None,
            paused: false,
            recovering: false,
            supervised: true,
            max_agents: u32::MAX,
            short_of_memory: None,
            short_of_disk: None,
            masters_breaker: None,
            shortage: Shortage::default(),
            roles: BTreeMap::new(),
        }
    }
}

impl Snapshot {
    /// The state of a role; of one that is not known, that of no role at all.
    pub fn role(&self, name: &str) -> RoleState {
        self.roles.get(name).cloned().unwrap_or_default()
    }

    /// Adds what the configuration says: each role with its `max`, and `max_agents`. A number that a person has asked for
    /// stands in the place of `max`.
    pub fn configure<'a>(&mut self, roles: impl Iterator<Item = (&'a str, u32)>, max_agents: u32) {
        for (name, max) in roles {
            let role = self.roles.entry(name.to_owned()).or_default();
            role.configured = true;
            role.slots = role.slots.or(Some(max));
        }
        self.max_agents = max_agents;
    }

    /// Living agents that count against `max_agents`.
    pub fn agents_that_count(&self) -> u32 {
        self.roles.values().map(|role| role.agents).sum()
    }
}
