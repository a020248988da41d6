//! Schedules: the words of their policies, and what is recorded of them.

use serde::{Deserialize, Serialize};

use super::{
    id::{PlanId, TaskId},
    time::Timestamp,
    words,
};

words! {
    /// What becomes of an occurrence while an earlier run is not over.
    Overlap: "overlap policy" {
        /// It does not run.
        Skip = "skip",
        /// It runs when the earlier run is over.
        Queue = "queue",
        /// The earlier run is cancelled, and it runs when that has ended.
        Replace = "replace",
    }
}

words! {
    /// What becomes of occurrences at which no supervisor was at work.
    Missed: "missed policy" {
        /// None of them runs.
        Skip = "skip",
        /// One run makes up for all of them.
        One = "one",
        /// Each runs, one after the other.
        All = "all",
    }
}

words! {
    /// What became of an occurrence.
    Outcome: "outcome" {
        /// It was accepted as a task or a plan.
        Run = "run",
        /// It does not run; the reason says why.
        Skipped = "skipped",
        /// It could not be run: its plan has mistakes, its role is gone.
        Failed = "failed",
    }
}

/// A task or a plan that an occurrence was accepted as.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RunId {
    /// A plan.
    Plan(PlanId),
    /// A task.
    Task(TaskId),
}

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RunId::Plan(id) => id.fmt(f),
            RunId::Task(id) => id.fmt(f),
        }
    }
}

impl std::str::FromStr for RunId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(RunId::Plan).or_else(|_| text.parse().map(RunId::Task))
    }
}

/// An occurrence that is to run and was not accepted yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// When it was due, in ms.
    pub at: u64,
    /// Whether the run before it is cancelled for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaces: bool,
    /// Who asked for it, in words; `None`: the cron line did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Occurrences that do not run, one after the other, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The first, in ms.
    pub from: u64,
    /// The last, in ms.
    pub to: u64,
    /// How many.
    pub count: u64,
    /// Why.
    pub reason: String,
}

/// What is decided about the occurrences up to a mark.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Step {
    /// The last of these occurrences.
    #[serde(skip)]
    pub mark: Timestamp,
    /// Those that do not run.
    pub skipped: Vec<Skipped>,
    /// Those that run, in this order.
    pub waiting: Vec<Waiting>,
    /// Why those that already wait do not run; `None`: they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drops: Option<String>,
}

/// When a schedule was paused, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Since when.
    pub from: Timestamp,
    /// Until when; `None`: it is paused.
    pub until: Option<Timestamp>,
    /// By whom, in words.
    pub by: String,
}

/// What is recorded of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScheduleRecord {
    /// Every occurrence up to here is decided. `None`: no supervisor knows the schedule.
    pub mark: Option<Timestamp>,
    /// The last pause.
    pub pause: Option<Pause>,
    /// Occurrences that are to run, the first one first.
    pub waiting: Vec<Waiting>,
    /// Why the first of them was not accepted when that was last tried.
    pub obstacle: Option<String>,
    /// Why the last occurrence could not run.
    pub failure: Option<String>,
    /// The last run.
    pub last: Option<RunId>,
    /// The occurrence that it runs for.
    pub last_at: Option<Timestamp>,
    /// The state of that run; `None` where its record is gone.
    pub last_state: Option<String>,
    /// Whether that run is not over.
    pub is_open: bool,
}

/// What became of one or several occurrences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The occurrence, or the first of several.
    pub at: Timestamp,
    /// The last of several.
    pub to: Timestamp,
    /// How many.
    pub count: u64,
    /// When that was decided.
    pub decided_at: Timestamp,
    /// What became of it.
    pub outcome: Outcome,
    /// What it was accepted as.
    #[serde(default)]
    pub run: Option<RunId>,
    /// Why.
    pub reason: String,
}
