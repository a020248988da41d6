//! The journal of a runner: the attempts that it has begun, and how they ended, in an append-only file.
//!
//! Tasks are stored in Redis. The journal records what must be known without it:
//!
//! - *A result that a program has given is not lost.* The runner appends the attempt's end before it reports it, and a mark
//!   once Redis has acknowledged it. If the runner dies in between, the supervisor finds an end without a mark at the end
//!   of its journal and reports it.
//! - *A Redis that has lost data* receives the tasks that were begun and the ends that it had acknowledged. A task that has
//!   ended for good stays so: the mark says what became of the task, and what is cancelled between two attempts is
//!   recorded beside the journals ([`decisions`]).
//!
//! A record is one line of JSON, appended with one write to an existing file: an attempt creates no file for it. When
//! the write returns it is in the kernel's cache, which survives the runner, but not a failure of the machine. If
//! Redis does not answer immediately, the runner also writes a separate report and syncs it ([`super::reports`]).
//!
//! A runner appends to `INCARNATION.PART.jsonl`, and starts the next part when one has become long. A part is renamed
//! to `.closed` when nothing in it is left to report, and removed when nothing was appended to it for the retention
//! time of tasks.

mod decisions;
mod reader;
#[cfg(test)]
mod tests;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;

pub use self::decisions::Decision;
use super::{
    Home,
    files::{self, For},
};
use crate::{
    model::{
        id::TaskId,
        task::{Task, TaskState},
    },
    store::tasks::Report,
};

/// A part longer than this is followed by the next one.
const PART: u64 = 4 << 20;
/// The suffix of a part that may contain an end to report, and of one that does not.
const OPEN: &str = ".jsonl";
const CLOSED: &str = ".closed";
/// A line of a journal, for writing.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Line<'a> {
    Begun { attempt: u32, task: &'a Task },
    Ended(&'a Report),
    Acknowledged { task: &'a TaskId, attempt: u32, state: Option<TaskState> },
}

/// The journal of this runner, for appending.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    incarnation: String,
    part: u32,
    length: u64,
    file: Option<File>,
    /// Whether the last write may have left an incomplete line.
    is_torn: bool,
    /// Whether the last record is an unacknowledged end.
    is_owed: bool,
}

impl Journal {
    /// Creates the journal of one incarnation of an agent. Its file is created with the first record.
    pub fn new(home: &Home, incarnation: &str) -> Self {
        let (folder, incarnation) = (home.journals(), incarnation.to_owned());
        Journal { folder, incarnation, part: 0, length: 0, file: None, is_torn: false, is_owed: false }
    }

    /// Records the beginning of an attempt.
    ///
    /// # Errors
    /// Fails when it cannot be written (a full or read-only disk, a missing folder).
    pub fn begun(&mut self, task: &Task, attempt: u32) -> io::Result<()> {
        self.append(&Line::Begun { attempt, task })
    }

    /// Records how an attempt ended.
    ///
    /// # Errors
    /// As [`Journal::begun`].
    pub fn ended(&mut self, report: &Report) -> io::Result<()> {
        self.is_owed = true;
        self.append(&Line::Ended(report))
    }

    /// Records that Redis has acknowledged the end of an attempt, and the state that its task has by that; `None` where the
    /// report was refused.
    ///
    /// # Errors
    /// As [`Journal::begun`].
    pub fn acknowledged(&mut self, task: &TaskId, attempt: u32, state: Option<TaskState>) -> io::Result<()> {
        self.append(&Line::Acknowledged { task, attempt, state })?;
        self.is_owed = false;
        Ok(())
    }

    /// Closes the journal, unless its last record still has to be reported.
    pub fn close(&mut self) {
        self.file = None;
        if !self.is_owed {
            close_parts(&self.folder, &self.incarnation);
        }
    }

    fn append(&mut self, line: &Line<'_>) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(1024);
        if self.is_torn {
            bytes.push(b'\n');
        }
        serde_json::to_writer(&mut bytes, line)?;
        bytes.push(b'\n');
        if self.length >= PART {
            (self.part, self.length, self.file) = (self.part + 1, 0, None);
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let file = open_to_append(&part_path(&self.folder, &self.incarnation, self.part))?;
                self.length = file.metadata()?.len();
                none.insert(file)
            }
        };
        self.is_torn = true;
        file.write_all(&bytes)?;
        self.is_torn = false;
        self.length += bytes.len() as u64;
        Ok(())
    }
}

fn open_to_append(path: &Path) -> io::Result<File> {
    files::open(path, For::Appending)
}

/// A part that cannot be renamed is read again, and reports nothing.
fn close_parts(folder: &Path, incarnation: &str) {
    for part in reader::parts(folder, OPEN).filter(|part| part.incarnation == incarnation) {
        let _ = fs::rename(&part.path, part.path.with_extension(&CLOSED[1..]));
    }
}

fn part_path(folder: &Path, incarnation: &str, part: u32) -> PathBuf {
    folder.join(format!("{incarnation}.{part}.jsonl"))
}
