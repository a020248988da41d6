//! The journal of a runner: the attempts that it has begun, and how they ended, in an append-only file.
//!
//! Tasks are stored in Redis. The journal records what has to be known without it:
//!
//! - *A result that a program has given is not lost.* The runner appends the attempt's end before it reports it, and a mark
//!   once Redis has acknowledged it. If the runner dies in between, the supervisor finds an end without a mark at the end
//!   of its journal and reports it.
//! - *A Redis that has lost data* receives the tasks that were begun and the ends that it had acknowledged.
//!
//! A record is one line of JSON, appended with one write to an existing file: an attempt creates no file for it. When
//! the write returns it is in the kernel's cache, which survives the runner, but not a failure of the machine. If
//! Redis does not answer immediately, the runner also writes a separate report and syncs it ([`super::reports`]).
//!
//! A runner appends to `INCARNATION.PART.jsonl`, and starts the next part when one has become long. A part is renamed
//! to `.closed` when nothing in it is left to report, and removed when nothing was appended to it for the retention
//! time of tasks.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    Home,
    files::{self, For},
};
use crate::{
    model::{cause::Cause, id::TaskId, task::Task},
    store::tasks::Report,
};

/// A part longer than this is followed by the next one.
const PART: u64 = 4 << 20;
/// Longest line: a text, a context and a result have at most 1 MiB each, and JSON may encode a byte as six.
const LONGEST: u64 = 32 << 20;
/// How many bytes from the end a file's last line is searched first; most lines are shorter.
const LOOK_BACK: u64 = 4 << 10;
/// The suffix of a part that may contain an end to report, and of one that does not.
const OPEN: &str = ".jsonl";
const CLOSED: &str = ".closed";
/// A runner that is unknown and has recorded nothing for this long is not about to register.
const SETTLED: Duration = Duration::from_secs(60);

/// A line of a journal, for writing.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Line<'a> {
    Begun { attempt: u32, task: &'a Task },
    Ended(&'a Report),
    Acknowledged { task: &'a TaskId, attempt: u32 },
}

/// A line of a journal, for reading.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    Begun { attempt: u32, task: Box<Task> },
    Ended(Box<Report>),
    Acknowledged {},
}

/// The same line where only its attempt matters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Head {
    Begun {},
    Ended { task: TaskId, attempt: u32 },
    Acknowledged {},
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

    /// Records that Redis has acknowledged the end of an attempt.
    ///
    /// # Errors
    /// As [`Journal::begun`].
    pub fn acknowledged(&mut self, task: &TaskId, attempt: u32) -> io::Result<()> {
        self.append(&Line::Acknowledged { task, attempt })?;
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
    for part in parts(folder, OPEN).filter(|part| part.incarnation == incarnation) {
        let _ = fs::rename(&part.path, part.path.with_extension(&CLOSED[1..]));
    }
}

fn part_path(folder: &Path, incarnation: &str, part: u32) -> PathBuf {
    folder.join(format!("{incarnation}.{part}.jsonl"))
}

impl Home {
    /// Returns the folder of all runners' journals.
    pub fn journals(&self) -> PathBuf {
        self.path().join("journals")
    }

    /// Returns the unacknowledged ends in runners' journals, at most one per runner. Closes the journals of runners
    /// that are not alive and have none.
    pub fn unacknowledged(&self, is_alive: impl Fn(&str) -> bool) -> Vec<Report> {
        let mut newest: HashMap<String, Part> = HashMap::new();
        for part in parts(&self.journals(), OPEN) {
            if newest.get(&part.incarnation).is_none_or(|known| known.number < part.number) {
                newest.insert(part.incarnation.clone(), part);
            }
        }
        let mut found = Vec::new();
        for part in newest.into_values() {
            match part.last_end() {
                Some(report) => found.push(report),
                // A runner that has just been started may not be known yet.
                None if !is_alive(&part.incarnation) && part.age().is_some_and(|age| age >= SETTLED) => {
                    close_parts(&self.journals(), &part.incarnation);
                }
                None => {}
            }
        }
        found
    }

    /// Returns the end that one runner has recorded last, if it was not acknowledged.
    pub fn unacknowledged_of(&self, incarnation: &str) -> Option<Report> {
        let parts = parts(&self.journals(), OPEN).filter(|part| part.incarnation == incarnation);
        parts.max_by_key(|part| part.number)?.last_end()
    }

    /// Records that Redis has acknowledged the last report of a dead runner, and closes its journal.
    pub fn acknowledge(&self, report: &Report) {
        close_parts(&self.journals(), &report.incarnation);
    }

    /// Returns how an attempt ended according to the journals.
    pub(super) fn journaled_end(&self, task: &TaskId, attempt: u32) -> Option<Report> {
        self.find(task, |record| match record {
            Record::Ended(report) if report.task == *task && report.attempt == attempt => Some(*report),
            _ => None,
        })
    }

    /// Returns the task as it was given to an attempt.
    pub fn begun(&self, task: &TaskId, attempt: u32) -> Option<Task> {
        self.find(task, |record| match record {
            Record::Begun { attempt: begun, task: known } if known.id == *task && begun == attempt => Some(*known),
            _ => None,
        })
    }

    /// Returns every end in the journals, as task and attempt.
    pub fn journaled_ends(&self) -> Vec<(TaskId, u32)> {
        let mut found = Vec::new();
        for Part { path, .. } in self.journal_parts() {
            each_line(&path, |line| {
                if let Ok(Head::Ended { task, attempt }) = serde_json::from_slice(line) {
                    found.push((task, attempt));
                }
            });
        }
        found
    }

    /// Returns every task that was begun, with its last attempt, except those whose last attempt has ended for good.
    pub fn begun_and_not_ended(&self) -> Vec<(Task, u32)> {
        let mut begun: HashMap<TaskId, (Task, u32)> = HashMap::new();
        let mut ended: HashMap<TaskId, u32> = HashMap::new();
        for Part { path, .. } in self.journal_parts() {
            each_line(&path, |line| match serde_json::from_slice(line) {
                Ok(Record::Begun { attempt, task }) => {
                    let known = begun.entry(task.id.clone()).or_insert_with(|| ((*task).clone(), attempt));
                    if known.1 < attempt {
                        *known = (*task, attempt);
                    }
                }
                Ok(Record::Ended(report)) if is_final(report.cause) => {
                    let known = ended.entry(report.task).or_insert(report.attempt);
                    *known = (*known).max(report.attempt);
                }
                _ => {}
            });
        }
        begun.retain(|id, (_, attempt)| ended.get(id).is_none_or(|ended| ended < attempt));
        begun.into_values().collect()
    }

    /// Removes parts of dead runners' journals to which nothing was appended for this long.
    pub fn remove_old_journals(&self, older_than: Duration, is_alive: impl Fn(&str) -> bool) {
        for part in self.journal_parts() {
            if !is_alive(&part.incarnation) && part.age().is_some_and(|age| age >= older_than) {
                let _ = fs::remove_file(&part.path);
            }
        }
    }

    /// Returns the first result of `choose` for a record of the task.
    fn find<T>(&self, task: &TaskId, mut choose: impl FnMut(Record) -> Option<T>) -> Option<T> {
        let needle = task.as_str().as_bytes();
        let mut found = None;
        for Part { path, .. } in self.journal_parts() {
            each_line(&path, |line| {
                if found.is_none() && line.windows(needle.len()).any(|part| part == needle) {
                    found = serde_json::from_slice(line).ok().and_then(&mut choose);
                }
            });
            if found.is_some() {
                break;
            }
        }
        found
    }

    fn journal_parts(&self) -> impl Iterator<Item = Part> {
        let folder = self.journals();
        parts(&folder, OPEN).chain(parts(&folder, CLOSED))
    }
}

/// One file of a journal.
struct Part {
    incarnation: String,
    number: u32,
    path: PathBuf,
}

impl Part {
    /// Returns the end that is its last record.
    fn last_end(&self) -> Option<Report> {
        match serde_json::from_slice(&last_line(&self.path)?) {
            // A file with the name of another incarnation proves nothing about that one.
            Ok(Record::Ended(report)) if report.incarnation == self.incarnation => Some(*report),
            _ => None,
        }
    }

    /// Returns the time since the last record.
    fn age(&self) -> Option<Duration> {
        self.path.metadata().ok()?.modified().ok()?.elapsed().ok()
    }
}

/// Returns the parts in a folder whose names have this suffix.
fn parts(folder: &Path, suffix: &'static str) -> impl Iterator<Item = Part> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().filter_map(move |entry| {
        let name = entry.file_name().into_string().ok()?;
        let (incarnation, number) = name.strip_suffix(suffix)?.rsplit_once('.')?;
        Some(Part { incarnation: incarnation.to_owned(), number: number.parse().ok()?, path: entry.path() })
    })
}

/// Returns whether no further attempt follows an end with this cause.
fn is_final(cause: Cause) -> bool {
    matches!(cause, Cause::Success | Cause::Permanent | Cause::Cancelled)
}

fn each_line(path: &Path, mut each: impl FnMut(&[u8])) {
    let Ok(file) = files::open(path, For::Reading) else { return };
    let (mut file, mut line) = (BufReader::with_capacity(64 << 10, file), Vec::new());
    while (&mut file).take(LONGEST).read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        // The last line may be incomplete: its writer is active, or was killed.
        if line.ends_with(b"\n") {
            each(&line);
        }
        line.clear();
    }
}

/// Returns the last complete line of a file, however long the file is.
fn last_line(path: &Path) -> Option<Vec<u8>> {
    let mut file = files::open(path, For::Reading).ok()?;
    let length = file.metadata().ok()?.len();
    let mut back = LOOK_BACK;
    loop {
        let from = length.saturating_sub(back);
        file.seek(SeekFrom::Start(from)).ok()?;
        let mut end = Vec::new();
        (&mut file).take(length - from).read_to_end(&mut end).ok()?;
        let whole = end.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        // What follows the last newline is an incomplete line.
        let lines = &end[..whole];
        let begins = lines.len().checked_sub(1).and_then(|last| lines[..last].iter().rposition(|byte| *byte == b'\n'));
        match begins {
            Some(at) => return Some(lines[at + 1..].to_vec()),
            None if from == 0 => return (whole > 0).then(|| lines.to_vec()),
            None if back >= LONGEST => return None,
            None => back *= 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{end_code::EndCode, time::Timestamp};

    fn task() -> Task {
        serde_json::from_value(serde_json::json!({
            "id": TaskId::random(), "role": "shell", "state": "running", "waiting": false, "children": [], "cancelling": false, "description": "a text", "context": null,
            "priority": "normal", "after": [], "labels": {}, "artifacts": [], "cwd": null, "depth": 0, "parent": null,
            "key": null, "failures": 0, "lost": 0, "retries": 3, "lost_max": 3,
            "timeout_ms": 1000, "created_at": Timestamp::default(),
        }))
        .unwrap()
    }

    fn report(task: &Task, attempt: u32, cause: Cause, text: &str) -> Report {
        Report {
            task: task.id.clone(),
            attempt,
            agent: "a-1".into(),
            incarnation: "i".into(),
            fence: u64::from(attempt),
            cause,
            code: EndCode::Unknown,
            reason: text.into(),
            exit_code: Some(0),
            result: None,
            retry_after_ms: None,
            is_exact: false,
            account: None,
            evidence: None,
        }
    }

    fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("h"));
        home.create().unwrap();
        (dir, home)
    }

    #[test]
    fn an_end_is_unacknowledged_until_its_mark_follows() {
        let (_dir, home) = home();
        let (mut journal, task) = (Journal::new(&home, "i"), task());
        journal.begun(&task, 1).unwrap();
        assert_eq!(home.unacknowledged(|_| true), []);
        for text in ["short".to_owned(), "x".repeat(100_000)] {
            let report = report(&task, 1, Cause::Success, &text);
            journal.ended(&report).unwrap();
            assert_eq!(home.unacknowledged(|_| true), std::slice::from_ref(&report));
            journal.acknowledged(&task.id, 1).unwrap();
            assert_eq!(home.unacknowledged(|_| true), []);
        }
        let report = report(&task, 1, Cause::Success, "the runner dies now");
        journal.ended(&report).unwrap();
        assert_eq!(home.unacknowledged(|_| false), std::slice::from_ref(&report));
        home.acknowledge(&report);
        assert_eq!(home.unacknowledged(|_| false), []);
        assert_eq!(home.journaled_end(&task.id, 1).map(|end| end.reason), Some("short".into()), "it is still known");
    }

    #[test]
    fn an_incomplete_line_hides_nothing() {
        let (_dir, home) = home();
        let (mut journal, task) = (Journal::new(&home, "i"), task());
        let report = report(&task, 1, Cause::Success, "done");
        journal.ended(&report).unwrap();
        let path = part_path(&home.journals(), "i", 0);
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"acknowledged\":{\"ta").unwrap();
        assert_eq!(home.unacknowledged(|_| true), std::slice::from_ref(&report));
        // After a failed write, the writer continues on a new line.
        journal.is_torn = true;
        journal.begun(&task, 2).unwrap();
        assert_eq!(home.begun(&task.id, 2), Some(task.clone()));
        assert_eq!(home.journaled_end(&task.id, 1), Some(report));
    }

    #[test]
    fn a_task_is_found_again_with_its_last_attempt_until_that_has_ended_for_good() {
        let (_dir, home) = home();
        let (mut journal, task, other) = (Journal::new(&home, "i"), task(), task());
        journal.begun(&task, 1).unwrap();
        journal.begun(&other, 1).unwrap();
        journal.ended(&report(&task, 1, Cause::Transient, "again")).unwrap();
        journal.begun(&task, 2).unwrap();
        let mut numbers: Vec<u32> = home.begun_and_not_ended().into_iter().map(|(_, attempt)| attempt).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2]);
        journal.ended(&report(&task, 2, Cause::Success, "done")).unwrap();
        assert_eq!(home.begun_and_not_ended(), [(other, 1)]);
        assert_eq!(home.journaled_ends(), [(task.id.clone(), 1), (task.id.clone(), 2)]);
    }

    #[test]
    fn a_long_journal_continues_in_another_part_and_only_old_parts_of_dead_runners_are_removed() {
        let (_dir, home) = home();
        let (mut journal, task) = (Journal::new(&home, "i"), task());
        let long = report(&task, 1, Cause::Success, &"x".repeat(PART as usize));
        let last = report(&task, 2, Cause::Success, "the last");
        journal.ended(&long).unwrap();
        journal.ended(&last).unwrap();
        assert_eq!(home.journal_parts().count(), 2);
        assert_eq!(home.unacknowledged(|_| true), [last]);
        home.remove_old_journals(Duration::from_secs(60), |_| false);
        home.remove_old_journals(Duration::ZERO, |incarnation| incarnation == "i");
        assert_eq!(home.journal_parts().count(), 2);
        home.remove_old_journals(Duration::ZERO, |_| false);
        assert_eq!(home.journal_parts().count(), 0);
    }

    #[test]
    fn entries_that_are_not_files_are_skipped() {
        let (_dir, home) = home();
        nix::unistd::mkfifo(&home.journals().join("pipe.0.jsonl"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        fs::create_dir(home.journals().join("folder.0.jsonl")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", home.journals().join("endless.0.jsonl")).unwrap();
        fs::write(home.journals().join("words.0.jsonl"), "no JSON\n\n{}\n[1]\n").unwrap();
        assert_eq!(home.unacknowledged(|_| true), []);
        assert_eq!(home.begun_and_not_ended(), []);
    }
}
