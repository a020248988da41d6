//! What a task is created from, as the scripts read it (`accept` in `lua/prelude_moves.lua`): when it is delegated, and
//! again where Redis has lost it. What is missing here is forgotten with it.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::tasks::NewTask;
use crate::model::{
    id::TaskId,
    task::{Priority, Task},
};

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
            timeout_ms: in_ms(new.timeout),
            retries: new.retries,
            lost_max: new.lost_max,
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
            key: task.key.as_deref(),
            notify: task.notify.as_deref(),
            parent: task.parent.as_ref(),
        }
    }
}

fn in_ms(time: Duration) -> String {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).to_string()
}
