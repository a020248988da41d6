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
        /// Whether the result of a task is accepted.
        Acceptance = "acceptance",
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
    /// When it is decided without an answer.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// What is decided then.
    #[serde(default)]
    pub by_default: Option<Approval>,
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

    /// Returns whether it is answered with yes or no: by `approve` or `deny`.
    pub fn is_yes_or_no(&self) -> bool {
        self.options.is_empty() || yes_or_no(&self.options).is_some()
    }

    /// Returns the commands that answer it, any one of which is enough.
    pub fn commands(&self, task: &TaskId) -> Vec<String> {
        let named = QuestionRef::new(task, self.number);
        let approve = format!("orch approve {named}");
        match self.kind {
            QuestionKind::Escalation | QuestionKind::Acceptance => vec![approve, format!("orch deny {named} WHY")],
            _ if self.options.is_empty() => {
                vec![format!("orch answer {named} TEXT"), approve, format!("orch deny {named}")]
            }
            _ if self.is_yes_or_no() => vec![approve, format!("orch deny {named}")],
            _ => choices(&named, &self.options),
        }
    }

    /// Returns what to type to answer it, in words.
    pub fn command(&self, task: &TaskId) -> String {
        in_words(&QuestionRef::new(task, self.number), &self.commands(task))
    }
}

/// Number of choices that are written out as commands in `do`.
const WRITTEN_OUT: usize = 4;

/// What to type, in words: the commands, or for many choices the form of one.
pub fn in_words(named: &QuestionRef, commands: &[String]) -> String {
    match commands.len() > WRITTEN_OUT {
        true => format!("orch answer {named} CHOICE"),
        false => commands.join(", or: "),
    }
}

/// Returns the commands that answer a question with one of these.
pub fn choices(named: &QuestionRef, options: &[String]) -> Vec<String> {
    options.iter().map(|option| format!("orch answer {named} {}", quoted(option))).collect()
}

/// The options of these that mean yes and no, where there are just these two.
fn yes_or_no(options: &[String]) -> Option<(&str, &str)> {
    let [one, other] = options else { return None };
    let means = |option: &str, words: [&str; 2]| words.iter().any(|word| option.trim().eq_ignore_ascii_case(word));
    let pair = |yes, no| (means(yes, ["yes", "y"]) && means(no, ["no", "n"])).then_some((yes, no));
    pair(one.as_str(), other.as_str()).or_else(|| pair(other, one))
}

/// The word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@%+,=".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_that_answer_fit_the_question() {
        let task: TaskId = "t-7k2m9qx4hz".parse().unwrap();
        let ask = |kind, options: &[&str]| Question {
            number: 2,
            kind,
            rights: Vec::new(),
            question: "Which?".into(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            attempt: 1,
            asked_at: Timestamp(0),
            answer: None,
            approval: None,
            until: None,
            by_default: None,
            answered_at: None,
            answered_by: None,
            closed: None,
        };
        let free = "orch answer t-7k2m9qx4hz#2 TEXT, or: orch approve t-7k2m9qx4hz#2, or: orch deny t-7k2m9qx4hz#2";
        let yes = "orch approve t-7k2m9qx4hz#2, or: orch deny t-7k2m9qx4hz#2";
        let choose = r"orch answer t-7k2m9qx4hz#2 red, or: orch answer t-7k2m9qx4hz#2 'the cook'\''s'";
        for (kind, options, command) in [
            (QuestionKind::Question, &[][..], free),
            (QuestionKind::Question, &["No", "yes"], yes),
            (QuestionKind::Question, &["red", "the cook's"], choose),
            (QuestionKind::Question, &["1", "2", "3", "4", "5"], "orch answer t-7k2m9qx4hz#2 CHOICE"),
            (QuestionKind::Acceptance, &[], "orch approve t-7k2m9qx4hz#2, or: orch deny t-7k2m9qx4hz#2 WHY"),
            (QuestionKind::Escalation, &[], "orch approve t-7k2m9qx4hz#2, or: orch deny t-7k2m9qx4hz#2 WHY"),
        ] {
            assert_eq!(ask(kind, options).command(&task), command);
        }
        assert_eq!(ask(QuestionKind::Question, &["1", "2", "3", "4", "5"]).commands(&task).len(), 5);
    }

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
