//! One holder at a time: a lock that ends with its holder, however that one ends, and says who has it.

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

/// A held lock. Dropped, or its process killed, it is free; the file stays (to remove it would let two processes lock
/// two files of one name).
#[derive(Debug)]
pub struct FileLock(Flock<File>);

impl Drop for FileLock {
    fn drop(&mut self) {
        // Best effort: who reads an old holder finds it dead, or alive and not holding, and tries the lock anyway.
        self.0.set_len(0).ok();
    }
}

/// Takes the lock at `path` without waiting, and writes this process's [`ProcessId`] into it; `None` when another
/// holds it. The file is made with mode 0600 if need be. The lock is close-on-exec: no child holds it on.
///
/// # Errors
/// `Configuration`: the file can't be made, opened or written.
pub fn lock_file(path: &Path) -> Result<Option<FileLock>> {
    try_lock(path).map_err(|error| {
        Error::config(format!("can't lock {}: {error}", path.display()))
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
        // Somebody may have removed or replaced the file between the opening and the locking: then this lock guards
        // nothing.
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

/// Who holds the lock at `path`. It looks for no longer than an instant, in which whoever would take the lock finds it
/// held by nobody's name.
pub fn read_lock_holder(path: &Path) -> Option<ProcessId> {
    let text = fs::read_to_string(path).ok()?;
    let (pid, start_time) = text.trim().split_once(' ')?;
    let holder = ProcessId { pid: pid.parse().ok()?, start_time: start_time.parse().ok()? };
    (holder.is_alive() && is_held(path)).then_some(holder)
}

/// After a reboot, what is written there may be the name of somebody else.
fn is_held(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| Flock::lock(file, FlockArg::LockSharedNonblock).is_err())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::{error::Kind, os::inheritable_fds};

    #[test]
    fn a_lock_has_one_holder_and_names_it() {
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
    fn a_holder_that_died_is_not_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        let me = ProcessId::current();
        fs::write(&path, format!("{} {}\n", me.pid, me.start_time + 1)).expect("write");
        assert_eq!(read_lock_holder(&path), None);
        assert!(lock_file(&path).expect("lock").is_some(), "what is written in it does not make it held");
    }

    #[test]
    fn whoever_has_the_pid_of_a_holder_of_an_earlier_boot_is_not_named() {
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
