//! Finds ends of attempts that Redis has lost but the disk has not, so that no work is repeated.
//!
//! Redis can have lost the end of an attempt only if it has restarted since, and then the epoch is a later one. So
//! nothing is looked up in the first epoch, and the journals are read once per epoch in every later one.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::{
    home::Home,
    model::{cause::Cause, id::TaskId},
    store::tasks::{Claimed, Report},
};

/// The ends that the journals contained when an epoch was first seen.
#[derive(Debug, Default)]
pub(in crate::runner) struct EarlierEnds {
    epoch: u64,
    /// Hashes of task and attempt, sorted: 8 bytes for each of possibly many thousands.
    ends: Vec<u64>,
}

impl EarlierEnds {
    /// Returns how the attempt that was just claimed has already ended, as of this epoch. Returns `None` where it has
    /// not, or where it is to be retried.
    pub fn of(&mut self, home: &Home, epoch: u64, claimed: &Claimed) -> Option<Report> {
        let task = &claimed.task.id;
        if epoch == 0 {
            return None;
        }
        if self.epoch != epoch {
            self.ends = home.journaled_ends().iter().map(|(task, attempt)| hash(task, *attempt)).collect();
            self.ends.sort_unstable();
            self.ends.shrink_to_fit();
            self.epoch = epoch;
        }
        self.ends.binary_search(&hash(task, claimed.attempt)).ok()?;
        let known = home.known_end(task, claimed.attempt)?;
        (!matches!(known.cause, Cause::Lost | Cause::Cancelled)).then_some(known)
    }
}

fn hash(task: &TaskId, attempt: u32) -> u64 {
    let mut hasher = DefaultHasher::new();
    (task.as_str(), attempt).hash(&mut hasher);
    hasher.finish()
}
