//! Who descends from one process, without a look at all the others.

use std::{fs, io, sync::LazyLock};

use super::scan::Processes;
use crate::os::{ProcessId, Tree};

/// Whether the kernel lists the children of a thread (CONFIG_PROC_CHILDREN).
static LISTS_CHILDREN: LazyLock<bool> = LazyLock::new(|| {
    let own = std::process::id();
    fs::exists(format!("/proc/{own}/task/{own}/children")).unwrap_or(false)
});

/// The pids of all that descend from `process`, zombies included, itself excluded.
///
/// It costs by what is found, not by what runs on the machine: each of a hundred agents can ask every few seconds. In
/// return it may overlook somebody whose parent ends in this very moment. So it is for measuring; to end a tree, use
/// [`end_tree`](super::end_tree).
///
/// # Errors
/// `/proc` can't be read.
pub fn descendants(process: &ProcessId) -> io::Result<Vec<u32>> {
    if !*LISTS_CHILDREN {
        let tree = Tree { roots: vec![*process], ..Tree::default() };
        return Ok(Processes::scan()?.members(&tree, &[process.pid]).into_iter().map(|p| p.pid).collect());
    }
    let mut found = children(process.pid)?;
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        // One that has ended meanwhile has none.
        found.extend(children(*pid).unwrap_or_default());
        next += 1;
    }
    Ok(found)
}

/// The children of all threads of a process: each is listed with the thread that started it.
pub(super) fn children(pid: u32) -> io::Result<Vec<u32>> {
    let mut children = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let list = fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
        children.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Ok(children)
}
