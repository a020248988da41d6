//! pidfd_open and pidfd_send_signal, which neither std nor nix wraps: a descriptor that always refers to the same
//! process, even after its pid is reused.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use nix::{errno::Errno, sys::signal::Signal};

/// Opens a descriptor of the process that has `pid` *now*: compare its start time afterwards. It is close-on-exec.
///
/// # Errors
/// Fails as pidfd_open(2); see [`is_unsupported`].
pub(super) fn open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes two integers and no pointer.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
    let fd = Errno::result(fd)?;
    // SAFETY: the kernel has just returned this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Sends `signal` to exactly the process that `pidfd` was opened for.
///
/// # Errors
/// `ESRCH` when it is gone, `EPERM` when it is another user's.
pub(super) fn send_signal(pidfd: BorrowedFd<'_>, signal: Signal) -> io::Result<()> {
    let no_info = ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo is allowed, and sends the signal as kill(2) would.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal as i32, no_info, 0) };
    Errno::result(sent).map(drop).map_err(io::Error::from)
}

/// Returns whether this kernel (before 5.3) or this container's filter does not support pidfds; then there are
/// fallbacks.
pub(super) fn is_unsupported(error: &io::Error) -> bool {
    let errno = error.raw_os_error();
    errno == Some(Errno::ENOSYS as i32) || errno == Some(Errno::EPERM as i32)
}
