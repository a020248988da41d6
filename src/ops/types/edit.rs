//! What was changed of a task.

use serde::{Deserialize, Serialize};

use crate::model::{id::TaskId, task::TaskState};

/// What `orch edit` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edited {
    /// The task.
    pub id: TaskId,
    /// Its state before.
    pub from: TaskState,
    /// Its state now.
    pub state: TaskState,
    /// What was changed, in the words of the options.
    pub changed: Vec<String>,
}
