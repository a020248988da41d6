//! Tasks as a model is shown them: without what it can't use, and never so much that it fills its memory.

use rmcp::schemars::{self, JsonSchema};
use serde::Serialize;
use serde_json::Value;

use super::args::plain;
use crate::model::{
    task::{Task, TaskDetail, TaskState},
    text::one_line,
};

/// The first line of a task's text is shown up to this.
const COLUMNS: usize = 120;
/// Structured data beyond this stays in the attempt's folder.
const DATA: usize = 16 * 1024;

/// A task in a line.
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
    /// It waits for subtasks of its own.
    pub waiting: bool,
    /// The agent that has it.
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

impl Row {
    /// `t-7k2m9qx4hz running (shell-1)`.
    pub fn in_words(&self) -> String {
        let agent = self.agent.as_ref().map(|agent| format!(" ({agent})")).unwrap_or_default();
        let why = match (self.state, &self.reason) {
            ("held" | "delayed" | "failed" | "cancelled", Some(reason)) => format!(": {reason}"),
            _ => String::new(),
        };
        let person = if self.state == TaskState::Held.as_str() { " (waits for a person: tell the user)" } else { "" };
        format!("{} {}{agent}{person}{why}", self.id, self.state)
    }
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
    /// Structured data that it left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Text or data are not whole here: read them in the folder `path`.
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
            path: result.map(|r| r.path.clone()),
            exit_code: result.and_then(|r| r.exit_code),
            reason: task.reason.clone().filter(|_| task.state != TaskState::Succeeded),
        }
    }

    /// The state, the reason and the answer.
    pub fn in_words(&self) -> String {
        let mut said = format!("{} {}", self.id, self.state);
        if let Some(reason) = &self.reason {
            said.push_str(&format!(": {reason}"));
        }
        if let Some(text) = self.text.as_deref().filter(|text| !text.trim().is_empty()) {
            said.push_str(&format!("\n{}", text.trim_end()));
        }
        if let (true, Some(path)) = (self.cut, &self.path) {
            said.push_str(&format!("\n(only the end; all of it is in {path})"));
        }
        said
    }
}

/// The last `room` bytes, or a few less.
pub(super) fn end_of(text: &str, room: usize) -> &str {
    let mut from = text.len().saturating_sub(room);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_text_is_whole_characters() {
        assert_eq!(end_of("abc", 5), "abc");
        assert_eq!(end_of("abc", 2), "bc");
        assert_eq!(end_of("aßc", 2), "c");
        assert_eq!(end_of("abc", 0), "");
    }
}
