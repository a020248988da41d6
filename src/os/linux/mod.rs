//! Linux: `/proc` lists processes, pidfds report their end and make signals safe, prctl makes a subreaper.
//!
//! `stat` reads one line of `/proc`; `process` and `scan` are built on it, for one process and for all; `end` ends
//! what `scan` finds. Where pidfds are missing (kernels before 5.3, some containers) there is a fallback: a watch
//! polls every 200 ms, and a signal is sent microseconds after the comparison, with a small race.

mod allocator;
mod attributes;
mod cgroup;
mod daemon;
mod descendants;
mod end;
mod exit_watch;
mod file_watch;
pub mod first_process;
mod host;
mod inherit;
mod inspect;
mod pidfd;
mod pipe;
mod process;
mod protect;
mod run_queue;
mod scan;
mod seccomp;
mod stat;
mod terminal;

pub use allocator::{SMALL, give_memory_back, share_one_heap};
pub use attributes::Attributes;
pub use cgroup::{expect_entry, own_group};
pub use daemon::{detach, end_with_parent, inheritable_fds, stderr_to};
pub use descendants::descendants;
pub use end::{become_subreaper, end_children, end_tree, has_children};
pub use exit_watch::ExitWatch;
pub use file_watch::FileWatch;
pub use host::{available_memory, boot_id, hostname, raise_nofile_limit};
pub use inherit::{inherited, memory_file, number, pass_on, reset_signals};
pub use inspect::{
    ancestors, arguments_of, arguments_of_all, children_of, command_line, has_entry, of_folder, open_fds, parent_of,
};
pub use pipe::widen_pipe;
pub use process::{cpu_time, memory, pss_bytes, rss_bytes, tree_cpu_time};

pub use protect::{as_before, attributes, protect_this_process, started_with, take_over, without_secrets};
pub use run_queue::RunQueue;
pub use scan::{Processes, members};
pub use seccomp::sandbox_filter;
pub use terminal::Terminal;
