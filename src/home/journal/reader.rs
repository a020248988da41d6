//! Reads the journals of all runners: ends that were not reported, and attempts that were begun.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::{CLOSED, OPEN, close_parts};
use crate::{
    home::{
        Home,
        files::{self, For},
    },
    model::{
        cause::Cause,
        id::TaskId,
        task::{Task, TaskState},
    },
    store::tasks::Report,
};

/// Longest line: a text, a context and a result have at most 1 MiB each, and JSON may encode a byte as six.
const LONGEST: u64 = 32 << 20;
/// How many bytes from the end a file's last line is searched first; most lines are shorter.
const LOOK_BACK: u64 = 4 << 10;
/// A runner that is unknown and has recorded nothing for this long is not about to register.
const SETTLED: Duration = Duration::from_secs(60);

/// A line of a journal, for reading.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    Begun {
        attempt: u32,
        task: Box<Task>,
    },
    Ended(Box<Report>),
    Acknowledged {
        task: TaskId,
        attempt: u32,
        /// Not recorded by earlier releases.
        #[serde(default)]
        state: Option<TaskState>,
    },
}

/// The same line where only its attempt matters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Head {
    Begun {},
    Ended { task: TaskId, attempt: u32 },
    Acknowledged {},
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
    pub(in crate::home) fn journaled_end(&self, task: &TaskId, attempt: u32) -> Option<Report> {
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

    /// Returns every task that was begun, with its last attempt, except those that have ended with it or afterwards.
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
                Ok(Record::Acknowledged { task, attempt, state: Some(state) }) if state.is_terminal() => {
                    let known = ended.entry(task).or_insert(attempt);
                    *known = (*known).max(attempt);
                }
                _ => {}
            });
        }
        let mut over = self.over();
        // With a task, its open subtasks have ended; parents come before their children.
        let mut by_depth: Vec<&Task> = begun.values().map(|(task, _)| task).collect();
        by_depth.sort_unstable_by_key(|task| task.depth);
        for task in by_depth {
            if !task.spec.detached && task.parent.as_ref().is_some_and(|parent| over.contains(parent)) {
                over.insert(task.id.clone());
            }
        }
        begun.retain(|id, (_, attempt)| !over.contains(id) && ended.get(id).is_none_or(|ended| *ended < *attempt));
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

    pub(super) fn journal_parts(&self) -> impl Iterator<Item = Part> {
        let folder = self.journals();
        parts(&folder, OPEN).chain(parts(&folder, CLOSED))
    }
}

/// One file of a journal.
pub(super) struct Part {
    pub(super) incarnation: String,
    pub(super) number: u32,
    pub(super) path: PathBuf,
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
pub(super) fn parts(folder: &Path, suffix: &'static str) -> impl Iterator<Item = Part> + use<> {
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

pub(super) fn each_line(path: &Path, mut each: impl FnMut(&[u8])) {
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
