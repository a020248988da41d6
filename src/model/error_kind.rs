//! The kinds of errors, and the exit code of each.

use serde::{Deserialize, Serialize};

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
