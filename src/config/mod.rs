//! sessions.toml: as written, then as meant.
//!
//! `find` decides which file counts and where state lives, `written` reads the file (with `section`, table by table),
//! `resolve` adds defaults and everything that takes more than one key to know, and the answer is a [`Config`], in
//! which nothing is missing, relative or unchecked. Complaints are collected on the whole way (`complaint`), so that a
//! person corrects a file once and not once for each mistake.
//!
//! Not here: whether a program is installed or a server answers. That is `orch doctor`'s to find out.

mod complaint;
mod delegation;
mod find;
mod resolve;
mod rights;
mod role;
pub mod schema;
mod section;
mod settings;
mod starter;
#[cfg(test)]
mod tests;
mod written;

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

pub use find::Env;
pub use rights::{Right, Rights};
pub use role::{Budget, Limits, Role};
pub use settings::{AgentsConfig, MasterConfig, RedisConfig, SupervisorConfig, TmuxConfig};
pub use starter::starter;

pub use crate::drivers::{AgentOptions, DriverKind, Mode};
use crate::{
    error::{Error, Result},
    model::{
        name::{nearest, printable},
        retry::RetryPolicy,
    },
};

/// The commented reference: every key, each at its default. It resolves to the same as no file at all.
pub const REFERENCE: &str = include_str!("../../sessions.toml");

/// Everything sessions.toml says, as meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The project's world: prefix of its Redis keys, mark on its tmux sessions, name of its state folder.
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
    /// Limits and rhythms.
    pub supervisor: SupervisorConfig,
    /// What all roles together may use a day.
    pub day_budget: Budget,
    /// How tasks are tried again where their role says nothing else.
    pub retry: RetryPolicy,
    /// Which agent programs are preferred.
    pub agents: AgentsConfig,
    /// The agent that `orch start` starts.
    pub master: MasterConfig,
    /// Every role by its name, the built-in ones included.
    pub roles: BTreeMap<String, Role>,
}

impl Config {
    /// The configuration of the project at hand: `explicit` (`--config`), else `ORCH_CONFIG`, else the sessions.toml
    /// of this folder or the nearest one above it, else the defaults.
    ///
    /// # Errors
    /// All that is wrong with the file, each with its line and key.
    pub fn load(explicit: Option<&Path>) -> Result<Config> {
        Config::load_with(&Env::of_process()?, explicit)
    }

    /// As [`Config::load`], with the environment as an argument.
    ///
    /// # Errors
    /// All that is wrong with the file, each with its line and key.
    pub fn load_with(env: &Env, explicit: Option<&Path>) -> Result<Config> {
        let found = find::project(env, explicit)?;
        let (written, complaints) = written::parse(found.content.as_deref().unwrap_or_default(), found.complaints(env));
        resolve::resolve(&written, complaints, env, found)
    }

    /// The defaults of the project in the current folder, whether or not a file is there.
    ///
    /// # Errors
    /// The folder can't be read, or there is no place for its state.
    pub fn without_file(env: &Env) -> Result<Config> {
        let found = find::folder(env)?;
        let (written, complaints) = written::parse("", found.complaints(env));
        resolve::resolve(&written, complaints, env, found)
    }

    /// What `ORCH_CONFIG` has to be for another process to find the same project, wherever it runs: the file, else
    /// the folder.
    pub fn location(&self) -> &Path {
        self.file.as_deref().unwrap_or(&self.root)
    }

    /// The same for two processes of one program that go by the same, whatever comments say and in whatever order, and
    /// by whatever path they have come to it.
    pub fn fingerprint(&self) -> String {
        let said = Config { file: None, home: PathBuf::new(), ..self.clone() };
        let mut hasher = DefaultHasher::new();
        format!("{said:?}").hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// The role of that name.
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
