//! A launch file describes how to start an agent: written by the supervisor, read and removed by the agent's runner.
//!
//! It contains the environment, including secrets, which must not appear in any argument, Redis key or tmux
//! environment. So it is a private file (0600) that exists only for the few milliseconds between the two.

use std::{collections::BTreeMap, fmt, fs, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    config::{Config, DriverKind, Role},
    error::{Error, Result},
    model::secret::Redactor,
    os::Attributes,
    redis_server::Login,
};

/// The address of Redis.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedisAt {
    /// The private server.
    Socket {
        /// Its socket.
        path: PathBuf,
        /// The user and password of a runner.
        login: Option<Login>,
    },
    /// The user's server.
    Url {
        /// Its address, which may have a password in it.
        url: String,
        /// The certificates that it is verified with; `None`: the system's.
        ca_file: Option<PathBuf>,
    },
}

/// Leaves out the address of a user's server, because it may have a password in it.
impl fmt::Debug for RedisAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RedisAt::Socket { path, login } => write!(f, "Socket({}, {login:?})", path.display()),
            RedisAt::Url { .. } => f.write_str("Url(..)"),
        }
    }
}

/// Everything a runner needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    /// The agent's id.
    pub agent: String,
    /// The agent's incarnation.
    pub incarnation: String,
    /// Its tmux session.
    pub session: String,
    /// Whether it is the master: its program talks to a user and takes no tasks.
    pub master: bool,
    /// How long it runs before it takes its first task ([`crate::model::breaker::probation`]).
    #[serde(default)]
    pub probation: Duration,
    /// The namespace.
    pub namespace: String,
    /// ORCH_HOME.
    pub home: PathBuf,
    /// The Redis.
    pub redis: RedisAt,
    /// The tmux server, if not the user's own.
    pub tmux_socket: Option<String>,
    /// The whole project as the supervisor has read it: what its programs ask for is judged by this.
    pub policy: Config,
    /// [`Policy::agents`](super::Policy::agents) of that: an agent that was started with another one ends when it is idle.
    #[serde(default)]
    pub generation: String,
    /// The role.
    pub role: Role,
    /// The driver of the role on this machine.
    pub driver: DriverKind,
    /// The interval between heartbeats.
    pub heartbeat: Duration,
    /// How long a lease lasts without a heartbeat.
    pub lease: Duration,
    /// Time between SIGTERM and SIGKILL.
    pub kill_grace: Duration,
    /// The program's environment.
    pub env: BTreeMap<String, String>,
    /// What `orch start` was started with; the runner itself was started by the tmux server.
    #[serde(default)]
    pub attributes: Option<Attributes>,
    /// The names of the variables of `orch start` that the program does not get.
    #[serde(default)]
    pub withheld: Vec<String>,
    /// The values of all secrets that the supervisor knows, also those of other roles: they are removed from everything that
    /// the runner stores, shows or sends.
    pub secrets: Vec<String>,
}

impl Launch {
    /// Writes it to the path that the runner reads.
    ///
    /// # Errors
    /// Fails when it cannot be written.
    pub fn write(&self) -> Result<PathBuf> {
        let path = super::Home::new(&self.home).launch(&self.incarnation);
        let bytes = serde_json::to_vec(self).map_err(|e| Error::internal(e.to_string()))?;
        super::write_new(&path, &bytes).map_err(|e| super::unusable(&path, &e))?;
        Ok(path)
    }

    /// Returns what removes the secrets from texts.
    pub fn redactor(&self) -> Redactor {
        let login = match &self.redis {
            RedisAt::Socket { login, .. } => login.as_ref(),
            RedisAt::Url { .. } => None,
        };
        let login = login.map(|login| login.password.as_str());
        Redactor::new(self.secrets.iter().map(String::as_str).chain(login))
    }

    /// Reads and removes it.
    ///
    /// # Errors
    /// Fails when the file does not exist (any more) or cannot be read.
    pub fn take(path: &std::path::Path) -> Result<Launch> {
        let bytes = fs::read(path).map_err(|e| super::unusable(path, &e))?;
        fs::remove_file(path).map_err(|e| super::unusable(path, &e))?;
        let mut launch: Launch =
            serde_json::from_slice(&bytes).map_err(|e| Error::internal(format!("{}: {e}", path.display())))?;
        // Only tmux knows the capabilities of the pane's terminal.
        if let Ok(term) = std::env::var("TERM") {
            launch.env.insert("TERM".into(), term);
        }
        Ok(launch)
    }
}

impl super::Home {
    /// Removes launches that no living agent will take: they contain secrets. Normally each is removed with its agent,
    /// but the agent's record may have been lost.
    pub fn remove_forgotten_launches(&self, older_than: Duration, lives: impl Fn(&str) -> bool) {
        for entry in fs::read_dir(self.launches()).into_iter().flatten().flatten() {
            let path = entry.path();
            let age = entry.metadata().ok().and_then(|m| m.modified().ok()?.elapsed().ok());
            let agents = path.file_stem().is_some_and(|incarnation| lives(&incarnation.to_string_lossy()));
            if !agents && age.is_some_and(|age| age >= older_than) {
                tracing::warn!("no agent takes {}: it is removed", path.display());
                let _ = fs::remove_file(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_that_no_agent_will_take_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let home = super::super::Home::new(dir.path());
        home.create().unwrap();
        let [dead, living] = ["dead", "living"].map(|incarnation| home.launch(incarnation));
        for launch in [&dead, &living] {
            fs::write(launch, "{}").unwrap();
        }
        home.remove_forgotten_launches(Duration::from_secs(60), |incarnation| incarnation == "living");
        assert!(dead.exists(), "it was just written");
        home.remove_forgotten_launches(Duration::ZERO, |incarnation| incarnation == "living");
        assert!(!dead.exists() && living.exists());
    }
}
