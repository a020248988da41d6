//! Answers about schedules.

use serde::{Deserialize, Serialize};

pub use crate::config::Work;
use crate::model::{
    schedule::{Decided, Missed, Overlap, RunId},
    time::Timestamp,
};

/// A schedule with what is recorded of it (`orch schedule list`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleInfo {
    /// Its name.
    pub name: String,
    /// Its cron line.
    pub cron: String,
    /// The time zone of the line; `None`: the machine's.
    pub timezone: Option<String>,
    /// What it runs.
    pub work: Work,
    /// What becomes of an occurrence while an earlier run is not over.
    pub overlap: Overlap,
    /// What becomes of occurrences at which orch was not at work.
    pub missed: Missed,
    /// Each occurrence runs up to this much later.
    pub jitter_ms: u64,
    /// `active`, `paused`, or `unknown`: the running supervisor has not read it.
    pub state: String,
    /// Who has paused it.
    pub paused_by: Option<String>,
    /// The next occurrence.
    pub next: Option<Timestamp>,
    /// When that runs, later than it by its jitter.
    pub next_run_at: Option<Timestamp>,
    /// Occurrences that are to run and were not accepted yet.
    pub waiting: Vec<Timestamp>,
    /// Why the first of them was not accepted.
    pub obstacle: Option<String>,
    /// The last run: a task or a plan.
    pub last_run: Option<RunId>,
    /// The occurrence that it runs for.
    pub last_at: Option<Timestamp>,
    /// Its state; `None` where its record is forgotten.
    pub last_state: Option<String>,
    /// Why the last occurrence could not run.
    pub failure: Option<String>,
}

/// A schedule with what became of its last occurrences (`orch schedule why`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleWhy {
    /// The schedule.
    #[serde(flatten)]
    pub schedule: ScheduleInfo,
    /// What it waits for, in sentences.
    pub because: Vec<String>,
    /// What became of its last occurrences, the newest first.
    pub recent: Vec<Decided>,
}

/// What `orch schedule run` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleRequested {
    /// The schedule.
    pub name: String,
    /// When the run was asked for.
    pub at: Timestamp,
    /// What it runs as; `None`: it waits.
    pub run: Option<RunId>,
    /// Why it waits.
    pub waits_for: Option<String>,
}
