//! Questions of a task's program to a person, and their answers.

use serde::{Deserialize, Serialize};

use super::{time::Timestamp, words};

words! {
    /// A person's decision on a question that asks for permission.
    Approval: "approval" {
        /// Permission is granted.
        Approved = "approved",
        /// Permission is refused.
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
    /// The answer; `null` while there is none.
    pub answer: Option<String>,
    /// The decision, if a person approved or denied it.
    pub approval: Option<Approval>,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// Who answered it.
    pub answered_by: Option<String>,
    /// Why it no longer needs an answer.
    pub closed: Option<String>,
}

impl Question {
    /// Returns whether it waits for an answer.
    pub fn is_open(&self) -> bool {
        self.answer.is_none() && self.closed.is_none()
    }
}
