//! sessions.toml: as written, then as resolved.
//!
//! `discovery` finds the file and the state folder, `written` reads the file (with `section`, table by table), and
//! `resolve` adds defaults and checks everything that depends on more than one key. The result is a [`Config`], in
//! which nothing is missing, relative or unchecked. Errors are collected over the whole file (`diagnostics`), so a
//! person corrects a file once, not once per mistake.
//!
//! What sessions.toml may say about an agent program is declared by its driver ([`crate::drivers`]). Whether a program is
//! installed or a server answers is checked by `orch doctor`, not here.

pub mod address;
mod delegation;
mod diagnostics;
mod difference;
mod discovery;
mod environment;
mod located;
pub mod owner;
pub mod private;
mod reach;
mod reader;
mod resolve;
mod rights;
mod role;
mod schedules;
pub mod schema;
mod section;
mod settings;
mod starter;
#[cfg(test)]
mod tests;
mod values;
mod written;

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

pub use difference::{Difference, concern_agents, refuse_fixed};
pub use discovery::{Env, MASTER_SESSION, SUPERVISOR_LOCK, state_folders};
pub use environment::{Auth, InheritEnv, is_of_repository};
pub use located::Located;
pub use owner::Owner;
pub use reach::{Reach, reach};
pub use rights::{Right, Rights, Spending};
pub use role::{Budget, EscalationRule, ResourceLimits, Role, Sandbox};
pub use schedules::{Schedule, Work};
pub use settings::{AgentsConfig, MasterConfig, RedisConfig, SupervisorConfig, TmuxConfig};
pub use starter::starter;

use serde::{Deserialize, Serialize};

pub use crate::drivers::{AgentOptions, DriverKind, Mode};
use crate::{
    error::{Error, Result},
    model::{
        retry::RetryPolicy,
        suggest::{nearest, printable},
    },
};

/// The commented reference: every key, each at its default. It resolves to the same as no file at all.
pub const REFERENCE: &str = include_str!("../../sessions.toml");

/// Everything sessions.toml says, as meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The project's name in shared places: the prefix of its Redis keys, the tag on its tmux sessions, its state folder.
    pub namespace: String,
    /// The file that was read; `None`: there is none, and everything is at its default.
    pub file: Option<PathBuf>,
    /// The project's folder, absolute: the file's, else the current one.
    pub root: PathBuf,
    /// The state folder, absolute (`ORCH_HOME`).
    pub home: PathBuf,
    /// Where Redis is.
    pub redis: RedisConfig,
    /// Where tmux is.
    pub tmux: TmuxConfig,
    /// ResourceLimits and rhythms.
    pub supervisor: SupervisorConfig,
    /// The budget per day of all roles together.
    pub day_budget: Budget,
    /// The retry policy of roles that have none of their own.
    pub retry: RetryPolicy,
    /// `[agents]`: the order in which `auto` looks for programs.
    pub agents: AgentsConfig,
    /// `[routing]`: the program that chooses among equally good roles, and its arguments; empty: none.
    #[serde(default)]
    pub router: Vec<String>,
    /// The agent that `orch start` starts.
    pub master: MasterConfig,
    /// Every role by its name, the built-in ones included.
    pub roles: BTreeMap<String, Role>,
    /// What happens at certain times, by its name.
    #[serde(default)]
    pub schedules: BTreeMap<String, Schedule>,
}

impl Config {
    /// Returns the configuration of the current project: `explicit` (`--config`), else `ORCH_CONFIG`, else the sessions.toml
    /// of this folder or the nearest one above it, else the defaults.
    ///
    /// # Errors
    /// Everything that is wrong with the file, each error with its line and key.
    pub fn load(explicit: Option<&Path>) -> Result<Config> {
        Config::load_with(&Env::of_process()?, explicit)
    }

    /// As [`Config::load`], with the environment as an argument.
    ///
    /// # Errors
    /// Everything that is wrong with the file, each error with its line and key.
    pub fn load_with(env: &Env, explicit: Option<&Path>) -> Result<Config> {
        discovery::check_text(env)?;
        let found = discovery::project(env, explicit)?;
        let (written, diagnostics) =
            written::parse(found.content.as_deref().unwrap_or_default(), found.diagnostics(env));
        resolve::resolve(&written, diagnostics, env, found)
    }

    /// Returns the defaults for the project in the current folder, whether or not it has a file.
    ///
    /// # Errors
    /// The folder can't be read, or there is no place for its state.
    pub fn without_file(env: &Env) -> Result<Config> {
        let found = discovery::folder(env)?;
        let (written, diagnostics) = written::parse("", found.diagnostics(env));
        resolve::resolve(&written, diagnostics, env, found)
    }

    /// Returns the value of `ORCH_CONFIG` by which another process finds the same project, wherever it runs: the file, else
    /// the folder.
    pub fn location(&self) -> &Path {
        self.file.as_deref().unwrap_or(&self.root)
    }

    /// Returns a value that is equal for two processes of the same build whose configurations mean the same, regardless of
    /// comments, order, and the path by which the folder was reached.
    pub fn fingerprint(&self) -> String {
        let said = Config { file: None, home: PathBuf::new(), ..self.clone() };
        let mut hasher = DefaultHasher::new();
        format!("{said:?}").hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// Returns a value that is equal for two processes of the same build whose agents are started in the same way.
    pub fn agents_fingerprint(&self) -> String {
        let mut said = Config {
            supervisor: SupervisorConfig::default(),
            day_budget: Budget::default(),
            retry: RetryPolicy::default(),
            schedules: BTreeMap::new(),
            ..self.clone()
        };
        for role in said.roles.values_mut() {
            (role.min, role.max, role.day_budget) = (0, 0, Budget::default());
        }
        said.fingerprint()
    }

    /// Returns the role of that name.
    ///
    /// # Errors
    /// There is none; the hint names the nearest and lists all.
    pub fn role(&self, name: &str) -> Result<&Role> {
        self.roles.get(name).ok_or_else(|| {
            let names = || self.roles.keys().map(String::as_str);
            let meant = nearest(name, names()).map_or(String::new(), |near| format!("did you mean '{near}'? "));
            Error::not_found(format!("there is no role '{}'", printable(name)))
                .hint(format!("{meant}the roles are {}", names().collect::<Vec<_>>().join(", ")))
        })
    }
}
