//! Starts a long-lived process that does not depend on its caller and keeps none of its caller's descriptors.

use std::{
    fs::{self, File},
    io,
    os::{fd::RawFd, unix::process::CommandExt},
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;

/// The first descriptor after standard input, output and error.
const FIRST_OTHER: RawFd = 3;

/// Makes `command` start a daemon: in a session of its own, so that it receives neither Ctrl-C nor the terminal's
/// hangup, with no standard input, and without the caller's other descriptors (a lock or a pipe of the shell that ran
/// `orch start` would stay open for days).
///
/// The caller sets standard output and error: to a log file, or the daemon keeps its caller's pipe open.
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

/// Makes the kernel send `signal` to the process that `command` starts when the thread that starts it ends. For a helper
/// that must not outlive its caller, not even one that was killed.
pub fn end_with_parent(command: &mut Command, signal: Signal) {
    let parent = nix::unistd::getpid();
    let tie = move || {
        nix::sys::prctl::set_pdeathsig(signal)?;
        match nix::unistd::getppid() == parent {
            true => Ok(()),
            false => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        }
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; prctl and getppid are plain system calls,
    // and nothing is allocated.
    unsafe { command.pre_exec(tie) };
}

/// Redirects standard error of this process to `file` from now on.
///
/// # Errors
/// Fails when `dup2` fails (never observed).
pub fn stderr_to(file: &File) -> io::Result<()> {
    Ok(nix::unistd::dup2_stderr(file)?)
}

/// Marks all but the standard descriptors close-on-exec. Closing them immediately would also close the pipe through
/// which std learns that the exec failed.
fn drop_other_descriptors() {
    // SAFETY: takes three integers and no pointer.
    let marked =
        unsafe { libc::syscall(libc::SYS_close_range, FIRST_OTHER, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if marked == 0 {
        return;
    }
    // Kernels before 5.11. Inherited descriptors beyond this limit are ignored.
    for fd in FIRST_OTHER..1024 {
        // SAFETY: fcntl with integers; a descriptor that is not open gives EBADF.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// Returns the descriptors, besides the standard three, that a program exec'ed now would inherit. Ours are all
/// close-on-exec, so these should be the ones that we inherited ourselves.
///
/// # Errors
/// Fails when `/proc` cannot be read.
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
