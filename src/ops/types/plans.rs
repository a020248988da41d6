//! Requests and answers about plans.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    model::{
        id::{PlanId, TaskId},
        plan::PlanState,
    },
    plan::Located,
};

/// A plan as a caller submits it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PlanSource {
    /// The document: TOML or JSON. Empty where a template is named.
    #[serde(default)]
    pub document: String,
    /// A template of the project: `plans/NAME.toml` beside sessions.toml, or `[plans.NAME]` in it.
    #[serde(default)]
    pub template: Option<String>,
    /// Values for its variables.
    pub vars: Vec<(String, String)>,
    /// What it is for, instead of what it says itself.
    pub text: Option<String>,
    /// Idempotency key: the same key is the same plan.
    #[serde(default)]
    pub key: Option<String>,
    /// What its tasks, and those that these delegate, may use together, instead of what it says itself: US dollars.
    #[serde(default)]
    pub max_cost_usd: Option<f64>,
    /// The same in tokens.
    #[serde(default)]
    pub max_tokens: Option<u64>,
}

/// A plan that an agent is to draft.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PlanDraft {
    /// What is to be done.
    pub text: String,
    /// The role that drafts it; `None`: the default one.
    #[serde(default)]
    pub role: Option<String>,
    /// Idempotency key of the task.
    #[serde(default)]
    pub key: Option<String>,
}

/// What `orch plan check` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanChecked {
    /// Whether it can be submitted.
    pub ok: bool,
    /// The file of the template that was named, in which the lines are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Its name.
    pub name: String,
    /// How many tasks it has.
    pub tasks: usize,
    /// What is wrong, in the order of the document.
    pub mistakes: Vec<Located>,
    /// What is allowed, and probably not meant.
    pub remarks: Vec<Located>,
    /// The keys of the tasks that decide how long it takes.
    pub path: Vec<String>,
}

/// What `orch plan submit` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanSubmitted {
    /// The plan.
    pub id: PlanId,
    /// Its state.
    pub state: PlanState,
    /// Its tasks.
    pub tasks: Vec<PlannedTask>,
    /// Whether this call has submitted it, and not an earlier one with the same key.
    pub created: bool,
}

/// A task of a plan that was submitted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlannedTask {
    /// Its key.
    pub key: String,
    /// Its id.
    pub id: TaskId,
}

/// What of a plan runs again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rerun {
    /// What failed or was cancelled, and what was cancelled or skipped because of it.
    #[default]
    Failed,
    /// This task alone, by its key or id, even if it has succeeded.
    Only(String),
    /// This task and everything after it, even if it has succeeded.
    Downstream(String),
}

/// What `orch plan cancel` and `orch plan retry` answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanChanged {
    /// The plan.
    pub id: PlanId,
    /// Its state before.
    pub from: PlanState,
    /// Its state now: still `running` after a `cancel` while agents end their attempts.
    pub state: PlanState,
    /// Of a retry: the keys of the tasks that run again.
    pub tasks: Vec<String>,
}
