//! The server as a process: what `os` knows of it, in this room's words.

use nix::sys::signal::Signal;

pub(super) use crate::os::ProcessId;

/// The process that has `pid` now, if it lives.
pub(super) fn living(pid: u32) -> Option<ProcessId> {
    ProcessId::of(pid).filter(ProcessId::is_alive)
}

/// Whether it was stopped (SIGSTOP, a debugger): alive, and silent until someone lets it continue.
pub(super) fn is_stopped(process: &ProcessId) -> bool {
    matches!(process.state(), Some('T' | 't'))
}

/// Ends it with SIGKILL. Nothing happens if it is gone already.
pub(super) fn kill(process: &ProcessId) {
    if let Err(e) = process.signal(Signal::SIGKILL) {
        tracing::warn!(%process, "could not be ended: {e}");
    }
}
