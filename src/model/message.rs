//! Messages to a task or to the master.

use serde::{Deserialize, Serialize};

use super::{id::TaskId, time::Timestamp, words};

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
