//! The format of the state folder, recorded in its file `format`.

use std::{fs, io};

use super::{Home, unusable, write_atomically};
use crate::{
    error::{Error, Result},
    model::format::{FORMAT, UNNUMBERED},
};

/// File renames: the format that they lead to, the old name and the new one.
const RENAMED: &[(u32, &str, &str)] = &[(2, "enclosures", "cgroups")];

impl Home {
    /// Checks that this release supports the folder's format. An older format is accepted: the supervisor migrates it.
    ///
    /// # Errors
    /// A configuration error if the folder has a newer format, or its format number cannot be read.
    pub fn check_format(&self) -> Result<()> {
        match self.format()? {
            found if found <= FORMAT => Ok(()),
            found => Err(Error::config(format!(
                "the state folder {} is of format {found}, written by a newer orch; this one supports formats up to {FORMAT}",
                self.path().display()
            ))
            .hint("use the newer orch, or another folder (ORCH_HOME)")),
        }
    }

    /// Migrates the folder to the format of this release. The caller must own the supervisor's lock. Each step can be
    /// repeated, and the number is written last, so that a crash in between loses nothing.
    ///
    /// # Errors
    /// Fails as [`Home::check_format`], or when a file cannot be written.
    pub fn migrate(&self) -> Result<()> {
        self.check_format()?;
        let found = self.format()?;
        for (_, old, new) in RENAMED.iter().filter(|(to, ..)| found < *to) {
            self.rename_file(old, new).map_err(|e| unusable(&self.path().join(old), &e))?;
        }
        let path = self.format_file();
        if fs::read_to_string(&path).is_ok_and(|text| text.trim() == FORMAT.to_string()) {
            return Ok(());
        }
        write_atomically(&path, format!("{FORMAT}\n").as_bytes()).map_err(|e| unusable(&path, &e))
    }

    fn format_file(&self) -> std::path::PathBuf {
        self.path().join("format")
    }

    /// Returns the folder's format; that of this release if the folder is empty.
    fn format(&self) -> Result<u32> {
        let path = self.format_file();
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|_| {
                let found = crate::model::text::one_line(&text, 40);
                Error::config(format!("the file {} contains '{found}', which is not a format number", path.display()))
                    .hint(format!(
                        "this orch writes {FORMAT} there; restore the file, or use another folder (ORCH_HOME)"
                    ))
            }),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                // A supervisor creates these two before it records anything else here.
                let has_run = self.running().exists() || self.supervisor_lock().exists();
                Ok(if has_run { UNNUMBERED } else { FORMAT })
            }
            Err(e) => Err(unusable(&path, &e)),
        }
    }

    /// If the new name already exists, the lines of both are kept: a step was interrupted, or programs of both formats
    /// run.
    fn rename_file(&self, old: &str, new: &str) -> io::Result<()> {
        let (old, new) = (self.path().join(old), self.path().join(new));
        if !old.exists() {
            return Ok(());
        }
        if new.exists() {
            let mut lines = fs::read(&new)?;
            lines.extend(fs::read(&old)?);
            write_atomically(&new, &lines)?;
            return fs::remove_file(old);
        }
        fs::rename(old, new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        (dir, home)
    }

    fn format_of(home: &Home) -> String {
        fs::read_to_string(home.path().join("format")).unwrap()
    }

    #[test]
    fn a_new_folder_and_one_of_this_format_get_the_number() {
        let (_dir, home) = home();
        for _ in 0..2 {
            home.migrate().unwrap();
            assert_eq!(format_of(&home), format!("{FORMAT}\n"));
        }
    }

    #[test]
    fn a_newer_folder_and_one_with_an_unreadable_number_are_refused_and_left_unchanged() {
        for (number, said) in
            [("3", "newer orch"), ("4000000000", "newer orch"), ("two", "'two'"), ("", "''"), ("-1", "'-1'")]
        {
            let (_dir, home) = home();
            fs::write(home.path().join("format"), number).unwrap();
            fs::write(home.path().join("enclosures"), "/a\n").unwrap();
            for refused in [home.check_format(), home.migrate()] {
                let error = refused.unwrap_err();
                assert!(
                    error.kind == Kind::Configuration && error.message.contains(said) && error.hint.is_some(),
                    "{error}"
                );
            }
            assert_eq!(format_of(&home), number);
            assert!(home.path().join("enclosures").exists() && !home.path().join("cgroups").exists());
        }
    }

    #[test]
    fn a_folder_of_the_first_format_keeps_its_records_under_the_new_name() {
        for already in [None, Some("/b\n")] {
            let (_dir, home) = home();
            fs::write(home.supervisor_lock(), "").unwrap();
            fs::write(home.path().join("enclosures"), "/a\n").unwrap();
            if let Some(lines) = already {
                fs::write(home.path().join("cgroups"), lines).unwrap();
            }
            home.migrate().unwrap();
            let lines = fs::read_to_string(home.path().join("cgroups")).unwrap();
            assert_eq!(lines, format!("{}/a\n", already.unwrap_or_default()));
            assert!(!home.path().join("enclosures").exists());
            assert_eq!(format_of(&home), format!("{FORMAT}\n"));
        }
    }
}
