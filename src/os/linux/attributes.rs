//! Attributes that a process passes on to its children besides its environment. An agent's program would inherit those
//! of the tmux server, which may have been started from another shell long ago.

use std::{collections::BTreeMap, fs};

use nix::sys::{
    resource::{Resource, rlim_t, setrlimit},
    stat::Mode,
};
use serde::{Deserialize, Serialize};

/// The resource limits, by their names in `/proc/PID/limits`.
const LIMITS: [(&str, Resource); 12] = [
    ("Max cpu time", Resource::RLIMIT_CPU),
    ("Max file size", Resource::RLIMIT_FSIZE),
    ("Max data size", Resource::RLIMIT_DATA),
    ("Max stack size", Resource::RLIMIT_STACK),
    (CORE, Resource::RLIMIT_CORE),
    ("Max processes", Resource::RLIMIT_NPROC),
    ("Max open files", Resource::RLIMIT_NOFILE),
    ("Max locked memory", Resource::RLIMIT_MEMLOCK),
    ("Max address space", Resource::RLIMIT_AS),
    ("Max file locks", Resource::RLIMIT_LOCKS),
    ("Max pending signals", Resource::RLIMIT_SIGPENDING),
    ("Max msgqueue size", Resource::RLIMIT_MSGQUEUE),
];
pub(super) const CORE: &str = "Max core file size";
/// Columns of a name in `/proc/PID/limits`.
const NAME: usize = 25;

/// A process's file mode mask, niceness, groups and resource limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// The file mode mask.
    pub umask: u32,
    /// The niceness: -20 to 19.
    pub nice: i32,
    /// The supplementary groups.
    pub groups: Vec<u32>,
    /// Soft and hard limits by their names in `/proc/PID/limits`; the largest number stands for no limit.
    pub limits: BTreeMap<String, (u64, u64)>,
}

impl Attributes {
    /// Returns those of a process; `None` where the kernel does not show them.
    pub fn of(pid: u32) -> Option<Attributes> {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
        let (status, stat, limits) = (read("status")?, read("stat")?, read("limits")?);
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let umask = u32::from_str_radix(field("Umask:")?, 8).ok()?;
        let groups = field("Groups:")?.split_whitespace().filter_map(|group| group.parse().ok()).collect();
        // After the name in parentheses, which may contain any character, come the state and 15 numbers.
        let nice = stat.rsplit_once(')')?.1.split_whitespace().nth(16)?.parse().ok()?;
        let limits = limits.lines().filter_map(limit).collect();
        Some(Attributes { umask, nice, groups, limits })
    }

    /// Applies the niceness and the limits to this process, as far as it may: without privileges, a process becomes no less
    /// nice, and no hard limit higher. The limit of core files and the mask are not applied.
    pub(super) fn apply(&self) {
        let own = Attributes::of(std::process::id());
        for (name, resource) in LIMITS.iter().filter(|(name, _)| *name != CORE) {
            let Some(&(soft, hard)) = self.limits.get(*name) else { continue };
            if setrlimit(*resource, soft as rlim_t, hard as rlim_t).is_err()
                && let Some(&(_, at_most)) = own.as_ref().and_then(|own| own.limits.get(*name))
            {
                let _ = setrlimit(*resource, soft.min(at_most) as rlim_t, hard.min(at_most) as rlim_t);
            }
        }
        // SAFETY: a system call that takes three numbers.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, self.nice) };
    }

    /// Returns the mask as the type that sets it.
    pub(super) fn mode(&self) -> Mode {
        Mode::from_bits_truncate(self.umask as libc::mode_t)
    }
}

fn limit(line: &str) -> Option<(String, (u64, u64))> {
    let (name, values) = line.split_at_checked(NAME)?;
    let number = |word: &str| if word == "unlimited" { Some(u64::MAX) } else { word.parse().ok() };
    let mut values = values.split_whitespace();
    Some((name.trim().to_owned(), (number(values.next()?)?, number(values.next()?)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attributes_of_a_process_are_read() {
        let own = Attributes::of(std::process::id()).unwrap();
        for (name, resource) in LIMITS {
            let (soft, hard) = nix::sys::resource::getrlimit(resource).unwrap();
            assert_eq!(own.limits.get(name), Some(&(soft, hard)), "{name}");
        }
        let mut groups: Vec<u32> = nix::unistd::getgroups().unwrap().iter().map(|group| group.as_raw()).collect();
        let mut read = own.groups.clone();
        groups.sort_unstable();
        read.sort_unstable();
        assert_eq!(read, groups);
        // SAFETY: a system call that takes two numbers.
        assert_eq!(own.nice, unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) });
        assert_eq!(limit("Limit                     Soft Limit           Hard Limit           Units     "), None);
        assert_eq!(Attributes::of(u32::MAX), None);
    }
}
