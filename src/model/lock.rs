//! A lock as recorded: the right of one holder to write or to read what a pattern covers.

use serde::{Deserialize, Serialize};

pub use super::pattern::{LockMode, Pattern};
use super::{id::TaskId, time::Timestamp, words};

/// Patterns of one task, or of one call.
pub const MOST_PATTERNS: usize = 100;

words! {
    /// What holds a lock.
    HolderKind: "holder of a lock" {
        /// A running task.
        Task = "task",
        /// A person, or the master.
        Person = "person",
        /// A ready task that has been overtaken: younger tasks are kept out until it has all of its locks.
        Reservation = "reservation",
    }
}

/// A lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// What it covers.
    pub pattern: Pattern,
    /// What its holder may do.
    pub mode: LockMode,
    /// What holds it.
    pub holder: HolderKind,
    /// The id of a person's lock: `l-...`.
    pub id: Option<String>,
    /// The task that holds it, or has reserved it.
    pub task: Option<TaskId>,
    /// The agent that works on that task.
    pub agent: Option<String>,
    /// The person, in words.
    pub by: Option<String>,
    /// What for.
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// The place of a reserving task among the ready ones: older ones are not kept out.
    #[serde(skip)]
    pub place: u64,
}

impl Lock {
    /// Returns its holder as a sentence names it.
    pub fn holder(&self) -> String {
        let task = self.task.as_ref().map(TaskId::to_string).unwrap_or_default();
        match (self.holder, &self.agent, &self.by) {
            (HolderKind::Person, _, Some(by)) => by.clone(),
            (HolderKind::Person, _, None) => "a person".to_owned(),
            (HolderKind::Task, Some(agent), _) => format!("{task} ({agent})"),
            _ => task,
        }
    }

    /// Returns whether both cannot be held by two tasks at the same time, of which neither is above the other.
    #[must_use]
    pub fn excludes(&self, mode: LockMode, pattern: &Pattern) -> bool {
        (mode == LockMode::Write || self.mode == LockMode::Write) && self.pattern.meets(pattern)
    }
}

/// A ready task that waits for a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The task.
    pub task: TaskId,
    /// Its role.
    pub role: String,
    /// The pattern that it lacks first.
    pub pattern: Pattern,
    /// As what it needs it.
    pub mode: LockMode,
    /// Since when it waits for locks.
    pub since: Timestamp,
    /// How many tasks of its role that wait for the same go first.
    pub ahead: u64,
}
