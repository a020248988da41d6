//! What a terminal says.
use crate::model::agent::Needs;
/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// In a turn.
    Working,
    /// At its prompt.
    Idle,
    /// Waits for its user.
    Asking(Needs),
    /// Nothing that is known.
    Unknown,
}

/// Where a program has its prompt, by its screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    /// It is there, and nothing is typed in it.
    Empty,
    /// It is there, and something is typed in it.
    Filled,
    /// There is none: the program asks something, or it can't be told what it shows.
    Absent,
}
