//! Checks that the state folder is safe: it belongs to us alone, has no links, and is in a place where no other user
//! can replace it.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use nix::unistd::geteuid;

use super::{Home, unusable};
use crate::{
    error::{Error, Result},
    os,
};

impl Home {
    /// Checks the folder and everything directly in it: they belong to this user, no other user may write to them, and
    /// none is a link. Folders below are protected by these. A folder that does not exist is safe.
    ///
    /// # Errors
    /// A configuration error that names the file, what is wrong with it, and the command that repairs it.
    pub fn check_safety(&self) -> Result<()> {
        let home = match fs::metadata(self.path()) {
            Ok(metadata) if metadata.is_dir() => metadata,
            // Whether it can be created is not known before it is.
            _ => return Ok(()),
        };
        self.check(self.path(), &home)?;
        self.check_place()?;
        let entries = fs::read_dir(self.path()).map_err(|e| unusable(self.path(), &e))?;
        for entry in entries {
            let entry = entry.map_err(|e| unusable(self.path(), &e))?;
            match entry.metadata() {
                Ok(metadata) => self.check(&entry.path(), &metadata)?,
                // A temporary file that was renamed meanwhile.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(unusable(&entry.path(), &e)),
            }
        }
        Ok(())
    }

    /// The same, for a verb that ends or examines what runs. It returns, as a warning, that others may have changed what is in
    /// the folder, while all of it belongs to this user.
    ///
    /// # Errors
    /// As [`Home::check_safety`], for a folder or file of another user, and for a link.
    pub fn check_safety_to_repair(&self) -> Result<Option<Error>> {
        let Err(refused) = self.check_safety() else { return Ok(None) };
        let entries = fs::read_dir(self.path()).into_iter().flatten().flatten();
        let paths = entries.filter_map(|entry| entry.metadata().ok()).chain(fs::metadata(self.path()));
        match paths.into_iter().all(|found| found.uid() == geteuid().as_raw() && !found.is_symlink()) {
            true => Ok(Some(refused)),
            false => Err(refused),
        }
    }

    /// The same, and makes the folder readable for this user alone.
    ///
    /// # Errors
    /// As [`Home::check_safety`]; or the mode cannot be changed.
    pub fn protect(&self) -> Result<()> {
        self.check_safety()?;
        let mode = fs::metadata(self.path()).map_err(|e| unusable(self.path(), &e))?.mode();
        if mode & 0o077 != 0 {
            let private = fs::Permissions::from_mode(0o700);
            fs::set_permissions(self.path(), private).map_err(|e| unusable(self.path(), &e))?;
        }
        Ok(())
    }

    fn check(&self, path: &Path, metadata: &fs::Metadata) -> Result<()> {
        let (own, shown) = (geteuid().as_raw(), path.display());
        if metadata.is_symlink() {
            let home = self.path().display();
            return Err(unsafe_folder(format!("{shown} is a link"))
                .hint(format!("replace it by what it points to; to keep {home} on another disk, set ORCH_HOME")));
        }
        if metadata.uid() != own {
            let owner = os::user(metadata.uid());
            return Err(unsafe_folder(format!("{shown} belongs to {owner}, and you are {}", os::user(own)))
                .hint("set ORCH_HOME to a folder of your own, or run orch as the user that it belongs to"));
        }
        // Root's files too may not be writable by a group or by others here.
        if metadata.mode() & 0o022 != 0 && os::exposure(metadata).is_some() {
            return Err(unsafe_folder(format!(
                "{shown} can be changed by others (mode {:04o})",
                metadata.mode() & 0o7777
            ))
            .hint(format!("check that nobody has changed it, then: chmod -R go-w '{}'", self.path().display())));
        }
        Ok(())
    }

    /// Checks that no other user may exchange the folder or one above it.
    fn check_place(&self) -> Result<()> {
        let real = self.path().canonicalize().map_err(|e| unusable(self.path(), &e))?;
        for above in real.ancestors().skip(1) {
            let Ok(metadata) = fs::metadata(above) else { continue };
            if metadata.mode() & 0o1002 == 0o0002 {
                return Err(unsafe_folder(format!(
                    "every user may exchange it, because {} can be changed by everyone (mode {:04o})",
                    above.display(),
                    metadata.mode() & 0o7777
                ))
                .hint(format!("chmod o-w '{}', or set ORCH_HOME to another folder", above.display())));
            }
        }
        Ok(())
    }
}

fn unsafe_folder(why: String) -> Error {
    Error::config(format!("the state folder is not safe: {why}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("home"));
        home.create().unwrap();
        (dir, home)
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn refusal(home: &Home) -> Error {
        home.check_safety().unwrap_err()
    }

    #[test]
    fn a_folder_that_was_just_created_is_safe() {
        let (_dir, home) = home();
        home.protect().unwrap();
        Home::new(home.path().join("not there")).check_safety().unwrap();
    }

    #[test]
    fn a_folder_that_others_may_read_becomes_private() {
        let (_dir, home) = home();
        set_mode(home.path(), 0o755);
        home.protect().unwrap();
        assert_eq!(fs::metadata(home.path()).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn what_others_may_write_is_refused() {
        let (dir, home) = home();
        fs::write(home.epoch(), "{}").unwrap();
        for path in [home.path().to_owned(), home.runs(), home.epoch()] {
            let mode = fs::metadata(&path).unwrap().mode();
            set_mode(&path, 0o777);
            let error = refusal(&home);
            assert!(
                error.message.contains(&format!("{} can be changed by others (mode 0777)", path.display())),
                "{error}"
            );
            assert!(error.hint.unwrap().contains("chmod -R go-w"));
            set_mode(&path, mode);
        }
        set_mode(&home.epoch(), 0o666);
        assert!(home.check_safety_to_repair().unwrap().unwrap().message.contains("can be changed by others"));
        set_mode(&home.epoch(), 0o600);
        assert_eq!(home.check_safety_to_repair().unwrap(), None);
        set_mode(dir.path(), 0o777);
        assert!(refusal(&home).message.contains("every user may exchange it"));
        set_mode(dir.path(), 0o1777);
        home.check_safety().unwrap();
    }

    #[test]
    fn a_link_in_it_is_refused() {
        let (dir, home) = home();
        fs::remove_dir(home.runs()).unwrap();
        symlink(dir.path(), home.runs()).unwrap();
        let error = refusal(&home);
        assert!(error.message.ends_with("runs is a link"), "{error}");
        assert_eq!(home.check_safety_to_repair().unwrap_err(), error);
    }

    #[test]
    fn what_belongs_to_another_user_is_refused() {
        let (_dir, home) = home();
        for path in [home.path().to_owned(), home.reports()] {
            if chown(&path, Some(12_345), None).is_err() {
                return eprintln!("skipped: giving a folder away takes root");
            }
            let error = refusal(&home);
            assert!(error.message.contains("belongs to uid 12345, and you are root (uid 0)"), "{error}");
            chown(&path, Some(0), None).unwrap();
        }
        home.check_safety().unwrap();
    }
}
