//! A small disk that can be filled.

use std::{fs, io::Write, path::Path, process::Command};

/// A small mounted disk, unmounted on drop.
pub struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    /// Mounts the disk. Returns `None` and prints a notice if mounting is not allowed.
    pub fn new(at: &'a Path) -> Option<Self> {
        fs::create_dir_all(at).ok()?;
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m,mode=0700", "tmpfs"]).arg(at).output();
        let disk = mounted.is_ok_and(|out| out.status.success()).then_some(Disk(at));
        if disk.is_none() {
            eprintln!("skipped: no small disk can be mounted here (it takes root)");
        }
        disk
    }

    pub fn fill(&self) {
        let mut file = fs::File::create(self.0.join("ballast")).unwrap();
        for size in [1 << 16, 1 << 10, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    pub fn free(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}
