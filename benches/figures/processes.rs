//! Reads /proc: which processes belong to a world, their memory, and their processor time.

use std::{fs, path::Path};

/// Returns the load average of the last minute.
pub fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

/// Returns every other process whose environment, arguments or working folder name this folder. The folder is a new
/// temporary one, so only processes of its world match.
pub fn of_folder(dir: &Path) -> Vec<u32> {
    let own = std::process::id();
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != own && mentions(*pid, dir))
        .collect()
}

fn mentions(pid: u32, dir: &Path) -> bool {
    let proc = Path::new("/proc").join(pid.to_string());
    let needle = dir.as_os_str().as_encoded_bytes();
    let holds = |file| {
        let bytes = fs::read(proc.join(file)).unwrap_or_default();
        bytes.windows(needle.len()).any(|window| window == needle)
    };
    fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir)) || holds("environ") || holds("cmdline")
}

/// Returns the children of a process.
pub fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Returns the processor time of all threads of a process, in ns. The scheduler counts it exactly; `ps` rounds it down
/// to 10 ms, which is more than an idle process uses in minutes.
pub fn cpu_ns(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

/// The memory of a process, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// All resident memory.
    pub rss: f64,
    /// Memory that no other process shares: the cost of one more such process.
    pub private: f64,
}

/// Returns the memory of a process; zero if it has ended.
pub fn memory(pid: u32) -> Memory {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let bytes = |name: &str| -> f64 {
        let kib = text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<f64>().ok());
        kib.unwrap_or(0.0) * 1024.0
    };
    Memory { rss: bytes("Rss:"), private: bytes("Private_Clean:") + bytes("Private_Dirty:") }
}
