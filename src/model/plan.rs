//! A plan as recorded: its states and their table.

use serde::{Deserialize, Serialize};

use super::{
    edge::Edge,
    id::{PlanId, TaskId},
    task::{TaskState, Usage},
    time::Timestamp,
    words,
};

words! {
    /// The state of a plan, which follows from those of its tasks.
    PlanState: "plan state" {
        /// Its tasks are worked on, or can be.
        Running = "running",
        /// Nothing of it can go on without a person.
        Held = "held",
        /// All that it needs is done.
        Succeeded = "succeeded",
        /// It has ended; a task failed or was cancelled, and nothing made up for it.
        Failed = "failed",
        /// A person cancelled it.
        Cancelled = "cancelled",
    }
}

/// The table of a plan's transitions: from, to.
pub const TRANSITIONS: &[(PlanState, PlanState)] = {
    use PlanState::*;
    // From an end back by a retry of a task, or where a person cancels a task or removes a dead letter.
    &[
        (Running, Held),
        (Running, Succeeded),
        (Running, Failed),
        (Running, Cancelled),
        (Held, Running),
        (Held, Succeeded),
        (Held, Failed),
        (Held, Cancelled),
        (Succeeded, Running),
        (Failed, Running),
        (Failed, Held),
        (Failed, Succeeded),
        (Cancelled, Running),
        (Cancelled, Held),
        (Cancelled, Failed),
    ]
};

impl PlanState {
    /// Returns whether nothing more happens to the plan unless a person retries it.
    pub fn is_terminal(self) -> bool {
        matches!(self, PlanState::Succeeded | PlanState::Failed | PlanState::Cancelled)
    }
}

/// How many tasks of a plan are in a state.
pub type Counts = std::collections::BTreeMap<TaskState, u64>;

/// A plan in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanSummary {
    /// Its id.
    pub id: PlanId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub text: String,
    /// Its state.
    pub state: PlanState,
    /// Since when it is in that state.
    pub since: Timestamp,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How many tasks it has.
    pub total: u64,
    /// How many of them there are in each state. Of a plan that was submitted a moment ago, some are in none yet.
    pub counts: Counts,
    /// What its tasks, and those that these delegate, may use together, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<f64>,
    /// The same in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Why no further task of it starts, where its budget has no room for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short: Option<String>,
}

/// A plan whose budget has no room for the next task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortPlan {
    /// The plan.
    pub id: PlanId,
    /// Its name.
    pub name: String,
    /// What it may use, in millionths of a dollar.
    pub max_micro_usd: Option<u64>,
    /// The same in tokens.
    pub max_tokens: Option<u64>,
    /// Whether there is room when running attempts have ended; otherwise a person has to allow more.
    pub is_reserved: bool,
    /// How much is used, reserved and missing, in words.
    pub reason: String,
    /// How many ready tasks wait for it.
    pub tasks: u64,
}

impl ShortPlan {
    /// Returns the command with which a person allows it as much again as it may use now.
    pub fn more(&self) -> String {
        more_for(&self.id, self.max_micro_usd.map(Usage::of_micro_usd), self.max_tokens)
    }
}

/// Returns the command with which a person allows a plan as much again as it may use now.
pub fn more_for(plan: &PlanId, max_cost_usd: Option<f64>, max_tokens: Option<u64>) -> String {
    match (max_cost_usd, max_tokens) {
        (None, Some(tokens)) => format!("orch budget set plan:{plan} --tokens +{tokens}"),
        (usd, _) => format!("orch budget set plan:{plan} --cost +{}", usd.unwrap_or(1.0)),
    }
}

/// A task of a plan, as the plan shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanTask {
    /// Its key in the plan.
    pub key: String,
    /// Its id.
    pub id: TaskId,
    /// Its role.
    pub role: String,
    /// Its state.
    pub state: TaskState,
    /// The agent that works on it.
    pub agent: Option<String>,
    /// What it comes after, by key.
    pub after: Vec<PlanEdge>,
    /// Whether it is on the critical path.
    pub critical: bool,
    /// How much later it may end without the plan ending later.
    pub slack_ms: u64,
    /// How long it took, has taken so far, or is expected to take.
    pub duration_ms: u64,
    /// What explains its state.
    pub reason: Option<String>,
    /// What it has used.
    #[serde(default)]
    pub usage: Usage,
}

/// An edge, as a plan shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanEdge {
    /// The key of the task that it comes after.
    pub task: String,
    /// Its terms.
    #[serde(flatten)]
    pub edge: Edge,
}

/// How long a plan goes on, by what earlier tasks have taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eta {
    /// In half of the simulations it ended by then.
    pub p50_ms: u64,
    /// In nine of ten it did.
    pub p90_ms: u64,
}

/// A plan with its tasks (`orch plan show`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanDetail {
    /// The plan.
    #[serde(flatten)]
    pub plan: PlanSummary,
    /// Its tasks: each after those that it comes after.
    pub tasks: Vec<PlanTask>,
    /// The keys of the tasks that decide how long it takes.
    pub path: Vec<String>,
    /// How long it goes on; `null` if it has ended, or is held.
    pub eta: Option<Eta>,
    /// What would make it end earlier, in words.
    pub shorten: Option<String>,
    /// What its tasks have used.
    pub usage: Usage,
}
