//! The machine: which one, which boot of it, and how many descriptors it lets us have.

use std::{fs, io, sync::OnceLock};

use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    utsname::uname,
};

/// Names this boot of this machine: a pid or start time of another boot means nothing. `unknown` where the kernel
/// hides it (some sandboxes); start times still tell most processes apart there.
pub fn boot_id() -> String {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    let read = || match fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(id) => id.trim().to_owned(),
        Err(_) => "unknown".to_owned(),
    };
    BOOT_ID.get_or_init(read).clone()
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
