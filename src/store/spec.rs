//! What a task is created from, as the scripts read it (`accept` in `lua/prelude/moves.lua`): when it is delegated, and
//! again where Redis has lost it. What is missing here is forgotten with it.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::values::ms;
use crate::model::{
    id::{Capability, TaskId},
    retry::Delays,
    task::{Priority, Task},
};

/// What is to be accepted as a task.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// Its id, fresh for each request: the same request sent again is the same task.
    pub id: TaskId,
    /// The role that does it.
    pub role: String,
    /// What is to be done.
    pub text: String,
    /// Structured data for the agent, as JSON.
    pub context: Option<serde_json::Value>,
    /// Which goes first.
    pub priority: Priority,
    /// What must have succeeded before.
    pub after: Vec<TaskId>,
    /// For people and filters.
    pub labels: BTreeMap<String, String>,
    /// Paths it is about.
    pub artifacts: Vec<String>,
    /// Its working folder, if not its role's.
    pub cwd: Option<String>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How many failures of its own it is forgiven.
    pub retries: u32,
    /// How many lost attempts it is forgiven.
    pub lost_max: u32,
    /// How long it waits after each failed or lost attempt.
    pub delays_ms: Delays,
    /// The master's agent, where it is to read how this ended.
    pub notify: Option<String>,
    /// The caller's idempotency key.
    pub key: Option<String>,
    /// The attempt from within which it is delegated.
    pub parent: Option<Capability>,
    /// A hash of its content, by which a retried parent finds its subtasks again.
    pub fingerprint: Option<String>,
    /// The bounds of the namespace.
    pub max_depth: u32,
    /// Open subtasks that one task may have.
    pub max_children: u32,
    /// Who asks, in words, for the event.
    pub who: String,
}

/// What somebody has asked for.
#[derive(Serialize)]
pub(super) struct Spec<'a> {
    role: &'a str,
    priority: Priority,
    after: &'a [TaskId],
    labels: &'a BTreeMap<String, String>,
    artifacts: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    cwd: Option<&'a str>,
    timeout_ms: String, // Lua's numbers are floating point
    retries: u32,
    lost_max: u32,
    delays_ms: String, // JSON, as it is stored
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notify: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<&'a TaskId>,
}

impl<'a> From<&'a NewTask> for Spec<'a> {
    fn from(new: &'a NewTask) -> Self {
        Spec {
            role: &new.role,
            priority: new.priority,
            after: &new.after,
            labels: &new.labels,
            artifacts: &new.artifacts,
            cwd: new.cwd.as_deref(),
            timeout_ms: ms(new.timeout),
            retries: new.retries,
            lost_max: new.lost_max,
            delays_ms: stored(&new.delays_ms),
            key: new.key.as_deref(),
            notify: new.notify.as_deref(),
            parent: new.parent.as_ref().map(|attempt| &attempt.task),
        }
    }
}

impl<'a> From<&'a Task> for Spec<'a> {
    fn from(task: &'a Task) -> Self {
        Spec {
            role: &task.role,
            priority: task.priority,
            after: &task.after,
            labels: &task.labels,
            artifacts: &task.artifacts,
            cwd: task.cwd.as_deref(),
            timeout_ms: task.timeout_ms.to_string(),
            retries: task.retries,
            lost_max: task.lost_max,
            delays_ms: stored(&task.delays_ms),
            key: task.key.as_deref(),
            notify: task.notify.as_deref(),
            parent: task.parent.as_ref(),
        }
    }
}

fn stored(delays: &Delays) -> String {
    serde_json::to_string(delays).unwrap_or_default()
}
