//! The machine: its name, its boot id, and its limits.

use std::{fs, io, sync::OnceLock};

use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    utsname::uname,
};

/// The initial pid namespace (PROC_PID_INIT_INO in the kernel's proc_ns.h).
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Returns an id of this boot of this machine: a pid or start time of another boot is meaningless. In a container,
/// which shares the boot with its host but not the pids, it includes the container. Where the kernel hides the boot id
/// (some sandboxes) it contains the host name alone; start times still distinguish most processes there.
pub fn boot_id() -> String {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    let read = || {
        // A test simulates a reboot with it.
        #[cfg(debug_assertions)]
        if let Ok(id) = std::env::var("ORCH_TEST_BOOT_ID") {
            return id;
        }
        let Ok(id) = fs::read_to_string("/proc/sys/kernel/random/boot_id") else {
            return format!("unknown-boot-of-{}", hostname());
        };
        match fs::read_link("/proc/self/ns/pid") {
            Ok(namespace) if namespace.as_os_str() != FIRST_PID_NAMESPACE => {
                format!("{}/{}", id.trim(), namespace.display())
            }
            _ => id.trim().to_owned(),
        }
    };
    BOOT_ID.get_or_init(read).clone()
}

/// Returns how much memory can be used without swapping, in bytes; `None` where that is unknown (kernels before 3.14).
pub fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Returns the machine's name, as printed by `uname -n`.
pub fn hostname() -> String {
    uname().map_or_else(|_| "unknown".to_owned(), |uname| uname.nodename().to_string_lossy().into_owned())
}

/// Raises the soft limit of open descriptors to the hard one, and returns it: 200 agents need more than the usual
/// 1,024. Children inherit it.
///
/// # Errors
/// Fails when the limits cannot be read or set; the old limit stays in effect.
pub fn raise_nofile_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}
