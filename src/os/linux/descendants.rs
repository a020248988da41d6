//! The descendants of one process, without reading all other processes.

use std::{fs, io, sync::LazyLock};

use super::scan::Processes;
use crate::os::{ProcessId, Tree};

/// Whether the kernel lists the children of a thread (CONFIG_PROC_CHILDREN).
static LISTS_CHILDREN: LazyLock<bool> = LazyLock::new(|| {
    let own = std::process::id();
    fs::exists(format!("/proc/{own}/task/{own}/children")).unwrap_or(false)
});

/// Returns the pids of all descendants of `process`, including zombies, excluding itself.
///
/// The cost depends on the number of descendants, not on the processes of the machine: each of a hundred agents can
/// call this every few seconds. In return it may miss a process whose parent ends at that moment. So use it for
/// measurements; to end a tree, use [`end_tree`](super::end_tree).
///
/// # Errors
/// Fails when `/proc` cannot be read.
pub fn descendants(process: &ProcessId) -> io::Result<Vec<u32>> {
    if !*LISTS_CHILDREN {
        let tree = Tree { roots: vec![*process], ..Tree::default() };
        return Ok(Processes::scan()?.members(&tree, &[process.pid]).into_iter().map(|p| p.pid).collect());
    }
    let mut found = children(process.pid)?;
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        // A process that has ended meanwhile has no children.
        found.extend(children(*pid).unwrap_or_default());
        next += 1;
    }
    Ok(found)
}

/// Returns the children of all threads of a process: each child is listed with the thread that started it.
pub(super) fn children(pid: u32) -> io::Result<Vec<u32>> {
    let mut children = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let list = fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
        children.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Ok(children)
}
