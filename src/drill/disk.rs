//! A small disk for a world's state folder, so that a fault can fill it. Mounting one takes root.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Large enough for the state of a long drill, and small enough to be filled within milliseconds.
const SIZE: &str = "size=96m,mode=0700";
/// The file that fills it.
const BALLAST: &str = "ballast";

/// A file system of its own at a world's state folder. Dropping it unmounts it.
#[derive(Debug)]
pub(super) struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Mounts a disk at an existing folder. Returns `None` where mounting is not permitted.
    pub fn mount(at: &Path) -> Option<SmallDisk> {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("tmpfs"), at, Some("tmpfs"), flags, Some(SIZE)).ok()?;
        Some(SmallDisk { at: at.to_owned() })
    }

    /// Fills the disk to the last byte.
    ///
    /// # Errors
    /// It is full already, or the file that fills it cannot be created.
    pub fn fill(&self) -> io::Result<()> {
        let mut file = fs::File::create_new(self.at.join(BALLAST))?;
        for size in [1 << 20, 1 << 12, 1] {
            let block = vec![0; size];
            while file.write_all(&block).is_ok() {}
        }
        Ok(())
    }

    /// Makes room again.
    pub fn free(&self) {
        // It is missing only if nothing was filled.
        let _ = fs::remove_file(self.at.join(BALLAST));
    }

    /// Unmounts the disk and leaves a copy of its files in the folder.
    pub fn keep(self) {
        let copy = self.at.with_extension("kept");
        let copied = Command::new("cp").arg("-a").arg(&self.at).arg(&copy).output();
        let at = self.at.clone();
        drop(self);
        if copied.is_ok_and(|out| out.status.success()) && fs::remove_dir(&at).is_ok() {
            let _ = fs::rename(copy, at);
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(&self.at);
    }
}

/// Unmounts what is mounted at a folder, also while a process still uses it. A folder with nothing on it is no error.
pub(super) fn unmount(at: &Path) {
    let _ = umount2(at, MntFlags::MNT_DETACH);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_disk_is_full_and_has_room_again() {
        let folder = tempfile::tempdir().unwrap();
        let Some(disk) = SmallDisk::mount(folder.path()) else { return };
        fs::write(folder.path().join("before"), "x").unwrap();
        disk.fill().unwrap();
        assert!(disk.fill().is_err(), "it is full");
        let refused = fs::write(folder.path().join("after"), "x").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        disk.free();
        fs::write(folder.path().join("after"), "x").unwrap();
        disk.keep();
        assert_eq!(fs::read_to_string(folder.path().join("before")).unwrap(), "x");
    }
}
