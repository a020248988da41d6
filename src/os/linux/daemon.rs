//! How a long-lived process of ours is started so that it depends on nobody, and holds nothing of anybody's.

use std::{
    fs::{self, File},
    io,
    os::{fd::RawFd, unix::process::CommandExt},
    process::{Command, Stdio},
};

/// The first descriptor after standard input, output and error.
const FIRST_OTHER: RawFd = 3;

/// Makes `command` start a daemon: in a session of its own, so that neither Ctrl-C nor the terminal's end reaches it,
/// with no standard input, and with none of our caller's other descriptors (a lock or a pipe of the shell that typed
/// `orch start` would stay open for days).
///
/// Standard output and error are the caller's to set: to a log file, or the daemon keeps its caller's pipe open.
pub fn detach(command: &mut Command) {
    command.stdin(Stdio::null());
    let apart = || {
        nix::unistd::setsid()?;
        drop_other_descriptors();
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; setsid, close_range and fcntl are plain
    // system calls, and nothing is allocated.
    unsafe { command.pre_exec(apart) };
}

/// From now on what this process writes to its standard error goes to `file`.
///
/// # Errors
/// What the system says (never seen).
pub fn stderr_to(file: &File) -> io::Result<()> {
    Ok(nix::unistd::dup2_stderr(file)?)
}

/// Marks all but the standard descriptors close-on-exec. Closing them at once would also close the pipe through which
/// std learns that the exec failed.
fn drop_other_descriptors() {
    // SAFETY: takes three integers and no pointer.
    let marked =
        unsafe { libc::syscall(libc::SYS_close_range, FIRST_OTHER, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if marked == 0 {
        return;
    }
    // Kernels before 5.11. Whoever inherits descriptors beyond this has more trouble than we can mend.
    for fd in FIRST_OTHER..1024 {
        // SAFETY: fcntl with integers; a descriptor that is not open gives EBADF.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// Which descriptors, beside the standard three, a program that is exec'ed now would inherit. Ours are all
/// close-on-exec, so it should be those that we inherited ourselves.
///
/// # Errors
/// `/proc` can't be read.
pub fn inheritable_fds() -> io::Result<Vec<RawFd>> {
    let mut fds = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let Some(fd) = entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()) else { continue };
        // SAFETY: fcntl with integers; a descriptor that another thread has closed meanwhile gives EBADF.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
        if fd >= FIRST_OTHER && flags >= 0 && flags & libc::FD_CLOEXEC == 0 {
            fds.push(fd);
        }
    }
    Ok(fds)
}
