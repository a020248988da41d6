//! A role as resolved, and the built-in roles.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Auth, InheritEnv};
use crate::{
    drivers::{AgentOptions, DriverKind, RoleSettings},
    model::{approval::ApprovalRule, network::Network, pace::Pace, question::Approval, retry::RetryPolicy},
};

/// A kind of agent: how it is started, how many there may be, what it may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// Its key under `[roles]`. An agent's name is this, a dash and a number.
    pub name: String,
    /// The driver of its agent program.
    pub driver: DriverKind,
    /// The program and its arguments; empty unless the driver is [`DriverKind::Command`].
    pub command: Vec<String>,
    /// The model, as the agent program calls it; `None`: the program's own default.
    pub model: Option<String>,
    /// Instructions that every agent of this role gets besides its task.
    pub instructions: Option<String>,
    /// Agents that are kept ready while there are no tasks.
    pub min: u32,
    /// Most agents at the same time; at least 1 and at least `min`.
    pub max: u32,
    /// How long an agent above `min` may be idle before it is stopped.
    pub idle_timeout: Duration,
    /// How long one attempt may take.
    pub task_timeout: Duration,
    /// How long an agent may show no progress before it counts as hung.
    pub stall_timeout: Duration,
    /// How long a program waits for a person before its task is held; `None`: without end.
    #[serde(default)]
    pub person_timeout: Option<Duration>,
    /// Tasks after which an agent is replaced; 0: never.
    pub tasks_per_agent: u32,
    /// Environment variables that every agent gets.
    pub env: BTreeMap<String, String>,
    /// Names of variables that are passed on from the environment of `orch start`. Their values are never in an argument, in
    /// Redis or in a log.
    pub env_from: Vec<String>,
    /// What else its programs get of the environment of `orch start`.
    pub inherit_env: InheritEnv,
    /// With which account its programs work; `None`: as the program itself decides.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// Absolute path of the folder in which agents work.
    pub cwd: PathBuf,
    /// How its tasks are retried.
    pub retry: RetryPolicy,
    /// Roles to which agents of this role delegate without approval; `None`: those that have no right which this one lacks.
    pub delegates_to: Option<Vec<String>>,
    /// Regular expressions of the texts that a task for [`crate::model::routing::AUTO`] is routed to this role by.
    #[serde(default)]
    pub routes: Vec<String>,
    /// What its agents can do, in words that such a task may need.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The role to which such a task goes on when it has failed by the fault of this one.
    #[serde(default)]
    pub escalate_to: Option<String>,
    /// Where its programs run.
    pub sandbox: Sandbox,
    /// Folders, absolute, that its programs see in a sandbox in addition, and cannot change.
    #[serde(default)]
    pub sandbox_read: Vec<PathBuf>,
    /// What its programs reach of the network. Anything but [`Network::All`] needs a sandbox.
    pub network: Network,
    /// What becomes of a delegation to any other role.
    #[serde(default)]
    pub escalation: EscalationRule,
    /// Resource limits of one attempt.
    pub limits: ResourceLimits,
    /// The budget of one task, all attempts together (`max_task_cost_usd`, `max_task_tokens`).
    pub task_budget: Budget,
    /// The budget of the role per day (`max_cost_usd_per_day`, `max_tokens_per_day`).
    pub day_budget: Budget,
    /// When a person is asked about each of its tasks.
    #[serde(default)]
    pub approval: ApprovalRule,
    /// How long an approval of one of its tasks may take; `None`: any time.
    #[serde(default)]
    pub approval_timeout: Option<Duration>,
    /// What is decided then; `None`: it is denied.
    #[serde(default)]
    pub approval_default: Option<Approval>,
    /// Whose account its program works with; `None`: that of its program.
    #[serde(default)]
    pub account_name: Option<String>,
    /// How many attempts of its account may run at once.
    #[serde(default)]
    pub max_concurrent: Option<u32>,
    /// How many attempts of its account may start in a time.
    #[serde(default)]
    pub rate_limit: Option<Pace>,
    /// How much of a window of its subscription may be used before nothing more is started, from 0 to 1.
    #[serde(default)]
    pub max_window_use: Option<f64>,
    /// What its first attempt is expected to use (`expected_cost_usd`, `expected_tokens`).
    #[serde(default)]
    pub expected_use: Budget,
    /// How its agent program is run.
    pub agent: AgentOptions,
}

/// Where a role's programs run, and what they see there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sandbox {
    /// As children of the runner, with the rights of the user.
    #[default]
    None,
    /// In namespaces of their own that bubblewrap (`bwrap`) makes.
    Bwrap,
}

impl Sandbox {
    /// As written in sessions.toml.
    pub fn as_str(self) -> &'static str {
        match self {
            Sandbox::None => "none",
            Sandbox::Bwrap => "bwrap",
        }
    }
}

/// What becomes of a task that an agent delegates to a role which needs approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EscalationRule {
    /// It is accepted, and held until a person approves it.
    #[default]
    Approve,
    /// It is refused.
    Refuse,
}

/// Most money and tokens that may be used; `None`: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Budget {
    /// US dollars.
    pub cost_usd: Option<f64>,
    /// Tokens, read and written.
    pub tokens: Option<u64>,
}

/// Resource limits of an attempt's program and of everything it starts. An attempt that exceeds one is ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourceLimits {
    /// Memory in bytes (`memory_max`); `None`: no limit. [`AGENT_MEMORY`] for an agent program whose role says nothing.
    pub memory: Option<u64>,
    /// Processor cores (`cpu_max`); `None`: no limit.
    pub cpu: Option<f64>,
    /// Processes at the same time (`max_processes`); `None`: no limit.
    pub processes: Option<u32>,
    /// Output in bytes (`max_output`).
    pub output: u64,
}

/// The memory of an agent program with all that it starts, unless its role says otherwise: a program that repeats itself
/// without an end grows until the machine swaps.
pub(super) const AGENT_MEMORY: u64 = 4 << 30;

impl Default for ResourceLimits {
    fn default() -> Self {
        // A program that prints without end would fill the disk, and a full disk stops Redis and with it all work.
        ResourceLimits { memory: None, cpu: None, processes: None, output: 1 << 30 }
    }
}

impl Role {
    /// Returns the part of the role that a driver sees.
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

    /// Returns what all attempts of a task of the role may use together, where the task has these caps of its own.
    pub fn caps_of_task(&self, own_usd: Option<f64>, own_tokens: Option<u64>) -> Budget {
        Budget { cost_usd: own_usd.or(self.task_budget.cost_usd), tokens: own_tokens.or(self.task_budget.tokens) }
    }

    /// Returns the account whose rate limits the role shares. All roles of one agent program share an account; a role with a
    /// program that orch does not know has its own. `program` is the driver once `auto` is resolved.
    pub fn account(&self, program: DriverKind) -> String {
        if let Some(name) = &self.account_name {
            return name.clone();
        }
        match program.program() {
            Some(program) => program.to_owned(),
            None => format!("role {}", self.name),
        }
    }

    /// Returns what an attempt is expected to use before anything is known of the role: what is written, or the limit of one
    /// attempt.
    pub fn expected(&self) -> Budget {
        Budget { cost_usd: self.expected_use.cost_usd.or(self.agent.max_cost_usd), ..self.expected_use }
    }

    /// Returns a role of which only the name is written: a built-in one, or a new one with `driver`.
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
            person_timeout: None,
            tasks_per_agent: 0,
            env: BTreeMap::new(),
            env_from: Vec::new(),
            inherit_env: InheritEnv::of_role(Sandbox::None),
            auth: None,
            cwd,
            retry,
            delegates_to: None,
            routes: Vec::new(),
            tags: Vec::new(),
            escalate_to: None,
            sandbox: Sandbox::None,
            sandbox_read: Vec::new(),
            network: Network::All,
            escalation: EscalationRule::Approve,
            limits: ResourceLimits::default(),
            task_budget: Budget::default(),
            day_budget: Budget::default(),
            approval: ApprovalRule::None,
            approval_timeout: None,
            approval_default: None,
            account_name: None,
            max_concurrent: None,
            rate_limit: None,
            max_window_use: None,
            expected_use: Budget::default(),
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

/// The roles that always exist, so that `orch start` and `orch delegate --role shell` work in an empty folder. A file adds
/// to them and overrides them key by key.
pub(super) const BUILTIN: [Builtin; 4] = [
    Builtin { name: "opus", driver: DriverKind::Auto, model: None, max: 5 },
    Builtin { name: "sonnet", driver: DriverKind::Claude, model: Some("sonnet"), max: 5 },
    Builtin { name: "subagent", driver: DriverKind::Claude, model: Some("haiku"), max: 5 },
    Builtin { name: "shell", driver: DriverKind::Shell, model: None, max: 4 },
];
