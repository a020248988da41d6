//! The lock of the server's folder: two servers on one append-only file would destroy it.
//!
//! It is a flock(2) whose descriptor the server process itself inherits, so it is held exactly as long as a server is
//! alive: even if the supervisor that started it was killed, and not a moment longer. The file contains the server's
//! pid, which that process writes before it becomes the server: while a server holds the lock, its pid can be read.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::stat::{Mode, umask},
    unistd::setsid,
};
use tokio::process::{Child, Command};

use super::places::{cannot, quoted};
use crate::error::{Error, Result};

/// The lock file's name, in the server's folder. It is never removed: a removed lock file is two lock files.
pub(super) const FILE: &str = "server.lock";

/// The width of the content. Fixed, so that it overwrites its own block and needs no space on a full disk.
const WIDTH: usize = 16;

/// The lock of one folder, held or not.
///
/// Closing it releases the lock, unless a server has inherited it: flock belongs to the open file, not to a process.
#[derive(Debug)]
pub(super) struct FolderLock {
    path: PathBuf,
    file: File,
}

impl FolderLock {
    /// Opens the lock file of `dir`, and makes it if it is missing. Does not lock.
    pub(super) fn open(dir: &Path) -> Result<FolderLock> {
        let path = dir.join(FILE);
        // Not truncated: the file has the pid of the process that holds the lock. O_CLOEXEC (the standard library's
        // default) keeps the lock from every other program that this process may start meanwhile.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)
            .map_err(|e| cannot("open", &path, &e))?;
        Ok(FolderLock { path, file })
    }

    /// Takes the lock if it is free, and returns whether it did. Does not wait.
    pub(super) fn try_lock(&self) -> Result<bool> {
        // Not nix's `Flock`: it unlocks when dropped, and would take the lock from the server that inherited it.
        // SAFETY: flock takes no pointer, and the descriptor is open as long as `self` lives.
        if unsafe { libc::flock(self.file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(false),
            _ => Err(cannot("lock", &self.path, &error)),
        }
    }

    /// The pid of the last server that was given this lock, as that server saw it.
    pub(super) fn holder(&self) -> Option<u32> {
        let mut content = [0; WIDTH];
        let read = self.file.read_at(&mut content, 0).ok()?;
        std::str::from_utf8(&content[..read]).ok()?.trim().parse().ok()
    }

    /// The error for a lock that is held while its last server is gone, and no other one shows up.
    pub(super) fn held_without_server(&self, waited: Duration) -> Error {
        Error::not_running(format!("{} is locked, but no server answered for {waited:?}", self.path.display()))
            .hint(format!("see which process holds it: fuser -v {}", quoted(&self.path)))
    }

    /// Starts `command` as a process that holds this lock, in a session of its own, with a umask that keeps its files
    /// to their owner. Our own hold ends here, whether it started or not.
    pub(super) fn spawn(self, mut command: Command) -> io::Result<Child> {
        let file = self.file;
        // SAFETY: between fork and exec only async-signal-safe calls are allowed; these are system calls, and number
        // formatting into a buffer on the stack. Nothing allocates, nothing locks.
        unsafe {
            command.pre_exec(move || {
                setsid()?;
                umask(Mode::from_bits_truncate(0o077));
                let mut content = [b' '; WIDTH];
                write!(&mut content[..], "{}", std::process::id())?;
                content[WIDTH - 1] = b'\n';
                file.write_all_at(&content, 0)?;
                fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty()))?;
                Ok(())
            });
        }
        command.spawn()
    }
}
