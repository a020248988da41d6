//! Operating system interface: which processes are alive, which belong together, and how to end them completely.
//!
//! All Linux-specific code is behind this module (`/proc`, prctl, pidfd, inotify). The types are declared here, once
//! for every platform; `linux/` implements their behaviour. Support for another platform is another folder next to it
//! with the same public items, and the tests in `tests/` are its acceptance test.
//!
//! **A process is never identified by its pid alone.** Pids are reused; a [`ProcessId`] contains the start time too.
//! To signal a process, a pidfd is opened first and the start time compared second, so that a process that has reused
//! a pid is never signalled.
//!
//! **Not found and not readable are different.** A process that vanishes between two reads is normal, and skipped. A
//! `/proc` that cannot be read (no file descriptors left) is an error and never means "no process exists": otherwise
//! agents would be declared dead, or a tree considered ended.
//!
//! This module does not depend on agents, tasks, Redis or tmux. All calls block for microseconds to a few
//! milliseconds, except [`end_tree`] and [`end_children`], which receive their time limits as arguments, and the two
//! watches, which are async and need a tokio runtime.

mod disk;
pub mod failpoint;
mod folder;
mod lock;
mod ownership;
#[cfg(test)]
mod tests;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
compile_error!(
    "orch runs on Linux only so far: another platform needs a folder next to src/os/linux with the same items"
);

use std::{fmt, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

pub use disk::free_space;
pub(crate) use failpoint::failpoint;
pub use folder::FolderId;
#[cfg(target_os = "linux")]
pub use linux::{
    Attributes, ExitWatch, FileWatch, Processes, RunQueue, SMALL, Terminal, ancestors, arguments_of, arguments_of_all,
    as_before, attributes, available_memory, become_subreaper, boot_id, children_of, command_line, cpu_time,
    descendants, detach, end_children, end_tree, end_with_parent, expect_entry, first_process, give_memory_back,
    has_children, has_entry, hostname, inheritable_fds, inherited, members, memory, memory_file, number, of_folder,
    open_fds, own_group, parent_of, pass_on, protect_this_process, pss_bytes, raise_nofile_limit, reset_signals,
    rss_bytes, sandbox_filter, share_one_heap, started_with, stderr_to, take_over, tree_cpu_time, widen_pipe,
    without_secrets,
};
pub use lock::{FileLock, FolderLock, LockOwner, lock_file, lock_folder, lock_owner, read_lock_holder};
pub use ownership::{Exposure, exposure, user};

/// A unique process identity: within one boot the pair is never reused (a pid alone is).
///
/// Created by [`ProcessId::of`] and [`ProcessId::current`]; see `is_alive`, `state`, `signal`. Displayed as
/// `pid@start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// The pid, as seen by this process.
    pub pid: u32,
    /// When it started: clock ticks since boot (Linux: field 22 of `/proc/PID/stat`).
    pub start_time: u64,
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.pid, self.start_time)
    }
}

/// Which processes belong together: the roots, the members of some sessions, the carriers of a marker, and the members
/// of some cgroups, each with all their descendants.
///
/// There are four criteria because each has a gap: descent is lost when a parent dies, a session is left by `setsid`,
/// a marker by `env -i`; and a cgroup cannot be created everywhere. Where there is one, only root can leave it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Belong themselves, with their descendants. A root that is gone is ignored.
    pub roots: Vec<ProcessId>,
    /// Leaders of sessions, dead or alive: the members of their sessions belong. The start time excludes a later
    /// session with the same number.
    pub sessions: Vec<ProcessId>,
    /// Exact `NAME=value` entries of the environment that a process was started with; one is enough. Processes older
    /// than all roots and leaders named here are excluded: the markers are assumed to have been created for those.
    pub markers: Vec<String>,
    /// The processes inside belong.
    pub cgroups: Vec<Cgroup>,
}

/// A group of processes that the kernel maintains: a process inside stays inside with all that it starts, whatever it
/// does to its parents, session and environment. On Linux: a control group.
///
/// Where none can be created (no permission, a container, an old kernel), everything works without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    path: PathBuf,
}

/// Limits for all processes of a cgroup together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bounds {
    /// Memory in bytes; `None`: unlimited.
    pub memory: Option<u64>,
    /// Number of processes; `None`: unlimited.
    pub processes: Option<u32>,
    /// Processor cores; `None`: unlimited.
    pub cpu: Option<f64>,
}

/// How often the kernel enforced a limit of a cgroup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused {
    /// Processes that it killed because of their memory.
    pub memory: u64,
    /// Processes and threads that it refused to start.
    pub forks: u64,
}

/// The result of [`end_tree`] or [`end_children`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndReport {
    /// How many processes were found and are gone now.
    pub ended: usize,
    /// The processes that are left: stuck in the kernel (state `D`), or another user's, which we may not signal.
    pub survivors: Vec<ProcessId>,
    /// Whether it is certain that no process is left. `false` without survivors means that the limit was reached
    /// first: call again.
    pub complete: bool,
    /// Time from the call to the return.
    pub took: Duration,
}

/// The memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Resident, including shared pages.
    pub rss_bytes: u64,
    /// Written by the process and not shared: this would be freed if it ended, even while other instances of its
    /// program run. `None` without permission (another user's process).
    pub private_bytes: Option<u64>,
}

/// What woke [`FileWatch::changed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileChange {
    /// There may be new content: continue reading.
    Modified,
    /// The path no longer refers to the watched file (removed, renamed, replaced): read the rest of it, then start a
    /// new watch.
    Gone,
}
