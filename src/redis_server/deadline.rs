//! The deadline for a server's start, which moves as long as the server makes progress.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long a server may show no sign of progress while it starts. It is there in 10 ms; one that loads an append-only
/// file counts its bytes; a busy disk may delay the first write for seconds.
pub(super) const RETRY_FOR: Duration = Duration::from_secs(15);

/// A wait for one server.
pub(super) struct RetryDeadline {
    /// Without progress for this long, the wait is over.
    pub(super) limit: Duration,
    began: Instant,
    progress: Instant,
    loaded: u64,
    reported: Instant,
}

impl RetryDeadline {
    pub(super) fn new(limit: Duration) -> RetryDeadline {
        let now = Instant::now();
        RetryDeadline { limit, began: now, progress: now, loaded: 0, reported: now }
    }

    /// Records how much of the append-only file is loaded, in bytes, and logs it once a second.
    pub(super) fn loading(&mut self, loaded: u64, total: u64) {
        let now = Instant::now();
        if loaded != self.loaded {
            (self.loaded, self.progress) = (loaded, now);
        }
        if now - self.reported >= Duration::from_secs(1) {
            self.reported = now;
            tracing::info!(loaded_bytes = loaded, total_bytes = total, "redis-server loads its append-only file");
        }
    }

    /// Whether there was no progress for too long.
    pub(super) fn is_over(&self) -> bool {
        self.progress.elapsed() >= self.limit
    }

    /// The pause before the next look: short while the server may be there any moment, longer when it has much to load.
    pub(super) async fn pause(&self) {
        let first_moments = self.began.elapsed() < Duration::from_millis(500);
        sleep(Duration::from_millis(if first_moments { 2 } else { 50 })).await;
    }
}
