//! An exclusive file lock that the kernel releases when its owner ends, and that records the owner.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use super::ProcessId;
use crate::error::{Error, Result};

/// A lock that is owned by this process. It is released when dropped, or when the process ends; the file stays
/// (removing it would let two processes lock two files of the same name).
#[derive(Debug)]
pub struct FileLock(Flock<File>);

impl Drop for FileLock {
    fn drop(&mut self) {
        // Best effort: a reader of an old record finds that its process is dead, or does not own the lock, and tries
        // to lock anyway.
        self.0.set_len(0).ok();
    }
}

/// Takes the lock at `path` without waiting, and writes this process's [`ProcessId`] into it; `None` when another
/// process owns it. Creates the file with mode 0600 if it is missing. The lock is close-on-exec: no child inherits it.
///
/// # Errors
/// `Configuration`: the file cannot be created, opened or written.
pub fn lock_file(path: &Path) -> Result<Option<FileLock>> {
    try_lock(path).map_err(|error| {
        Error::config(format!("cannot lock {}: {error}", path.display()))
            .hint("check that its folder exists, is yours, and is on a disk that is neither full nor read-only")
    })
}

fn try_lock(path: &Path) -> io::Result<Option<FileLock>> {
    loop {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
            Err((_, errno)) => return Err(errno.into()),
        };
        // The file may have been removed or replaced between opening and locking: then this lock protects nothing.
        if !is_at(&lock, path)? {
            continue;
        }
        lock.set_len(0)?;
        let holder = ProcessId::current();
        writeln!(lock, "{} {}", holder.pid, holder.start_time)?;
        return Ok(Some(FileLock(lock)));
    }
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns the owner of the lock at `path`. While this checks, which takes an instant, a process that tries to take
/// the lock finds it locked without an owner.
pub fn read_lock_holder(path: &Path) -> Option<ProcessId> {
    let text = fs::read_to_string(path).ok()?;
    let (pid, start_time) = text.trim().split_once(' ')?;
    let holder = ProcessId { pid: pid.parse().ok()?, start_time: start_time.parse().ok()? };
    (holder.is_alive() && is_held(path)).then_some(holder)
}

/// After a reboot, the recorded pid may belong to an unrelated process.
fn is_held(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| Flock::lock(file, FlockArg::LockSharedNonblock).is_err())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::{error::Kind, os::inheritable_fds};

    #[test]
    fn a_lock_has_one_owner_and_records_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("supervisor.lock");
        let lock = lock_file(&path).expect("lock").expect("free");
        assert!(lock_file(&path).expect("lock").is_none(), "a second open of the same file is refused");
        assert_eq!(read_lock_holder(&path), Some(ProcessId::current()));
        assert_eq!(fs::metadata(&path).expect("file").permissions().mode() & 0o777, 0o600);
        let fd = std::os::fd::AsRawFd::as_raw_fd(&*lock.0);
        assert!(!inheritable_fds().expect("fds").contains(&fd));

        drop(lock);
        assert_eq!(read_lock_holder(&path), None);
        assert!(lock_file(&path).expect("lock").is_some());
    }

    #[test]
    fn an_owner_that_died_is_not_returned() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        let me = ProcessId::current();
        fs::write(&path, format!("{} {}\n", me.pid, me.start_time + 1)).expect("write");
        assert_eq!(read_lock_holder(&path), None);
        assert!(lock_file(&path).expect("lock").is_some(), "the record alone does not lock it");
    }

    #[test]
    fn a_process_with_the_pid_of_an_owner_from_an_earlier_boot_is_not_returned() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        let me = ProcessId::current();
        fs::write(&path, format!("{} {}\n", me.pid, me.start_time)).expect("write");
        assert_eq!(read_lock_holder(&path), None);
    }

    #[test]
    fn a_lock_in_a_missing_folder_names_the_path() {
        let error = lock_file(Path::new("/nonexistent/folder/lock")).expect_err("no folder");
        assert_eq!(error.kind, Kind::Configuration);
        assert!(error.message.contains("/nonexistent/folder/lock"), "{error}");
    }
}
