//! The time from a death until work continues: of a runner, a program, a session, of Redis with much data, and of the
//! tmux server.

mod agents;
mod redis;
mod tmux;

use crate::{Result, table::Row};

/// Measures each of them in a separate world.
pub fn measure() -> Result<Vec<Row>> {
    Ok([agents::measure()?, redis::measure()?, tmux::measure()?].concat())
}
