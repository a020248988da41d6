//! What a lock covers: a pattern of paths below the project's root.
//!
//! A pattern is a path whose parts may hold wildcards. `*` stands for any part of one name, and `**` as a whole part for any
//! number of folders. Which file exists decides nothing, so a pattern also covers files that do not exist yet.
//!
//! - A pattern that ends in a name covers that file, or everything below that folder: `src/api`, `src/api/`, `src/api/**`
//!   are one pattern.
//! - A pattern that ends in a wildcard covers what it matches: `src/*.rs` does not cover `src/api/mod.rs`.
//! - `.` covers everything.
//!
//! Where a shell knows more, a pattern covers more rather than less: `?` and `[a-z]` count as `*`. `{a,b}` makes several
//! patterns ([`expand`]). Names are compared in their decomposed form (NFD), so that two ways to write a letter are one name,
//! and `e*` also covers a name that begins with `é`, as it does for a shell where the file system keeps names that way.
//!
//! Two patterns conflict exactly when some path is covered by both ([`Pattern::meets`]). `lua/prelude/patterns.lua` computes
//! the same within a claim; a test compares them.

use std::{fmt, str::FromStr};

use icu_normalizer::DecomposingNormalizerBorrowed;
use serde::{Deserialize, Serialize};

use super::words;

/// The longest pattern, in bytes.
pub const LONGEST: usize = 1_024;
/// Names in one pattern. `meets` takes time in proportion to the product of two.
pub const DEEPEST: usize = 32;
/// Patterns that one text may stand for.
const ALTERNATIVES: usize = 64;
/// What covers everything.
const EVERYTHING: &str = ".";

words! {
    /// What the holder of a lock may do.
    LockMode: "mode of a lock" {
        /// It writes: nobody else writes or reads.
        Write = "write",
        /// It reads: others may read as well.
        Read = "read",
    }
}

/// A pattern in its one normal form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

impl Pattern {
    /// Reads a pattern without alternatives, relative to the project's root. On a file system that does not tell upper from
    /// lower case, `folds` makes them one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, folds: bool) -> Result<Pattern, String> {
        if text.is_empty() {
            return Err("it is empty; write . for the whole project".to_owned());
        }
        if text.len() > LONGEST {
            return Err(format!("it is {} bytes long, and may have at most {LONGEST}", text.len()));
        }
        if let Some(control) = text.chars().find(|c| c.is_control()) {
            return Err(format!("it holds the control character {}", control.escape_default()));
        }
        if text.contains('\\') {
            return Err("it holds a backslash; separate folders by /".to_owned());
        }
        let normal = DecomposingNormalizerBorrowed::new_nfd().normalize(text);
        let folded = if folds { normal.to_lowercase() } else { normal.into_owned() };
        let mut parts: Vec<String> = Vec::new();
        for part in folded.split('/') {
            match part {
                "" | "." => {}
                ".." => match parts.pop() {
                    Some(last) if !last.contains('*') => {}
                    Some(_) => return Err("'..' after a wildcard leads nowhere".to_owned()),
                    None => return Err("it leaves the project's root".to_owned()),
                },
                _ => match wild(part) {
                    part if part == "**" && parts.last().is_some_and(|last| last == "**") => {}
                    part => parts.push(part),
                },
            }
        }
        if parts.first().is_some_and(|first| first.starts_with('!')) {
            return Err("patterns that exclude something are not known; list what is to be locked".to_owned());
        }
        // A name covers what is below it.
        while parts.last().is_some_and(|last| last == "**")
            && parts.len().checked_sub(2).is_none_or(|before| !parts[before].contains('*'))
        {
            parts.pop();
        }
        if parts.len() > DEEPEST {
            return Err(format!("it has {} parts, and may have at most {DEEPEST}", parts.len()));
        }
        Ok(Pattern(if parts.is_empty() { EVERYTHING.to_owned() } else { parts.join("/") }))
    }

    /// Returns the pattern of one existing or future file: its path below the project's root, in which `[` and the like are
    /// parts of names.
    pub fn of_file(path: &str, folds: bool) -> Pattern {
        let normal = DecomposingNormalizerBorrowed::new_nfd().normalize(path);
        let folded = if folds { normal.to_lowercase() } else { normal.into_owned() };
        Pattern(if folded.is_empty() { EVERYTHING.to_owned() } else { folded })
    }

    /// Returns it in its normal form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the longest path without a wildcard that is part of everything it covers; empty for the root. Patterns that
    /// conflict have nodes of which one is the other or above it, so that only such locks are looked at.
    pub fn node(&self) -> &str {
        if self.0 == EVERYTHING {
            return "";
        }
        match self.0.find('*') {
            None => &self.0,
            Some(at) => self.0[..at].rfind('/').map_or("", |end| &self.0[..end]),
        }
    }

    /// Returns whether some path is covered by both.
    #[must_use]
    pub fn meets(&self, other: &Pattern) -> bool {
        let (one, other) = (self.parts(), other.parts());
        // For the parts of `one` so far: whether they and the first `j` of `other` can be the same path.
        let mut row = vec![false; other.len() + 1];
        row[0] = true;
        for (j, part) in other.iter().enumerate() {
            row[j + 1] = row[j] && *part == "**";
        }
        for part in one {
            let mut next = vec![false; other.len() + 1];
            next[0] = row[0] && part == "**";
            for (j, its) in other.iter().enumerate() {
                next[j + 1] = match part == "**" || *its == "**" {
                    true => row[j + 1] || next[j],
                    false => row[j] && names_meet(part, its),
                };
            }
            row = next;
        }
        row[other.len()]
    }

    /// Returns whether it covers a path, which is relative to the project's root.
    #[must_use]
    pub fn covers(&self, path: &Pattern) -> bool {
        // A path without wildcards is a pattern that also covers what is below it: its own name has to be reached.
        let parts = self.parts();
        let path: Vec<&str> = if path.0 == EVERYTHING { Vec::new() } else { path.0.split('/').collect() };
        let mut row = vec![false; path.len() + 1];
        row[0] = true;
        for part in parts {
            let mut next = vec![false; path.len() + 1];
            next[0] = row[0] && part == "**";
            for (j, name) in path.iter().enumerate() {
                next[j + 1] = if part == "**" { row[j + 1] || next[j] } else { row[j] && names_meet(part, name) };
            }
            row = next;
        }
        row[path.len()]
    }

    /// Its parts; with a last `**` where it covers what is below it.
    fn parts(&self) -> Vec<&str> {
        if self.0 == EVERYTHING {
            return vec!["**"];
        }
        let mut parts: Vec<&str> = self.0.split('/').collect();
        if parts.last().is_some_and(|last| !last.contains('*')) {
            parts.push("**");
        }
        parts
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Pattern, String> {
        Pattern::parse(text, false)
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Pattern, String> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.0
    }
}

/// A part with `*` as its only wildcard.
fn wild(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    let mut rest = part;
    let mut stars = 0;
    while let Some(c) = rest.chars().next() {
        // A class may hold brackets itself: all up to the last one that closes is taken for it. `{1..3}` is no name either.
        let class = match c {
            '[' => rest[1..].rfind(']').filter(|end| *end > 0),
            '{' => rest[1..].find('}').filter(|end| rest[1..=*end].contains("..")),
            _ => None,
        };
        rest = &rest[class.map_or(c.len_utf8(), |end| end + 2)..];
        match class.is_some() || matches!(c, '*' | '?') {
            true => {
                stars += usize::from(c == '*');
                if !out.ends_with('*') {
                    out.push('*');
                }
            }
            false => out.push(c),
        }
    }
    // `**` and longer rows of it, and nothing else.
    if stars == part.len() && stars > 1 { "**".to_owned() } else { out }
}

/// Whether some name is matched by both. A part without a wildcard matches itself.
fn names_meet(one: &str, other: &str) -> bool {
    match (one.contains('*'), other.contains('*')) {
        (false, false) => one == other,
        (true, false) => matches(one, other),
        (false, true) => matches(other, one),
        // Each has a `*` that takes what the other has in its middle: only the ends have to agree.
        (true, true) => {
            let ends = |part: &str| (part.find('*').unwrap_or(0), part.rfind('*').map_or(0, |at| at + 1));
            let ((a, b), (c, d)) = (ends(one), ends(other));
            let (before, its) = (&one.as_bytes()[..a], &other.as_bytes()[..c]);
            let (after, its_after) = (&one.as_bytes()[b..], &other.as_bytes()[d..]);
            (before.starts_with(its) || its.starts_with(before))
                && (after.ends_with(its_after) || its_after.ends_with(after))
        }
    }
}

/// Whether a part with a wildcard matches a name.
fn matches(part: &str, name: &str) -> bool {
    let mut pieces = part.split('*');
    let first = pieces.next().unwrap_or("");
    let Some(last) = pieces.next_back() else { return part == name };
    let Some(mut rest) = name.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else { return false };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    true
}

/// Returns a text without alternatives for each way to choose among its `{a,b}`.
///
/// # Errors
/// There are too many.
pub fn expand(text: &str) -> Result<Vec<String>, String> {
    let mut done = Vec::new();
    let mut left = vec![text.to_owned()];
    while let Some(text) = left.pop() {
        match first_choice(&text) {
            None => done.push(text),
            Some((from, to, choices)) => {
                left.extend(choices.into_iter().rev().map(|choice| text[..from].to_owned() + choice + &text[to..]));
            }
        }
        if done.len() + left.len() > ALTERNATIVES {
            return Err(format!("it stands for more than {ALTERNATIVES} patterns"));
        }
    }
    Ok(done)
}

/// The first innermost `{a,b}`: where it begins and ends, and its choices. Braces without a comma are part of a name.
fn first_choice(text: &str) -> Option<(usize, usize, Vec<&str>)> {
    let mut open = None;
    for (at, c) in text.char_indices() {
        match c {
            '{' => open = Some(at),
            '}' => {
                if let Some(from) = open.take().filter(|from| text[*from..at].contains(',')) {
                    return Some((from, at + 1, text[from + 1..at].split(',').collect()));
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
