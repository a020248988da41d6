//! What a role is once everything is known about it, and the roles that are there without being written down.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    drivers::{AgentOptions, DriverKind, RoleSettings},
    model::retry::RetryPolicy,
};

/// A kind of agent: how it is started, how many there are, what it may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// Its key under `[roles]`; an agent's name is this, a dash and a number.
    pub name: String,
    /// Which agent program it is.
    pub driver: DriverKind,
    /// The program and its arguments; empty unless the driver is [`DriverKind::Command`].
    pub command: Vec<String>,
    /// The model, as the agent program calls it; `None`: the program's own default.
    pub model: Option<String>,
    /// What every agent of this role is told beside its task.
    pub instructions: Option<String>,
    /// Agents kept ready while there is nothing to do.
    pub min: u32,
    /// Agents at once, at most; at least 1 and at least `min`.
    pub max: u32,
    /// An idle agent above `min` is stopped after this.
    pub idle_timeout: Duration,
    /// One attempt at a task may take this long.
    pub task_timeout: Duration,
    /// An agent without a sign of progress for this long is hung.
    pub stall_timeout: Duration,
    /// An agent is replaced after this many tasks; 0: never.
    pub tasks_per_agent: u32,
    /// Environment variables that every agent gets.
    pub env: BTreeMap<String, String>,
    /// Names of variables that are passed on from the caller's environment. Never in argv, Redis or a log.
    pub env_from: Vec<String>,
    /// Absolute path of the folder in which agents work.
    pub cwd: PathBuf,
    /// How its tasks are tried again.
    pub retry: RetryPolicy,
    /// Roles to which agents of this role may delegate; `None`: every role.
    pub delegates_to: Option<Vec<String>>,
    /// What the program of one attempt may use.
    pub limits: Limits,
    /// What one of its tasks may use, all attempts together (`max_task_cost_usd`, `max_task_tokens`).
    pub task_budget: Budget,
    /// What it may use a day (`max_cost_usd_per_day`, `max_tokens_per_day`).
    pub day_budget: Budget,
    /// How its agent program is run.
    pub agent: AgentOptions,
}

/// Money and tokens that may be used; `None`: any.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Budget {
    /// US dollars.
    pub cost_usd: Option<f64>,
    /// Tokens, read and written.
    pub tokens: Option<u64>,
}

/// What the program of one attempt may use, all that it starts included. Beyond it the attempt is ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory in bytes (`memory_max`); `None`: any.
    pub memory: Option<u64>,
    /// Processor cores (`cpu_max`); `None`: any.
    pub cpu: Option<f64>,
    /// Processes at once (`max_processes`); `None`: any.
    pub processes: Option<u32>,
    /// What it prints, in bytes (`max_output`).
    pub output: u64,
}

impl Default for Limits {
    fn default() -> Self {
        // Nobody reads so much; but a program that prints without end would fill the disk, and a full disk ends Redis
        // and with it the work of everybody.
        Limits { memory: None, cpu: None, processes: None, output: 1 << 30 }
    }
}

impl Role {
    /// The part of the role that a driver sees.
    pub fn settings(&self) -> RoleSettings<'_> {
        RoleSettings {
            name: &self.name,
            command: &self.command,
            model: self.model.as_deref(),
            instructions: self.instructions.as_deref(),
            cwd: &self.cwd,
            options: &self.agent,
        }
    }

    /// Whose rate limits it shares, run by `program`, which is its driver once `auto` is settled: all roles of one agent
    /// program have one account. Of a program that orch does not know nothing can be said, so each such role has its own.
    pub fn account(&self, program: DriverKind) -> String {
        match program.program() {
            Some(program) => program.to_owned(),
            None => format!("role {}", self.name),
        }
    }

    /// A role of which nothing but the name is written: a built-in one, or a new one with `driver`.
    pub(super) fn unwritten(name: &str, driver: DriverKind, cwd: PathBuf, retry: RetryPolicy) -> Self {
        let builtin = BUILTIN.iter().find(|builtin| builtin.name == name);
        Role {
            name: name.to_owned(),
            driver: builtin.map_or(driver, |builtin| builtin.driver),
            command: Vec::new(),
            model: builtin.and_then(|builtin| builtin.model).map(str::to_owned),
            instructions: None,
            min: 0,
            max: builtin.map_or(5, |builtin| builtin.max),
            idle_timeout: Duration::from_secs(5 * 60),
            task_timeout: Duration::from_secs(30 * 60),
            stall_timeout: Duration::from_secs(10 * 60),
            tasks_per_agent: 0,
            env: BTreeMap::new(),
            env_from: Vec::new(),
            cwd,
            retry,
            delegates_to: None,
            limits: Limits::default(),
            task_budget: Budget::default(),
            day_budget: Budget::default(),
            agent: AgentOptions::default(),
        }
    }
}

/// Where a built-in role differs from a new one.
pub(super) struct Builtin {
    pub name: &'static str,
    driver: DriverKind,
    model: Option<&'static str>,
    max: u32,
}

/// The roles that are always there, so that `orch start` and `orch delegate --role shell` work in an empty folder.
/// A file adds to them and overrides them key by key.
pub(super) const BUILTIN: [Builtin; 4] = [
    Builtin { name: "opus", driver: DriverKind::Auto, model: None, max: 5 },
    Builtin { name: "sonnet", driver: DriverKind::Claude, model: Some("sonnet"), max: 5 },
    Builtin { name: "subagent", driver: DriverKind::Claude, model: Some("haiku"), max: 5 },
    Builtin { name: "shell", driver: DriverKind::Shell, model: None, max: 4 },
];
