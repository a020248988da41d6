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
    /// By plan.
    Plan,
}

/// One line of `orch costs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostRow {
    /// The role, agent, day, task or plan.
    pub name: String,
    /// Of a plan: how it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it used.
    #[serde(flatten)]
    pub usage: Usage,
}

impl CostRow {
    /// What a role, an agent, a day, a task or a plan has used.
    pub fn new(name: String, usage: Usage) -> CostRow {
        CostRow { name, title: None, usage }
    }
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
