//! End to end: the real program on a real Redis, a real tmux server and real processes, with shell scripts as agents.
//!
//! `faults` holds what goes wrong, `work` what is delegated; the rest is a life from start to stop, and the drill.

#[path = "../common/mod.rs"]
mod common;

mod agents;
mod drill;
mod faults;
mod sessions;
mod start;
mod stop;
mod work;
