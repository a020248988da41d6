//! The mistakes of a plan, each with its place.

use serde::{Deserialize, Serialize};

/// One mistake, or one remark about what is allowed and probably not meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The byte of the document at which it stands.
    pub at: usize,
    /// The key that it is about: `tasks.api.role`. Empty: the document as a whole.
    pub key: String,
    /// What is wrong, as a sentence that begins after the key.
    pub what: String,
}

/// A mistake with its line and column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Located {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The key that it is about; empty: the document as a whole.
    pub key: String,
    /// What is wrong.
    pub what: String,
}

impl Mistake {
    /// A mistake at this byte.
    pub fn new(at: usize, key: impl Into<String>, what: impl Into<String>) -> Mistake {
        Mistake { at, key: key.into(), what: what.into() }
    }

    /// The mistake with its line and column in the document.
    pub fn located(&self, document: &str) -> Located {
        let before = document.get(..self.at).unwrap_or(document);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Located {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            key: self.key.clone(),
            what: self.what.clone(),
        }
    }
}

impl std::fmt::Display for Located {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let space = if self.key.is_empty() { "" } else { " " };
        write!(f, "{}:{}: {}{space}{}", self.line, self.column, self.key, self.what)
    }
}
