//! The options of a role for its program: the keys, their values, and the part of a role that a driver sees.

use std::{fmt, path::Path};

use serde::{Deserialize, Serialize};

use crate::model::collision::CollisionRule;

/// A key of sessions.toml that not every driver honours ([`DriverKind::knows`](super::DriverKind::knows)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// `mode`
    Mode,
    /// `args`
    Args,
    /// `auth`
    Auth,
    /// `allowed_tools`
    AllowedTools,
    /// `permission_mode`
    PermissionMode,
    /// `max_turns`
    MaxTurns,
    /// `max_cost_usd`
    MaxCostUsd,
    /// `resume`
    Resume,
    /// `on_denial`
    OnDenial,
    /// `on_collision`
    OnCollision,
    /// `max_task_cost_usd`
    MaxTaskCostUsd,
    /// `max_task_tokens`
    MaxTaskTokens,
    /// `max_window_use`
    MaxWindowUse,
    /// `max_cost_usd_per_day`
    MaxCostUsdPerDay,
    /// `max_tokens_per_day`
    MaxTokensPerDay,
    /// `expected_cost_usd`
    ExpectedCostUsd,
    /// `expected_tokens`
    ExpectedTokens,
    /// `model`
    Model,
    /// `instructions`
    Instructions,
    /// `instructions_file`
    InstructionsFile,
    /// `prompt`
    Prompt,
    /// `prompt_template`
    PromptTemplate,
}

impl Key {
    /// As written in sessions.toml.
    pub fn as_str(self) -> &'static str {
        match self {
            Key::Mode => "mode",
            Key::Args => "args",
            Key::Auth => "auth",
            Key::AllowedTools => "allowed_tools",
            Key::PermissionMode => "permission_mode",
            Key::MaxTurns => "max_turns",
            Key::MaxCostUsd => "max_cost_usd",
            Key::Resume => "resume",
            Key::OnDenial => "on_denial",
            Key::OnCollision => "on_collision",
            Key::MaxTaskCostUsd => "max_task_cost_usd",
            Key::MaxTaskTokens => "max_task_tokens",
            Key::MaxWindowUse => "max_window_use",
            Key::MaxCostUsdPerDay => "max_cost_usd_per_day",
            Key::MaxTokensPerDay => "max_tokens_per_day",
            Key::ExpectedCostUsd => "expected_cost_usd",
            Key::ExpectedTokens => "expected_tokens",
            Key::Model => "model",
            Key::Instructions => "instructions",
            Key::InstructionsFile => "instructions_file",
            Key::Prompt => "prompt",
            Key::PromptTemplate => "prompt_template",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who has the pane while a task runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The runner, which shows in readable lines what the agent program says and does.
    #[default]
    Headless,
    /// The agent program, with the screen that a person knows. A person may watch, answer and type.
    Interactive,
}

/// What an agent gets for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromptForm {
    /// The task's text alone.
    Bare,
    /// The text, and what belongs to the task: results of what it depends on, context, artifacts, limits.
    Full,
}

/// How an agent program is run. Not every driver honours every key ([`DriverKind::knows`](super::DriverKind::knows)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentOptions {
    /// Who has the pane.
    pub mode: Mode,
    /// Further arguments, passed unchanged.
    pub args: Vec<String>,
    /// Tools that the program may use without asking, as the program calls them.
    pub allowed_tools: Vec<String>,
    /// What the program may do without asking, in its own words.
    pub permission_mode: Option<String>,
    /// Turns of the model per attempt.
    pub max_turns: Option<u32>,
    /// Cost per attempt, in US dollars.
    pub max_cost_usd: Option<f64>,
    /// Whether a retry continues the conversation of the attempt before.
    pub resume: bool,
    /// Whether a task is held for a person when a tool was denied, although the program reports success.
    pub hold_denied: bool,
    /// What happens at an edit of a file that another task or a person has locked; `None`: the default of a program that asks
    /// before it edits.
    #[serde(default)]
    pub on_collision: Option<CollisionRule>,
    /// What it gets for a task; `None`: as its driver does by default ([`DriverKind::prompt`](super::DriverKind::prompt)).
    pub prompt: Option<PromptForm>,
    /// The role's own form of that ([`crate::model::template`]).
    pub prompt_template: Option<String>,
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
            on_collision: None,
            prompt: None,
            prompt_template: None,
        }
    }
}

impl AgentOptions {
    /// Returns the keys that are set and that limit or permit something. The others do no harm where nothing honours them.
    pub fn written_keys(&self) -> impl Iterator<Item = Key> {
        [
            (Key::Mode, self.mode == Mode::Interactive),
            (Key::AllowedTools, !self.allowed_tools.is_empty()),
            (Key::PermissionMode, self.permission_mode.is_some()),
            (Key::MaxTurns, self.max_turns.is_some()),
            (Key::MaxCostUsd, self.max_cost_usd.is_some()),
            (Key::OnCollision, self.on_collision.is_some_and(|rule| rule != CollisionRule::Off)),
        ]
        .into_iter()
        .filter_map(|(key, is_set)| is_set.then_some(key))
    }
}

/// The part of a role that a driver sees.
#[derive(Debug, Clone, Copy)]
pub struct RoleSettings<'a> {
    /// The role's name, for messages.
    pub name: &'a str,
    /// The program and its arguments, for the driver `command`.
    pub command: &'a [String],
    /// The model, as the agent program calls it; `None`: the program's own default.
    pub model: Option<&'a str>,
    /// What every agent of the role is told in addition to its task.
    pub instructions: Option<&'a str>,
    /// The folder of the role, absolute.
    pub cwd: &'a Path,
    /// How its agent program is run.
    pub options: &'a AgentOptions,
}
