//! Which process a pid means: the pid together with its start time, for a pid alone may be used again.
//!
//! The one place of this room that reads `/proc` and sends signals.

use std::fs;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A process that can't be mistaken for a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProcessId {
    /// The pid, in our own pid namespace.
    pub(super) pid: u32,
    /// Clock ticks from boot to the process's start: field 22 of `/proc/PID/stat`.
    start_time: u64,
}

impl ProcessId {
    /// The living process that has `pid` now; `None` if there is none, or only a zombie.
    pub(super) fn of(pid: u32) -> Option<ProcessId> {
        let (state, start_time) = stat(pid)?;
        (!matches!(state, 'Z' | 'X')).then_some(ProcessId { pid, start_time })
    }

    /// Whether this very process still runs. A zombie does not: it holds neither lock nor file.
    pub(super) fn is_alive(self) -> bool {
        ProcessId::of(self.pid) == Some(self)
    }

    /// Whether it was stopped (SIGSTOP, a debugger): alive, and silent until someone lets it continue.
    pub(super) fn is_stopped(self) -> bool {
        stat(self.pid).is_some_and(|(state, start)| start == self.start_time && matches!(state, 'T' | 't'))
    }

    /// Ends it with SIGKILL. Nothing happens if it is gone already.
    pub(super) fn kill(self) {
        if self.is_alive() {
            // It may end between the check and the call; then there is nobody to signal, and that is what we want.
            let _ = kill(Pid::from_raw(self.pid as i32), Signal::SIGKILL);
        }
    }
}

/// State letter and start time of `pid`.
fn stat(pid: u32) -> Option<(char, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let start_time = fields.nth(18)?.parse().ok()?;
    Some((state, start_time))
}
