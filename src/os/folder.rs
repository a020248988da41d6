//! The identity of a folder, independent of its path.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::Path,
    time::UNIX_EPOCH,
};

use serde::{Deserialize, Serialize};

/// The identity of a file or folder, which a rename keeps and a copy does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderId {
    device: u64,
    inode: u64,
    /// When it was created, in nanoseconds since 1970: a new folder may get the inode of a removed one. `None` where the
    /// file system does not record it.
    born: Option<u64>,
}

impl FolderId {
    /// Returns the identity of what is at `path`; `None` where nothing can be found there.
    pub fn of(path: &Path) -> Option<FolderId> {
        fs::metadata(path).ok().as_ref().map(FolderId::from)
    }

    /// Whether both are the same folder, also after a reboot, which may give a disk another number.
    pub fn is(&self, other: &FolderId) -> bool {
        let is_device = self.device == other.device || (self.born.is_some() && other.born.is_some());
        self.inode == other.inode && self.born == other.born && is_device
    }
}

impl From<&Metadata> for FolderId {
    fn from(metadata: &Metadata) -> FolderId {
        let born = metadata.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        FolderId {
            device: metadata.dev(),
            inode: metadata.ino(),
            born: born.and_then(|since| u64::try_from(since.as_nanos()).ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_folder_is_the_same_and_a_new_one_in_its_place_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::create_dir(&a).unwrap();
        let id = FolderId::of(&a).unwrap();
        fs::rename(&a, &b).unwrap();
        assert!(id.is(&FolderId::of(&b).unwrap()));
        assert_eq!(FolderId::of(&a), None);
        fs::create_dir(&a).unwrap();
        assert!(!id.is(&FolderId::of(&a).unwrap()));
    }

    #[test]
    fn the_number_of_the_disk_counts_where_nothing_else_tells_two_folders_apart() {
        let id = FolderId { device: 1, inode: 2, born: Some(3) };
        assert!(id.is(&FolderId { device: 9, ..id }));
        assert!(!id.is(&FolderId { born: Some(4), ..id }));
        let without = FolderId { born: None, ..id };
        assert!(!without.is(&FolderId { device: 9, ..without }) && without.is(&without));
    }
}
