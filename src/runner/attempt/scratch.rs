//! A folder for what an agent program scribbles beside its work: sockets, and outputs that it reads again. One that is
//! killed leaves it behind, and in /tmp it would stay until the machine is started anew.
//!
//! By a variable of the program's own alone, and not by TMPDIR. That is meant for all that the program starts, and a person
//! expects of builds and tests that they find /tmp: it may be in memory, has its own bounds, and its path leaves room for
//! sockets, which the state folder's may not.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use crate::{config::Role, drivers::Driver, home};

const NAME: &str = "tmp";
/// A socket's path may be this long on Linux (`sun_path`).
const LONGEST_SOCKET_PATH: usize = 107;
/// What a program may put below the folder: `/cc-socks/4194304.sock` of claude's is 22 bytes.
const ROOM: usize = 32;

/// One program's. Removed when dropped; where nobody is left to drop it, it goes with the folder that it lies in.
pub(in crate::runner) struct Scratch {
    variable: &'static str,
    path: PathBuf,
}

impl Scratch {
    /// In this folder. `None` where the program has no variable for it, where its role says itself where such files belong,
    /// or where the path is too long for a socket: then they lie where the program puts them.
    ///
    /// # Errors
    /// What the system says.
    pub fn make(driver: &dyn Driver, role: &Role, dir: &Path) -> io::Result<Option<Scratch>> {
        let Some(variable) = driver.scratch_variable() else { return Ok(None) };
        let path = dir.join(NAME);
        let says = |name: &str| role.env.contains_key(name) || role.env_from.iter().any(|from| from == name);
        let is_said = says("TMPDIR") || says(variable);
        if is_said || path.as_os_str().len() + ROOM > LONGEST_SOCKET_PATH {
            return Ok(None);
        }
        // From before a runner was killed: the same attempt, or the same master.
        remove(&path);
        home::create_dir(&path)?;
        Ok(Some(Scratch { variable, path }))
    }

    /// How the program is told of it.
    pub fn variable(&self) -> (&'static str, OsString) {
        (self.variable, self.path.clone().into())
    }

    /// Removes it; away from the runner's own work, because it may hold much.
    pub async fn end(self) {
        // A thread that cannot be had has dropped it all the same.
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
        Err(e) if e.kind() != io::ErrorKind::NotFound => tracing::warn!("{} stays: {e}", path.display()),
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
    fn it_is_empty_at_first_and_gone_afterwards() {
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
    fn there_is_none_where_the_role_says_where_or_a_socket_would_not_fit() {
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        for name in ["TMPDIR", "CLAUDE_CODE_TMPDIR"] {
            assert!(make(DriverKind::Claude, &role(&[name]), dir.path()).is_none(), "{name}");
        }
        assert!(make(DriverKind::Shell, &role(&[]), dir.path()).is_none());
        let long = dir.path().join("x".repeat(80));
        assert!(make(DriverKind::Claude, &role(&[]), &long).is_none() && !long.exists());
    }
}
