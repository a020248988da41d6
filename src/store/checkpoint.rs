//! The checkpoint: a small file in ORCH_HOME that records the last known state of Redis outside of Redis.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::os;

/// A process that holds the checkpoint's lock for longer is stopped or hung: the numbers it reserved are skipped.
const LOCK_LIMIT: Duration = Duration::from_secs(2);

/// The last known state of Redis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastKnown {
    /// The highest epoch that any process may have opened.
    pub reserved: u64,
    /// The last epoch that Redis was seen in.
    pub epoch: u64,
    /// The last fence that it had given.
    pub fence: u64,
    /// How many tasks it had accepted.
    pub accepted: u64,
}

/// A file beside Redis that records its epoch.
#[derive(Debug)]
pub struct Checkpoint {
    pub(super) path: PathBuf,
    /// How long living agents get to report what they know after a loss of data.
    pub(super) settle: Duration,
}

impl Checkpoint {
    /// Creates the checkpoint at `path`, which need not exist. After a loss of data, living agents get `settle` to report.
    pub fn new(path: PathBuf, settle: Duration) -> Self {
        Checkpoint { path, settle }
    }

    /// Reads the last known state; `None` if none was recorded yet, or the file is damaged.
    pub fn recall(&self) -> Option<LastKnown> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return None,
            Err(e) => return self.forgotten(&e),
        };
        serde_json::from_slice(&bytes).map_or_else(|e| self.forgotten(&e), Some)
    }

    fn forgotten(&self, why: &dyn std::fmt::Display) -> Option<LastKnown> {
        tracing::error!("{} does not read, so a loss of data would not be noticed: {why}", self.path.display());
        None
    }

    /// Writes the last known state; the caller holds the lock. `durable` syncs it to the disk before this returns.
    pub(super) fn note(&self, memory: &LastKnown, durable: bool) -> io::Result<()> {
        let temporary = self.path.with_extension("tmp");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(&serde_json::to_vec(memory)?)?;
        if durable {
            fs::File::open(&temporary)?.sync_all()?;
        }
        fs::rename(&temporary, &self.path)?;
        match self.path.parent().filter(|_| durable) {
            Some(folder) => fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Forgets what Redis had, and keeps only that fences grow: another server is used from now on.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn begin_again(&self) -> io::Result<()> {
        let known = self.recall().unwrap_or_default();
        let reserved = known.reserved.max(known.epoch).max(known.fence / super::epoch::FENCES_PER_EPOCH);
        self.note(&LastKnown { reserved, epoch: 0, fence: 0, accepted: 0 }, true)
    }

    /// Reserves the lowest free epoch for the caller alone.
    pub(super) fn reserve(&self, memory: Option<LastKnown>) -> u64 {
        let Some(memory) = memory else { return 0 };
        let number = memory.reserved.max(memory.epoch) + 1;
        if let Err(e) = self.note(&LastKnown { reserved: number, ..memory }, true) {
            tracing::error!("{} can't be written: {e}", self.path.display());
        }
        number
    }

    /// Takes the lock that protects changes, which are a matter of milliseconds.
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
