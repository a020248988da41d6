//! Questions, their answers, messages and inboxes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{
    id::TaskId,
    message::{Delivery, Message, ReadWhen},
    question::Approval,
};

/// `orch ask`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Ask {
    /// The question.
    pub text: String,
    /// The answers to choose from; empty: any.
    pub options: Vec<String>,
    /// Whether to wait for the answer.
    pub wait: bool,
    /// Longest time to wait.
    pub timeout: Option<Duration>,
}

/// The state of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskState {
    /// Not answered yet.
    Open,
    /// Answered by a person.
    Answered,
}

/// What `orch ask` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The caller's own task.
    pub task: TaskId,
    /// The question's number within it.
    pub question: u32,
    /// Whether a person has answered.
    pub state: AskState,
    /// The answer.
    pub answer: Option<String>,
    /// Whether the person approved or denied, if one of the two.
    pub approval: Option<Approval>,
}

/// A person's answer to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// In their own words, or one of the options.
    Text(String),
    /// Yes, and perhaps more.
    Approve(Option<String>),
    /// No, and perhaps why.
    Deny(Option<String>),
}

/// What `orch send` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The message's id.
    pub id: String,
    /// The task it went to, or the master.
    pub to: String,
    /// Its delivery so far.
    pub state: Delivery,
    /// When it will be read; `null` where that is not known.
    #[serde(default)]
    pub reads: Option<ReadWhen>,
}

/// What `orch inbox` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inbox {
    /// The oldest first.
    pub messages: Vec<Message>,
    /// How many more there are.
    pub left: u64,
}
