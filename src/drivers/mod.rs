//! One file an agent program: how it is started, fed and read; what its end means.
//!
//! A driver is pure: it turns a [`Job`] into a [`Start`], and an [`End`] into a [`Verdict`]. The runner does the rest,
//! the same way for every driver: folders, pipes, time limits, the end of the process tree.
//!
//! A program that prints a stream of JSON while it works has a [`Transcript`], which turns its lines into [`Event`]s. Their
//! sum, a [`Conversation`], says what its end means, by the same rules for all of them; what is shown of them is the
//! runner's. A program without one is read by its exit code and by what it printed.
//!
//! A program on its own terminal is read by what it shows there ([`screen`]), and by what it tells its hooks ([`hook`]).
//!
//! To add a driver: a file here with a unit struct that implements [`Driver`], a word in `config::DriverKind` with the
//! keys it knows, and one line in [`of`].

mod aider;
mod asked;
mod claude;
mod codex;
mod codex_hooks;
mod command;
mod contract;
mod conversation;
mod copilot;
mod event;
mod gemini;
mod gemini_cli;
mod hook;
mod hook_json;
mod mcp;
mod opencode;
mod preflight;
mod program;
mod qwen;
mod screen;
mod shell;
mod stream_json;
#[cfg(test)]
mod tests;
mod words;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::BufRead,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use serde_json::Value;

use self::contract::by_contract;
pub use self::{
    conversation::Conversation,
    event::{Ending, Event, Failure, Transcript, When},
    hook::{Hook, HookTranscript, Noted, Source},
    mcp::Mcp,
    preflight::{Unfit, program_of, unavailable},
    program::{Program, version_in},
    screen::{Prompt, Seen},
};
use crate::{
    config::{DriverKind, Role},
    model::{cause::Cause, task::Usage, text::plain, time::Timestamp, wait::Retry},
};

/// One attempt, as a driver sees it.
#[derive(Debug)]
pub struct Job<'a> {
    /// The role as configured.
    pub role: &'a Role,
    /// The task's text; where a conversation goes on, what to say in it.
    pub prompt: &'a str,
    /// The same as a file.
    pub prompt_file: &'a Path,
    /// The attempt's own folder.
    pub dir: &'a Path,
    /// The verbs as tools.
    pub mcp: &'a Mcp<'a>,
    /// A session id (UUID) that nobody has used, for a new conversation.
    pub new_session: &'a str,
    /// The session of an earlier attempt, which is to go on.
    pub resume: Option<&'a str>,
}

/// Where a program has the pane's terminal to itself: the master's seat, or that of a task in `mode = "interactive"`.
#[derive(Debug)]
pub struct Seat<'a> {
    /// The role as configured.
    pub role: &'a Role,
    /// A folder for its files.
    pub dir: &'a Path,
    /// The verbs as tools.
    pub mcp: &'a Mcp<'a>,
    /// A session id (UUID) that nobody has used, for a new conversation.
    pub new_session: &'a str,
    /// An earlier conversation, which is to go on.
    pub resume: Option<&'a str>,
    /// What the program is to begin with by itself. `None`: it waits for a person.
    pub prompt: Option<&'a str>,
}

/// How the program is to be started.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// A name on PATH, or a path.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Whether the prompt is its standard input; nothing is, otherwise.
    pub prompt_on_stdin: bool,
    /// Variables beside those of its role.
    pub env: Vec<(&'static str, OsString)>,
    /// Files to be written (0600) before it starts.
    pub files: Vec<(PathBuf, Vec<u8>)>,
    /// What its conversation is resumed by, where it was told and does not tell it itself.
    pub session: Option<String>,
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
    /// The end of its standard error.
    pub stderr: &'a str,
    /// What it left in its result file.
    pub file: Option<ResultFile>,
    /// What it told, where its driver has a [`Transcript`].
    pub conversation: Option<&'a Conversation>,
    /// Whether it had the pane's terminal to itself: then a person could leave it, and nothing but that or we end it.
    pub on_a_terminal: bool,
    /// Whether it was asking its user something there when it ended.
    pub was_asking: bool,
    /// Whether a task of which something was not allowed waits for a person, although the program says it is done.
    pub hold_denied: bool,
    /// The time, to which a limit's end is held.
    pub now: Timestamp,
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
    /// Whether it is not the whole of it.
    pub truncated: bool,
    /// Structured data.
    pub data: Option<Value>,
    /// Tokens and money.
    pub usage: Option<Usage>,
    /// Try again after this long.
    pub retry_after: Option<Duration>,
    /// The conversation that was to go on is not there: to be started anew, at once, as the same attempt.
    pub start_anew: bool,
}

impl Verdict {
    /// Nothing but a cause and a reason.
    pub fn of(cause: Cause, reason: String) -> Self {
        Verdict {
            cause,
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

    /// What is to be said of it. `None`: it is no agent program of a known name.
    fn program(&self) -> Option<&'static Program> {
        None
    }

    /// What its end means: what it told, or else the exit codes of DESIGN section 11; and what the result file says.
    fn read(&self, end: End) -> Verdict {
        match (self.program(), end.conversation) {
            (Some(program), Some(told)) => told.verdict(program, end),
            _ => by_contract(end),
        }
    }

    /// How to start it on a terminal. `None`: it is not made for that.
    fn interactive(&self, _seat: &Seat) -> Option<Start> {
        None
    }

    /// Whether it has such a prompt.
    fn is_interactive(&self) -> bool {
        false
    }

    /// What its own terminal says that it does: the pane's title, and the visible screen as plain text.
    fn see(&self, _title: &str, _screen: &str) -> Seen {
        Seen::Unknown
    }

    /// Where one that runs as this process, with this environment, says in JSON what it does; `None`: nowhere.
    fn status_file(&self, _env: &BTreeMap<String, String>, _pid: u32) -> Option<PathBuf> {
        None
    }

    /// What it says there.
    fn read_status(&self, _said: &Value) -> Seen {
        Seen::Unknown
    }

    /// What exactly it asks there, by its screen, if it asks ([`Need::of`](crate::model::wait::Need::of)).
    fn asked(&self, _screen: &str) -> Option<String> {
        None
    }

    /// That it tries its service again, by its screen, if it works.
    fn retrying(&self, _screen: &str) -> Option<Retry> {
        None
    }

    /// The error with which its last turn has ended, by its screen, where no hook tells.
    fn failure(&self, _screen: &str) -> Option<String> {
        None
    }

    /// Whether its prompt is there, and empty.
    fn prompt(&self, _title: &str, _screen: &str) -> Prompt {
        Prompt::Absent
    }

    /// What it passes to one of its hooks; `None` where that says nothing that counts.
    fn hook(&self, _call: &str) -> Option<Hook> {
        None
    }

    /// What that hook is to print so that `text` reaches the model; `None` where it can hand over nothing.
    fn hand_over(&self, _hook: &Hook, _text: &str) -> Option<String> {
        None
    }

    /// Reads what it prints. `None`: it is shown and kept as it comes.
    fn transcript(&self) -> Option<Box<dyn Transcript>> {
        None
    }

    /// Names the folder for its own temporary files, where it has a variable for them and would leave some behind when it is
    /// killed.
    fn scratch_variable(&self) -> Option<&'static str> {
        None
    }

    /// The folder in which further records lie beside that one (`*.jsonl`), of agents that the program has started itself.
    fn records_beside(&self, _record: &Path) -> Option<PathBuf> {
        None
    }

    /// What was used since then, by a record of its conversation that the program keeps ([`Conversation::records`]).
    fn used(&self, _record: &mut dyn BufRead, _since: Timestamp) -> Option<Usage> {
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
        DriverKind::Codex => Some(&codex::Codex),
        DriverKind::Gemini => Some(&gemini::Gemini),
        DriverKind::Opencode => Some(&opencode::Opencode),
        DriverKind::Qwen => Some(&qwen::Qwen),
        DriverKind::Aider => Some(&aider::Aider),
        DriverKind::Copilot => Some(&copilot::Copilot),
        DriverKind::Auto | DriverKind::Console => None,
    }
}

/// What `auto` stands for on this machine: the first agent program in `order` that is installed, else the built-in
/// console.
pub fn settle(kind: DriverKind, order: &[DriverKind], path: Option<&std::ffi::OsStr>) -> DriverKind {
    if kind != DriverKind::Auto {
        return kind;
    }
    let is_installed = |kind: &&DriverKind| kind.program().is_some_and(|program| find(program, path).is_some());
    order.iter().find(is_installed).copied().unwrap_or(DriverKind::Console)
}

/// Refuses a task whose role says what this program can't hold to. sessions.toml is complained about before, except
/// where `auto` came to stand for this program.
fn holds_to(role: &Role, kind: DriverKind) -> Result<(), Refusal> {
    match unheld_key(role, kind) {
        Some(key) => Err(Refusal(format!(
            "role {} sets {key}, which {kind} has no way to keep to: name another driver, or take it out",
            role.name
        ))),
        None => Ok(()),
    }
}

/// A key of the role that this program can't hold to.
fn unheld_key(role: &Role, kind: DriverKind) -> Option<&'static str> {
    role.agent.written_keys().find(|key| !kind.knows(key))
}

/// A prompt with the role's instructions before it, for a program that has no other place for them. A conversation that
/// goes on has heard them.
fn instructed(job: &Job) -> Vec<(PathBuf, Vec<u8>)> {
    let text = with_instructions(job.role, job.prompt, job.resume);
    text.map(|text| (job.prompt_file.to_owned(), text.into_bytes())).into_iter().collect()
}

/// `None`: the prompt is all.
fn with_instructions(role: &Role, prompt: &str, resume: Option<&str>) -> Option<String> {
    let instructions = role.instructions.as_ref().filter(|_| resume.is_none())?;
    Some(format!("{}\n\n{prompt}", instructions.trim_end()))
}

/// What a program on a terminal is begun with, so that it is taken for what it is: at a prompt, a text that begins with
/// one of these is a command of the program's own, or of the shell.
fn first_prompt(prompt: &str) -> String {
    let prompt = plain(prompt.as_bytes());
    match prompt.trim_start().starts_with(['/', '!', '#', '@', '&', '$', '?', '*']) {
        true => format!("The task:\n\n{prompt}"),
        false => prompt,
    }
}

/// A program on a search path.
pub fn find(program: &str, path: Option<&std::ffi::OsStr>) -> Option<PathBuf> {
    std::env::split_paths(path?)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(program))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}
