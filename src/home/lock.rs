//! The supervisor's lock: who owns the state folder.
//!
//! One process holds two locks. The lock of the file `supervisor.lock` names its owner; that of the folder itself
//! remains when the file is removed, so that no second supervisor can start next to the first. Both are held in every
//! pid namespace that shares the folder: a lock whose owner cannot be seen is still held.

use std::{io, path::PathBuf};

use super::Home;
use crate::{
    error::Result,
    os::{self, FileLock, FolderLock, LockOwner},
};

/// The lock of a supervisor that runs, released when dropped.
#[derive(Debug)]
pub struct SupervisorLock {
    file: FileLock,
    /// `None` on a file system without locks for folders.
    folder: Option<FolderLock>,
}

/// What became of a state folder while its supervisor ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FolderState {
    /// It is where it was, with its lock.
    InPlace,
    /// The lock's file was removed or replaced, and is there again.
    LockRestored,
    /// Another supervisor has the lock.
    LockLost,
    /// The folder is not where it was: it was removed, or renamed to this.
    Gone(Option<PathBuf>),
}

impl Home {
    /// Takes the supervisor's lock; `None` when another supervisor has it.
    ///
    /// # Errors
    /// Configuration: the lock's file cannot be created.
    pub fn lock_supervisor(&self) -> Result<Option<SupervisorLock>> {
        let Some(file) = os::lock_file(&self.supervisor_lock())? else { return Ok(None) };
        match os::lock_folder(self.path()) {
            Ok(Some(folder)) => Ok(Some(SupervisorLock { file, folder: Some(folder) })),
            Ok(None) => Ok(None),
            Err(e) => {
                tracing::warn!("{} cannot be locked itself: {e}", self.path().display());
                Ok(Some(SupervisorLock { file, folder: None }))
            }
        }
    }

    /// Returns the process of the supervisor that runs here.
    pub fn supervisor(&self) -> LockOwner {
        os::lock_owner(&self.supervisor_lock(), Some(self.path()))
    }
}

impl SupervisorLock {
    /// Looks whether the folder and its lock are still the ones that were taken, and restores a lock that was removed. A few
    /// calls of `stat`.
    ///
    /// # Errors
    /// Fails when that cannot be read, which says nothing.
    pub fn look(&mut self, home: &Home) -> io::Result<FolderState> {
        if let Some(folder) = &self.folder
            && !folder.is_at(home.path())?
        {
            return Ok(FolderState::Gone(folder.path()));
        }
        if self.file.is_at(&home.supervisor_lock())? {
            return Ok(FolderState::InPlace);
        }
        match os::lock_file(&home.supervisor_lock()) {
            Ok(Some(file)) => {
                self.file = file;
                Ok(FolderState::LockRestored)
            }
            Ok(None) => Ok(FolderState::LockLost),
            Err(e) => Err(io::Error::other(e.message)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::os::ProcessId;

    fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("home"));
        home.create().unwrap();
        (dir, home)
    }

    #[test]
    fn a_removed_lock_keeps_others_out_and_is_restored() {
        let (_dir, home) = home();
        let mut lock = home.lock_supervisor().unwrap().unwrap();
        assert_eq!(lock.look(&home).unwrap(), FolderState::InPlace);
        for by in [None, Some("replaced")] {
            fs::remove_file(home.supervisor_lock()).unwrap();
            by.into_iter().for_each(|text| fs::write(home.supervisor_lock(), text).unwrap());
            assert!(home.lock_supervisor().unwrap().is_none(), "no second supervisor");
            assert_eq!(home.supervisor(), LockOwner::Unseen);
            assert_eq!(lock.look(&home).unwrap(), FolderState::LockRestored);
            assert_eq!(home.supervisor(), LockOwner::Process(ProcessId::current()));
        }
        drop(lock);
        assert_eq!(home.supervisor(), LockOwner::Nobody);
        assert!(home.lock_supervisor().unwrap().is_some());
    }

    #[test]
    fn a_folder_that_is_gone_is_noticed() {
        let (dir, home) = home();
        let mut lock = home.lock_supervisor().unwrap().unwrap();
        let moved = dir.path().canonicalize().unwrap().join("moved");
        fs::rename(home.path(), &moved).unwrap();
        assert_eq!(lock.look(&home).unwrap(), FolderState::Gone(Some(moved.clone())));
        home.create().unwrap();
        assert_eq!(lock.look(&home).unwrap(), FolderState::Gone(Some(moved.clone())), "another folder in its place");
        fs::remove_dir_all(&moved).unwrap();
        assert_eq!(lock.look(&home).unwrap(), FolderState::Gone(None));
    }
}
