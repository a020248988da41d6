//! What a task's program asks a person, and what it was told.

use serde::{Deserialize, Serialize};

use super::{time::Timestamp, words};

words! {
    /// A person's word on a question that asks for leave.
    Approval: "approval" {
        /// It may.
        Approved = "approved",
        /// It may not.
        Denied = "denied",
    }
}

/// One question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// From 1, within the task.
    pub number: u32,
    /// What is asked.
    pub question: String,
    /// The answers to choose from; empty: any.
    pub options: Vec<String>,
    /// The attempt that asked it last.
    pub attempt: u32,
    /// When it was asked first.
    pub asked_at: Timestamp,
    /// What a person said; `null` while nobody has.
    pub answer: Option<String>,
    /// Where a person approved or denied it.
    pub approval: Option<Approval>,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// By whom.
    pub answered_by: Option<String>,
    /// Why it needs no answer any more.
    pub closed: Option<String>,
}

impl Question {
    /// Whether it waits for an answer.
    pub fn is_open(&self) -> bool {
        self.answer.is_none() && self.closed.is_none()
    }
}
