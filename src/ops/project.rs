//! The facts about the project that a caller may know before any request.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Caller, Ops};
use crate::{
    config::{DriverKind, Role},
    error::Result,
    model::id::TaskId,
};

/// The project as its surfaces need to know it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Project {
    /// The namespace.
    pub namespace: String,
    /// The state folder.
    pub home: PathBuf,
    /// The role of tasks that name none.
    pub default_role: String,
    /// The master's tmux session.
    pub master: String,
    /// The socket of the tmux server, where the project has one of its own.
    pub tmux_socket: Option<String>,
    /// The roles.
    pub roles: Vec<RoleInfo>,
    /// The caller, if it is an agent.
    pub you: Option<You>,
}

/// A role in [`Project`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RoleInfo {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: DriverKind,
    /// Its model.
    pub model: Option<String>,
    /// How many agents of it there are at most.
    pub max: u32,
    /// Whether the caller may delegate to it.
    pub delegable: bool,
    /// Whether a person has to approve each task that the caller delegates to it.
    pub needs_approval: bool,
}

/// An agent that calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct You {
    /// Its id.
    pub agent: String,
    /// The task that it works on. The master has none.
    pub task: Option<TaskId>,
}

impl Ops {
    /// The project as the caller may know it.
    ///
    /// # Errors
    /// None.
    pub async fn project(&self) -> Result<Project> {
        let delegable = self.delegable_roles();
        let info = |role: &Role| RoleInfo {
            name: role.name.clone(),
            driver: role.driver,
            model: role.model.clone(),
            max: role.max,
            delegable: delegable.contains_key(role.name.as_str()),
            needs_approval: delegable.get(role.name.as_str()).copied().unwrap_or(false),
        };
        let you = match self.caller() {
            Caller::Person(_) => None,
            Caller::Agent { agent, attempt, .. } => {
                Some(You { agent: agent.clone(), task: attempt.as_ref().map(|attempt| attempt.task.clone()) })
            }
        };
        Ok(Project {
            namespace: self.config.namespace.clone(),
            home: self.config.home.clone(),
            default_role: self.default_role().to_owned(),
            master: self.config.master.session.clone(),
            tmux_socket: self.config.tmux.socket.clone(),
            roles: self.config.roles.values().map(info).collect(),
            you,
        })
    }
}
