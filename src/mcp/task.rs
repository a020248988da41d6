//! Tasks as structured content: the fields that a model can use, bounded so that they do not fill its context. Their text is
//! rendered in `view`.

use rmcp::schemars::{self, JsonSchema};
use serde::Serialize;
use serde_json::Value;

use super::args::plain;
use crate::{
    model::{
        task::{Task, TaskDetail, TaskState},
        text::one_line,
    },
    view::{task, text::end_of},
};

/// Columns of a task's text.
const COLUMNS: usize = 120;
/// Bytes of structured data. Larger data stays in the attempt's folder.
const DATA: usize = 16 * 1024;

/// A task in a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = plain)]
pub(super) struct Row {
    /// Its id.
    pub id: String,
    /// The role that does it.
    pub role: String,
    /// blocked, ready, delayed, held, running, succeeded, failed or cancelled.
    pub state: &'static str,
    /// The beginning of its text.
    pub text: String,
    /// Whether it waits for its own subtasks.
    pub waiting: bool,
    /// The agent that works on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The task of which it is a subtask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Why it is in its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<&Task> for Row {
    fn from(task: &Task) -> Self {
        Row {
            id: task.id.to_string(),
            role: task.role.clone(),
            state: task.state.as_str(),
            text: one_line(&task.description, COLUMNS),
            waiting: task.waiting,
            agent: task.agent.clone(),
            parent: task.parent.as_ref().map(ToString::to_string),
            reason: task.reason.as_ref().map(|reason| one_line(reason, 4 * COLUMNS)),
        }
    }
}

/// A task in one line, with what a model has to know about its state.
pub(super) fn in_words(task: &Task) -> String {
    let person = if task.state == TaskState::Held { " (waits for a person: tell the user)" } else { "" };
    format!("{}{person}", task::in_one_line(task))
}

/// How a task ended.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = plain)]
pub(super) struct Outcome {
    /// Its id.
    pub id: String,
    /// The role that did it.
    pub role: String,
    /// succeeded, failed or cancelled.
    pub state: &'static str,
    /// What the agent answered; of a failed task, the end of what it printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Structured data that it has left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Whether text or data are incomplete here: read them in the folder `path`.
    pub cut: bool,
    /// The folder of the last attempt, with its whole output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The exit code of its program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Why it did not succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Outcome {
    /// With at most `room` bytes of its text.
    pub fn new(detail: &TaskDetail, room: usize) -> Self {
        let (task, result) = (&detail.task, detail.result.as_ref());
        let text = result.map(|r| end_of(&r.text, room));
        let data = result.and_then(|r| r.data.as_ref());
        let small = data.filter(|data| data.to_string().len() <= DATA);
        let cut = result.is_some_and(|r| r.truncated || text.is_some_and(|t| t.len() < r.text.len()));
        Outcome {
            id: task.id.to_string(),
            role: task.role.clone(),
            state: task.state.as_str(),
            text: text.map(str::to_owned),
            data: small.cloned(),
            cut: cut || data.is_some() && small.is_none(),
            path: result.map(|r| r.path.clone()).filter(|path| !path.is_empty()),
            exit_code: result.and_then(|r| r.exit_code),
            reason: task.reason.clone().filter(|_| task.state != TaskState::Succeeded),
        }
    }

    /// The state, the reason and the answer, in words.
    pub fn in_words(&self, detail: &TaskDetail, room: usize) -> String {
        let end = task::life::end_with_answer(detail, room);
        match (self.cut, &self.path) {
            (true, Some(path)) => format!("{end}\n(only the end; all of it is in {path})"),
            _ => end,
        }
    }
}
