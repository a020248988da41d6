//! The terms with which a task was delegated.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    approval::ApprovalRule,
    edge::Edge,
    id::{PlanId, TaskId},
    pattern::Pattern,
    question::Approval,
    retry::Delays,
    routing::Routing,
    task::Priority,
};

/// The terms on which a task was delegated. They never change afterwards, but for what a person allows it in addition.
///
/// This is the one declaration of these fields. The store writes and reads them by their names and types
/// (`store::spec`), the scripts copy them by name, an attempt's folder holds them in case Redis loses the task, and
/// every answer in JSON has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The role whose agents may claim it.
    pub role: String,
    /// Its priority among ready tasks.
    pub priority: Priority,
    /// The tasks that must have succeeded before it starts.
    #[serde(default)]
    pub after: Vec<TaskId>,
    /// The terms of the edges from these, where they are not that the task must have succeeded.
    #[serde(default)]
    pub edges: BTreeMap<TaskId, Edge>,
    /// The plan that it is part of.
    #[serde(default)]
    pub plan: Option<PlanId>,
    /// Its key in that plan.
    #[serde(default)]
    pub plan_key: Option<String>,
    /// How many tasks of that plan may run at the same time; `None`: as many as its roles allow.
    #[serde(default)]
    pub max_parallel: Option<u32>,
    /// For people and filters.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Paths that the task is about.
    #[serde(default)]
    pub artifacts: Vec<String>,
    /// What it writes: patterns of paths that it locks while it runs.
    #[serde(default)]
    pub writes: Vec<Pattern>,
    /// What it reads, and nobody else may write meanwhile.
    #[serde(default)]
    pub reads: Vec<Pattern>,
    /// The folder it runs in, if not its role's.
    pub cwd: Option<String>,
    /// Idempotency key.
    pub key: Option<String>,
    /// The box in which its end is posted: that of the master that delegated it.
    pub notify: Option<String>,
    /// How long one attempt may take.
    pub timeout_ms: u64,
    /// How long after it was accepted it must have ended, waiting included.
    #[serde(default)]
    pub deadline_ms: Option<u64>,
    /// How many failed attempts are followed by another one.
    pub retries: u32,
    /// How many lost attempts are followed by another one.
    #[serde(default)]
    pub lost_max: u32,
    /// How long it waits after each failed or lost attempt, in milliseconds.
    #[serde(default)]
    pub delays_ms: Delays,
    /// Whether its parent ends without waiting for it.
    #[serde(default)]
    pub detached: bool,
    /// Whether its result is a plan that a person approves and orch submits (`orch plan --from`).
    #[serde(default)]
    pub drafts_plan: bool,
    /// When a person is asked about it; `None`: never.
    #[serde(default)]
    pub approval: Option<ApprovalRule>,
    /// How long an approval may take, in milliseconds; `None`: any time.
    #[serde(default)]
    pub approval_timeout_ms: Option<u64>,
    /// What is decided then; `None`: it is denied.
    #[serde(default)]
    pub approval_default: Option<Approval>,
    /// What all its attempts together may use, in US dollars; `None`: what its role allows.
    #[serde(default)]
    pub max_cost_usd: Option<f64>,
    /// The same in tokens.
    #[serde(default)]
    pub max_tokens: Option<u64>,
    /// How it found its role, where it was delegated to `auto`.
    #[serde(default)]
    pub routing: Option<Routing>,
    /// The roles to which it goes on, one after the other, when it has failed by the fault of its role.
    #[serde(default)]
    pub tiers: Vec<String>,
    /// The tools that a person has allowed this task, besides those of its role (`orch approve --allow`).
    #[serde(default)]
    pub allowed_tools: Vec<String>,
}

impl Default for Spec {
    fn default() -> Self {
        Spec {
            role: String::new(),
            priority: Priority::Normal,
            after: Vec::new(),
            edges: BTreeMap::new(),
            plan: None,
            plan_key: None,
            max_parallel: None,
            labels: BTreeMap::new(),
            artifacts: Vec::new(),
            writes: Vec::new(),
            reads: Vec::new(),
            cwd: None,
            key: None,
            notify: None,
            timeout_ms: 0,
            deadline_ms: None,
            retries: 0,
            lost_max: 0,
            delays_ms: Delays::default(),
            detached: false,
            drafts_plan: false,
            approval: None,
            approval_timeout_ms: None,
            approval_default: None,
            max_cost_usd: None,
            max_tokens: None,
            routing: None,
            tiers: Vec::new(),
            allowed_tools: Vec::new(),
        }
    }
}
