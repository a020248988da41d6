//! The breaker of a role: no agent is started for a while after agents failed right after their start.
//!
//! The transition that ends an agent (`store/lua/agent/end.lua`) opens the breaker, and doubles the pause with every
//! failure in a row. The supervisor closes it when an agent of the role has proven to work. All numbers here are ours.

use std::time::Duration;

/// The pause after the first failure. It is shorter than a person notices, so that a single accident costs nothing.
pub const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause, reached with the eighth failure in a row. A role that was fixed starts again within it.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The age at which an agent has proven to work even if it has not finished a task. A program that can't start (wrong
/// arguments, no login, a missing file) exits within a few seconds.
pub const PROVEN: Duration = Duration::from_secs(10);
/// Returns how long an agent runs before it takes its first task, where agents of its role failed this many times in a row:
/// as long as the pause before its start, and at most until it has proven to work. What ends every agent shows in this
/// time, and then no task is lost with it.
pub fn probation(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        _ => FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(20)).min(PROVEN),
    }
}

/// How long the count of failures in a row is kept after the last one.
pub const KEPT: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probation_grows_with_the_failures_before_it() {
        let seconds = |failures| probation(failures).as_secs_f64();
        assert_eq!([0, 1, 2, 3, 5, 6, 1_000_000].map(seconds), [0.0, 0.5, 1.0, 2.0, 8.0, 10.0, 10.0]);
    }
}
