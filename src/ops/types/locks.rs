//! Requests and answers about locks.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::lock::{Lock, LockMode, Parked, Pattern};

/// What is to be locked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LockRequest {
    /// Patterns, relative to the project's root or absolute.
    pub patterns: Vec<String>,
    /// What its holder does.
    pub mode: LockMode,
    /// What for.
    pub reason: Option<String>,
    /// When a person's lock ends by itself.
    pub ttl: Option<Duration>,
}

/// What `orch lock` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locked {
    /// The lock's id; none within a task, whose locks end with its attempt.
    pub id: Option<String>,
    /// What is locked.
    pub patterns: Vec<Pattern>,
    /// As what.
    pub mode: LockMode,
}

/// What `orch unlock` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlocked {
    /// What was released.
    pub patterns: Vec<Pattern>,
}

/// What `orch locks` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locks {
    /// The folder that patterns are relative to.
    pub root: std::path::PathBuf,
    /// Locks and reservations, in the order of their paths.
    pub locks: Vec<Lock>,
    /// Ready tasks that wait for one, those first that have waited longest.
    pub waiting: Vec<Parked>,
    /// How many there are.
    pub waiting_count: u64,
}
