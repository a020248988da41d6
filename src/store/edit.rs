//! The typed call that changes a task.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value, json};

use super::{Result, Store, script, values::parse};
use crate::model::{
    id::TaskId,
    task::{Priority, TaskState},
};

/// What is to be changed of a task; `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Edit {
    /// What is to be done.
    pub text: Option<String>,
    /// The role whose agents may claim it.
    pub role: Option<String>,
    /// Its priority.
    pub priority: Option<Priority>,
    /// All its labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// All that it comes after.
    pub after: Option<Vec<TaskId>>,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// By when it must have ended, from its acceptance on; `Some(None)`: it has no deadline.
    pub deadline: Option<Option<Duration>>,
    /// How many failed attempts are followed by another one.
    pub retries: Option<u32>,
}

impl Store {
    /// Changes a task of which no attempt runs; returns its state before and afterwards (`lua/task/edit.lua`).
    ///
    /// # Errors
    /// `unknown`, `damaged`, `task_runs`, `task_ended`, `awaits_acceptance`, `unknown_dependency`, `ancestor`, `dependency_ended`.
    pub async fn edit(
        &self,
        id: &TaskId,
        edit: &Edit,
        max_wait: Duration,
        reason: &str,
    ) -> Result<(TaskState, TaskState)> {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut changes = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                changes.insert(name.to_owned(), value);
            }
        };
        set("text", edit.text.as_ref().map(|text| json!(text)));
        set("role", edit.role.as_ref().map(|role| json!(role)));
        set("priority", edit.priority.map(|priority| json!(priority.as_str())));
        // As they are stored: none is an empty text.
        let labels = |labels: &BTreeMap<String, String>| {
            if labels.is_empty() { json!("") } else { json!(json!(labels).to_string()) }
        };
        set("labels", edit.labels.as_ref().map(labels));
        set("after", edit.after.as_ref().map(|after| json!(after)));
        set("timeout_ms", edit.timeout.map(|time| json!(ms(time).to_string())));
        set("deadline_ms", edit.deadline.map(|time| json!(time.map(|time| ms(time).to_string()).unwrap_or_default())));
        set("retries", edit.retries.map(|n| json!(n.to_string())));
        let (changes, max_wait) = (Value::Object(changes).to_string(), ms(max_wait).to_string());
        let states = self.call(&script::EDIT, [id.as_str(), &changes, &max_wait, reason]).await?;
        let (from, to): (String, String) = self.read(states)?;
        Ok((parse(&from, "state")?, parse(&to, "state")?))
    }
}
