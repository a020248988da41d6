//! Computes how long a verb waits for a Redis that does not answer: while a supervisor runs and Redis makes progress.
//!
//! A Redis that was killed is restarted within a moment, but first it loads its data, about 100 MiB per second. If an
//! agent's program got an error meanwhile, its task would end with it.

use std::time::{Duration, Instant};

use super::Ops;
use crate::model::size;

/// How long a verb waits for a Redis that makes no progress, while a supervisor runs that restarts it.
pub(super) const RETRY_FOR: Duration = Duration::from_secs(5);
/// A note about the wait is written after this.
const NOTE_AFTER: Duration = Duration::from_secs(2);
/// Pause between two looks at the progress of loading.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// A server that was stopped or hangs does not answer that question either.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// Longest pause between two calls. The caller is a person, or a program that does nothing meanwhile.
const LONGEST_PAUSE: Duration = Duration::from_millis(40);

/// The deadline of one call.
pub(super) struct RetryDeadline<'a> {
    ops: &'a Ops,
    began: Instant,
    progress: Instant,
    loaded: Option<u64>,
    looked: Instant,
    noted: bool,
    pause: Duration,
}

impl<'a> RetryDeadline<'a> {
    pub fn new(ops: &'a Ops) -> Self {
        let now = Instant::now();
        let pause = Duration::from_millis(5);
        RetryDeadline { ops, began: now, progress: now, loaded: None, looked: now, noted: false, pause }
    }

    /// Redis has not answered: pauses before the next call; `false`: the deadline has passed.
    pub async fn lasts(&mut self) -> bool {
        if self.looked.elapsed() >= LOOK_AGAIN {
            self.look().await;
        }
        if self.progress.elapsed() + self.pause > self.ops.retry_for {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }

    async fn look(&mut self) {
        self.looked = Instant::now();
        let loading = tokio::time::timeout(ANSWERS_WITHIN, self.ops.store.loading()).await.ok().flatten();
        if let Some((loaded, _)) = loading
            && self.loaded.replace(loaded) != Some(loaded)
        {
            self.progress = self.looked;
        }
        if !self.noted && self.began.elapsed() >= NOTE_AFTER {
            self.noted = true;
            (self.ops.note)(&match loading {
                Some((loaded, total)) => format!(
                    "waiting for Redis, which is loading its data: {} of {} so far",
                    size::human(loaded),
                    size::human(total)
                ),
                None => "waiting for Redis, which does not answer".to_owned(),
            });
        }
    }
}
