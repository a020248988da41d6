//! Finds programs on a search path, and reports missing ones.

use std::{
    env::split_paths,
    ffi::OsStr,
    fmt,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::config::Role;

/// Why no agent of a role can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// What is missing.
    pub missing: String,
    /// What a person can do about it.
    pub fix: String,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.missing, self.fix)
    }
}

/// Finds a program on a search path. Folders that are not absolute are passed over.
pub fn find(program: &str, path: Option<&OsStr>) -> Option<PathBuf> {
    split_paths(path?)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(program))
        .find(|candidate| is_executable(candidate))
}

pub(super) fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// Returns the PATH of a role's agents.
pub(super) fn search_path<'a>(role: &'a Role, path: Option<&'a OsStr>) -> Option<&'a OsStr> {
    role.env.get("PATH").map(OsStr::new).or(path)
}
