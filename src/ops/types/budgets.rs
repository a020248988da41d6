//! What may be used, was used, and is reserved.

use serde::{Deserialize, Serialize};

use crate::model::{task::TaskState, window::AccountWindow};

/// What `orch budget` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Budgets {
    /// The day's first, then each role's, then those of tasks that run or are held.
    pub budgets: Vec<BudgetRow>,
    /// What programs have reported of the windows of their subscriptions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<AccountWindow>,
}

/// One budget. What has no cap is not limited.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BudgetRow {
    /// Whose: `day`, `role:NAME`, `plan:ID`, or a task's id.
    pub scope: String,
    /// The state of the task, where it is one's.
    pub state: Option<TaskState>,
    /// The most that may be used, in US dollars: per day, or by all attempts of a task.
    pub cap_usd: Option<f64>,
    /// What was used.
    pub spent_usd: f64,
    /// What running attempts have reserved.
    pub reserved_usd: f64,
    /// The same three in tokens.
    pub cap_tokens: Option<u64>,
    /// See `spent_usd`.
    pub spent_tokens: u64,
    /// See `reserved_usd`.
    pub reserved_tokens: u64,
    /// What the next attempt of the role is expected to use, and reserves.
    pub expected_usd: Option<f64>,
    /// The same in tokens.
    pub expected_tokens: Option<u64>,
    /// Whether a person has set it with `orch budget set`, or with the task.
    pub is_set: bool,
}

/// What `orch budget set` and `orch approve --budget` answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BudgetChanged {
    /// Whose budget it is.
    pub scope: String,
    /// Whether that changed anything.
    pub changed: bool,
    /// Whether a task or a plan that was held goes on.
    #[serde(default)]
    pub goes_on: bool,
    /// The state of the task before, where it is one's.
    pub from: Option<TaskState>,
    /// Its state now.
    pub state: Option<TaskState>,
    /// The budget as it is now.
    pub budget: Option<BudgetRow>,
}
