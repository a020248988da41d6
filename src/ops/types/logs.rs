//! Lines of agents' output.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::model::{
    id::{PlanId, TaskId},
    time::Timestamp,
};

/// `orch logs`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LogQuery {
    /// Of this agent.
    pub agent: Option<String>,
    /// Of this task (all its attempts).
    pub task: Option<TaskId>,
    /// Of the tasks of this plan.
    #[serde(default)]
    pub plan: Option<PlanId>,
    /// How many of the last lines.
    pub last: usize,
    /// Only lines that match.
    pub grep: Option<String>,
}

/// One line of `orch logs --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was printed.
    pub at: Timestamp,
    /// The agent whose program printed it.
    pub agent: String,
    /// For which task.
    pub task: TaskId,
    /// In which attempt.
    pub attempt: u32,
    /// `stdout` or `stderr`.
    pub stream: Cow<'static, str>,
    /// The line without escape sequences. It ends with a carriage return where the line ended in CRLF.
    pub text: String,
}

/// An item of a search in the output of attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFound {
    /// A line.
    Line(LogLine),
    /// The search is over; nothing follows.
    Looked(Looked),
}

/// How far a search in the output of attempts has looked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// How many attempts with output were read.
    pub attempts: u64,
    /// How many tasks' folders these are of, and how many there are. 0 where they were not counted.
    pub tasks: u64,
    /// The number of tasks' folders that are kept; 0 where they were not counted.
    pub of_tasks: u64,
    /// When the oldest of these attempts printed last.
    pub back_to: Option<Timestamp>,
    /// Whether nothing that is kept was left out.
    pub complete: bool,
}
