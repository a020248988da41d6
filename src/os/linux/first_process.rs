//! The first process of a PID namespace: starts a program, forwards signals to it, reaps, and ends when the program has.
//!
//! The kernel kills everything in the namespace when its first process ends, so nothing in it outlives the program. The
//! kernel also ignores signals for which this process has no handler; here all are blocked and read one by one.

use std::{
    io,
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::{
        signal::{SigSet, SigmaskHow, Signal, kill, killpg, pthread_sigmask, sigprocmask},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use super::inherit::{FORWARDED, blocked};

/// Keeps other processes of the user away from this one: from its memory and from its descriptors (prctl(2),
/// `PR_SET_DUMPABLE`).
///
/// # Errors
/// Never observed.
pub fn shield() -> io::Result<()> {
    Ok(nix::sys::prctl::set_dumpable(false)?)
}

/// Runs `command` as the namespace's program, and returns how it ended, once everything else has ended too: what the
/// program leaves behind gets SIGTERM and `grace`. Outside of a PID namespace of its own, it would be sent to every process
/// of the user: this function refuses to run there.
///
/// `alone`: the program gets a process group of its own, and signals are for the whole group; without, it shares its
/// terminal with this process.
///
/// # Errors
/// This is not the first process; or the program cannot be started.
pub fn run(mut command: Command, alone: bool, grace: Duration) -> io::Result<ExitStatus> {
    if std::process::id() != 1 {
        return Err(io::Error::other("not the first process of a PID namespace"));
    }
    let mut set = blocked();
    set.add(Signal::SIGCHLD);
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
    if alone {
        command.process_group(0);
    }
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; sigprocmask is one.
    unsafe {
        command.pre_exec(|| Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?));
    }
    let program = Pid::from_raw(command.spawn()?.id() as i32);
    let status = wait(program, alone, &set)?;
    end_others(grace);
    Ok(status)
}

fn wait(program: Pid, alone: bool, set: &SigSet) -> io::Result<ExitStatus> {
    loop {
        while let Some((pid, status)) = reap()? {
            if pid == program {
                return Ok(status);
            }
        }
        let Some((signal, is_from_process)) = next_signal(set)? else { continue };
        // What a terminal sends reaches the program as well.
        if is_from_process && FORWARDED.contains(&signal) {
            let _ = if alone { killpg(program, signal) } else { kill(program, signal) };
        }
    }
}

/// Waits for a signal; whether another process sent it.
fn next_signal(set: &SigSet) -> io::Result<Option<(Signal, bool)>> {
    // SAFETY: zero is a valid siginfo_t, which the kernel fills.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for the call.
    let number = unsafe { libc::sigwaitinfo(set.as_ref(), &mut info) };
    match Errno::result(number) {
        Ok(number) => Ok(Signal::try_from(number).ok().map(|signal| (signal, info.si_code <= 0))),
        Err(Errno::EINTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reaps one child that has ended. `None`: all live.
fn reap() -> io::Result<Option<(Pid, ExitStatus)>> {
    match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::Exited(pid, code)) => Ok(Some((pid, ExitStatus::from_raw(code << 8)))),
        Ok(WaitStatus::Signaled(pid, signal, core)) => {
            let core = if core { 0x80 } else { 0 };
            Ok(Some((pid, ExitStatus::from_raw(signal as i32 | core))))
        }
        Ok(_) | Err(Errno::ECHILD) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Asks all other processes of the namespace to end, and waits for as long as `grace`.
fn end_others(grace: Duration) {
    let all = Pid::from_raw(-1);
    let until = Instant::now() + grace;
    let has_others = || {
        while let Ok(Some(_)) = reap() {}
        kill(all, None) != Err(Errno::ESRCH)
    };
    if !has_others() {
        return;
    }
    let _ = kill(all, Signal::SIGTERM);
    let _ = kill(all, Signal::SIGCONT);
    while has_others() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(2));
    }
    // The rest ends with this process.
}
