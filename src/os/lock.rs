//! An exclusive file lock that the kernel releases when its owner ends, and that records the owner.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
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

/// A lock on a folder, owned by this process: it holds while the folder exists, whatever is removed in it. See
/// [`lock_folder`].
#[derive(Debug)]
pub struct FolderLock(Flock<File>);

/// Who owns a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockOwner {
    /// It is free.
    Nobody,
    /// This process.
    Process(ProcessId),
    /// A process that is not known here: it has just taken the lock, or runs in another pid namespace (a container).
    Unseen,
}

impl FileLock {
    /// Returns whether the locked file is the one at `path`: it may have been removed or replaced.
    ///
    /// # Errors
    /// Fails when that cannot be read.
    pub fn is_at(&self, path: &Path) -> io::Result<bool> {
        is_at(&self.0, path)
    }
}

impl FolderLock {
    /// Returns whether the locked folder is the one at `path`.
    ///
    /// # Errors
    /// Fails when that cannot be read.
    pub fn is_at(&self, path: &Path) -> io::Result<bool> {
        is_at(&self.0, path)
    }

    /// Returns where the folder is now, also after it was renamed; `None` if it was removed.
    pub fn path(&self) -> Option<PathBuf> {
        // The kernel keeps the name of an open folder up to date.
        let path = fs::read_link(format!("/proc/self/fd/{}", self.0.as_raw_fd())).ok()?;
        self.is_at(&path).unwrap_or(false).then_some(path)
    }
}

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

/// Takes the lock of a folder without waiting; `None` when another process owns it. Close-on-exec, as [`lock_file`].
///
/// # Errors
/// Fails when the folder cannot be opened, or its file system has no locks for folders (NFS).
pub fn lock_folder(path: &Path) -> io::Result<Option<FolderLock>> {
    match Flock::lock(File::open(path)?, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(FolderLock(lock))),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno.into()),
    }
}

/// Returns the owner of the lock at `path`. While this checks, which takes an instant, a process that tries to take
/// the lock finds it locked without an owner.
pub fn read_lock_holder(path: &Path) -> Option<ProcessId> {
    // After a reboot, the recorded pid may belong to an unrelated process.
    recorded(path).filter(|holder| holder.is_alive() && is_locked(path))
}

/// Returns the owner of the lock of the file at `path`, also of one that this process cannot see. The folder counts too,
/// if one is given: it is locked by the same process, and stays so when the file is removed.
pub fn lock_owner(path: &Path, folder: Option<&Path>) -> LockOwner {
    if let Some(holder) = read_lock_holder(path) {
        return LockOwner::Process(holder);
    }
    match is_locked(path) || folder.is_some_and(is_locked) {
        true => LockOwner::Unseen,
        false => LockOwner::Nobody,
    }
}

/// Returns the process that a lock file names, if its content is complete.
fn recorded(path: &Path) -> Option<ProcessId> {
    let text = fs::read_to_string(path).ok()?;
    let (pid, start_time) = text.trim().split_once(' ')?;
    Some(ProcessId { pid: pid.parse().ok()?, start_time: start_time.parse().ok()? })
}

fn is_locked(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    matches!(Flock::lock(file, FlockArg::LockSharedNonblock), Err((_, Errno::EWOULDBLOCK)))
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
    fn a_folders_lock_outlives_the_file_in_it_and_follows_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let (home, moved) = (folder.path().join("home"), folder.path().join("moved"));
        fs::create_dir(&home).expect("home");
        let path = home.join("supervisor.lock");
        assert_eq!(lock_owner(&path, Some(&home)), LockOwner::Nobody);
        let lock = lock_folder(&home).expect("lock").expect("free");
        assert!(lock_folder(&home).expect("lock").is_none());
        assert_eq!(lock_owner(&path, Some(&home)), LockOwner::Unseen);
        assert_eq!(lock_owner(&path, None), LockOwner::Nobody);
        let file = lock_file(&path).expect("lock").expect("free");
        assert_eq!(lock_owner(&path, Some(&home)), LockOwner::Process(ProcessId::current()));
        assert!(file.is_at(&path).expect("file") && lock.is_at(&home).expect("folder"));

        fs::remove_file(&path).expect("remove");
        assert!(!file.is_at(&path).expect("no file"));
        fs::rename(&home, &moved).expect("rename");
        assert!(!lock.is_at(&home).expect("no folder"));
        assert_eq!(lock.path(), Some(moved.canonicalize().expect("path")));
        fs::remove_dir_all(&moved).expect("remove");
        assert_eq!(lock.path(), None);
    }

    #[test]
    fn a_lock_of_a_process_that_cannot_be_seen_has_an_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("supervisor.lock");
        let lock = lock_file(&path).expect("lock").expect("free");
        // What a process of another pid namespace has written.
        fs::write(&path, "1 1\n").expect("write");
        assert_eq!(lock_owner(&path, None), LockOwner::Unseen);
        drop(lock);
        assert_eq!(lock_owner(&path, None), LockOwner::Nobody);
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
