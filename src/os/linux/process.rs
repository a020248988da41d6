//! One process: is it there, in what state, signal it, what does it use.

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
    /// The process that has `pid` now, a zombie too; `None` when there is none.
    pub fn of(pid: u32) -> Option<Self> {
        Stat::read(pid).ok().flatten().map(|stat| stat.id)
    }

    /// This process.
    pub fn current() -> Self {
        let pid = std::process::id();
        // Only without /proc is there nothing to read, and without it there are no other processes to compare with.
        Self::of(pid).unwrap_or(ProcessId { pid, start_time: 0 })
    }

    /// Whether this very process still runs: the same start time, and not a zombie.
    ///
    /// When `/proc` can't be read, whoever has the pid gets the benefit of the doubt: to take the living for dead costs
    /// more than to ask again.
    pub fn is_alive(&self) -> bool {
        match self.stat() {
            Ok(stat) => stat.is_some_and(|stat| !stat.is_ended()),
            Err(_) => !matches!(signal::kill(Pid::from_raw(self.pid as i32), None), Err(nix::errno::Errno::ESRCH)),
        }
    }

    /// Its state letter (`R`, `S`, `D`, `T`, `Z`...); `None` when it is gone.
    pub fn state(&self) -> Option<char> {
        self.stat().ok().flatten().map(|stat| stat.state)
    }

    /// Whether it runs the same program file as we do: not where that was replaced after it had started. `None` where
    /// that can't be seen.
    pub fn runs_our_program(&self) -> Option<bool> {
        let file = |pid: &str| fs::metadata(format!("/proc/{pid}/exe")).map(|m| (m.dev(), m.ino())).ok();
        let (theirs, ours) = (file(&self.pid.to_string())?, file("self")?);
        self.is_alive().then_some(theirs == ours)
    }

    /// Sends `signal` to this very process, never to another that has its pid by now. `false`: it has already ended.
    ///
    /// # Errors
    /// The process is another user's (`EPERM`), or no descriptor is left to hold it by.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        let pidfd = match pidfd::open(self.pid) {
            Ok(pidfd) => Some(pidfd),
            Err(error) if pidfd::is_unsupported(&error) => None,
            Err(error) if is_gone(&error) || error.kind() == io::ErrorKind::InvalidInput => return Ok(false),
            Err(error) => return Err(error),
        };
        // The comparison comes after the opening: from here on the descriptor can't mean anybody else.
        if self.stat()?.is_none_or(|stat| stat.is_ended()) {
            return Ok(false);
        }
        let sent = match &pidfd {
            Some(pidfd) => pidfd::send_signal(pidfd.as_fd(), signal),
            // Without pidfds a gap of microseconds remains between the comparison and this.
            None => signal::kill(Pid::from_raw(self.pid as i32), signal).map_err(io::Error::from),
        };
        match sent {
            Ok(()) => Ok(true),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Its line of `/proc`, unless the pid is somebody else's by now.
    fn stat(&self) -> io::Result<Option<Stat>> {
        Ok(Stat::read(self.pid)?.filter(|stat| stat.id == *self))
    }
}

/// Processor time used so far by all threads of `pid`, user and system, without its children; resolution 10 ms.
/// `None` when it is gone.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let ticks = Stat::read(pid).ok()??.cpu_ticks;
    let per_second = sysconf(SysconfVar::CLK_TCK).ok()?? as u64;
    Some(Duration::from_millis(ticks * 1_000 / per_second))
}

/// Processor time used so far by this process's children, of which `living` are all that live and descend from it: with
/// those that have ended. Only sensible in a process that waits for its children.
pub fn tree_cpu_time(living: &[u32]) -> Duration {
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().map_or(100, |ticks| ticks as u64);
    let stat = |pid: u32| Stat::read(pid).ok().flatten();
    // Each hands on what it used, and what was handed to it, to the one that waits for its end.
    let handed_on = stat(std::process::id()).map_or(0, |own| own.children_ticks);
    let in_use: u64 = living.iter().filter_map(|pid| stat(*pid)).map(|stat| stat.cpu_ticks + stat.children_ticks).sum();
    Duration::from_millis((handed_on + in_use) * 1_000 / per_second)
}

/// The memory of `pid` in bytes, where a page that several processes have in use counts to each in equal parts (PSS);
/// all of what is resident where we may not look. `None` when it is gone. Costs as [`memory`] does.
pub fn pss_bytes(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
    let line = |text: &str| text.lines().find_map(|line| line.strip_prefix("Pss:").map(str::to_owned));
    let kib = rollup.as_deref().and_then(line).and_then(|l| l.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).or_else(|| rss_bytes(pid))
}

/// The memory of `pid`; `None` when it is gone. The private part makes the kernel walk the page tables: microseconds
/// for a shell, milliseconds for gigabytes.
pub fn memory(pid: u32) -> Option<Memory> {
    let rss_bytes = rss_bytes(pid)?;
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
    Some(Memory { rss_bytes, private_bytes: rollup.as_deref().and_then(private_bytes) })
}

/// What a process has written itself, of smaps_rollup, which is in kB. A clean page is a file's: that nobody else has it in
/// use at this moment, such as the text of a program that others ran until just now, makes it no memory of this process.
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

/// Resident memory of `pid` in bytes, pages shared with others included; `None` when it is gone. Not from `stat`, where
/// newer kernels leave out what each processor has not added up yet: many megabytes on a machine with many.
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
