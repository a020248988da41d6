//! An agent is one running instance of a role: its record.

use serde::{Deserialize, Serialize};

pub use super::agent_state::{AgentState, TRANSITIONS};
use super::{
    evidence::Evidence,
    id::{Process, TaskId},
    time::Timestamp,
    wait::{Need, Needs, Retrying, Wait},
};

/// An agent, as recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// Its id, which is also its session's name for all but the master.
    pub id: String,
    /// Its role.
    pub role: String,
    /// Its state.
    pub state: AgentState,
    /// Its tmux session.
    pub session: String,
    /// Identifies this run of the agent; unique for ever.
    #[serde(skip)]
    pub incarnation: String,
    /// Its runner's process; pid 0 until the runner has registered.
    #[serde(skip)]
    pub process: Process,
    /// Its runner's pid, once known.
    pub pid: Option<u32>,
    /// The task it works on.
    pub task: Option<TaskId>,
    /// The beginning of that task's text, where it was looked up.
    #[serde(default)]
    pub task_text: Option<String>,
    /// The attempt's number.
    pub attempt: Option<u32>,
    /// The attempt's fence.
    #[serde(skip)]
    pub fence: u64,
    /// Whether its task waits for its subtasks.
    pub waiting: bool,
    /// Age of its last heartbeat.
    pub heartbeat_age_ms: Option<u64>,
    /// Time of its last heartbeat.
    #[serde(skip)]
    pub heartbeat_at: Option<Timestamp>,
    /// When its session was opened.
    pub started_at: Timestamp,
    /// When it entered its state.
    pub since: Timestamp,
    /// Number of tasks it has ended.
    pub tasks_done: u64,
    /// Number of earlier agents of this id that failed in a row.
    pub restarts: u32,
    /// What its program asks its user for.
    pub needs: Option<Needs>,
    /// Since when.
    pub needs_since: Option<Timestamp>,
    /// What exactly ([`Need::of`]), where it is known.
    pub needs_for: Option<String>,
    /// The call that its program repeats because its service does not answer.
    pub retrying: Option<Retrying>,
    /// Since when the program of a master is in a turn.
    #[serde(skip)]
    pub works_since: Option<Timestamp>,
    /// When its program last showed a sign of progress; `null` without one.
    #[serde(default)]
    pub progress_at: Option<Timestamp>,
    /// How many messages to its task, or to the master, its program has not read yet.
    #[serde(default)]
    pub unread: u64,
    /// When the oldest of them was sent.
    #[serde(default)]
    pub unread_since: Option<Timestamp>,
    /// Memory of its process tree in bytes, as last reported.
    pub rss_bytes: Option<u64>,
    /// Why it is in its state.
    pub reason: Option<String>,
    /// Whether it is the master.
    pub master: bool,
    /// What was known when it ended; `null` while it lives.
    pub evidence: Option<Box<Evidence>>,
}

impl Agent {
    /// Returns it with what its program does as its state: the runner of a master is idle, because it has no task.
    #[must_use]
    pub fn as_seen(mut self) -> Agent {
        if let (AgentState::Idle, Some(since)) = (self.state, self.works_since) {
            (self.state, self.since) = (AgentState::Busy, since);
        }
        self
    }

    /// Returns what its program waits for: a person before its service.
    pub fn waits_for(&self) -> Option<Wait> {
        let need = self.needs.map(|what| Need { what, of: self.needs_for.clone().unwrap_or_default() });
        let retry = || self.retrying.as_ref().map(|retrying| retrying.retry.clone());
        need.map(Wait::Person).or_else(|| retry().map(Wait::Service))
    }
    /// Since when.
    pub fn waits_since(&self) -> Option<Timestamp> {
        self.needs.map_or_else(|| self.retrying.as_ref().map(|retrying| retrying.since), |_| self.needs_since)
    }
}
