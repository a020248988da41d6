//! What a role's agents may do, computed from the configuration, and the partial order between roles.

use std::{cmp::Ordering, collections::BTreeSet, path::PathBuf};

use super::Role;
use crate::drivers::{Commands, DriverKind};

/// What the agents of a role may do without a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Rights {
    /// How far its program may run commands.
    pub commands: Commands,
    /// What its program may do without asking, in the program's own words.
    pub permission_mode: Option<String>,
    /// Tools that its program may use without asking, as the program calls them.
    pub allowed_tools: BTreeSet<String>,
    /// Variables of the caller's environment that it gets.
    pub secrets: BTreeSet<String>,
    /// The folder in which it works, absolute.
    pub folder: PathBuf,
}

/// A right that one role has and another lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    /// It may run commands further than the other.
    Commands(Commands),
    /// It may use this tool without asking.
    Tool(String),
    /// It gets this variable.
    Secret(String),
    /// It works in this folder, which is not within the other's.
    Folder(PathBuf),
}

impl Rights {
    /// The rights of a role that is run by `program`, which is its driver once `auto` is resolved.
    pub fn of(role: &Role, program: DriverKind) -> Rights {
        Rights {
            commands: match program.driver() {
                Some(driver) => driver.commands(&role.agent),
                // The console is a person's; what `auto` stands for is not known yet.
                None => Commands::Any,
            },
            permission_mode: role.agent.permission_mode.clone(),
            allowed_tools: role.agent.allowed_tools.iter().cloned().collect(),
            secrets: role.env_from.iter().cloned().collect(),
            folder: role.cwd.clone(),
        }
    }

    /// Returns the rights that these have and `other` lacks. A role that may run any command needs no tool right for it.
    pub fn beyond(&self, other: &Rights) -> Vec<Right> {
        let mut more = Vec::new();
        let runs_anything = other.commands == Commands::Any;
        if self.commands.partial_cmp(&other.commands).is_none_or(Ordering::is_gt) {
            more.push(Right::Commands(self.commands));
        }
        if !runs_anything {
            more.extend(self.allowed_tools.difference(&other.allowed_tools).cloned().map(Right::Tool));
        }
        more.extend(self.secrets.difference(&other.secrets).cloned().map(Right::Secret));
        if !runs_anything && !self.folder.starts_with(&other.folder) {
            more.push(Right::Folder(self.folder.clone()));
        }
        more
    }
}
