//! What a role is once everything is known about it, and the roles that are there without being written down.

use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::model::{
    name::{nearest, printable},
    retry::RetryPolicy,
};

/// How an agent program is started, fed, read and stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriverKind {
    /// The first agent program of `[agents] order` that is installed, else [`DriverKind::Console`].
    Auto,
    /// The built-in prompt, for a person.
    Console,
    /// The task's text is a shell script.
    Shell,
    /// Any program that reads its prompt and prints its answer.
    Command,
    /// Claude Code.
    Claude,
    /// OpenAI's Codex.
    Codex,
    /// Google's Gemini CLI.
    Gemini,
    /// opencode.
    Opencode,
    /// Qwen Code.
    Qwen,
    /// aider.
    Aider,
    /// GitHub's Copilot CLI.
    Copilot,
}

impl DriverKind {
    /// All of them, in the order in which messages list them.
    pub const ALL: [DriverKind; 11] = {
        use DriverKind::*;
        [Auto, Console, Shell, Command, Claude, Codex, Gemini, Opencode, Qwen, Aider, Copilot]
    };

    /// Those that are an agent program of a known name, in the order in which `auto` looks for them.
    pub const AGENTS: [DriverKind; 7] = {
        use DriverKind::*;
        [Claude, Codex, Gemini, Opencode, Qwen, Aider, Copilot]
    };

    /// The agent program, as it is called on PATH; `None` for what is no agent program of a known name.
    pub fn program(self) -> Option<&'static str> {
        DriverKind::AGENTS.contains(&self).then_some(self.as_str())
    }

    /// Whether a key means something to it: nobody is to believe in a bound that is not held. What is bound by use needs a
    /// program that tells what it has used.
    pub fn knows(self, key: &str) -> bool {
        use DriverKind::*;
        match key {
            "args" => self.program().is_some(),
            "resume" => matches!(self, Auto | Claude | Codex | Gemini | Opencode | Qwen | Copilot),
            "allowed_tools" => matches!(self, Auto | Claude | Gemini | Qwen | Copilot),
            "permission_mode" => matches!(self, Auto | Claude | Codex | Gemini | Qwen | Copilot),
            "on_denial" => matches!(self, Auto | Claude | Opencode | Qwen | Copilot),
            "max_turns" => matches!(self, Auto | Claude | Qwen),
            "max_cost_usd" => matches!(self, Auto | Claude),
            "mode" => matches!(self, Auto | Claude | Codex),
            "max_task_cost_usd" | "max_cost_usd_per_day" => !matches!(self, Codex | Gemini | Qwen | Copilot),
            "max_task_tokens" | "max_tokens_per_day" => self != Copilot,
            _ => false,
        }
    }

    /// As written in sessions.toml.
    pub fn as_str(self) -> &'static str {
        match self {
            DriverKind::Auto => "auto",
            DriverKind::Console => "console",
            DriverKind::Shell => "shell",
            DriverKind::Command => "command",
            DriverKind::Claude => "claude",
            DriverKind::Codex => "codex",
            DriverKind::Gemini => "gemini",
            DriverKind::Opencode => "opencode",
            DriverKind::Qwen => "qwen",
            DriverKind::Aider => "aider",
            DriverKind::Copilot => "copilot",
        }
    }
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for DriverKind {
    type Err = String;

    /// # Errors
    /// A sentence that lists the drivers there are.
    fn from_str(text: &str) -> Result<Self, String> {
        DriverKind::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            let names = DriverKind::ALL.map(DriverKind::as_str);
            let meant = nearest(text, names).map_or(String::new(), |name| format!("; did you mean '{name}'?"));
            format!("'{}' is no driver; there are {}{meant}", printable(text), names.join(", "))
        })
    }
}

/// A kind of agent: how it is started, how many there are, what it may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// Its key under `[roles]`; an agent's name is this, a dash and a number.
    pub name: String,
    /// Which agent program it is.
    pub driver: DriverKind,
    /// The program and its arguments; empty unless the driver is [`DriverKind::Command`].
    pub command: Vec<String>,
    /// The model, as the agent program calls it; `None`: the program's own default.
    pub model: Option<String>,
    /// What every agent of this role is told beside its task.
    pub instructions: Option<String>,
    /// Agents kept ready while there is nothing to do.
    pub min: u32,
    /// Agents at once, at most; at least 1 and at least `min`.
    pub max: u32,
    /// An idle agent above `min` is stopped after this.
    pub idle_timeout: Duration,
    /// One attempt at a task may take this long.
    pub task_timeout: Duration,
    /// An agent without a sign of progress for this long is hung.
    pub stall_timeout: Duration,
    /// An agent is replaced after this many tasks; 0: never.
    pub tasks_per_agent: u32,
    /// Environment variables that every agent gets.
    pub env: BTreeMap<String, String>,
    /// Names of variables that are passed on from the caller's environment. Never in argv, Redis or a log.
    pub env_from: Vec<String>,
    /// Absolute path of the folder in which agents work.
    pub cwd: PathBuf,
    /// How its tasks are tried again.
    pub retry: RetryPolicy,
    /// Roles to which agents of this role may delegate; `None`: every role.
    pub delegates_to: Option<Vec<String>>,
    /// What the program of one attempt may use.
    pub limits: Limits,
    /// What one of its tasks may use, all attempts together (`max_task_cost_usd`, `max_task_tokens`).
    pub task_budget: Budget,
    /// What it may use a day (`max_cost_usd_per_day`, `max_tokens_per_day`).
    pub day_budget: Budget,
    /// How its agent program is run.
    pub agent: AgentOptions,
}

/// Whose the pane is while a task is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The runner's: it shows in readable lines what the agent program says and does.
    #[default]
    Headless,
    /// The agent program's, with the screen that a person knows of it, who may watch, answer and type.
    Interactive,
}

/// How an agent program is run. Not every one knows every key ([`DriverKind::knows`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentOptions {
    /// Whose the pane is.
    pub mode: Mode,
    /// Further arguments, as they are.
    pub args: Vec<String>,
    /// Tools that it may use without asking, as it calls them.
    pub allowed_tools: Vec<String>,
    /// What it may do without asking, in its own words.
    pub permission_mode: Option<String>,
    /// Turns of the model in one attempt.
    pub max_turns: Option<u32>,
    /// What one attempt may cost, in US dollars.
    pub max_cost_usd: Option<f64>,
    /// Whether a task that is tried again goes on with the conversation of its attempt before.
    pub resume: bool,
    /// Whether a task of which something was not allowed is held for a person, although the program says it is done.
    pub hold_denied: bool,
}

impl Default for AgentOptions {
    fn default() -> Self {
        AgentOptions {
            mode: Mode::Headless,
            args: Vec::new(),
            allowed_tools: Vec::new(),
            permission_mode: None,
            max_turns: None,
            max_cost_usd: None,
            resume: true,
            hold_denied: true,
        }
    }
}

impl AgentOptions {
    /// The keys that bound or permit something, where they are set. The others are harmless where they mean nothing.
    pub fn written_keys(&self) -> impl Iterator<Item = &'static str> {
        [
            ("mode", self.mode == Mode::Interactive),
            ("allowed_tools", !self.allowed_tools.is_empty()),
            ("permission_mode", self.permission_mode.is_some()),
            ("max_turns", self.max_turns.is_some()),
            ("max_cost_usd", self.max_cost_usd.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, is_set)| is_set.then_some(key))
    }
}

/// Money and tokens that may be used; `None`: any.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Budget {
    /// US dollars.
    pub cost_usd: Option<f64>,
    /// Tokens, read and written.
    pub tokens: Option<u64>,
}

/// What the program of one attempt may use, all that it starts included. Beyond it the attempt is ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory in bytes (`memory_max`); `None`: any.
    pub memory: Option<u64>,
    /// Processor cores (`cpu_max`); `None`: any.
    pub cpu: Option<f64>,
    /// Processes at once (`max_processes`); `None`: any.
    pub processes: Option<u32>,
    /// What it prints, in bytes (`max_output`).
    pub output: u64,
}

impl Default for Limits {
    fn default() -> Self {
        // Nobody reads so much; but a program that prints without end would fill the disk, and a full disk ends Redis
        // and with it the work of everybody.
        Limits { memory: None, cpu: None, processes: None, output: 1 << 30 }
    }
}

impl Role {
    /// Whose rate limits it shares, run by `program`, which is its driver once `auto` is settled: all roles of one agent
    /// program have one account. Of a program that orch does not know nothing can be said, so each such role has its own.
    pub fn account(&self, program: DriverKind) -> String {
        match program.program() {
            Some(program) => program.to_owned(),
            None => format!("role {}", self.name),
        }
    }

    /// A role of which nothing but the name is written: a built-in one, or a new one with `driver`.
    pub(super) fn unwritten(name: &str, driver: DriverKind, cwd: PathBuf, retry: RetryPolicy) -> Self {
        let builtin = BUILTIN.iter().find(|builtin| builtin.name == name);
        Role {
            name: name.to_owned(),
            driver: builtin.map_or(driver, |builtin| builtin.driver),
            command: Vec::new(),
            model: builtin.and_then(|builtin| builtin.model).map(str::to_owned),
            instructions: None,
            min: 0,
            max: builtin.map_or(5, |builtin| builtin.max),
            idle_timeout: Duration::from_secs(5 * 60),
            task_timeout: Duration::from_secs(30 * 60),
            stall_timeout: Duration::from_secs(10 * 60),
            tasks_per_agent: 0,
            env: BTreeMap::new(),
            env_from: Vec::new(),
            cwd,
            retry,
            delegates_to: None,
            limits: Limits::default(),
            task_budget: Budget::default(),
            day_budget: Budget::default(),
            agent: AgentOptions::default(),
        }
    }
}

/// Where a built-in role differs from a new one.
pub(super) struct Builtin {
    pub name: &'static str,
    driver: DriverKind,
    model: Option<&'static str>,
    max: u32,
}

/// The roles that are always there, so that `orch start` and `orch delegate --role shell` work in an empty folder.
/// A file adds to them and overrides them key by key.
pub(super) const BUILTIN: [Builtin; 4] = [
    Builtin { name: "opus", driver: DriverKind::Auto, model: None, max: 5 },
    Builtin { name: "sonnet", driver: DriverKind::Claude, model: Some("sonnet"), max: 5 },
    Builtin { name: "subagent", driver: DriverKind::Claude, model: Some("haiku"), max: 5 },
    Builtin { name: "shell", driver: DriverKind::Shell, model: None, max: 4 },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_reads_as_it_prints() {
        for kind in DriverKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
    }
}
