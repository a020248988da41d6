//! `bin/`: the folder through which agents find `orch`. It comes first on their PATH, so it contains only that link:
//! any other file in it would shadow the program of the same name for every agent.

use std::{fs, io, path::Path};

use super::Home;

/// The link's name.
const LINK: &str = "orch";

impl Home {
    /// Makes `bin/` hold exactly one link, to `program`.
    ///
    /// # Errors
    /// Fails when something cannot be removed or created.
    pub fn put_on_path(&self, program: &Path) -> io::Result<()> {
        self.remove_strangers_from_path()?;
        let link = self.bin().join(LINK);
        if fs::read_link(&link).is_ok_and(|there| there == program) {
            return Ok(());
        }
        let _ = fs::remove_file(&link);
        match std::os::unix::fs::symlink(program, &link) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }

    /// Removes everything but the link from `bin/`. One listing, so that every attempt can afford it.
    ///
    /// # Errors
    /// Fails when something cannot be removed.
    pub fn remove_strangers_from_path(&self) -> io::Result<()> {
        let bin = self.bin();
        if !fs::symlink_metadata(&bin).is_ok_and(|meta| meta.is_dir()) {
            let _ = fs::remove_file(&bin);
            super::create_dir(&bin)?;
        }
        for entry in fs::read_dir(&bin)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if entry.file_name() == LINK && kind.is_symlink() {
                continue;
            }
            tracing::warn!("{} is not from orch: it is removed", entry.path().display());
            let removed = match kind.is_dir() {
                true => fs::remove_dir_all(entry.path()),
                false => fs::remove_file(entry.path()),
            };
            // Another runner may have been quicker.
            removed.or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_link_is_on_the_path_of_agents() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        let names = || {
            let entries = fs::read_dir(home.bin()).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
        };
        home.put_on_path(Path::new("/opt/orch")).unwrap();
        fs::write(home.bin().join("git"), "#!/bin/sh").unwrap();
        fs::create_dir_all(home.bin().join("sub/folder")).unwrap();
        home.put_on_path(Path::new("/opt/orch")).unwrap();
        assert_eq!(names(), [LINK]);
        // A program in the place of the link, and a link in the place of the folder.
        fs::remove_file(home.bin().join(LINK)).unwrap();
        fs::write(home.bin().join(LINK), "#!/bin/sh").unwrap();
        home.remove_strangers_from_path().unwrap();
        assert_eq!(names(), [] as [&str; 0]);
        fs::remove_dir_all(home.bin()).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("git"), "").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), home.bin()).unwrap();
        home.put_on_path(Path::new("/opt/orch")).unwrap();
        assert_eq!(names(), [LINK]);
        assert!(elsewhere.path().join("git").exists());
    }
}
