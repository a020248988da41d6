//! Messages to a task or to the master.

use serde::{Deserialize, Serialize};

use super::{id::TaskId, text::count, time::Timestamp, words};

words! {
    /// The delivery state of a message.
    Delivery: "delivery" {
        /// It was read.
        Delivered = "delivered",
        /// It is not read yet.
        Unconfirmed = "unconfirmed",
        /// Its receiver ended before it was read.
        Failed = "failed",
    }
}

/// The end of the line that is typed into a master's idle program; its hook recognises the line by it.
const LINE_TO_IDLE: &str = " for you: call read_inbox";

/// Returns the line that is typed into a master's idle program while `n` messages wait for it.
pub fn line_to_idle(waiting: u64) -> String {
    format!("{}{LINE_TO_IDLE}", count(waiting, "message waits", "messages wait"))
}

/// Returns whether a prompt is such a line.
pub fn is_line_to_idle(prompt: &str) -> bool {
    prompt.len() < 100 && prompt.trim_end().ends_with(LINE_TO_IDLE)
}

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// Who wrote it, in words; `orch` for a report of orch itself.
    pub from: String,
    /// The task that wrote it, or that it is about.
    pub task: Option<TaskId>,
    /// Its text.
    pub text: String,
    /// When it was sent.
    pub at: Timestamp,
    /// Its delivery state.
    pub state: Delivery,
    /// Why it failed.
    pub reason: Option<String>,
}
