//! The owner of a state folder: its record `owner.json`, which every verb compares with the project for which it is
//! called.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Config, discovery};
use crate::os::FolderId;

/// The record's name in the state folder.
pub const OWNER: &str = "owner.json";
/// A record is far shorter.
const LONGEST: u64 = 64 << 10;

/// The record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// A random number that identifies the state folder. A copy has the same until it is adopted.
    pub id: String,
    /// The namespace; empty in the record of an earlier release.
    pub namespace: String,
    /// The real path of the state folder when this was written; empty in the record of an earlier release.
    pub home: PathBuf,
    /// The real path of the project's folder.
    pub project: PathBuf,
    /// Which folder that is, wherever it is moved.
    pub folder: Option<FolderId>,
    /// The name of the project's sessions.toml, if it has one.
    pub file: Option<OsString>,
    /// The folder was copied from a running project: no process that it names is its own.
    #[serde(default)]
    pub is_copy: bool,
}

impl Owner {
    /// Reads the record of a state folder; `None` if there is none, or it cannot be read.
    pub fn read(home: &Path) -> Option<Owner> {
        let path = home.join(OWNER);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() && found.len() <= LONGEST => {
                serde_json::from_slice(&fs::read(&path).ok()?).ok()
            }
            Ok(_) => None,
            Err(_) => Owner::of_an_earlier_release(home),
        }
    }

    /// An earlier release has recorded the project's path alone, and a number in a file of its own.
    fn of_an_earlier_release(home: &Path) -> Option<Owner> {
        let bytes = fs::read(home.join("project")).ok()?;
        let path = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let project = (!path.is_empty()).then(|| PathBuf::from(OsString::from_vec(path.to_vec())))?;
        let id = fs::read_to_string(home.join("id")).unwrap_or_default().trim().to_owned();
        let folder = FolderId::of(&project);
        Some(Owner { id, namespace: String::new(), home: PathBuf::new(), project, folder, file: None, is_copy: false })
    }

    /// Whether the project's folder is this one, whatever its path was.
    pub fn is_of(&self, root: &Path) -> bool {
        self.is_folder(FolderId::of(root).as_ref())
    }

    fn is_folder(&self, folder: Option<&FolderId>) -> bool {
        matches!((&self.folder, folder), (Some(own), Some(folder)) if own.is(folder))
    }

    /// Whether the project had this sessions.toml, or none of both is there beside the other.
    fn has_file(&self, root: &Path, file: Option<&OsStr>) -> bool {
        match (self.file.as_deref(), file) {
            (Some(own), None) => !root.join(own).exists(),
            (None, Some(file)) => file == discovery::FILE,
            (own, file) => own == file,
        }
    }

    /// Whether the project's folder was moved from the recorded path to `root`.
    pub fn has_moved_to(&self, root: &Path) -> bool {
        self.project != root && self.is_of(root) && !self.is_of(&self.project)
    }
}

/// Returns the records of the state folders beside this one that are of the project in `root`: with the same sessions.toml, or
/// with one that was removed or written since.
pub fn beside(home: &Path, root: &Path, file: Option<&Path>) -> Vec<Owner> {
    let Some(folder) = FolderId::of(root) else { return Vec::new() };
    let file = file.and_then(Path::file_name).map(ToOwned::to_owned);
    let entries = home.parent().and_then(|above| fs::read_dir(above).ok()).into_iter().flatten().flatten();
    let others = entries.filter(|entry| entry.path() != home && entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let owners = others.filter_map(|entry| Some(Owner { home: entry.path(), ..Owner::read(&entry.path())? }));
    owners.filter(|owner| owner.is_folder(Some(&folder)) && owner.has_file(root, file.as_deref())).collect()
}

impl Config {
    /// Returns the records of other state folders that are of this project: its folder was moved, or it had another name.
    /// Empty where ORCH_HOME names the folder.
    pub fn other_homes(&self) -> Vec<Owner> {
        if self.has_own_place() { Vec::new() } else { beside(&self.home, &self.root, self.file.as_deref()) }
    }

    /// Returns whether ORCH_HOME names the state folder, and not the project's name.
    pub fn has_own_place(&self) -> bool {
        self.home.file_name().is_none_or(|name| name != self.namespace.as_str())
    }

    /// Takes the state folder of the path that the project was moved from; returns that path. `None` where it has a state
    /// folder, or was not moved. Load the configuration again afterwards.
    ///
    /// # Errors
    /// Fails when the link cannot be made.
    pub fn follow_move(&self) -> std::io::Result<Option<PathBuf>> {
        if !self.has_default_namespace() || self.home.exists() {
            return Ok(None);
        }
        let mut moved = self.other_homes().into_iter().filter(|owner| owner.has_moved_to(&self.root));
        match (moved.next(), moved.next()) {
            (Some(owner), None) => {
                super::discovery::link_to(&self.home, &owner.home)?;
                Ok(Some(owner.project))
            }
            _ => Ok(None),
        }
    }

    /// Whether the namespace is the one of the folder's path, because no `name` was given.
    pub fn has_default_namespace(&self) -> bool {
        self.namespace == super::discovery::default_namespace(&self.root)
    }
}
