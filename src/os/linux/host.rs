//! The machine: which one, which boot of it, and how many descriptors it lets us have.

use std::{fs, io, sync::OnceLock};

use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    utsname::uname,
};

/// The pid namespace that is there from the boot on (PROC_PID_INIT_INO in the kernel's proc_ns.h).
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Names this boot of this machine: a pid or start time of another boot means nothing. In a container, which shares
/// the boot with its host but not the pids, it names the container too. Where the kernel hides it (some sandboxes)
/// it names the host alone; start times still tell most processes apart there.
pub fn boot_id() -> String {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    let read = || {
        // A test has the machine started anew by it.
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

/// How much memory could be used without pushing others' out, in bytes; `None` where nobody knows (kernels before 3.14).
pub fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// The machine's name, as `uname -n` prints it.
pub fn hostname() -> String {
    uname().map_or_else(|_| "unknown".to_owned(), |uname| uname.nodename().to_string_lossy().into_owned())
}

/// Raises the soft limit of open descriptors to the hard one, and returns it: 200 agents need more than the usual
/// 1,024. Children inherit it.
///
/// # Errors
/// The limits can't be read or set; the old limit holds.
pub fn raise_nofile_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}
