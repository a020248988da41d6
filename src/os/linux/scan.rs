//! A snapshot of all processes of the machine, and which of them belong together.
//!
//! One snapshot answers any number of questions: a supervisor with fifty agents takes one per pass. It costs about 10
//! µs per process for the `stat` lines, nearly all of it in the kernel; an environment costs as much again, and is
//! read only if a marker is looked for, and only of processes that are young enough and not already found by descent
//! or session.

use std::{
    cell::{Cell, OnceCell},
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read},
};

use nix::errno::Errno;

use super::stat::{Stat, is_gone};
use crate::os::{ProcessId, Tree};

/// All processes at the time of [`Processes::scan`].
#[derive(Debug)]
pub struct Processes {
    entries: BTreeMap<u32, Entry>,
    children: BTreeMap<u32, Vec<u32>>,
    /// This process and its ancestors.
    own_line: BTreeSet<u32>,
    /// A process was listed, but ended before it could be read: it may have left a child behind that is not in the
    /// list.
    slipped: Cell<bool>,
}

#[derive(Debug)]
struct Entry {
    stat: Stat,
    /// The content of `/proc/PID/environ`: `NAME=value` entries, each terminated by a zero byte. Empty without
    /// permission.
    environ: OnceCell<Vec<u8>>,
}

impl Processes {
    /// Reads all processes.
    ///
    /// # Errors
    /// Fails when `/proc` cannot be read: then it is unknown which processes exist.
    pub fn scan() -> io::Result<Self> {
        let mut processes = Processes {
            entries: BTreeMap::new(),
            children: BTreeMap::new(),
            own_line: BTreeSet::new(),
            slipped: Cell::new(false),
        };
        processes.add_newcomers()?;
        let mut pid = std::process::id();
        while processes.own_line.insert(pid)
            && let Some(entry) = processes.entries.get(&pid)
        {
            pid = entry.stat.parent;
        }
        Ok(processes)
    }

    /// Lists again and adds new processes; the others stay as they were. Far quicker than a new scan, which makes it
    /// possible to catch up with a program that forks meanwhile.
    pub(super) fn add_newcomers(&mut self) -> io::Result<()> {
        self.slipped.set(false);
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if self.entries.contains_key(&pid) {
                continue;
            }
            let stat = match Stat::read(pid) {
                Ok(Some(stat)) => stat,
                Ok(None) => {
                    self.slipped.set(true);
                    continue;
                }
                // /proc is mounted so that it hides other users' processes: none of them is ours.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => continue,
                Err(error) => return Err(error),
            };
            if stat.is_ended() {
                self.slipped.set(true);
            }
            self.children.entry(stat.parent).or_default().push(pid);
            self.entries.insert(pid, Entry { stat, environ: OnceCell::new() });
        }
        Ok(())
    }

    /// Returns whether the last list, or the last query, may have missed a process. If so, list again.
    pub(super) fn has_slipped(&self) -> bool {
        self.slipped.get()
    }

    /// Returns the living members of `tree` that may be ended: never the first process, this process, its ancestors,
    /// or any of `except`.
    ///
    /// Descent from a process that is spared this way does not make a member, unless that process is one of the tree's
    /// roots: what a spared process has started is spared with it.
    pub fn members(&self, tree: &Tree, except: &[u32]) -> Vec<ProcessId> {
        self.members_and(&BTreeSet::new(), tree, except)
    }

    /// The same, plus the processes in `known` and their descendants: the members found by earlier scans.
    pub(super) fn members_and(&self, known: &BTreeSet<ProcessId>, tree: &Tree, except: &[u32]) -> Vec<ProcessId> {
        let is_spared = |pid: u32| pid <= 1 || self.own_line.contains(&pid) || except.contains(&pid);
        let mut belonging = self.belonging(tree, is_spared);
        let there = known.iter().filter(|process| self.is_there(process)).map(|process| process.pid);
        self.spread(there, &mut belonging, &is_spared);
        let living = belonging.into_iter().filter(|pid| !is_spared(*pid)).filter_map(|pid| self.entries.get(&pid));
        living.filter(|entry| !entry.stat.is_ended()).map(|entry| entry.stat.id).collect()
    }

    /// Returns the children of `parent` that have ended and wait to be reaped.
    pub(super) fn zombies_of(&self, parent: u32) -> impl Iterator<Item = u32> {
        let children = self.children.get(&parent).into_iter().flatten().copied();
        children.filter(|pid| self.entries.get(pid).is_some_and(|entry| entry.stat.is_ended()))
    }

    /// Returns the pids of all members, including zombies. Descent stops at the pids that `is_cut` returns `true` for,
    /// except at roots.
    fn belonging(&self, tree: &Tree, is_cut: impl Fn(u32) -> bool) -> BTreeSet<u32> {
        let mut belonging = BTreeSet::new();
        // The first process is the ancestor of all: as a root it counts only itself (in a container whose first
        // process we are).
        let is_root = |root: &&ProcessId| self.is_there(root) && (root.pid > 1 || root.pid == std::process::id());
        let roots = tree.roots.iter().filter(is_root).map(|root| root.pid);
        self.spread(roots, &mut belonging, &is_cut);
        if !tree.sessions.is_empty() {
            let of_session =
                |entry: &&Entry| tree.sessions.iter().any(|leader| self.is_of_session(&entry.stat, leader));
            let found = self.entries.values().filter(of_session).map(|entry| entry.stat.id.pid);
            self.spread(found.filter(|pid| !is_cut(*pid)), &mut belonging, &is_cut);
        }
        for cgroup in &tree.cgroups {
            let inside = cgroup.members().unwrap_or_else(|_| {
                self.slipped.set(true);
                Vec::new()
            });
            // A process newer than our list: list again.
            if inside.iter().any(|pid| !self.entries.contains_key(pid)) {
                self.slipped.set(true);
            }
            self.spread(inside.into_iter().filter(|pid| !is_cut(*pid)), &mut belonging, &is_cut);
        }
        if !tree.markers.is_empty() {
            let oldest = tree.roots.iter().chain(&tree.sessions).map(|process| process.start_time).min().unwrap_or(0);
            let may_carry = |pid: u32, entry: &Entry| {
                entry.stat.id.start_time >= oldest && !belonging.contains(&pid) && !is_cut(pid)
            };
            let others = self.entries.iter().filter(|(pid, entry)| may_carry(**pid, entry));
            let found: Vec<u32> =
                others.filter(|(_, entry)| self.carries(entry, &tree.markers)).map(|(pid, _)| *pid).collect();
            self.spread(found.into_iter(), &mut belonging, &is_cut);
        }
        belonging
    }

    /// Adds `found` and their descendants.
    fn spread(&self, found: impl Iterator<Item = u32>, belonging: &mut BTreeSet<u32>, is_cut: &impl Fn(u32) -> bool) {
        let mut open: Vec<u32> = found.filter(|pid| belonging.insert(*pid)).collect();
        while let Some(parent) = open.pop() {
            for child in self.children.get(&parent).into_iter().flatten() {
                if !is_cut(*child) && self.is_younger(*child, parent) && belonging.insert(*child) {
                    open.push(*child);
                }
            }
        }
    }

    fn is_there(&self, process: &ProcessId) -> bool {
        self.entries.get(&process.pid).is_some_and(|entry| entry.stat.id == *process)
    }

    /// A child is never older than its parent; a process that appears to be has another parent, whose pid was reused
    /// during the scan.
    fn is_younger(&self, child: u32, parent: u32) -> bool {
        let start = |pid: u32| self.entries.get(&pid).map(|entry| entry.stat.id.start_time);
        start(child) >= start(parent)
    }

    /// The kernel does not assign a pid that is still in use as a session id. So unless the leader's pid was reused,
    /// the session is the leader's, dead or alive.
    fn is_of_session(&self, stat: &Stat, leader: &ProcessId) -> bool {
        let is_number_ours = self.entries.get(&leader.pid).is_none_or(|entry| entry.stat.id == *leader);
        stat.session == leader.pid && stat.id.start_time >= leader.start_time && is_number_ours
    }

    fn carries(&self, entry: &Entry, markers: &[String]) -> bool {
        if entry.environ.get().is_none() {
            let environ = match read_environ(&entry.stat) {
                Ok(environ) => environ,
                // Another user's environment is not readable, and its process is not ours.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Vec::new(),
                Err(error) if is_gone(&error) => {
                    self.slipped.set(true);
                    Vec::new()
                }
                // For example, no descriptors left: try again at the next query.
                Err(_) => {
                    self.slipped.set(true);
                    return false;
                }
            };
            entry.environ.set(environ).ok();
        }
        let environ = entry.environ.get().map(Vec::as_slice).unwrap_or_default();
        let is_marker = |entry: &[u8]| markers.iter().any(|marker| entry == marker.as_bytes());
        environ.split(|byte| *byte == 0).any(is_marker)
    }
}

/// Returns this process and its ancestors.
///
/// # Errors
/// Fails when `/proc` cannot be read.
pub(super) fn own_line() -> io::Result<BTreeSet<u32>> {
    let mut line = BTreeSet::new();
    let mut pid = std::process::id();
    while line.insert(pid)
        && let Some(stat) = Stat::read(pid)?
    {
        pid = stat.parent;
    }
    Ok(line)
}

/// Returns the environment that a process was started with.
///
/// # Errors
/// Fails with `ESRCH` when it has ended since it was listed.
fn read_environ(stat: &Stat) -> io::Result<Vec<u8>> {
    if stat.kernel_thread || stat.is_ended() {
        return Ok(Vec::new());
    }
    let pid = stat.id.pid;
    let is_now = |what: fn(&Stat) -> bool| Ok::<bool, io::Error>(Stat::read(pid)?.is_none_or(|now| what(&now)));
    // Reading the memory of a process that is stuck in the kernel (a dead network disk) may block us too. Most such
    // processes leave that state soon: check again first.
    if stat.state == 'D' && is_now(|now| now.state == 'D')? {
        return Ok(Vec::new());
    }
    // Room for nearly all environments in one read: each further read makes the kernel find the process's memory
    // again.
    let mut environ = Vec::with_capacity(16 * 1024);
    File::open(format!("/proc/{pid}/environ"))?.read_to_end(&mut environ)?;
    environ.shrink_to_fit();
    // Empty after `env -i`, and after the process has ended.
    if environ.is_empty() && is_now(Stat::is_ended)? {
        return Err(Errno::ESRCH.into());
    }
    Ok(environ)
}

/// Returns the living members of `tree` that may be ended; see [`Processes::members`]. One scan.
///
/// # Errors
/// Fails when `/proc` cannot be read.
pub fn members(tree: &Tree, except: &[u32]) -> io::Result<Vec<ProcessId>> {
    Ok(Processes::scan()?.members(tree, except))
}
