//! The stopwatch of passes: how long they take in all, and how long something other than Redis delayed them.
//!
//! A pass waits for the answers of Redis. Nothing else may delay it: neither tmux, nor a disk, nor a scan of
//! processes. The delay is the time during which the pass occupies the loop's thread and a processor is available to
//! it, plus the short waits of [`super::background`].

use std::{
    future::{Future, poll_fn},
    pin::pin,
    time::{Duration, Instant},
};

use crate::{
    os::RunQueue,
    store::{Result, Store, passes::Passes},
};

/// How often a change is written that is no new maximum.
const WRITE_EVERY: Duration = Duration::from_secs(10);

/// How long the passes of this supervisor took.
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    measured: Passes,
    written: Passes,
    written_at: Option<Instant>,
}

impl Stopwatch {
    /// Continues the measurement of an earlier supervisor that crashed.
    pub fn since(earlier: Passes) -> Self {
        Stopwatch { measured: earlier, written: earlier, written_at: None }
    }

    /// Adds a pass: how long it took in all, how long it was delayed, and how long since the last one there was no processor.
    pub fn add(&mut self, took: Duration, held_up: Duration, starved: Duration) {
        let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let (took, held_up, starved) = (ms(took), ms(held_up), ms(starved));
        self.measured = Passes {
            last_ms: took,
            max_ms: self.measured.max_ms.max(took),
            max_held_up_ms: self.measured.max_held_up_ms.max(held_up),
            max_starved_ms: self.measured.max_starved_ms.max(starved),
        };
    }

    /// Writes it to Redis: a new maximum immediately, everything else every [`WRITE_EVERY`].
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn write(&mut self, store: &Store) -> Result<()> {
        let of = |p: &Passes| (p.max_ms, p.max_held_up_ms, p.max_starved_ms);
        let is_due = self.written_at.is_none_or(|at| at.elapsed() > WRITE_EVERY);
        if of(&self.measured) != of(&self.written) || (is_due && self.measured != self.written) {
            store.note_passes(&self.measured).await?;
            (self.written, self.written_at) = (self.measured, Some(Instant::now()));
        }
        Ok(())
    }
}

/// Runs a future, and measures how long it occupied the thread. The time in which the thread was ready to run and had no
/// processor is not counted: on a busy machine everything takes longer, and nothing that this process does would help.
pub(super) async fn measured<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let mut work = pin!(work);
    let mut busy = Duration::ZERO;
    let output = poll_fn(|context| {
        let queue = RunQueue::of_this_thread();
        let (began, waited) = (Instant::now(), queue.waited());
        let polled = work.as_mut().poll(context);
        busy += began.elapsed().saturating_sub(queue.waited().saturating_sub(waited));
        polled
    })
    .await;
    (output, busy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_blocks_counts_and_what_waits_does_not() {
        let (_, waited) = measured(tokio::time::sleep(Duration::from_millis(300))).await;
        let (_, blocked) = measured(async { std::thread::sleep(Duration::from_millis(300)) }).await;
        assert!(waited < Duration::from_millis(300) && blocked >= Duration::from_millis(300));
    }

    #[test]
    fn the_longest_pass_is_kept() {
        let mut watch = Stopwatch::since(Passes { max_ms: 7, ..Passes::default() });
        for (took, held_up, starved) in [(5, 1, 8), (9, 3, 0), (2, 2, 1)] {
            let [took, held_up, starved] = [took, held_up, starved].map(Duration::from_millis);
            watch.add(took, held_up, starved);
        }
        assert_eq!(watch.measured, Passes { last_ms: 2, max_ms: 9, max_held_up_ms: 3, max_starved_ms: 8 });
    }
}
