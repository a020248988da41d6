//! A delegation that a person has to approve, because it passes on a right that the delegating role lacks.

use serde::{Deserialize, Serialize};

/// What a person is asked to approve. The task is held until then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// The whole question: the asker, the role, its rights and the task's text.
    pub question: String,
    /// Why the task is held, in one line.
    pub reason: String,
    /// The rights that the delegating role lacks, one phrase each.
    pub rights: Vec<String>,
}
