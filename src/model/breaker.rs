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
/// How long the count of failures in a row is kept after the last one.
pub const KEPT: Duration = Duration::from_secs(3600);
