//! The fleet: its state, its start and end, and the checks of `orch doctor`.

use std::{borrow::Cow, collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::ScheduleInfo;
use crate::{
    config::Difference,
    model::{agent::Agent, attention::Attention, task::Usage},
};

/// What `orch status` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The namespace.
    pub namespace: String,
    /// The supervisor.
    pub supervisor: SupervisorStatus,
    /// The Redis.
    pub redis: RedisStatus,
    /// The living agents, the master first.
    pub agents: Vec<Agent>,
    /// The roles whose number of agents a person has set, until `orch scale ROLE auto`.
    #[serde(default)]
    pub scaled: BTreeMap<String, u32>,
    /// How many tasks are in each state.
    pub tasks: BTreeMap<Cow<'static, str>, u64>,
    /// What was used today (UTC), as far as it was reported.
    pub usage_today: Usage,
    /// The schedules of sessions.toml, each with its next and its last run.
    #[serde(default)]
    pub schedules: Vec<ScheduleInfo>,
    /// The budgets of the day that are limited, with what is used and reserved.
    #[serde(default)]
    pub budgets: Vec<super::BudgetRow>,
    /// What needs a person.
    pub attention: Vec<Attention>,
}

impl Status {
    /// The same status some time later, if nothing has changed: the supervisor has been up for longer.
    #[must_use]
    pub fn after(&self, passed: Duration) -> Status {
        let mut later = self.clone();
        later.supervisor.uptime_ms = later.supervisor.uptime_ms.map(|ms| ms.saturating_add(passed.as_millis() as u64));
        later
    }
}

/// In `status`: the supervisor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SupervisorStatus {
    /// `running`, `frozen` (it was stopped by a signal, and does nothing) or `stopped`.
    pub state: Cow<'static, str>,
    /// Its process; `None` also where it runs in another pid namespace.
    pub pid: Option<u32>,
    /// How long it has been running.
    pub uptime_ms: Option<u64>,
    /// Whether `delegate` is accepted (not draining).
    pub accepting: bool,
    /// Whether everything is paused.
    pub paused: bool,
    /// Roles that are paused.
    pub paused_roles: Vec<String>,
    /// What its passes have taken.
    pub passes: crate::store::passes::Passes,
}

/// In `status`: Redis.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RedisStatus {
    /// `ok` or `unreachable`.
    pub state: Cow<'static, str>,
    /// `managed` (our own private server) or `external`.
    pub mode: Cow<'static, str>,
    /// Its version, if it answers.
    pub version: Option<String>,
}

/// What `orch start` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Started {
    /// Whether it was running already.
    pub already: bool,
    /// What runs.
    pub status: Status,
    /// The master's tmux session.
    pub session: String,
    /// The rights that roles reach by `delegates_to` and lack, in sentences.
    pub reached_rights: Vec<String>,
    /// What the configuration runs without being asked, in sentences.
    pub runs_by_itself: Vec<String>,
    /// The other projects that run on this machine, in sentences.
    #[serde(default)]
    pub other_projects: Vec<String>,
    /// Variables that reach no agent, because they are not UTF-8.
    #[serde(default)]
    pub not_passed: Vec<String>,
}

/// What `orch reload` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Whether it was applied, and not only compared.
    pub applied: bool,
    /// What differs from what the supervisor had loaded.
    pub changes: Vec<Difference>,
    /// How many idle agents are replaced now.
    pub replaced: u64,
    /// How many agents are replaced when their attempts have ended.
    pub busy: u64,
    /// The master, where its own role has changed: it keeps what it was started with.
    pub master: Option<String>,
}

/// A project of this user on this machine (`orch status --all`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineProject {
    /// Its namespace.
    pub namespace: String,
    /// Its sessions.toml, or its folder where it has none.
    pub folder: PathBuf,
    /// Its state folder.
    pub home: PathBuf,
    /// `running` or `stopped`.
    pub state: Cow<'static, str>,
    /// The supervisor's process.
    pub pid: Option<u32>,
    /// The master's tmux session; `None` where its configuration cannot be read.
    pub master: Option<String>,
    /// How many agents live; `None`: unknown.
    pub agents: Option<u64>,
    /// How many tasks there are in each state that is not final.
    pub tasks: BTreeMap<Cow<'static, str>, u64>,
    /// How many things need a person; `None`: unknown.
    pub needs_person: Option<u64>,
    /// Whether it is the project that was asked.
    pub is_this: bool,
    /// Why it could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What `orch restart` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarted {
    /// The process of the new supervisor.
    pub pid: Option<u32>,
    /// Its version.
    pub version: String,
    /// How many agents go on, the master included.
    pub agents: usize,
}

/// What `orch stop` answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Whether anything was running.
    pub stopped: bool,
    /// How many tasks had not ended when the stop was requested; they are kept. `None`: unknown.
    pub open_tasks: Option<u64>,
    /// Why this was an emergency stop: everything was ended by its processes, and the next start records it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency: Option<String>,
    /// How many processes the emergency stop has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_processes: Option<usize>,
    /// What could not be closed, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

/// One line of `orch doctor`.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// `ok`, `warning` or `error`.
    pub state: &'static str,
    /// What was found.
    pub found: String,
    /// How to fix it.
    #[serde(rename = "mend")]
    pub fix: Option<String>,
}
