//! The interface of a driver: what it is given, and what it answers.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::BufRead,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    common::{
        event::Transcript,
        exit_code::by_exit_code,
        hook::Hook,
        mcp_config::Mcp,
        program::Program,
        screen::{Prompt, Seen},
    },
    kind::DriverKind,
    manifest::Manifest,
    options::{AgentOptions, RoleSettings},
    rights::Commands,
    verdict::{End, Verdict},
};
use crate::model::{task::Usage, time::Timestamp, wait::Retry};

/// An attempt without a screen, as its driver sees it.
#[derive(Debug)]
pub struct Job<'a> {
    /// What the role says about its program.
    pub role: RoleSettings<'a>,
    /// The task's text, or what to say in a conversation that is continued.
    pub prompt: &'a str,
    /// The same as a file.
    pub prompt_file: &'a Path,
    /// The attempt's folder.
    pub dir: &'a Path,
    /// The verbs as tools.
    pub mcp: &'a Mcp<'a>,
    /// An unused session id (UUID) for a new conversation.
    pub new_session: &'a str,
    /// The session of an earlier attempt, to be continued.
    pub resume: Option<&'a str>,
}

impl Job<'_> {
    /// Refuses the task if its role sets a key that the program does not honour. sessions.toml is rejected for the same
    /// reason, except where `auto` came to stand for this program.
    pub(super) fn check(&self, kind: DriverKind) -> Result<(), Refusal> {
        match kind.unsupported(self.role.options) {
            Some(key) => Err(Refusal(format!(
                "role {} sets {key}, which {kind} does not support: choose another driver, or remove the key",
                self.role.name
            ))),
            None => Ok(()),
        }
    }
}

/// A program that has the pane's terminal to itself: the master's, or that of a task in `mode = "interactive"`.
#[derive(Debug)]
pub struct InteractiveJob<'a> {
    /// What the role says about its program.
    pub role: RoleSettings<'a>,
    /// A folder for the program's files.
    pub dir: &'a Path,
    /// The verbs as tools.
    pub mcp: &'a Mcp<'a>,
    /// An unused session id (UUID) for a new conversation.
    pub new_session: &'a str,
    /// The session of an earlier conversation, to be continued.
    pub resume: Option<&'a str>,
    /// The first prompt, which the program submits at its start. `None`: it waits for a person.
    pub prompt: Option<&'a str>,
}

/// How to start a program.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// A name on PATH, or a path.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Whether its standard input is the prompt; else it is empty.
    pub prompt_on_stdin: bool,
    /// Environment variables, besides those of the role.
    pub env: Vec<(&'static str, OsString)>,
    /// Files to write (mode 0600) before it starts.
    pub files: Vec<(PathBuf, Vec<u8>)>,
    /// The session id of its conversation, where the driver chose it and the program does not report it.
    pub session: Option<String>,
    /// Settings that it reads only from a file of its user.
    pub settings: Option<UserSettings>,
}

/// Settings that a program reads from no other file than its user's.
#[derive(Debug, PartialEq, Eq)]
pub struct UserSettings {
    /// The file, below the home folder.
    pub file: &'static str,
    /// The variable by which the program takes another folder for the home folder.
    pub home: &'static str,
    /// A JSON object: what is added to those of the user.
    pub with: Vec<u8>,
}

/// Why a program can't be started for a task. The attempt ends as permanent.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

/// How one agent program is started and read.
///
/// Only [`manifest`](Driver::manifest) and [`start`](Driver::start) are required. A driver without more is read by the exit
/// code and the result file of its program.
pub trait Driver: Sync {
    /// What the driver declares about its program.
    fn manifest(&self) -> &'static Manifest;

    /// Returns how to start the program for a task.
    ///
    /// # Errors
    /// When this task can never be given to this program.
    fn start(&self, job: &Job) -> Result<Start, Refusal>;

    /// The agent program. `None`: the driver runs whatever the role or the task names.
    fn program(&self) -> Option<&'static Program> {
        self.manifest().program.as_ref()
    }

    /// Returns how far the program may run commands without asking, given how its role runs it. The default is the most.
    fn commands(&self, _options: &AgentOptions) -> Commands {
        Commands::Any
    }

    /// Reports whether the program may change files without asking, given how its role runs it. The default is that it may.
    fn edits(&self, _options: &AgentOptions) -> bool {
        true
    }

    /// Returns what the end of the program means: what it reported, else its exit code, and what its result file says.
    fn read(&self, end: End) -> Verdict {
        match (self.program(), end.conversation) {
            (Some(program), Some(reported)) => reported.verdict(program, end),
            _ => by_exit_code(end),
        }
    }

    /// Reads what the program prints, given how its role runs it. `None`: it is shown and kept as it is.
    fn transcript(&self, _options: &AgentOptions) -> Option<Box<dyn Transcript>> {
        None
    }

    /// Returns how to start the program on a terminal. `None`: it has no prompt for a person.
    fn interactive(&self, _job: &InteractiveJob) -> Option<Start> {
        None
    }

    /// Returns what the program does, by the pane's title and the visible screen as plain text.
    fn see(&self, _title: &str, _screen: &str) -> Seen {
        Seen::Unknown
    }

    /// Returns the file in which a program with this process id and environment states in JSON what it does.
    fn status_file(&self, _env: &BTreeMap<String, String>, _pid: u32) -> Option<PathBuf> {
        None
    }

    /// Returns what the program does, by the content of that file.
    fn read_status(&self, _status: &Value) -> Seen {
        Seen::Unknown
    }

    /// Returns what exactly the program asks, by its screen, if it asks ([`Need::of`](crate::model::wait::Need::of)).
    fn asked(&self, _screen: &str) -> Option<String> {
        None
    }

    /// Returns which retry of its service a working program is at, by its screen.
    fn retrying(&self, _screen: &str) -> Option<Retry> {
        None
    }

    /// Returns the error with which the last turn ended, by the screen, where no hook reports it.
    fn failure(&self, _screen: &str) -> Option<String> {
        None
    }

    /// Reports whether the program shows its prompt, and whether it is empty.
    fn prompt(&self, _title: &str, _screen: &str) -> Prompt {
        Prompt::Absent
    }

    /// Reads what the program passes to one of its hooks. `None`: nothing that matters.
    fn hook(&self, _call: &str) -> Option<Hook> {
        None
    }

    /// Returns what that hook must print so that `text` reaches the model. `None`: the hook can't pass anything on.
    fn hand_over(&self, _hook: &Hook, _text: &str) -> Option<String> {
        None
    }

    /// Returns the files that the tool of a hook's call writes, as absolute paths; none where that is not known.
    fn files_written(&self, _call: &str) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Reports whether the model is warned of an edit before it, because no hook may follow it. The default is after it.
    fn warns_before_edits(&self) -> bool {
        false
    }

    /// Returns what the hook before a tool must print so that the tool is not used and the model reads why. `None`: the hook
    /// can't refuse anything.
    fn refuse_tool(&self, _why: &str) -> Option<String> {
        None
    }

    /// Reports whether a turn that continues at its end with [`hand_over`](Driver::hand_over) does so without a message that
    /// looks like an error to the user.
    fn continues_quietly(&self) -> bool {
        true
    }

    /// The variable that names the folder for the program's own temporary files, where it has one and would leave files
    /// behind when it is killed.
    fn scratch_variable(&self) -> Option<&'static str> {
        None
    }

    /// Returns the folder with the records (`*.jsonl`) of agents that the program has started itself, given its own record.
    fn records_beside(&self, _record: &Path) -> Option<PathBuf> {
        None
    }

    /// Returns what was used since then, by the record that the program keeps of its conversation
    /// ([`Conversation::records`](super::Conversation::records)).
    fn used(&self, _record: &mut dyn BufRead, _since: Timestamp) -> Option<Usage> {
        None
    }
}
