//! Messages, and questions with their answers.

use super::{
    View,
    text::{line, safe},
};
use crate::{
    model::{id::TaskId, message::Message, question::QuestionRef, task::TaskDetail},
    ops::types::{Answered, Asked, Inbox, Sent},
};

/// Columns of a question in a line.
const QUESTION: usize = 60;

/// The messages of an inbox, and how many more there are.
pub fn inbox(inbox: &Inbox, view: &View) -> String {
    let mut out: String = inbox.messages.iter().map(|one| message(one, view)).collect();
    match inbox.left {
        0 if inbox.messages.is_empty() => out.push_str("no new messages\n"),
        0 => {}
        n => out.push_str(&format!("{n} more: orch inbox\n")),
    }
    out
}

/// `21:04:07  sonnet-1 within t-7k2m9qx4hz: the schema is done`
fn message(message: &Message, view: &View) -> String {
    let text = safe(message.text.trim_end());
    format!("{}  {}: {}\n", view.clock(message.at), safe(&message.from), text.replace('\n', "\n    "))
}

/// A message was accepted.
pub fn sent(sent: &Sent) -> String {
    format!("sent to {}; not read yet\n", sent.to)
}

/// The answer to a question, or how a person gives one.
pub fn asked(asked: &Asked) -> String {
    match &asked.answer {
        Some(answer) => format!("{}\n", answer.trim_end()),
        None => {
            let question = QuestionRef::new(&asked.task, asked.question);
            format!("asked; a person answers with: orch answer {question} TEXT\n")
        }
    }
}

/// A question of a task was answered.
pub fn answered(task: &TaskId, answered: &Answered) -> String {
    let more = match answered.open {
        0 => String::new(),
        n => format!("; {n} more to answer"),
    };
    format!("{task}: answered '{}' ({}{more})\n", line(&answered.question, QUESTION), answered.state)
}

/// A task's questions with their answers, and the messages to it.
pub(super) fn of_task(detail: &TaskDetail, view: &View) -> String {
    let mut out = String::new();
    for question in &detail.questions {
        let answer = match (&question.answer, &question.closed) {
            (Some(answer), _) => format!("{answer} ({})", question.answered_by.as_deref().unwrap_or("a person")),
            (None, Some(why)) => format!("not answered: {why}"),
            (None, None) => format!("not answered yet: {}", question.command(&detail.task.id)),
        };
        out.push_str(&view.verbatim(&format!("question {}  ", question.number), &question.question));
        if !question.options.is_empty() {
            out.push_str(&view.hanging("    choices: ", &question.options.join(", ")));
        }
        out.push_str(&view.hanging("    → ", &answer));
    }
    for message in &detail.messages {
        let lead = format!("message from {} ({})  ", safe(&message.from), message.state);
        out.push_str(&view.hanging(&lead, &message.text));
    }
    if out.is_empty() { out } else { format!("\n{out}") }
}
