//! Which tasks have ended, and run again, by another process than a runner: one that a person has cancelled between two
//! attempts does not run again because Redis has lost that.
//!
//! Every process that decides appends to the one file of the day, which is named, read and removed as a part of a journal.

use std::{
    collections::HashSet,
    fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::reader::each_line;
use crate::{home::Home, model::id::TaskId};

/// The name of these parts, where another journal has an incarnation.
const NAME: &str = "decisions";
const DAY: u64 = 24 * 3600;

/// A decision about tasks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// They were cancelled or have failed for good, and with each its open subtasks have ended.
    Over(Vec<TaskId>),
    /// They run again.
    Retried(Vec<TaskId>),
}

impl Home {
    /// Records a decision that Redis has acknowledged.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn record_decision(&self, decision: &Decision) -> io::Result<()> {
        let day = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / DAY;
        let mut line = serde_json::to_vec(decision)?;
        line.push(b'\n');
        let path = self.journals().join(format!("{NAME}.{day}{}", super::CLOSED));
        // One write of a process is one line, whatever others append.
        fs::OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(path)?
            .write_all(&line)
    }

    /// Returns the tasks that are over, and were not retried since.
    pub(super) fn over(&self) -> HashSet<TaskId> {
        let mut parts: Vec<_> = self.journal_parts().filter(|part| part.incarnation == NAME).collect();
        parts.sort_by_key(|part| part.number);
        let mut over = HashSet::new();
        for part in parts {
            each_line(&part.path, |line| match serde_json::from_slice(line) {
                Ok(Decision::Over(tasks)) => over.extend(tasks),
                Ok(Decision::Retried(tasks)) => over.retain(|task| !tasks.contains(task)),
                Err(_) => {}
            });
        }
        over
    }
}
