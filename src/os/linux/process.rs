//! One process: existence, state, signals, resource use.

use std::{
    fs, io,
    os::{fd::AsFd, unix::fs::MetadataExt},
    time::Duration,
};

use nix::{
    sys::signal::{self, Signal},
    unistd::{Pid, SysconfVar, sysconf},
};

use super::{
    pidfd,
    stat::{Stat, is_gone},
};
use crate::os::{Memory, ProcessId};

impl ProcessId {
    /// Returns the process that has `pid` now, which may be a zombie; `None` when there is none.
    pub fn of(pid: u32) -> Option<Self> {
        Stat::read(pid).ok().flatten().map(|stat| stat.id)
    }

    /// Returns this process.
    pub fn current() -> Self {
        let pid = std::process::id();
        // This fails only without /proc, where there are no other processes to compare with.
        Self::of(pid).unwrap_or(ProcessId { pid, start_time: 0 })
    }

    /// Returns whether exactly this process still runs: the same start time, and not a zombie.
    ///
    /// When `/proc` cannot be read, a process that has the pid is considered alive: mistaking a living process for
    /// dead costs more than checking again.
    pub fn is_alive(&self) -> bool {
        match self.stat() {
            Ok(stat) => stat.is_some_and(|stat| !stat.is_ended()),
            Err(_) => !matches!(signal::kill(Pid::from_raw(self.pid as i32), None), Err(nix::errno::Errno::ESRCH)),
        }
    }

    /// Returns its state letter (`R`, `S`, `D`, `T`, `Z`...); `None` when it is gone.
    pub fn state(&self) -> Option<char> {
        self.stat().ok().flatten().map(|stat| stat.state)
    }

    /// Returns whether it runs the same program file as we do; `false` if the file was replaced after it had started.
    /// `None` where that cannot be determined.
    pub fn runs_our_program(&self) -> Option<bool> {
        let file = |pid: &str| fs::metadata(format!("/proc/{pid}/exe")).map(|m| (m.dev(), m.ino())).ok();
        let (theirs, ours) = (file(&self.pid.to_string())?, file("self")?);
        self.is_alive().then_some(theirs == ours)
    }

    /// Sends `signal` to exactly this process, never to another that has reused its pid. Returns `false` if it has
    /// already ended.
    ///
    /// # Errors
    /// Fails when the process is another user's (`EPERM`), or no descriptor is left.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        let pidfd = match pidfd::open(self.pid) {
            Ok(pidfd) => Some(pidfd),
            Err(error) if pidfd::is_unsupported(&error) => None,
            Err(error) if is_gone(&error) || error.kind() == io::ErrorKind::InvalidInput => return Ok(false),
            Err(error) => return Err(error),
        };
        // The comparison comes after opening: from here on the descriptor cannot refer to another process.
        if self.stat()?.is_none_or(|stat| stat.is_ended()) {
            return Ok(false);
        }
        let sent = match &pidfd {
            Some(pidfd) => pidfd::send_signal(pidfd.as_fd(), signal),
            // Without pidfds a gap of microseconds remains between the comparison and the signal.
            None => signal::kill(Pid::from_raw(self.pid as i32), signal).map_err(io::Error::from),
        };
        match sent {
            Ok(()) => Ok(true),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns its line of `/proc`, unless the pid was reused.
    fn stat(&self) -> io::Result<Option<Stat>> {
        Ok(Stat::read(self.pid)?.filter(|stat| stat.id == *self))
    }
}

/// Returns the processor time used so far by all threads of `pid`, user and system, without its children; resolution
/// 10 ms. `None` when it is gone.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let ticks = Stat::read(pid).ok()??.cpu_ticks;
    let per_second = sysconf(SysconfVar::CLK_TCK).ok()?? as u64;
    Some(Duration::from_millis(ticks * 1_000 / per_second))
}

/// Returns the processor time used so far by this process's children, including those that have ended; `living` are
/// all its living descendants. Only meaningful in a process that waits for its children.
pub fn tree_cpu_time(living: &[u32]) -> Duration {
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().map_or(100, |ticks| ticks as u64);
    let stat = |pid: u32| Stat::read(pid).ok().flatten();
    // Each process passes its own and its inherited time to the process that waits for its end.
    let handed_on = stat(std::process::id()).map_or(0, |own| own.children_ticks);
    let in_use: u64 = living.iter().filter_map(|pid| stat(*pid)).map(|stat| stat.cpu_ticks + stat.children_ticks).sum();
    Duration::from_millis((handed_on + in_use) * 1_000 / per_second)
}

/// Returns the memory of `pid` in bytes, where a page shared by several processes counts in equal parts (PSS); the
/// resident size where we lack permission. `None` when it is gone. Costs as much as [`memory`].
pub fn pss_bytes(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
    let line = |text: &str| text.lines().find_map(|line| line.strip_prefix("Pss:").map(str::to_owned));
    let kib = rollup.as_deref().and_then(line).and_then(|l| l.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).or_else(|| rss_bytes(pid))
}

/// Returns the memory of `pid`; `None` when it is gone. For the private part the kernel walks the page tables:
/// microseconds for a shell, milliseconds for gigabytes.
pub fn memory(pid: u32) -> Option<Memory> {
    let rss_bytes = rss_bytes(pid)?;
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
    Some(Memory { rss_bytes, private_bytes: rollup.as_deref().and_then(private_bytes) })
}

/// Returns the bytes that a process has written itself, from smaps_rollup, which is in kB. A clean page belongs to a
/// file: it does not become this process's memory because no other process maps it now, such as the text of a program
/// whose other instances have just ended.
fn private_bytes(rollup: &str) -> Option<u64> {
    let mut sum = None;
    for line in rollup.lines() {
        let Some(kib) = line.strip_prefix("Private_Dirty:").or_else(|| line.strip_prefix("Private_Hugetlb:")) else {
            continue;
        };
        let kib: u64 = kib.split_ascii_whitespace().next()?.parse().ok()?;
        sum = Some(kib.saturating_mul(1024).saturating_add(sum.unwrap_or(0)));
    }
    sum
}

/// Returns the resident memory of `pid` in bytes, including shared pages; `None` when it is gone. Not from `stat`,
/// where newer kernels omit counts that each processor has not added yet: many megabytes on a machine with many
/// processors.
pub fn rss_bytes(pid: u32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let page_size = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    Some(pages * page_size as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_memory_is_what_a_process_has_written() {
        let rollup = "5581-7ffc ---p 00000000 00:00 0 [rollup]\nRss:  900 kB\nShared_Clean: 500 kB\n\
                      Private_Clean:  100 kB\nPrivate_Dirty:  200 kB\nPrivate_Hugetlb:  0 kB\n";
        assert_eq!(private_bytes(rollup), Some(200 * 1024));
        assert_eq!(private_bytes(""), None);
    }
}
