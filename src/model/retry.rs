//! Computes how long a task waits before it is retried: exponential backoff.
//!
//! A role's [`RetryPolicy`] becomes a table of [`Delays`] when a task is delegated, and that table is stored with the
//! task. The transition that ends an attempt (`retry_delay` in `store/lua/prelude/retry.lua`) picks the entry and adds
//! the jitter. It is the only place that computes a delay, because it is the only one that sees everything in one atomic
//! step: the attempt's cause, the counts after it, and the task's own policy. Neither the runner, which may be dead, nor
//! the supervisor, which may serve a newer sessions.toml, has to know the policy.
//!
//! The `backoff` crate computes the table, and is used nowhere else. A living instance of it would forget its count when
//! the process that holds it dies; the count that matters is the one stored in Redis.

use std::time::Duration;

use backoff::{ExponentialBackoffBuilder, backoff::Backoff};
use serde::{Deserialize, Serialize};

/// A role's retry policy, as `[retry]` and `[roles.NAME.retry]` of sessions.toml set it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// How many times a task is tried again after it failed.
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

/// Part of a delay that is random, in either direction: enough to part a herd, and a person still recognises the doubling.
pub const JITTER: f64 = 0.25;
/// The first wait after a rate limit for which the program named no end. Each further one is twice as long.
pub const RATE_LIMIT_DEFAULT: Duration = Duration::from_secs(60);
/// The longest wait that follows from the number of limits in a row alone.
pub const RATE_LIMIT_MOST: Duration = Duration::from_secs(3600);
/// The longest limit that is believed. There are weekly limits, and monthly ones of free plans.
pub const RATE_LIMIT_LONGEST: Duration = Duration::from_secs(31 * 86_400);

/// The most entries that a table of delays has; a policy that grows slower stays at its last one.
const MAX_ENTRIES: usize = 64;
/// Lost attempts after which the delay stops growing.
const LOST_ENTRIES: u32 = 4;
/// The longest first delay after a lost attempt.
const LOST_BASE: Duration = Duration::from_secs(1);

/// The delays of one task in milliseconds, without jitter. The last entry of each table stands for all that follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delays {
    /// After its first failure, its second, and so on.
    pub failed: Vec<u64>,
    /// After its first lost attempt, its second, and so on. These are short: the task is not to blame.
    pub lost: Vec<u64>,
    /// No delay is longer than this, jitter included.
    pub cap: u64,
}

impl RetryPolicy {
    /// Returns the delays that this policy stands for.
    pub fn delays(&self) -> Delays {
        let mut policy = ExponentialBackoffBuilder::new()
            .with_initial_interval(self.base.min(self.cap))
            .with_multiplier(self.factor.max(1.0))
            .with_max_interval(self.cap)
            .with_randomization_factor(0.0)
            .with_max_elapsed_time(None)
            .build();
        let mut failed: Vec<Duration> = Vec::new();
        while let Some(delay) = policy.next_backoff().filter(|_| failed.len() < MAX_ENTRIES) {
            if failed.last() == Some(&delay) {
                break;
            }
            failed.push(delay);
        }
        let short = (self.base / 4).min(LOST_BASE);
        Delays {
            failed: failed.into_iter().map(ms).collect(),
            lost: (1..=LOST_ENTRIES).map(|n| ms((short * n).min(self.cap))).collect(),
            cap: ms(self.cap),
        }
    }
}

impl Default for Delays {
    fn default() -> Self {
        RetryPolicy::default().delays()
    }
}

fn ms(delay: Duration) -> u64 {
    u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_until_the_cap_and_those_after_a_loss_are_short() {
        let Delays { failed, lost, cap } = RetryPolicy::default().delays();
        assert_eq!(failed, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000]);
        assert_eq!((lost, cap), (vec![250, 500, 750, 1_000], 300_000));
    }

    #[test]
    fn every_policy_has_a_table_of_bounded_length() {
        let policy = |base_ms, factor, cap_ms| {
            let (base, cap) = (Duration::from_millis(base_ms), Duration::from_millis(cap_ms));
            RetryPolicy { base, factor, cap, ..RetryPolicy::default() }.delays().failed
        };
        assert_eq!(policy(100, 1.0, 1_000), [100]);
        assert_eq!(policy(100, 0.0, 1_000), [100], "a factor is at least 1");
        assert_eq!(policy(0, 2.0, 1_000), [0]);
        assert_eq!(policy(100, f64::INFINITY, 1_000), [100, 1_000]);
        let slow = policy(1, 1.1, u64::MAX);
        assert_eq!((slow.len(), slow[63]), (MAX_ENTRIES, 405), "1.1 to the power of 63");
    }
}
