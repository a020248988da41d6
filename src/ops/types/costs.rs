//! The costs of the work.

use serde::{Deserialize, Serialize};

use crate::model::task::Usage;

/// What each line of `orch costs` is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostsBy {
    /// By role.
    Role,
    /// By agent.
    Agent,
    /// By day, UTC.
    Day,
    /// By task, without its subtasks.
    Task,
}

/// One line of `orch costs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostRow {
    /// The role, agent, day or task.
    pub name: String,
    /// What it used.
    #[serde(flatten)]
    pub usage: Usage,
}

/// What `orch costs` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// What each row is about.
    pub by: CostsBy,
    /// Over how many days, today among them.
    pub days: u64,
    /// The most expensive first; days in their order.
    pub rows: Vec<CostRow>,
    /// The sum.
    pub total: Usage,
    /// The days whose sums an earlier release began, which counted a conversation again each time that it was resumed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overcounted: Vec<String>,
}
