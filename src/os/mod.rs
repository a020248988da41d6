//! What orch asks of the operating system: who is alive, what belongs together, and how it ends so that nothing is
//! left.
//!
//! The one wall behind which everything of Linux's own stands (`/proc`, prctl, pidfd, inotify). The types are declared
//! here, once for every platform; `linux/` gives them their behaviour. Another platform is another folder beside it
//! with the same public items, and the tests in `tests/` are its acceptance test.
//!
//! **A process is never named by its pid alone.** Pids are used again; a [`ProcessId`] carries the start time too, and
//! whatever is signalled here is pinned by a pidfd first and compared second, so that a stranger who got an old pid is
//! never hit.
//!
//! **Not found and not readable are two things.** A process that vanishes between two reads is ordinary, and skipped.
//! A `/proc` that can't be read (no file descriptors left) is an error and never "nobody is there": agents would be
//! declared dead, or a tree ended, on the strength of it.
//!
//! Nothing here knows of agents, tasks, Redis or tmux. All calls block for microseconds to a few milliseconds, except
//! [`end_tree`] and [`end_children`], which take their time limits as arguments, and the two watches, which are async
//! and need a tokio runtime.

pub mod failpoint;
mod lock;
#[cfg(test)]
mod tests;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
compile_error!(
    "orch runs on Linux only so far: another platform needs a folder beside src/os/linux with the same items"
);

use std::{fmt, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

pub(crate) use failpoint::failpoint;
#[cfg(target_os = "linux")]
pub use linux::{
    ExitWatch, FileWatch, Processes, SMALL, Terminal, available_memory, become_subreaper, boot_id, children_of,
    command_line, cpu_time, descendants, detach, end_children, end_tree, expect_entry, give_memory_back, has_children,
    hostname, inheritable_fds, members, memory, of_folder, open_fds, parent_of, pss_bytes, raise_nofile_limit,
    rss_bytes, share_one_heap, stderr_to, tree_cpu_time, widen_pipe,
};
pub use lock::{FileLock, lock_file, read_lock_holder};

/// One process, for good: within one boot the pair is never used again (a pid alone is).
///
/// Made by [`ProcessId::of`] and [`ProcessId::current`], asked by `is_alive`, `state`, `signal`. Written `pid@start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// The process's number, as this process sees it.
    pub pid: u32,
    /// When it started: clock ticks since boot (Linux: field 22 of `/proc/PID/stat`).
    pub start_time: u64,
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.pid, self.start_time)
    }
}

/// Which processes belong together: the roots with all their descendants, the members of some sessions, the carriers of
/// a marker, and who is inside some cgroups, each again with all their descendants.
///
/// Four nets because each has a hole: descent is lost when a parent dies, a session is left by `setsid`, a marker by
/// `env -i`; and a cgroup can't be made everywhere. Where there is one, only root can get out of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Belong themselves, as do their descendants. One that is gone by now counts no more.
    pub roots: Vec<ProcessId>,
    /// Leaders of sessions, dead or alive: the members of their sessions belong. The start time keeps out a later
    /// session that got the same number.
    pub sessions: Vec<ProcessId>,
    /// An exact `NAME=value` entry of the environment that a process was started with. Nobody carries it who is older
    /// than all roots and leaders named here: it is taken to have been made for them.
    pub marker: Option<String>,
    /// Who is inside belongs.
    pub cgroups: Vec<Cgroup>,
}

/// A group of processes that the kernel keeps: who is inside stays inside with all that it starts, whatever it does
/// about its parents, its session and its environment. Linux: a control group.
///
/// Where none can be made (no permission, a container, an old kernel), everything works without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    path: PathBuf,
}

/// What all processes of a cgroup may use together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bounds {
    /// Memory in bytes; `None`: any.
    pub memory: Option<u64>,
    /// Processes at once; `None`: any.
    pub processes: Option<u32>,
    /// Processor cores; `None`: any.
    pub cpu: Option<f64>,
}

/// How often the kernel held a bound of a cgroup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused {
    /// Processes that it killed for their memory.
    pub memory: u64,
    /// Processes and threads that it did not start.
    pub forks: u64,
}

/// What [`end_tree`] or [`end_children`] came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndReport {
    /// How many processes were there and are gone now.
    pub ended: usize,
    /// Who is still there: stuck in the kernel (state `D`), or another user's, whom we may not signal.
    pub survivors: Vec<ProcessId>,
    /// Whether it is certain that nobody is left. Without it and without survivors the limit came first: call again.
    pub complete: bool,
    /// From the call to the return.
    pub took: Duration,
}

/// How much memory a process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Resident, pages shared with others included.
    pub rss_bytes: u64,
    /// What it has written, and nobody shares: that would be free if it ended, also while others run its program. `None` where we may not look (another user's process).
    pub private_bytes: Option<u64>,
}

/// What [`FileWatch::changed`] was woken by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileChange {
    /// There may be something new: read on.
    Modified,
    /// The path no longer stands for the watched file (removed, renamed, replaced): read what is left of it, then watch
    /// the path anew.
    Gone,
}
