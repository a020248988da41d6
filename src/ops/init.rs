//! `orch init`: the first sessions.toml of a project.

use std::{
    io::{ErrorKind, Write},
    path::Path,
};

use super::Ops;
use crate::{
    config::{DriverKind, starter},
    drivers,
    error::{Error, Result},
};

impl Ops {
    /// Writes a sessions.toml for the agent programs of this machine. `force` writes over one that is there.
    ///
    /// # Errors
    /// Conflict: there is one. Configuration: it can't be written.
    pub fn init(file: &Path, force: bool) -> Result<()> {
        let path = std::env::var_os("PATH");
        let found: Vec<DriverKind> =
            DriverKind::ALL.into_iter().filter(|kind| program_of(*kind, path.as_deref())).collect();
        let write = || {
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create(true).truncate(force).create_new(!force);
            options.open(file)?.write_all(starter(&found).as_bytes())
        };
        match write() {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                Err(Error::conflict(format!("{} exists already", file.display()))
                    .hint("edit it, or write over it with: orch init --force"))
            }
            Err(e) => Err(Error::config(format!("can't write {}: {e}", file.display()))
                .hint("run orch init in a folder that you can write to")),
        }
    }
}

/// Whether the agent program of a driver is installed. Those that need none count as found.
fn program_of(kind: DriverKind, path: Option<&std::ffi::OsStr>) -> bool {
    match kind {
        DriverKind::Claude => drivers::find("claude", path).is_some(),
        DriverKind::Auto | DriverKind::Console | DriverKind::Shell | DriverKind::Command => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Config, Env},
        error::Kind,
    };

    #[test]
    fn a_new_file_is_valid_and_an_old_one_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sessions.toml");
        Ops::init(&file, false).unwrap();
        let env = Env { cwd: dir.path().into(), home: Some(dir.path().into()), ..Env::default() };
        let config = Config::load_with(&env, None).unwrap();
        assert_eq!(config.file.as_deref().and_then(Path::file_name), file.file_name());

        std::fs::write(&file, "# mine, and longer than what orch would write ".repeat(100)).unwrap();
        assert_eq!(Ops::init(&file, false).unwrap_err().kind, Kind::Conflict);
        assert!(std::fs::read_to_string(&file).unwrap().starts_with("# mine"));
        Ops::init(&file, true).unwrap();
        assert!(!std::fs::read_to_string(&file).unwrap().contains("# mine"));
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = Ops::init(Path::new("/nonexistent/project/sessions.toml"), false).unwrap_err();
        assert_eq!(error.kind, Kind::Configuration);
        assert!(error.message.contains("/nonexistent/project"), "{error}");
    }
}
