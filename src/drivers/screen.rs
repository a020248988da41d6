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
