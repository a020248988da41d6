//! One file an agent program: how it is started, fed and read; what its end means.
//!
//! A driver is pure: it turns a [`Job`] into a [`Start`], and an [`End`] into a [`Verdict`]. The runner does the rest,
//! the same way for every driver: folders, pipes, time limits, the end of the process tree.
//!
//! To add a driver: a file here with a unit struct that implements [`Driver`], a word in `config::DriverKind`, and one
//! line in [`of`].

mod claude;
mod command;
mod shell;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    config::{DriverKind, Role},
    model::{cause::Cause, task::Usage},
};

/// One attempt, as a driver sees it.
#[derive(Debug)]
pub struct Job<'a> {
    /// The role as configured.
    pub role: &'a Role,
    /// The task's text.
    pub prompt: &'a str,
    /// The same as a file.
    pub prompt_file: &'a Path,
}

/// How the program is to be started.
#[derive(Debug, PartialEq, Eq)]
pub struct Start {
    /// A name on PATH, or a path.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Whether the prompt is its standard input; nothing is, otherwise.
    pub prompt_on_stdin: bool,
}

/// How the program ended.
#[derive(Debug)]
pub struct End<'a> {
    /// Its exit code; `None` when a signal ended it.
    pub exit_code: Option<i32>,
    /// That signal.
    pub signal: Option<i32>,
    /// The end of its standard output.
    pub stdout: &'a str,
    /// The last line of its standard error that says something.
    pub last_error: Option<&'a str>,
    /// What it left in its result file.
    pub file: Option<ResultFile>,
}

/// What a program may leave at `ORCH_RESULT` (DESIGN section 11).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ResultFile {
    /// The answer; else it is what was printed.
    pub text: Option<String>,
    /// Structured data.
    pub data: Option<Value>,
    /// Tokens and money.
    pub usage: Option<Usage>,
    /// Why it ended, where the exit code says too little.
    pub cause: Option<Cause>,
    /// For a transient or rate-limited end: try again after this long.
    pub retry_after_ms: Option<u64>,
}

/// What an end means.
#[derive(Debug, PartialEq)]
pub struct Verdict {
    /// Why the attempt ended.
    pub cause: Cause,
    /// The same in words.
    pub reason: String,
    /// The answer, if not what was printed.
    pub text: Option<String>,
    /// Structured data.
    pub data: Option<Value>,
    /// Tokens and money.
    pub usage: Option<Usage>,
    /// Try again after this long.
    pub retry_after: Option<Duration>,
}

/// Why a program cannot be started, in words; the attempt ends as permanent.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

/// How one agent program is started and read.
pub trait Driver: Sync {
    /// How to start it for a task.
    ///
    /// # Errors
    /// When this task can never be given to this program.
    fn start(&self, job: &Job) -> Result<Start, Refusal>;

    /// What its end means. The exit codes of DESIGN section 11, and what the result file says.
    fn read(&self, end: End) -> Verdict {
        by_contract(end)
    }

    /// How to start it on a terminal, for a person (the master). `None`: it is not made for that.
    fn interactive(&self, _role: &Role) -> Option<Start> {
        None
    }

    /// Variables with secrets that this program needs to log in, besides those that `env_from` names.
    fn secrets(&self) -> &'static [&'static str] {
        &[]
    }
}

/// The driver of a kind. `auto` must have been settled by [`settle`]; the console is not one: it takes no tasks.
pub fn of(kind: DriverKind) -> Option<&'static dyn Driver> {
    match kind {
        DriverKind::Shell => Some(&shell::Shell),
        DriverKind::Command => Some(&command::Command),
        DriverKind::Claude => Some(&claude::Claude),
        DriverKind::Auto | DriverKind::Console => None,
    }
}

/// What `auto` stands for on this machine: the first agent program that is installed, else the built-in console.
pub fn settle(kind: DriverKind, path: Option<&std::ffi::OsStr>) -> DriverKind {
    match kind {
        DriverKind::Auto if find("claude", path).is_some() => DriverKind::Claude,
        DriverKind::Auto => DriverKind::Console,
        settled => settled,
    }
}

/// A program on a search path.
pub fn find(program: &str, path: Option<&std::ffi::OsStr>) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    std::env::split_paths(path?)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(program))
        .find(|candidate| candidate.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0))
}

/// The contract that every program keeps to unless its driver knows better.
fn by_contract(end: End) -> Verdict {
    let file = end.file.unwrap_or_default();
    let (mut cause, mut reason) = match (end.exit_code, end.signal) {
        (Some(0), _) => (Cause::Success, "the program ended with exit code 0".to_owned()),
        (Some(code), _) => (Cause::of_exit_code(code), format!("exit code {code}{}", meaning(code))),
        (None, Some(signal)) => {
            let name = nix::sys::signal::Signal::try_from(signal).map_or("", |s| s.as_str());
            (Cause::Lost, format!("the program was killed by signal {signal} {name}").trim_end().to_owned())
        }
        (None, None) => (Cause::Lost, "the program ended, and nobody knows how".to_owned()),
    };
    if let (Some(said), true) = (file.cause, end.exit_code.is_some()) {
        if said != cause {
            reason = format!("the program says {said} in its result file ({reason})");
        }
        cause = said;
    }
    if cause != Cause::Success
        && let Some(line) = end.last_error.or_else(|| end.stdout.lines().rev().find(|l| !l.trim().is_empty()))
    {
        reason = format!("{reason}: {}", crate::model::text::one_line(line, 200));
    }
    Verdict {
        cause,
        reason,
        text: file.text,
        data: file.data,
        usage: file.usage,
        retry_after: file.retry_after_ms.map(Duration::from_millis),
    }
}

/// What a shell or sysexits.h means by a code, where a person may not know it.
fn meaning(code: i32) -> &'static str {
    match code {
        65 => " (permanent)",
        75 => " (transient)",
        77 => " (a person is needed)",
        126 => " (not executable)",
        127 => " (command not found)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(code: Option<i32>, signal: Option<i32>, file: Option<&str>) -> Verdict {
        let file = file.map(|text| serde_json::from_str(text).unwrap());
        by_contract(End { exit_code: code, signal, stdout: "a\n\n", last_error: None, file })
    }

    #[test]
    fn exit_codes_mean_what_the_contract_says() {
        let cause = |code| end(Some(code), None, None).cause;
        assert_eq!(
            [0, 1, 65, 75, 77, 127].map(cause),
            [
                Cause::Success,
                Cause::Transient,
                Cause::Permanent,
                Cause::Transient,
                Cause::NeedsPerson,
                Cause::Transient
            ]
        );
        for code in 0..=255 {
            let expected = match code {
                0 => Cause::Success,
                65 => Cause::Permanent,
                77 => Cause::NeedsPerson,
                _ => Cause::Transient,
            };
            let verdict = end(Some(code), None, None);
            assert!(verdict.cause == expected && verdict.reason.contains(&format!("exit code {code}")), "{code}");
        }
        // The last ones have no name.
        for signal in 1..=64 {
            let verdict = end(None, Some(signal), None);
            assert!(verdict.cause == Cause::Lost && verdict.reason.contains(&format!("signal {signal}")), "{signal}");
        }
        let killed = end(None, Some(9), None);
        assert_eq!(
            (killed.cause, killed.reason.as_str()),
            (Cause::Lost, "the program was killed by signal 9 SIGKILL: a")
        );
    }

    #[test]
    fn the_result_file_says_more_than_the_exit_code_but_not_of_a_killed_program() {
        let said = end(Some(1), None, Some(r#"{"cause": "rate_limited", "retry_after_ms": 5000, "text": "later"}"#));
        assert_eq!((said.cause, said.retry_after), (Cause::RateLimited, Some(Duration::from_secs(5))));
        assert_eq!(said.text.as_deref(), Some("later"));
        assert_eq!(end(None, Some(9), Some(r#"{"cause": "success"}"#)).cause, Cause::Lost);
    }
}
