//! A folder for temporary files of an agent program: sockets, and outputs that it reads again. A killed program leaves
//! them behind, and in /tmp they would stay until the machine restarts.
//!
//! It is set by a variable of the program's own, and not by TMPDIR. TMPDIR applies to everything that the program
//! starts, and builds and tests are expected to use /tmp: it may be in memory, has its own limits, and its path is
//! short enough for sockets, which a path in the state folder may not be.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use crate::{config::Role, drivers::Driver, home, model::socket};

const NAME: &str = "tmp";
/// What a program may put below the folder: claude's `/cc-socks/4194304.sock` is 22 bytes.
const ROOM: usize = 32;

/// The folder of one program. Removed when dropped; if the process is killed first, it is removed with its parent
/// folder.
pub(in crate::runner) struct Scratch {
    variable: &'static str,
    path: PathBuf,
}

impl Scratch {
    /// Creates one in this folder. Returns `None` where the program has no variable for it, where its role sets the
    /// place of such files, or where the path is too long for a socket: then they are where the program puts them.
    ///
    /// # Errors
    /// Fails when the folder cannot be created.
    pub fn make(driver: &dyn Driver, role: &Role, dir: &Path) -> io::Result<Option<Scratch>> {
        let Some(variable) = driver.scratch_variable() else { return Ok(None) };
        let path = dir.join(NAME);
        let sets = |name: &str| role.env.contains_key(name) || role.env_from.iter().any(|from| from == name);
        let is_set = sets("TMPDIR") || sets(variable);
        if is_set || path.as_os_str().len() + ROOM > socket::LONGEST_PATH {
            return Ok(None);
        }
        // Left by a runner that was killed: the same attempt, or the same master.
        remove(&path);
        home::create_dir(&path)?;
        Ok(Some(Scratch { variable, path }))
    }

    /// Returns the variable that sets it for the program.
    pub fn variable(&self) -> (&'static str, OsString) {
        (self.variable, self.path.clone().into())
    }

    /// Removes it on another thread, because it may contain many files.
    pub async fn end(self) {
        // If no thread can be started, it is dropped nevertheless.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn remove(path: &Path) {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => tracing::warn!("{} could not be removed: {e}", path.display()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Config, DriverKind, Env},
        drivers,
    };

    fn role(env: &[&str]) -> Role {
        let config = Env { cwd: "/tmp".into(), state_home: Some("/tmp".into()), ..Env::default() };
        let mut role = Config::load_with(&config, None).unwrap().roles.remove("sonnet").unwrap();
        role.env = env.iter().map(|name| ((*name).to_owned(), "/mine".to_owned())).collect();
        role
    }

    fn make(kind: DriverKind, role: &Role, dir: &Path) -> Option<Scratch> {
        Scratch::make(drivers::of(kind).unwrap(), role, dir).unwrap()
    }

    #[test]
    fn it_is_empty_at_first_and_removed_afterwards() {
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        let path = dir.path().join("tmp");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("of-one-that-was-killed"), "").unwrap();
        let scratch = make(DriverKind::Claude, &role(&[]), dir.path()).unwrap();
        assert_eq!(scratch.variable(), ("CLAUDE_CODE_TMPDIR", path.clone().into()));
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn there_is_none_where_the_role_sets_the_place_or_a_socket_would_not_fit() {
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        for name in ["TMPDIR", "CLAUDE_CODE_TMPDIR"] {
            assert!(make(DriverKind::Claude, &role(&[name]), dir.path()).is_none(), "{name}");
        }
        assert!(make(DriverKind::Shell, &role(&[]), dir.path()).is_none());
        let long = dir.path().join("x".repeat(80));
        assert!(make(DriverKind::Claude, &role(&[]), &long).is_none() && !long.exists());
    }
}
