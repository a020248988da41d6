//! What is wrong with a sessions.toml: collected over the whole file, told at once, each with its line and key.

use std::{collections::BTreeSet, fmt::Display};

use crate::{
    error::{Error, Result},
    model::name::{nearest, printable},
};

/// A value, and the line (from 1) of the file where it was written.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub line: usize,
    pub value: T,
}

/// More than this many are counted, not shown: what went wrong is on the first screen.
const SHOWN: usize = 50;

/// Everything found wrong so far with one file.
#[derive(Debug)]
pub(super) struct Complaints {
    file: String,
    line_starts: Vec<usize>,
    found: Vec<(usize, String)>,
    keys: BTreeSet<String>,
}

impl Complaints {
    /// None yet, about the file whose name is shown as `file` and whose content is `text`.
    pub fn new(file: impl Into<String>, text: &str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Complaints { file: file.into(), line_starts, found: Vec::new(), keys: BTreeSet::new() }
    }

    /// The line, from 1, of the byte at `offset`.
    pub fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// `key` at `line` is not as it must be; `what` goes on after the key: "must be ...".
    pub fn add(&mut self, line: usize, key: impl Into<String>, what: impl Display) {
        let key = key.into();
        self.found.push((line, format!("{}:{line}: {key} {what}", self.file)));
        self.keys.insert(key);
    }

    /// The file can't be understood from the byte at `offset` of `text` on.
    pub fn syntax(&mut self, text: &str, offset: usize, what: impl Display) {
        let line = self.line_of(offset);
        // One is enough for a line: what follows it there is mostly its echo.
        if self.found.last().is_some_and(|(last, _)| *last == line) {
            return;
        }
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let column = text.get(start..offset).map_or(0, |before| before.chars().count()) + 1;
        self.found.push((line, format!("{}:{line}:{column}: {what}", self.file)));
    }

    /// Whether `key` has been complained about: what follows from its value would only mislead.
    pub fn about(&self, key: &str) -> bool {
        self.keys.contains(key)
    }

    /// All of them as one error, in the order of the file.
    pub fn into_result(mut self) -> Result<()> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort();
        self.found.dedup();
        let count = self.found.len();
        let lines: Vec<String> = self.found.into_iter().take(SHOWN).map(|(_, text)| text).collect();
        let mut message = lines.join("\n");
        if count > SHOWN {
            message += &format!("\nand {} more", count - SHOWN);
        }
        let hint = match count {
            1 => format!("correct that line of {}; nothing was changed", self.file),
            _ => format!("correct these {count} places in {}; nothing was changed", self.file),
        };
        Err(Error::config(message).hint(hint))
    }
}

/// `parent.key` as it would be written in the file; a key that would need quotes gets them.
pub(super) fn dotted(parent: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let key = if bare && key.len() <= 60 { key.to_owned() } else { format!("\"{}\"", printable(key)) };
    if parent.is_empty() { key } else { format!("{parent}.{key}") }
}

/// A longer list of roles would hide the rest of a complaint.
const LISTED: usize = 20;

/// How a complaint goes on about a name that is no role's.
pub(super) fn no_role(name: &str, names: &[&str]) -> String {
    let meant = nearest(name, names.iter().copied()).map_or(String::new(), |near| format!("; did you mean '{near}'?"));
    let more = if names.len() > LISTED { ", ..." } else { "" };
    let listed = names[..names.len().min(LISTED)].join(", ");
    format!("names no role: there is no '{}', but {listed}{more}{meant}", printable(name))
}
