//! The module from outside: files in real folders, and what `Config::load_with` makes of them.

mod arbitrary;
mod diagnostics;
mod discovery;
mod meaning;
mod programs;
mod rights;
mod roles;
mod spend;

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::{Config, Env};
use crate::error::{Error, Kind, Result};

/// A project's folder in a temporary one, with an environment that knows nothing but it.
pub(super) struct Project {
    _dir: TempDir,
    pub root: PathBuf,
    pub env: Env,
}

impl Project {
    /// An empty folder: no file.
    pub fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("shop");
        fs::create_dir(&root).unwrap();
        let env = Env { cwd: root.clone(), home: Some(root.join("home")), ..Env::default() };
        Project { _dir: dir, root, env }
    }

    /// A folder with this sessions.toml.
    pub fn with(text: impl AsRef<[u8]>) -> Self {
        let project = Project::empty();
        project.write("sessions.toml", text);
        project
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn load(&self) -> Result<Config> {
        Config::load_with(&self.env, None)
    }
}

/// The configuration of a sessions.toml that has to be right.
fn meant(text: &str) -> Config {
    Project::with(text).load().unwrap_or_else(|error| panic!("{error}"))
}

/// The error of a sessions.toml that has to be wrong.
fn error(text: impl AsRef<[u8]>) -> Error {
    let error = Project::with(text).load().unwrap_err();
    assert_eq!(error.kind, Kind::Configuration);
    assert!(error.hint.is_some());
    error
}
