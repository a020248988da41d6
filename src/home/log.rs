//! The logs of the supervisor and the runners. Their size is limited, however long the writer lives: a log that has
//! become long is renamed to `.log.old`, replacing the previous one, and a new one is started.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::{model::secret::Redactor, os};

/// A log that is longer than this is rotated.
const LIMIT: u64 = 8 << 20;

/// Opens a log (0600) for appending.
///
/// # Errors
/// Fails when it cannot be opened.
pub fn open_log(path: &Path) -> io::Result<fs::File> {
    open_within(path, LIMIT)
}

fn open_within(path: &Path, limit: u64) -> io::Result<fs::File> {
    if path.metadata().is_ok_and(|m| m.len() > limit) {
        let _ = fs::rename(path, path.with_extension("log.old"));
    }
    fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// The log of a long-lived process.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    limit: u64,
    file: fs::File,
    /// Whether standard error is redirected to this log as well.
    is_stderr: bool,
    redactor: Redactor,
}

impl Log {
    /// Opens a log.
    ///
    /// # Errors
    /// Fails when it cannot be opened.
    pub fn open(path: &Path) -> io::Result<Log> {
        Log::within(path, LIMIT)
    }

    fn within(path: &Path, limit: u64) -> io::Result<Log> {
        Ok(Log {
            path: path.to_owned(),
            limit,
            file: open_within(path, limit)?,
            is_stderr: false,
            redactor: Redactor::default(),
        })
    }

    /// Redirects standard error of this process (such as the message of a panic) to this log as well.
    /// # Errors
    /// Fails when it cannot be redirected.
    pub fn with_stderr(self) -> io::Result<Log> {
        os::stderr_to(&self.file)?;
        Ok(Log { is_stderr: true, ..self })
    }

    /// Removes these secrets from each line, besides everything that has the form of one.
    #[must_use]
    pub fn redacted(self, redactor: Redactor) -> Log {
        Log { redactor, ..self }
    }

    /// Rotates the log. If that fails (a full disk, a missing folder), writing continues in the old file.
    fn rotate(&mut self) {
        if let Ok(file) = open_within(&self.path, self.limit) {
            if self.is_stderr {
                let _ = os::stderr_to(&file);
            }
            self.file = file;
        }
    }
}

impl Write for Log {
    /// Writes one line from tracing: a line is never split between two files.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // The file's size is read and not counted: other processes append to it as well.
        if self.file.metadata().is_ok_and(|m| m.len() > self.limit) {
            self.rotate();
        }
        // The caller counts the bytes of its own line.
        self.file.write_all(&self.redactor.whole(line.to_vec())).map(|()| line.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_rotated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shell-1.log");
        open_log(&path).unwrap().set_len(LIMIT + 1).unwrap();
        assert_eq!(open_log(&path).unwrap().metadata().unwrap().len(), 0);
        assert_eq!(dir.path().join("shell-1.log.old").metadata().unwrap().len(), LIMIT + 1);
        open_log(&path).unwrap().write_all(b"x").unwrap();
        assert_eq!(open_log(&path).unwrap().metadata().unwrap().len(), 1, "a short one is appended to");
    }

    #[test]
    fn the_most_recent_lines_are_kept_and_the_size_is_limited() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("a.log"), dir.path().join("a.log.old"));
        let mut log = Log::within(&path, 1_000).unwrap();
        for n in 0..1_000 {
            log.write_all(format!("line {n:03}\n").as_bytes()).unwrap();
        }
        let (old, new) = (fs::read_to_string(&old).unwrap(), fs::read_to_string(&path).unwrap());
        assert!((1_000..1_100).contains(&old.len()) && new.len() < 1_100, "{} {}", old.len(), new.len());
        let lines: Vec<String> = (old + &new).lines().map(str::to_owned).collect();
        let expected: Vec<String> = (1_000 - lines.len()..1_000).map(|n| format!("line {n:03}")).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_log_whose_folder_is_missing_does_not_fail() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::within(&dir.path().join("a.log"), 10).unwrap();
        drop(dir);
        (0..10).for_each(|_| writeln!(log, "a line").unwrap());
    }
}
