//! Which project a state folder belongs to: two folders whose sessions.toml has the same `name` are not one project.

use std::{
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{Home, unusable, write_atomically};
use crate::{
    config::{PROJECT, project_of},
    error::{Error, Result},
    os::read_lock_holder,
};

impl Home {
    /// Returns the file that holds the project's real path.
    fn project_file(&self) -> PathBuf {
        self.path().join(PROJECT)
    }

    /// Returns the recorded path of the project's folder; `None` if none was recorded yet.
    pub fn project(&self) -> Option<PathBuf> {
        project_of(self.path())
    }

    /// Checks that the state folder is that of the project in `root`, or of none yet.
    ///
    /// # Errors
    /// Conflict: it belongs to another project folder. The hint names the ways out.
    pub fn check_project(&self, root: &Path, name: &str) -> Result<()> {
        let Some(recorded) = self.project().filter(|recorded| recorded != root) else { return Ok(()) };
        // Another path to the same folder, such as a bind mount.
        let is_same = |a: &Path, b: &Path| match (fs::metadata(a), fs::metadata(b)) {
            (Ok(a), Ok(b)) => {
                use std::os::unix::fs::MetadataExt;
                (a.dev(), a.ino()) == (b.dev(), b.ino())
            }
            _ => false,
        };
        if is_same(&recorded, root) {
            return Ok(());
        }
        let (recorded_at, here) = (recorded.display(), root.display());
        let home = self.path().display();
        if recorded.exists() {
            return Err(Error::conflict(format!(
                "the state folder of '{name}' belongs to {recorded_at}, and this is {here}"
            ))
            .hint(format!(
                "give one of the two another name in its sessions.toml, or set ORCH_HOME here; if this folder is to \
                     take over what is in {home}: orch stop there, then here: orch start --adopt"
            )));
        }
        Err(Error::conflict(format!(
            "the state folder of '{name}' belongs to {recorded_at}, which is gone; this is {here}"
        ))
        .hint(
            "if the project was moved here: orch start --adopt; otherwise give this one another name in sessions.toml",
        ))
    }

    /// Records the project's path, if none is recorded. The caller owns the supervisor's lock.
    ///
    /// # Errors
    /// As [`Home::check_project`]; or the file cannot be written.
    pub fn claim_project(&self, root: &Path, name: &str) -> Result<()> {
        self.check_project(root, name)?;
        match self.project() {
            Some(_) => Ok(()),
            None => self.record_project(root),
        }
    }

    /// Makes the state folder that of the project in `root`, whose folder was moved or copied.
    ///
    /// # Errors
    /// Conflict: a supervisor runs for the other path. Or the file cannot be written.
    pub fn adopt(&self, root: &Path, name: &str) -> Result<()> {
        if self.check_project(root, name).is_ok() || !self.path().is_dir() {
            return Ok(());
        }
        self.check_safety()?;
        if let (Some(supervisor), Some(recorded)) = (read_lock_holder(&self.supervisor_lock()), self.project()) {
            let (pid, recorded) = (supervisor.pid, recorded.display());
            return Err(Error::conflict(format!("the supervisor (pid {pid}) of '{name}' in {recorded} runs")).hint(
                format!("end it first: cd '{recorded}' && orch stop, or where that folder is gone: kill {pid}"),
            ));
        }
        self.record_project(root)
    }

    fn record_project(&self, root: &Path) -> Result<()> {
        let path = self.project_file();
        write_atomically(&path, &[root.as_os_str().as_bytes(), b"\n"].concat()).map_err(|e| unusable(&path, &e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::Kind, os::lock_file};

    #[test]
    fn a_state_folder_belongs_to_the_first_project_until_another_adopts_it() {
        let dir = tempfile::tempdir().unwrap();
        let [home, a, b] = ["home", "a", "b"].map(|name| dir.path().join(name));
        [&home, &a, &b].into_iter().for_each(|folder| fs::create_dir(folder).unwrap());
        let home = Home::new(home);
        home.check_project(&a, "shop").unwrap();
        home.claim_project(&a, "shop").unwrap();
        home.claim_project(&a, "shop").unwrap();
        assert_eq!(home.project(), Some(a.clone()));

        for refused in [home.check_project(&b, "shop"), home.claim_project(&b, "shop")] {
            let error = refused.unwrap_err();
            assert_eq!(error.kind, Kind::Conflict);
            assert!([&a, &b].iter().all(|path| error.message.contains(&path.display().to_string())), "{error}");
            let hint = error.hint.unwrap();
            assert!(["name", "ORCH_HOME", "--adopt"].iter().all(|way| hint.contains(way)), "{hint}");
        }
        let lock = lock_file(&home.supervisor_lock()).unwrap().unwrap();
        assert_eq!(home.adopt(&b, "shop").unwrap_err().kind, Kind::Conflict);
        drop(lock);
        home.adopt(&b, "shop").unwrap();
        home.claim_project(&b, "shop").unwrap();
        assert!(home.check_project(&a, "shop").is_err());
    }

    #[test]
    fn a_project_that_was_moved_is_told_how_to_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| dir.path().join(name));
        fs::create_dir(&old).unwrap();
        let home = Home::new(dir.path().join("home"));
        home.create().unwrap();
        home.claim_project(&old, "shop").unwrap();
        fs::rename(&old, &new).unwrap();
        let error = home.check_project(&new, "shop").unwrap_err();
        assert!(error.message.contains("which is gone") && error.hint.unwrap().contains("orch start --adopt"));
    }
}
