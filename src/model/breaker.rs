//! The breaker: what follows where agents of a role fail right after they start.
//!
//! None starts for a while then, and twice as long each time. The same numbers are written into the Lua transitions.

use std::time::Duration;

/// The first pause.
pub const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest one.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// An agent that has lived for this long, or has done a task, is well: it closes the breaker, and its end opens none.
pub const PROVEN: Duration = Duration::from_secs(10);
