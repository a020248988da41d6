//! End to end: the real program on a real Redis, a real tmux server and real processes, with shell scripts as agents.
//!
//! `faults` contains the failures, `work` the delegated tasks; the rest covers the lifecycle from start to stop, and
//! the drill.

#[path = "../common/mod.rs"]
mod common;

mod agents;
mod drill;
mod environment;
mod escape;
mod faults;
mod sandbox;
mod sandbox_grants;
mod sessions;
mod start;
mod stop;
mod work;
