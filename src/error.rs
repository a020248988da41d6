//! The error type of every surface: sorted by what the reader can do about it, each with a hint and a code.
//!
//! `store` and `mux` have error types of their own, which become this one where they leave `ops`.

use serde::{Deserialize, Serialize};

use crate::model::code::Code;

/// What the reader can do about an error. The kind decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The call was refused, or its subject ended without success: a task failed or was cancelled.
    Failed,
    /// The call itself is wrong: a flag, a value, a name.
    Usage,
    /// No such task, agent or role.
    NotFound,
    /// The supervisor, Redis or tmux is not running or can't be reached.
    NotRunning,
    /// sessions.toml, a folder, or a program on this machine is not as it must be.
    Configuration,
    /// A time limit of the caller's own has passed.
    TimedOut,
    /// The name or the path belongs to something else already.
    Conflict,
    /// Our own bug.
    Internal,
}

impl Kind {
    /// Every kind.
    pub const ALL: &'static [Kind] = &[
        Kind::Failed,
        Kind::Usage,
        Kind::NotFound,
        Kind::NotRunning,
        Kind::Configuration,
        Kind::TimedOut,
        Kind::Conflict,
        Kind::Internal,
    ];

    /// Returns the word as it is shown in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Failed => "failed",
            Kind::Usage => "usage",
            Kind::NotFound => "not_found",
            Kind::NotRunning => "not_running",
            Kind::Configuration => "configuration",
            Kind::TimedOut => "timed_out",
            Kind::Conflict => "conflict",
            Kind::Internal => "internal",
        }
    }

    /// Returns the exit code of the process.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Failed => 1,
            Kind::Usage | Kind::NotFound => 2,
            Kind::NotRunning => 3,
            Kind::Configuration => 4,
            Kind::TimedOut => 5,
            Kind::Conflict => 6,
            Kind::Internal => 70,
        }
    }
}

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
