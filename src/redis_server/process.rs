//! The server as a process, in the terms of this module.

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

/// Whether its current folder is this one: what a server's pid says is not enough to end it.
pub(super) fn works_in(process: &ProcessId, dir: &std::path::Path) -> bool {
    let same = |dir: &std::path::Path| crate::os::FolderId::of(dir);
    let current = std::path::PathBuf::from(format!("/proc/{}/cwd", process.pid));
    same(&current).is_some_and(|current| same(dir) == Some(current)) && process.is_alive()
}

/// Ends it with SIGKILL. Nothing happens if it is gone already.
pub(super) fn kill(process: &ProcessId) {
    if let Err(e) = process.signal(Signal::SIGKILL) {
        tracing::warn!(%process, "could not be ended: {e}");
    }
}
