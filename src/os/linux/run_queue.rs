//! Measures how long a thread was ready to run without a processor.

use std::{fs::File, os::unix::fs::FileExt, time::Duration};

/// The scheduler's figures of one thread: `/proc/thread-self/schedstat`, whose second field is the time on a run queue in
/// nanoseconds (Documentation/scheduler/sched-stats.rst in the kernel's sources).
#[derive(Debug)]
pub struct RunQueue(Option<File>);

impl RunQueue {
    /// Opens the figures of the calling thread. A kernel without them is taken for one on which no thread ever waits.
    pub fn of_this_thread() -> Self {
        RunQueue(File::open("/proc/thread-self/schedstat").ok())
    }

    /// Returns how long the thread has waited for a processor so far.
    pub fn waited(&self) -> Duration {
        let mut line = [0u8; 96];
        let read = self.0.as_ref().and_then(|file| file.read_at(&mut line, 0).ok()).unwrap_or(0);
        let text = std::str::from_utf8(&line[..read]).unwrap_or_default();
        Duration::from_nanos(text.split_ascii_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        time::{Duration, Instant},
    };

    use super::*;

    #[test]
    fn a_thread_among_many_waits_for_its_turn() {
        let queue = RunQueue::of_this_thread();
        let (stop, busy) = (AtomicBool::new(false), std::thread::available_parallelism().map_or(8, |n| n.get()) * 4);
        let waited = std::thread::scope(|scope| {
            for _ in 0..busy {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        std::hint::spin_loop()
                    }
                });
            }
            let (before, deadline) = (queue.waited(), Instant::now() + Duration::from_secs(20));
            while queue.waited() - before < Duration::from_millis(5) && Instant::now() < deadline {}
            stop.store(true, Ordering::Relaxed);
            queue.waited() - before
        });
        assert!(waited >= Duration::from_millis(5), "{waited:?}");
    }
}
