//! When a task is tried again: exponential backoff with jitter, computed from the stored attempt number.
//!
//! The `backoff` crate is used as a policy only, and nowhere else: a living instance would forget its count when
//! the process that holds it dies, so each delay is computed anew from the number that Redis keeps.

use std::time::Duration;

use backoff::{ExponentialBackoffBuilder, backoff::Backoff};
use serde::{Deserialize, Serialize};

/// A role's retry policy (DESIGN sections 3 and 11).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// How many times a task that failed by itself is tried again.
    pub retries: u32,
    /// How many lost attempts (agent crashed, machine rebooted) are forgiven.
    pub lost: u32,
    /// The first delay.
    pub base: Duration,
    /// Each further delay is this many times the one before it; at least 1.
    pub factor: f64,
    /// No delay is longer than this, jitter included.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy { retries: 3, lost: 3, base: Duration::from_secs(1), factor: 2.0, cap: Duration::from_secs(300) }
    }
}

/// Half of the delay at most is random: enough to part a herd, and a person still recognises the doubling.
const JITTER: f64 = 0.25;

impl RetryPolicy {
    /// The delay before the try that follows failure number `failures` (1 for the first), with jitter.
    pub fn delay(&self, failures: u32) -> Duration {
        self.jittered(self.plain_delay(failures))
    }

    /// The delay after a lost attempt: short, for the task is not to blame, and growing a little with each.
    pub fn lost_delay(&self, lost: u32) -> Duration {
        let short = (self.base / 4).min(Duration::from_secs(1));
        self.jittered(short * lost.clamp(1, 4)).min(self.cap)
    }

    /// The delay without jitter: `base * factor^(failures-1)`, at most `cap`.
    pub fn plain_delay(&self, failures: u32) -> Duration {
        let exponent = failures.saturating_sub(1).min(1_000) as i32;
        let ms = self.base.as_millis() as f64 * self.factor.max(1.0).powi(exponent);
        Duration::from_millis(ms.min(self.cap.as_millis() as f64) as u64)
    }

    fn jittered(&self, delay: Duration) -> Duration {
        // One step of the crate's policy, started at the delay that the stored number stands for. Its elapsed-time
        // limit is off, and its jitter may pass the cap, so the cap is applied once more.
        let mut step = ExponentialBackoffBuilder::new()
            .with_initial_interval(delay)
            .with_randomization_factor(JITTER)
            .with_max_interval(self.cap)
            .with_max_elapsed_time(None)
            .build();
        step.next_backoff().unwrap_or(delay).min(self.cap)
    }
}
