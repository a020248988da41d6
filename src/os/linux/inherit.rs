//! What a started program inherits besides its standard streams.

use std::{
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    process::Command,
};

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};

/// Signals that a sandbox's processes leave to its first process, which forwards them to its program.
pub const FORWARDED: [Signal; 7] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGCONT,
];
/// What a terminal sends to all processes in its foreground, and would stop one that is only waiting.
const STOPS: [Signal; 3] = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];

/// Returns an anonymous file in memory with this content, positioned at its start. `name` is shown in `/proc`.
///
/// # Errors
/// No memory or descriptors are left.
pub fn memory_file(name: &std::ffi::CStr, content: &[u8]) -> io::Result<File> {
    // SAFETY: `name` is a valid C string for the duration of the call.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened and has no other owner.
    let mut file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    file.write_all(content)?;
    io::Seek::rewind(&mut file)?;
    Ok(file)
}

/// Lets `command` inherit these descriptors under their present numbers, and start with the signals blocked that its
/// first process is to forward ([`FORWARDED`]): none is lost before it is ready.
pub fn pass_on(command: &mut Command, files: Vec<OwnedFd>) {
    let blocked = blocked();
    let pass = move || {
        for file in &files {
            nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))?;
        }
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&blocked), None)?;
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; fcntl and sigprocmask are plain system
    // calls, and nothing is allocated.
    unsafe { command.pre_exec(pass) };
}

/// Returns the signals that [`pass_on`] blocks.
pub(super) fn blocked() -> SigSet {
    FORWARDED.into_iter().chain(STOPS).collect()
}

/// Undoes what a caller may have left to this process for all signals: an ignored SIGCHLD, with which no child could be
/// waited for, and blocked signals, which no request to end would pass and every program would inherit. The first thing
/// that `main` does. With `keep_blocked`, the mask stays: it was set by [`pass_on`].
///
/// Other ignored signals stay ignored: `nohup` means it.
pub fn reset_signals(keep_blocked: bool) {
    // SAFETY: SIG_DFL runs no code of ours.
    let reset = unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) };
    let unblocked = match keep_blocked {
        true => Ok(()),
        false => sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None),
    };
    if let Err(why) = reset.map(drop).and(unblocked) {
        tracing::debug!("the signals could not be reset: {why}");
    }
}

/// Takes ownership of an inherited descriptor, and keeps it from the programs that this process starts.
///
/// # Errors
/// It is not open.
pub fn inherited(number: RawFd) -> io::Result<File> {
    // SAFETY: fcntl with integers; a descriptor that is not open gives EBADF.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and was passed to this process for this purpose alone.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(number) }))
}

/// Returns the number under which a program that inherits `file` finds it.
pub fn number(file: &impl AsRawFd) -> RawFd {
    file.as_raw_fd()
}
