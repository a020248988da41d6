//! What remembers outside of Redis how far it had come: a small file in ORCH_HOME.

use std::{
    fs, io,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::os;

/// Whoever has the checkpoint's lock for longer is stopped or hung: the numbers it took are simply left out.
const LOCK_LIMIT: Duration = Duration::from_secs(2);

/// What is remembered of Redis outside of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The highest epoch that anybody may have raised.
    pub reserved: u64,
    /// The last epoch that Redis was seen in.
    pub epoch: u64,
    /// The last fence that it had given.
    pub fence: u64,
    /// How many tasks it had accepted.
    pub accepted: u64,
}

/// A file beside Redis that remembers its epoch.
#[derive(Debug)]
pub struct Checkpoint {
    pub(super) path: PathBuf,
    /// How long living agents get to say what they know after a loss.
    pub(super) settle: Duration,
}

impl Checkpoint {
    /// The checkpoint at `path`; it need not exist. After a loss everybody gets `settle` to say what he knows.
    pub fn new(path: PathBuf, settle: Duration) -> Self {
        Checkpoint { path, settle }
    }

    /// What it remembers; `None` where it has never seen this namespace, or is damaged.
    pub fn recall(&self) -> Option<Memory> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return None,
            Err(e) => return self.forgotten(&e),
        };
        serde_json::from_slice(&bytes).map_or_else(|e| self.forgotten(&e), Some)
    }

    fn forgotten(&self, why: &dyn std::fmt::Display) -> Option<Memory> {
        tracing::error!("{} does not read, so a loss of data would not be noticed: {why}", self.path.display());
        None
    }

    /// Remembers, under the lock. `durable` forces it to the disk before it returns.
    pub(super) fn note(&self, memory: &Memory, durable: bool) -> io::Result<()> {
        let temporary = self.path.with_extension("tmp");
        fs::write(&temporary, serde_json::to_vec(memory)?)?;
        if durable {
            fs::File::open(&temporary)?.sync_all()?;
        }
        fs::rename(&temporary, &self.path)?;
        match self.path.parent().filter(|_| durable) {
            Some(folder) => fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    /// The lowest epoch that is free, which nobody else gets.
    pub(super) fn reserve(&self, memory: Option<Memory>) -> u64 {
        let Some(memory) = memory else { return 0 };
        let number = memory.reserved.max(memory.epoch) + 1;
        if let Err(e) = self.note(&Memory { reserved: number, ..memory }, true) {
            tracing::error!("{} can't be written: {e}", self.path.display());
        }
        number
    }

    /// Held by whoever changes it, for some milliseconds.
    pub(super) async fn lock(&self) -> Option<os::FileLock> {
        let began = Instant::now();
        loop {
            let lock = self.try_lock();
            if lock.is_some() || began.elapsed() > LOCK_LIMIT {
                return lock;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    pub(super) fn try_lock(&self) -> Option<os::FileLock> {
        os::lock_file(&self.path.with_extension("lock")).unwrap_or_else(|e| {
            tracing::error!("{e}");
            None
        })
    }
}
