//! Cgroups: control groups of the unified hierarchy (cgroup v2), see cgroups(7).
//!
//! They are created below the group of this process, where that is allowed: for root, and for users to whom a part of
//! the tree was delegated. Version 1 hierarchies are ignored. Entering takes the kernel 0.1 ms, or 5 to 15 ms if no
//! process has entered one recently: then it waits until all processors have seen its lock.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use nix::{
    errno::Errno,
    unistd::{AccessFlags, access},
};

use super::stat::is_gone;
use crate::os::{Bounds, Cgroup, Refused};

/// Where the unified hierarchy is mounted: alone, or in addition to version 1.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// The period of `cpu.max` in microseconds; the kernel's own default.
const CPU_PERIOD: f64 = 100_000.0;
/// The kernel counts threads, and we count processes: so its limit is higher, as a backstop against fast forks.
const THREADS: u64 = 16;

impl Cgroup {
    /// Returns the group `name` below the group of this process; it need not exist. `None` where this process may not
    /// create groups, or there is no unified hierarchy.
    pub fn below_own(name: &str) -> Option<Cgroup> {
        let own = own_group()?;
        access(&own, AccessFlags::W_OK).ok()?;
        Some(Cgroup { path: own.join(name) })
    }

    /// Returns the group at this path, as returned by [`Cgroup::path`].
    pub fn at(path: impl Into<PathBuf>) -> Cgroup {
        Cgroup { path: path.into() }
    }

    /// Returns whether its path is one of the unified hierarchy.
    pub fn is_in_hierarchy(&self) -> bool {
        let has_no_step_up = self.path.components().all(|part| !matches!(part, Component::ParentDir));
        has_no_step_up && MOUNTS.iter().any(|mount| self.path.starts_with(mount))
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a group within it.
    pub fn child(&self, name: &str) -> Cgroup {
        Cgroup { path: self.path.join(name) }
    }

    /// Returns the groups within it.
    pub fn children(&self) -> Vec<Cgroup> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.map(|entry| Cgroup { path: entry.path() }).collect()
    }

    /// Returns whether it exists.
    pub fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// Creates it and its parent; either may already exist.
    ///
    /// # Errors
    /// Fails when the folder cannot be created.
    pub fn create(&self) -> io::Result<()> {
        for group in self.path.parent().into_iter().chain([self.path.as_path()]) {
            match fs::create_dir(group) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Moves this process into it, with all its threads; processes that it starts from then on are inside as well.
    ///
    /// # Errors
    /// Fails when that is not allowed, or the group was removed.
    pub fn enter(&self) -> io::Result<()> {
        write(&self.path.join("cgroup.procs"), "0")
    }

    /// Moves this process to the parent of the group, if it is inside.
    ///
    /// # Errors
    /// Fails when that is not allowed.
    pub fn leave(&self) -> io::Result<()> {
        match (own_group(), self.path.parent()) {
            (Some(own), Some(outside)) if own.starts_with(&self.path) => write(&outside.join("cgroup.procs"), "0"),
            _ => Ok(()),
        }
    }

    /// Returns the pids of all processes inside, including those of nested groups. Empty if there is no such group.
    ///
    /// # Errors
    /// Fails when it exists and cannot be read.
    pub fn members(&self) -> io::Result<Vec<u32>> {
        let mut members = Vec::new();
        let mut open = vec![self.clone()];
        while let Some(group) = open.pop() {
            let list = match fs::read_to_string(group.path.join("cgroup.procs")) {
                Ok(list) => list,
                Err(error) if is_gone(&error) || error.raw_os_error() == Some(Errno::ENODEV as i32) => continue,
                Err(error) => return Err(error),
            };
            // 0 is a process outside our container's pid namespace.
            members.extend(list.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|pid| *pid != 0));
            open.extend(group.children());
        }
        Ok(members)
    }

    /// Kills all processes inside in one operation, which no fork can outrun. Not supported before Linux 5.14.
    pub(super) fn kill(&self) -> io::Result<()> {
        write(&self.path.join("cgroup.kill"), "1")
    }

    /// Removes it and the groups within it. It may already be gone.
    ///
    /// # Errors
    /// Fails when a process is inside.
    pub fn remove(&self) -> io::Result<()> {
        for child in self.children() {
            child.remove()?;
        }
        match fs::remove_dir(&self.path) {
            Err(error) if !is_gone(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Sets limits that the kernel is to enforce, before any process enters; returns those that it does. The others
    /// have to be monitored.
    pub fn hold(&self, bounds: &Bounds) -> Bounds {
        let named =
            [("memory", bounds.memory.is_some()), ("pids", bounds.processes.is_some()), ("cpu", bounds.cpu.is_some())];
        // From the top down. Refused if the upper group contains processes, unless it is the root group.
        let above: Vec<&Path> = self.path.ancestors().skip(1).take(2).collect();
        for group in above.into_iter().rev() {
            for (controller, _) in named.iter().filter(|(_, wanted)| *wanted) {
                write(&group.join("cgroup.subtree_control"), &format!("+{controller}")).ok();
            }
        }
        // No memory.oom.group: the runner itself is inside, and is the smallest process.
        let holds = |file: &str, value: String| write(&self.path.join(file), &value).is_ok();
        Bounds {
            memory: bounds.memory.filter(|bytes| holds("memory.max", bytes.to_string())),
            processes: bounds.processes.filter(|n| holds("pids.max", (u64::from(*n) * THREADS).to_string())),
            cpu: bounds.cpu.filter(|cores| holds("cpu.max", format!("{:.0} {CPU_PERIOD}", cores * CPU_PERIOD))),
        }
    }

    /// Returns how often the kernel had to enforce a limit so far.
    pub fn refused(&self) -> Refused {
        Refused { memory: self.count("memory.events", "oom_kill"), forks: self.count("pids.events", "max") }
    }

    /// Returns a value of a file of counters; 0 where there is none.
    fn count(&self, file: &str, name: &str) -> u64 {
        let text = fs::read_to_string(self.path.join(file)).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|count| count.parse().ok()).unwrap_or(0)
    }
}

/// Prepares the kernel for a process that will enter a cgroup in a few milliseconds: the wait for its lock starts now,
/// so the entry only waits for the rest. Blocks for as long. Where it is not allowed, nothing happens.
pub fn expect_entry() {
    if let Some(own) = own_group() {
        // To the current group: nothing is moved.
        write(&own.join("cgroup.procs"), "0").ok();
    }
}

/// Returns the group of the unified hierarchy that this process is in; `None` where there is none, or it can't be seen.
pub fn own_group() -> Option<PathBuf> {
    let mount = MOUNTS.map(Path::new).into_iter().find(|mount| mount.join("cgroup.controllers").exists())?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    // A container that sees only a part of the tree, outside of which we are; or a group that was removed while we
    // were inside.
    let is_elsewhere = own.split('/').any(|part| part == "..") || own.ends_with(" (deleted)");
    (!is_elsewhere).then(|| mount.join(own))
}

/// Writes a text in one write, as these files require, into an existing file: never creates one.
fn write(path: &Path, text: &str) -> io::Result<()> {
    use io::Write;
    fs::OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that imitates a group whose kernel has these controllers' files.
    fn group(files: &[(&str, &str)]) -> (tempfile::TempDir, Cgroup) {
        let folder = tempfile::tempdir().unwrap();
        let cgroup = Cgroup::at(folder.path().join("world")).child("agent");
        cgroup.create().unwrap();
        for (name, text) in files {
            fs::write(cgroup.path().join(name), text).unwrap();
        }
        (folder, cgroup)
    }

    #[test]
    fn the_kernel_enforces_the_limits_that_it_has_controllers_for() {
        let (folder, cgroup) = group(&[("memory.max", ""), ("cpu.max", "")]);
        fs::write(folder.path().join("cgroup.subtree_control"), "").unwrap();
        let bounds = Bounds { memory: Some(1 << 30), processes: Some(7), cpu: Some(1.5) };
        assert_eq!(cgroup.hold(&bounds), Bounds { processes: None, ..bounds });
        let written = |name: &str| fs::read_to_string(cgroup.path().join(name)).unwrap();
        assert_eq!((written("memory.max"), written("cpu.max")), ("1073741824".into(), "150000 100000".into()));
        let asked = fs::read_to_string(folder.path().join("cgroup.subtree_control")).unwrap();
        assert!(asked.contains("+cpu"), "{asked}");
        assert_eq!(cgroup.hold(&Bounds::default()), Bounds::default());
    }

    #[test]
    fn what_the_kernel_refused_is_counted() {
        let (_folder, cgroup) =
            group(&[("memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 9\n"), ("pids.events", "max 5\n")]);
        assert_eq!(cgroup.refused(), Refused { memory: 2, forks: 5 });
        let (_folder, without) = group(&[]);
        assert_eq!(without.refused(), Refused::default());
    }
}
