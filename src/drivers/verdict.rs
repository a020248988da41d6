//! The end of a program, and the verdict on it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::common::conversation::Conversation;
use crate::model::{cause::Cause, end_code::EndCode, task::Usage, time::Timestamp};

/// How a program ended.
#[derive(Debug)]
pub struct End<'a> {
    /// Its exit code; `None` when a signal ended it.
    pub exit_code: Option<i32>,
    /// That signal.
    pub signal: Option<i32>,
    /// The end of its standard output.
    pub stdout: &'a str,
    /// The end of its standard error.
    pub stderr: &'a str,
    /// What it left in its result file.
    pub file: Option<ResultFile>,
    /// What it reported, where its driver has a [`Transcript`](super::Transcript).
    pub conversation: Option<&'a Conversation>,
    /// Whether it had the pane's terminal to itself. Then it ends only when a person leaves it, or when we end it.
    pub on_a_terminal: bool,
    /// Whether it was asking its user something there when it ended.
    pub was_asking: bool,
    /// Whether a task is held for a person when a tool was denied, although the program reports success.
    pub hold_denied: bool,
    /// The current time, from which the end of a rate limit is counted.
    pub now: Timestamp,
}

/// What a program may write to the file `ORCH_RESULT`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ResultFile {
    /// The answer; `None`: what was printed.
    pub text: Option<String>,
    /// Structured data.
    pub data: Option<Value>,
    /// Tokens and cost.
    pub usage: Option<Usage>,
    /// Why it ended; `None`: as the exit code says.
    pub cause: Option<Cause>,
    /// For a transient or rate-limited end: the delay before the next attempt.
    pub retry_after_ms: Option<u64>,
}

/// What the end of a program means.
#[derive(Debug, PartialEq)]
pub struct Verdict {
    /// Why the attempt ended.
    pub cause: Cause,
    /// Why it ended, in a finer word than the cause.
    pub code: EndCode,
    /// The same as a sentence.
    pub reason: String,
    /// The answer; `None`: what was printed.
    pub text: Option<String>,
    /// Whether the answer was cut.
    pub truncated: bool,
    /// Structured data.
    pub data: Option<Value>,
    /// Tokens and cost.
    pub usage: Option<Usage>,
    /// The delay before the next attempt.
    pub retry_after: Option<Duration>,
    /// The conversation that was to be continued does not exist: start the same attempt again with a new one.
    pub start_anew: bool,
}

impl Verdict {
    /// A verdict with nothing but the cause, its code and a reason.
    pub fn of(cause: Cause, code: EndCode, reason: String) -> Self {
        Verdict {
            cause,
            code,
            reason,
            text: None,
            truncated: false,
            data: None,
            usage: None,
            retry_after: None,
            start_anew: false,
        }
    }
}
