//! The processes of one world: all whose environment, arguments or current folder name its folder.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

pub use nix::sys::signal::Signal;
use nix::{sys::signal::kill, unistd::Pid};

/// A live process. The start time distinguishes it from a later process with the same pid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub start: u64,
    pub parent: u32,
    pub command: String,
}

impl Process {
    /// Returns the process with this pid; `None` if there is none or it is a zombie.
    pub fn of(pid: u32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may itself contain parentheses.
        let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
        if matches!(*fields.first()?, "Z" | "X") {
            return None;
        }
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        Some(Process { pid, start: fields.get(19)?.parse().ok()?, parent: fields.get(1)?.parse().ok()?, command })
    }

    pub fn is_alive(&self) -> bool {
        Process::of(self.pid).is_some_and(|now| now.start == self.start)
    }
}

/// Sends a signal to one process.
pub fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid as i32), signal).unwrap_or_else(|e| panic!("{signal} to {pid}: {e}"));
}

/// Sends SIGKILL to one process, and returns when it has ended.
pub fn kill9(pid: u32) {
    let process = Process::of(pid).unwrap_or_else(|| panic!("there is no process {pid} to kill"));
    signal(pid, Signal::SIGKILL);
    let began = Instant::now();
    while process.is_alive() {
        assert!(began.elapsed() < Duration::from_secs(20), "{process:?} does not die");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Returns all live processes that belong to the world in `folder`, without the test's own process.
pub fn of_world(folder: &Path) -> Vec<Process> {
    let name = folder.as_os_str().as_encoded_bytes();
    let mentions = |bytes: Vec<u8>| bytes.windows(name.len()).any(|part| part == name);
    let pids = fs::read_dir("/proc").expect("/proc").flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter(|pid| *pid != std::process::id())
        .filter(|pid| {
            let read = |file| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
            cwd.starts_with(folder) || mentions(read("environ")) || mentions(read("cmdline"))
        })
        .filter_map(Process::of)
        .collect()
}

/// Kills all processes in a cgroup, and removes the cgroup.
pub fn end_group(group: &Path) {
    let _ = fs::write(group.join("cgroup.kill"), "1");
    let inner = || fs::read_dir(group).into_iter().flatten().flatten().filter(|e| e.path().is_dir());
    let began = Instant::now();
    while group.exists() && began.elapsed() < Duration::from_secs(10) {
        inner().for_each(|entry| drop(fs::remove_dir(entry.path())));
        let _ = fs::remove_dir(group);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Kills all processes of a world. They are stopped first, so that none of them starts another one meanwhile.
pub fn end_world(folder: &Path) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        let left = of_world(folder);
        if left.is_empty() {
            return;
        }
        for order in [Signal::SIGSTOP, Signal::SIGKILL] {
            for process in left.iter().filter(|p| p.is_alive()) {
                let _ = kill(Pid::from_raw(process.pid as i32), order);
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
