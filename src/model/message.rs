//! Messages to a task or to the master.

use serde::{Deserialize, Serialize};

use super::{id::TaskId, text::count, time::Timestamp, words};

words! {
    /// What became of a message.
    Delivery: "delivery" {
        /// It was read.
        Delivered = "delivered",
        /// Nobody has read it yet.
        Unconfirmed = "unconfirmed",
        /// Whoever it was for ended before it was read.
        Failed = "failed",
    }
}

/// How the line ends that is typed to a master's idle program, and by which its hook knows it.
const LINE_TO_IDLE: &str = " for you: call read_inbox";

/// What is typed to a master's program that is idle while so many messages wait for it.
pub fn line_to_idle(waiting: u64) -> String {
    format!("{}{LINE_TO_IDLE}", count(waiting, "message waits", "messages wait"))
}

/// Whether a prompt is such a line.
pub fn is_line_to_idle(prompt: &str) -> bool {
    prompt.len() < 100 && prompt.trim_end().ends_with(LINE_TO_IDLE)
}

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// Who wrote it, in words; `orch` for what orch itself tells.
    pub from: String,
    /// The task from within which it was written, or that it is about.
    pub task: Option<TaskId>,
    /// What it says.
    pub text: String,
    /// When it was sent.
    pub at: Timestamp,
    /// What became of it.
    pub state: Delivery,
    /// Why it failed.
    pub reason: Option<String>,
}
