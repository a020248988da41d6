//! Our own logs, those of the supervisor and of the runners. None grows without end, however long its writer lives: one
//! that is long is put aside as `.log.old`, over the one before it, and a new one is begun.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::os;

/// A log that is longer than this is put aside.
const LIMIT: u64 = 8 << 20;

/// Opens a log (0600) to append to it.
///
/// # Errors
/// What the system says.
pub fn open_log(path: &Path) -> io::Result<fs::File> {
    open_within(path, LIMIT)
}

fn open_within(path: &Path, limit: u64) -> io::Result<fs::File> {
    if path.metadata().is_ok_and(|m| m.len() > limit) {
        let _ = fs::rename(path, path.with_extension("log.old"));
    }
    fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// A log of one who lives long.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    limit: u64,
    file: fs::File,
    /// Whether standard error is this log, too.
    is_stderr: bool,
}

impl Log {
    /// Opens a log.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Log> {
        Log::within(path, LIMIT)
    }

    fn within(path: &Path, limit: u64) -> io::Result<Log> {
        Ok(Log { path: path.to_owned(), limit, file: open_within(path, limit)?, is_stderr: false })
    }

    /// From here on what anybody in this process writes to standard error (a panic's last words) goes there as well.
    ///
    /// # Errors
    /// What the system says.
    pub fn with_stderr(self) -> io::Result<Log> {
        os::stderr_to(&self.file)?;
        Ok(Log { is_stderr: true, ..self })
    }

    /// One that can't be begun anew (a disk that is full, a folder that is gone) is written on.
    fn begin_anew(&mut self) {
        if let Ok(file) = open_within(&self.path, self.limit) {
            if self.is_stderr {
                let _ = os::stderr_to(&file);
            }
            self.file = file;
        }
    }
}

impl Write for Log {
    /// One line, as tracing writes it: none is cut in two.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Not counted: others write to it, too.
        if self.file.metadata().is_ok_and(|m| m.len() > self.limit) {
            self.begin_anew();
        }
        self.file.write(line)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shell-1.log");
        open_log(&path).unwrap().set_len(LIMIT + 1).unwrap();
        assert_eq!(open_log(&path).unwrap().metadata().unwrap().len(), 0);
        assert_eq!(dir.path().join("shell-1.log.old").metadata().unwrap().len(), LIMIT + 1);
        open_log(&path).unwrap().write_all(b"x").unwrap();
        assert_eq!(open_log(&path).unwrap().metadata().unwrap().len(), 1, "a short one is appended to");
    }

    #[test]
    fn however_much_is_written_the_last_of_it_is_there_and_not_much_more() {
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
    fn a_log_whose_folder_is_gone_costs_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::within(&dir.path().join("a.log"), 10).unwrap();
        drop(dir);
        (0..10).for_each(|_| writeln!(log, "a line").unwrap());
    }
}
