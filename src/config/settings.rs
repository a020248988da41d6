//! The tables of sessions.toml other than roles, as resolved, with their defaults.

use std::{fmt, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    drivers::DriverKind,
    model::{size::human, task::MAX_WAIT},
};

/// `[redis]`
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisConfig {
    /// The server's address; `None`: orch runs a private one.
    pub url: Option<String>,
    /// The certificates that a server at `rediss://` is verified with; `None`: the system's.
    pub ca_file: Option<PathBuf>,
    /// With more data than this in the private server, in bytes, no new task is accepted; 0: no limit.
    pub max_memory: u64,
}

impl Default for RedisConfig {
    fn default() -> Self {
        RedisConfig { url: None, ca_file: None, max_memory: 1 << 30 }
    }
}

/// Leaves out the password of an address, because what is printed for debugging ends up in logs.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.url.as_deref().map(super::address::place);
        let Self { ca_file, max_memory, .. } = self;
        let mut shown_as = f.debug_struct("RedisConfig");
        shown_as.field("url", &shown).field("ca_file", ca_file).field("max_memory", max_memory).finish()
    }
}

/// `[tmux]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TmuxConfig {
    /// A name (`tmux -L`) or an absolute path (`tmux -S`); `None`: the user's own server.
    pub socket: Option<String>,
}

/// `[supervisor]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupervisorConfig {
    /// How often an agent renews its lease.
    pub heartbeat: Duration,
    /// A lease not renewed for this long is lost; at least two heartbeats.
    pub lease: Duration,
    /// Most agents at the same time, of all roles together; at least 1.
    pub max_agents: u32,
    /// How many levels deep tasks may be delegated; 0: agents can't delegate.
    pub max_depth: u32,
    /// Most open subtasks of one task.
    pub max_children: u32,
    /// Time between SIGTERM and SIGKILL.
    pub kill_grace: Duration,
    /// Most tasks that have yet to run; none is accepted beyond that.
    pub max_queued: u32,
    /// How much later a task of a higher priority may be accepted and start before another one.
    pub max_wait: Duration,
    /// How long ended tasks and their run folders are kept.
    pub keep: Duration,
    /// The same of failed tasks.
    pub keep_failed: Duration,
    /// Available memory of the machine, in bytes, below which no agent is started; 0: agents are always started.
    pub min_free_memory: u64,
    /// Free space on the disk of the state folder, in bytes, below which no agent is started; 0: agents are always started.
    pub min_free_disk: u64,
    /// Most space that the folders of attempts (`runs/`) take together, in bytes; beyond it those that ended first are
    /// removed. 0: no limit.
    pub max_runs_disk: u64,
    /// The command that runs when something newly needs a person, with the facts as JSON on standard input; empty: none.
    pub notify_command: Vec<String>,
}

impl SupervisorConfig {
    /// Returns why no agent is started on a machine with `free` bytes available. `None`: enough is, or it is unknown.
    pub fn short_of_memory(&self, free: Option<u64>) -> Option<String> {
        let free = free.filter(|free| *free < self.min_free_memory)?;
        let least = human(self.min_free_memory);
        Some(format!("{} of memory are free, min_free_memory is {least}", human(free)))
    }

    /// Returns why no agent is started with `free` bytes left on the disk of the state folder. `None`: enough is left, or it
    /// is unknown.
    pub fn short_of_disk(&self, free: Option<u64>) -> Option<String> {
        let free = free.filter(|free| *free < self.min_free_disk)?;
        let least = human(self.min_free_disk);
        Some(format!("the disk is full: {} are free, min_free_disk is {least}", human(free)))
    }
}

impl Default for SupervisorConfig {
    fn default() -> Self {
        SupervisorConfig {
            heartbeat: Duration::from_secs(5),
            lease: Duration::from_secs(30),
            max_agents: 50,
            max_depth: 3,
            max_children: 50,
            kill_grace: Duration::from_secs(3),
            max_queued: 100_000,
            max_wait: MAX_WAIT,
            keep: Duration::from_secs(14 * 24 * 3600),
            keep_failed: Duration::from_secs(30 * 24 * 3600),
            // Less than any agent program needs, so that a small machine is not held back; a machine that has no more
            // than this left is about to stand still.
            min_free_memory: 128 << 20,
            // What Redis and the runners need to record the ends of a large fleet.
            min_free_disk: 32 << 20,
            max_runs_disk: 10 << 30,
            notify_command: Vec::new(),
        }
    }
}

/// `[agents]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentsConfig {
    /// The order in which `auto` looks for agent programs.
    pub order: Vec<DriverKind>,
}

impl Default for AgentsConfig {
    fn default() -> Self {
        AgentsConfig { order: DriverKind::agents().collect() }
    }
}

/// `[master]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterConfig {
    /// The role of the agent that `orch start` starts.
    pub role: String,
    /// Its tmux session. Where the usual name was taken by another project, the one that the state folder has recorded.
    pub session: String,
    /// The role of tasks that name none.
    pub default_role: String,
}

impl MasterConfig {
    /// Returns the name of its session where sessions.toml gives none.
    pub fn usual_session(&self) -> String {
        format!("{}-master", self.role)
    }
}

impl Default for MasterConfig {
    fn default() -> Self {
        MasterConfig { role: "opus".into(), session: "opus-master".into(), default_role: "sonnet".into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_printed() {
        for (url, shown) in [
            ("redis://me:p@ss@host:6379/1", "redis://host:6379/1"),
            ("rediss://:p?ss@host", "rediss://host"),
            ("unix:///run/a@b.sock?pass=p@ss", "unix:///run/a@b.sock"),
        ] {
            let redis = format!("{:?}", RedisConfig { url: Some(url.into()), ..RedisConfig::default() });
            assert!(redis.starts_with(&format!("RedisConfig {{ url: Some(\"{shown}\")")), "{redis}");
        }
    }
}
