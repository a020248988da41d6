//! The error type of every surface: sorted by what the reader can do about it, each with a hint and a code.
//!
//! `store` and `mux` have error types of their own, which become this one where they leave `ops`.

use serde::{Deserialize, Serialize};

use crate::model::code::Code;
pub use crate::model::error_kind::Kind;

/// An error a person reads: what happened, to which thing, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Sorted by what the reader can do.
    pub kind: Kind,
    /// What happened, in one word: that of a refusal or of another vocabulary of `model`, else the kind.
    pub code: Code,
    /// One sentence that names the thing and the place.
    pub message: String,
    /// What to do about it: a command to type, a line to change.
    pub hint: Option<String>,
}

/// The result type of `ops` and of everything above it.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Returns an error of `kind` without a hint.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, code: kind.into(), message: message.into(), hint: None }
    }
    /// Returns the same error with a finer code than its kind.
    #[must_use]
    pub fn code(mut self, code: impl Into<Code>) -> Self {
        self.code = code.into();
        self
    }
    /// Returns the same error with a hint: a command to type, or a key to change.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    /// The call itself is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Error::new(Kind::Usage, message)
    }
    /// No such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Error::new(Kind::NotFound, message)
    }
    /// Not running or unreachable.
    pub fn not_running(message: impl Into<String>) -> Self {
        Error::new(Kind::NotRunning, message)
    }
    /// Configuration or environment.
    pub fn config(message: impl Into<String>) -> Self {
        Error::new(Kind::Configuration, message)
    }
    /// Ended otherwise than asked, or refused.
    pub fn failed(message: impl Into<String>) -> Self {
        Error::new(Kind::Failed, message)
    }
    /// A name or place is taken.
    pub fn conflict(message: impl Into<String>) -> Self {
        Error::new(Kind::Conflict, message)
    }
    /// The caller's time limit has passed.
    pub fn timed_out(message: impl Into<String>) -> Self {
        Error::new(Kind::TimedOut, message)
    }
    /// Our own bug.
    pub fn internal(message: impl Into<String>) -> Self {
        Error::new(Kind::Internal, message)
    }
}
