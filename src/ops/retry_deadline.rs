//! How long a verb waits for a Redis that does not answer: for as long as somebody looks after it and it gets on.
//!
//! One that was killed is back in a moment. But it first reads what it has stored, a second for some 100 MiB, and who
//! asks meanwhile, an agent's program most of all, would take a no for the end of its task.

use std::time::{Duration, Instant};

use super::Ops;
use crate::model::size;

/// For how long a Redis that does not answer, and shows no progress, is waited for while a supervisor lives, which is
/// bringing it back.
pub(super) const RETRY_FOR: Duration = Duration::from_secs(5);
/// Whoever waits for so long is told what for.
const TOLD_AFTER: Duration = Duration::from_secs(2);
/// Between two looks at how far it has come.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// A server that was stopped, or hangs, does not answer that either.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// Nobody else is waited for than a person, or a program that does nothing meanwhile.
const LONGEST_PAUSE: Duration = Duration::from_millis(40);

/// That of one call.
pub(super) struct RetryDeadline<'a> {
    ops: &'a Ops,
    began: Instant,
    progress: Instant,
    loaded: Option<u64>,
    looked: Instant,
    told: bool,
    pause: Duration,
}

impl<'a> RetryDeadline<'a> {
    pub fn new(ops: &'a Ops) -> Self {
        let now = Instant::now();
        let pause = Duration::from_millis(5);
        RetryDeadline { ops, began: now, progress: now, loaded: None, looked: now, told: false, pause }
    }

    /// Nobody has answered: pauses before the next call, or says that there is to be none.
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
        if !self.told && self.began.elapsed() >= TOLD_AFTER {
            self.told = true;
            (self.ops.tell)(&match loading {
                Some((loaded, total)) => format!(
                    "waits for Redis, which reads what it has stored: {} of {} so far",
                    size::human(loaded),
                    size::human(total)
                ),
                None => "waits for Redis, which does not answer".to_owned(),
            });
        }
    }
}
