//! The errors of a sessions.toml, collected over the whole file and reported together, each with its line and key.

use std::{collections::BTreeSet, fmt::Display};

use crate::{
    error::{Error, Result},
    model::suggest::{nearest, printable},
};

/// A value with its line (from 1) in the file.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub line: usize,
    pub value: T,
}

/// Errors that are shown; further ones are only counted, so that the first ones stay on the screen.
const SHOWN: usize = 50;

/// The errors found so far in one file.
#[derive(Debug)]
pub(super) struct Diagnostics {
    file: String,
    line_starts: Vec<usize>,
    found: Vec<(usize, String)>,
    keys: BTreeSet<String>,
}

impl Diagnostics {
    /// Starts without errors, for the file that is shown as `file` and contains `text`.
    pub fn new(file: impl Into<String>, text: &str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Diagnostics { file: file.into(), line_starts, found: Vec::new(), keys: BTreeSet::new() }
    }

    /// Returns the line, from 1, of the byte at `offset`.
    pub fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// Adds an error about `key` at `line`. `what` continues the sentence after the key: "must be ...".
    pub fn add(&mut self, line: usize, key: impl Into<String>, what: impl Display) {
        let key = key.into();
        self.found.push((line, format!("{}:{line}: {key} {what}", self.file)));
        self.keys.insert(key);
    }

    /// Adds a syntax error at the byte `offset` of `text`.
    pub fn syntax(&mut self, text: &str, offset: usize, what: impl Display) {
        let line = self.line_of(offset);
        // One per line: further ones mostly follow from the first.
        if self.found.last().is_some_and(|(last, _)| *last == line) {
            return;
        }
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let column = text.get(start..offset).map_or(0, |before| before.chars().count()) + 1;
        self.found.push((line, format!("{}:{line}:{column}: {what}", self.file)));
    }

    /// Reports whether there is an error about `key`. Errors that follow from its value would only mislead.
    pub fn about(&self, key: &str) -> bool {
        self.keys.contains(key)
    }

    /// Returns all errors as one, in the order of the file.
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

/// Returns `parent.key` as it is written in the file, with quotes where the key needs them.
pub(super) fn dotted(parent: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let key = if bare && key.len() <= 60 { key.to_owned() } else { format!("\"{}\"", printable(key)) };
    if parent.is_empty() { key } else { format!("{parent}.{key}") }
}

/// Roles that an error lists: a longer list would hide the rest of the message.
const LISTED: usize = 20;

/// Returns how an error about an unknown role continues after its key.
pub(super) fn no_role(name: &str, names: &[&str]) -> String {
    let meant = nearest(name, names.iter().copied()).map_or(String::new(), |near| format!("; did you mean '{near}'?"));
    let more = if names.len() > LISTED { ", ..." } else { "" };
    let listed = names[..names.len().min(LISTED)].join(", ");
    format!("names an unknown role '{}'; the roles are {listed}{more}{meant}", printable(name))
}
