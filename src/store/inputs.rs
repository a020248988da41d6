//! Reads what the agent of an attempt gets in addition to the record of its own task: the results of what it depends
//! on, its parent, and its subtasks.

use std::collections::HashMap;

use super::{Result, Store, decode::Fields};
use crate::model::{
    id::TaskId,
    message::Message,
    secret::Redactor,
    task::{Task, TaskResult, TaskState},
};

/// Records that are read in one round trip: each may have a result of 1 MiB.
const BATCH: usize = 20;
/// The fields that are read.
const FIELDS: [&str; 5] = ["role", "state", "text", "reason", "result"];

/// What is known about the tasks around one task.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inputs {
    /// The text of the task of which it is a subtask.
    pub parent: Option<String>,
    /// What it depends on, in the order in which that was named.
    pub results: Vec<Input>,
    /// Those of these tasks whose results stand in its text already.
    pub inserted: Vec<TaskId>,
    /// Its subtasks, the oldest first: an earlier attempt has delegated them.
    pub subtasks: Vec<Input>,
    /// The subtasks for whose end it has waited since its last attempt.
    pub awaited: Vec<TaskId>,
    /// The messages to it that were not read before, and how many more there are.
    pub messages: (Vec<Message>, u64),
}

/// Another task, as far as it concerns the one at hand.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Its id.
    pub id: TaskId,
    /// Its role.
    pub role: String,
    /// Its state.
    pub state: TaskState,
    /// Its text.
    pub text: String,
    /// Why it is in its state.
    pub reason: Option<String>,
    /// What it answered.
    pub result: Option<TaskResult>,
}

impl Inputs {
    /// Returns it with every text that a person or a program has written changed.
    #[must_use]
    pub fn redacted(mut self, redactor: &Redactor) -> Self {
        let text = |text: &mut String| *text = redactor.text(std::mem::take(text));
        self.parent.iter_mut().for_each(text);
        self.messages.0.iter_mut().for_each(|message| text(&mut message.text));
        for input in self.results.iter_mut().chain(&mut self.subtasks) {
            text(&mut input.text);
            input.reason.iter_mut().for_each(text);
            if let Some(result) = &mut input.result {
                text(&mut result.text);
                result.data = result.data.take().map(|data| redactor.data(data));
            }
        }
        self
    }
}

impl Store {
    /// Returns what is known about the tasks around this one. What is not recorded any more is left out.
    ///
    /// # Errors
    /// An unreachable Redis, or a damaged record.
    pub async fn inputs(&self, task: &Task) -> Result<Inputs> {
        let mut pipe = redis::pipe();
        pipe.cmd("LRANGE").arg(self.keys.of("children", task.id.as_str())).arg(0).arg(-1);
        pipe.cmd("HMGET").arg(self.keys.of("task", task.id.as_str())).arg("awaited");
        if let Some(parent) = &task.parent {
            pipe.cmd("HMGET").arg(self.keys.of("task", parent.as_str())).arg("text");
        }
        // Most tasks come after few others: these are read in the same round trip.
        let (first, further) = task.after.split_at(task.after.len().min(BATCH));
        self.add_inputs(&mut pipe, first);
        let mut values = self.pipeline(&pipe).await?.into_iter();
        let mut next = || values.next().unwrap_or(redis::Value::Nil);
        let children: Vec<String> = self.read(next())?;
        let awaited: Vec<Option<String>> = self.read(next())?;
        let parent: Vec<Option<String>> = if task.parent.is_some() { self.read(next())? } else { Vec::new() };
        let children: Vec<TaskId> = children.iter().filter_map(|id| id.parse().ok()).collect();
        let mut results = self.read_inputs(first, values)?;
        results.extend(self.inputs_of(further).await?);
        Ok(Inputs {
            parent: parent.into_iter().flatten().next(),
            results,
            inserted: Vec::new(),
            subtasks: self.inputs_of(&children).await?,
            awaited: awaited.into_iter().flatten().find_map(|ids| serde_json::from_str(&ids).ok()).unwrap_or_default(),
            messages: (Vec::new(), 0),
        })
    }

    /// Returns the open subtasks whose results this task gets, with their texts; the oldest first.
    ///
    /// # Errors
    /// An unreachable Redis, or a damaged record.
    pub async fn open_subtasks(&self, task: &TaskId) -> Result<Vec<(TaskId, String)>> {
        let list = self.keys.of("children", task.as_str());
        let children: Vec<String> = self.query(redis::cmd("LRANGE").arg(list).arg(0).arg(-1)).await?;
        let children: Vec<TaskId> = children.iter().filter_map(|id| id.parse().ok()).collect();
        let mut pipe = redis::pipe();
        for id in &children {
            pipe.cmd("HMGET").arg(self.keys.of("task", id.as_str())).arg(&["state", "detached", "text"]);
        }
        let mut open = Vec::new();
        for (id, value) in children.into_iter().zip(self.pipeline(&pipe).await?) {
            let (state, detached, text): (Option<String>, Option<String>, Option<String>) = self.read(value)?;
            let state = state.and_then(|state| state.parse::<TaskState>().ok());
            if state.is_some_and(|state| !state.is_terminal()) && detached.is_none() {
                open.push((id, text.unwrap_or_default()));
            }
        }
        Ok(open)
    }

    /// Returns what is known about these tasks.
    ///
    /// # Errors
    /// An unreachable Redis, or a damaged record.
    pub async fn inputs_of(&self, ids: &[TaskId]) -> Result<Vec<Input>> {
        let mut inputs = Vec::with_capacity(ids.len());
        for batch in ids.chunks(BATCH) {
            let mut pipe = redis::pipe();
            self.add_inputs(&mut pipe, batch);
            inputs.extend(self.read_inputs(batch, self.pipeline(&pipe).await?)?);
        }
        Ok(inputs)
    }

    fn add_inputs(&self, pipe: &mut redis::Pipeline, ids: &[TaskId]) {
        for id in ids {
            pipe.cmd("HMGET").arg(self.keys.of("task", id.as_str())).arg(&FIELDS);
        }
    }

    fn read_inputs(&self, ids: &[TaskId], values: impl IntoIterator<Item = redis::Value>) -> Result<Vec<Input>> {
        let mut inputs = Vec::with_capacity(ids.len());
        for (id, value) in ids.iter().zip(values) {
            let values: Vec<Option<String>> = self.read(value)?;
            let fields: HashMap<String, String> =
                FIELDS.iter().zip(values).filter_map(|(name, value)| Some(((*name).to_owned(), value?))).collect();
            let fields = Fields::new(self.keys.of("task", id.as_str()), fields);
            if fields.is_empty() {
                continue;
            }
            inputs.push(Input {
                id: id.clone(),
                role: fields.text("role").unwrap_or_default(),
                state: fields.parse("state")?,
                text: fields.text("text").unwrap_or_default(),
                reason: fields.text("reason"),
                result: super::decode::result(&fields)?,
            });
        }
        Ok(inputs)
    }
}
