//! Checks whether the files that a running server needs are still on the disk.

use std::path::Path;

use super::{ServerSpec, lock};
use crate::os::FolderId;

/// The names of the append-only file: a folder since Redis 7, a file before.
const APPEND_ONLY: [&str; 2] = ["appendonlydir", "appendonly.aof"];

/// What a server was seen to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InPlace {
    dir: Option<FolderId>,
    lock: Option<FolderId>,
    socket: Option<FolderId>,
}

/// What a running server has lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Its socket or its lock: a new server finds all data on the disk.
    Way,
    /// The folder of its data: all of it is in the memory of the running server alone.
    Data,
}

impl InPlace {
    pub(super) fn of(spec: &ServerSpec) -> InPlace {
        let at = |path: &Path| FolderId::of(path);
        InPlace { dir: at(&spec.dir), lock: at(&spec.dir.join(lock::FILE)), socket: at(&spec.socket) }
    }

    /// Compares what was seen with what is there. A few calls of `stat`.
    pub(super) fn lost(&self, spec: &ServerSpec) -> Option<Lost> {
        let now = InPlace::of(spec);
        if now.dir != self.dir || !APPEND_ONLY.iter().any(|name| spec.dir.join(name).exists()) {
            return Some(Lost::Data);
        }
        (now != *self).then_some(Lost::Way)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_was_removed_or_replaced_is_lost() {
        let home = tempfile::tempdir().unwrap();
        let spec = ServerSpec::of_home(home.path(), "w").unwrap();
        let files = [spec.socket.clone(), spec.dir.join(lock::FILE)];
        let make = || {
            fs::create_dir_all(spec.dir.join("appendonlydir")).unwrap();
            files.iter().for_each(|file| fs::write(file, "").unwrap());
            InPlace::of(&spec)
        };
        for file in &files {
            let placed = make();
            assert_eq!(placed.lost(&spec), None);
            fs::remove_file(file).unwrap();
            assert_eq!(placed.lost(&spec), Some(Lost::Way));
            fs::write(file, "").unwrap();
            assert_eq!(placed.lost(&spec), Some(Lost::Way), "another one");
        }
        let placed = make();
        fs::remove_dir(spec.dir.join("appendonlydir")).unwrap();
        assert_eq!(placed.lost(&spec), Some(Lost::Data));
        fs::remove_dir_all(&spec.dir).unwrap();
        assert_eq!(placed.lost(&spec), Some(Lost::Data));
    }
}
