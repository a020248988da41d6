//! Questions to people, and messages to them: shows each once, when it first appears.

use std::collections::VecDeque;

use crate::{
    model::{attention::Attention, id::TaskId, message::Message},
    view::{View, messages},
};

/// Questions and messages that are remembered as shown. A console runs for weeks.
const REMEMBERED: usize = 2_000;
/// How many are shown when the console begins or Redis is reachable again.
const LISTED: usize = 5;

/// What was shown.
#[derive(Debug, Default)]
pub(super) struct Asked {
    shown: VecDeque<String>,
}

impl Asked {
    /// Notes that a question is shown. `false`: it was shown before, or is none.
    pub fn shown(&mut self, one: &Attention) -> bool {
        one.question_id.as_ref().is_some_and(|id| self.is_new(id.to_string()))
    }

    fn is_new(&mut self, id: String) -> bool {
        if self.shown.contains(&id) {
            return false;
        }
        if self.shown.len() == REMEMBERED {
            self.shown.pop_front();
        }
        self.shown.push_back(id);
        true
    }

    /// The questions of these that were not shown yet, whole, with what to type. Of many, the first ones, and how many more
    /// there are. `about`: only those of this task.
    pub fn questions(&mut self, all: &[Attention], about: Option<&TaskId>, view: &View) -> Vec<String> {
        let of_task = |one: &&Attention| about.is_none_or(|task| one.task.as_ref() == Some(task));
        let new: Vec<&Attention> = all.iter().filter(of_task).filter(|one| self.shown(one)).collect();
        let mut texts: Vec<String> =
            new.iter().take(LISTED).map(|one| messages::question(one, view).trim_end().to_owned()).collect();
        if new.len() > LISTED {
            texts.push(format!("… and {} more: /questions", new.len() - LISTED));
        }
        texts
    }

    /// The messages of these that were not shown yet. They stay unread.
    pub fn messages(&mut self, unread: &[Message], view: &View) -> Option<String> {
        let new: Vec<&Message> = unread.iter().filter(|message| self.is_new(message.id.clone())).collect();
        let first = new.len().saturating_sub(LISTED);
        let mut texts: Vec<String> = Vec::new();
        if first > 0 {
            texts.push(format!("{first} more messages: /inbox"));
        }
        texts.extend(new[first..].iter().map(|message| messages::arrived(message, view)));
        (!texts.is_empty()).then(|| texts.join("\n"))
    }
}
