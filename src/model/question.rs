//! Questions of a task's program to a person, and their answers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{id::TaskId, time::Timestamp, words};

words! {
    /// A person's decision on a question that asks for permission.
    Approval: "approval" {
        /// Permission is granted.
        Approved = "approved",
        /// Permission is refused.
        Denied = "denied",
    }
}

words! {
    /// What a question asks of a person.
    QuestionKind: "kind of question" {
        /// A task's program asks something.
        Question = "question",
        /// Whether a task may run although its role has rights that the role which delegated it lacks.
        Escalation = "escalation",
    }
}

impl Default for QuestionKind {
    /// Returns the kind of a question whose record names none.
    fn default() -> QuestionKind {
        QuestionKind::Question
    }
}

/// Names a question: `t-7k2m9qx4hz#2`. Without a number it stands for the only question that its task has ever asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestionRef {
    /// The task that asks.
    pub task: TaskId,
    /// The question's number within its task.
    pub number: Option<u32>,
}

impl QuestionRef {
    /// Returns the name of a question of this task.
    pub fn new(task: &TaskId, number: u32) -> QuestionRef {
        QuestionRef { task: task.clone(), number: Some(number) }
    }
}

impl From<&TaskId> for QuestionRef {
    fn from(task: &TaskId) -> QuestionRef {
        QuestionRef { task: task.clone(), number: None }
    }
}

impl fmt::Display for QuestionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => write!(f, "{}#{number}", self.task),
            None => write!(f, "{}", self.task),
        }
    }
}

impl FromStr for QuestionRef {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let Some((task, number)) = text.split_once('#') else {
            return Ok(QuestionRef { task: text.parse()?, number: None });
        };
        let number = number.parse().ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| format!("'{text}' names no question: write TASK#N, such as {task}#1"))?;
        Ok(QuestionRef { task: task.parse()?, number: Some(number) })
    }
}

impl Serialize for QuestionRef {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for QuestionRef {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// From 1, within the task.
    pub number: u32,
    /// What it asks for: an answer, or the approval of the task itself.
    #[serde(default)]
    pub kind: QuestionKind,
    /// Of an escalation: the rights that the delegating role lacks.
    #[serde(default)]
    pub rights: Vec<String>,
    /// What is asked.
    pub question: String,
    /// The answers to choose from; empty: any.
    pub options: Vec<String>,
    /// The attempt that asked it last.
    pub attempt: u32,
    /// When it was asked first.
    pub asked_at: Timestamp,
    /// The answer; `null` while there is none.
    pub answer: Option<String>,
    /// The decision, if a person approved or denied it.
    pub approval: Option<Approval>,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// Who answered it.
    pub answered_by: Option<String>,
    /// Why it no longer needs an answer.
    pub closed: Option<String>,
}

impl Question {
    /// Returns whether it waits for an answer.
    pub fn is_open(&self) -> bool {
        self.answer.is_none() && self.closed.is_none()
    }

    /// Returns the command that answers it.
    pub fn command(&self, task: &TaskId) -> String {
        let named = QuestionRef::new(task, self.number);
        match self.kind {
            QuestionKind::Escalation => format!("orch approve {named}, or: orch deny {named} WHY"),
            QuestionKind::Question => format!("orch answer {named} TEXT"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_named_by_its_task_and_its_number() {
        let named: QuestionRef = "t-7k2m9qx4hz#2".parse().unwrap();
        assert_eq!((named.task.as_str(), named.number), ("t-7k2m9qx4hz", Some(2)));
        assert_eq!(named.to_string(), "t-7k2m9qx4hz#2");
        assert_eq!("t-7k2m9qx4hz".parse::<QuestionRef>().unwrap().number, None);
        for wrong in ["t-7k2m9qx4hz#", "t-7k2m9qx4hz#0", "t-7k2m9qx4hz#x", "#1", "t-1#1", ""] {
            assert!(wrong.parse::<QuestionRef>().is_err(), "{wrong}");
        }
    }
}
