//! Messages, and questions with their answers.

use std::time::Duration;

use super::{
    Style, View,
    text::{line, safe},
};
use crate::{
    model::{
        attention::AttentionKind,
        duration::human,
        id::TaskId,
        message::{Delivery, Message},
        question::{Approval, QuestionRef},
        task::{TaskDetail, TaskState},
        time::Timestamp,
    },
    ops::types::{Allowed, Answered, Asked, Attention, Inbox, Sent},
};

/// Up to this age it is not reported.
const JUST_NOW: Duration = Duration::from_secs(10);
/// Columns of a question in a line.
const QUESTION: usize = 60;

/// The messages of an inbox, and how many more there are.
pub fn inbox(inbox: &Inbox, view: &View) -> String {
    let mut out: String = inbox.messages.iter().map(|one| message(one, view)).collect();
    match inbox.left {
        0 if inbox.messages.is_empty() => out.push_str("no new messages\n"),
        0 => {}
        n => out.push_str(&format!("{n} more: {}\n", view.typed("orch inbox"))),
    }
    out
}

/// A message to the master, whole, where it is first seen.
pub fn arrived(message: &Message, view: &View) -> String {
    let head = format!("message from {} (/inbox marks it read):", safe(&message.from));
    let text = view.verbatim("  ", &message.text);
    format!("{}\n{}", view.paint(&view.fold(&head), Style::Yellow), text.trim_end())
}

/// `21:04:07  sonnet-1 within t-7k2m9qx4hz: the schema is done`
fn message(message: &Message, view: &View) -> String {
    let text = safe(message.text.trim_end());
    format!("{}  {}: {}\n", view.clock(message.at), safe(&message.from), text.replace('\n', "\n    "))
}

/// What people are asked, each with what to type.
pub fn questions(asked: &[Attention], view: &View) -> String {
    match asked.is_empty() {
        true => "no open questions\n".to_owned(),
        false => asked.iter().map(|one| question(one, view)).collect::<Vec<_>>().join("\n"),
    }
}

/// What waits for approval, each with what to type.
pub fn approvals(asked: &[Attention], view: &View) -> String {
    match asked.is_empty() {
        true => "nothing waits for approval\n".to_owned(),
        false => questions(asked, view),
    }
}

/// One thing that people are asked, whole, with its choices and a line for each command that answers it.
pub fn question(asked: &Attention, view: &View) -> String {
    let is_old = |at: &Timestamp| view.now.since(*at) >= JUST_NOW;
    let since = asked.since.filter(is_old).map(|at| format!(" ({} ago)", view.age(at))).unwrap_or_default();
    let mut out = match &asked.question_id {
        Some(id) => {
            let agent = asked.agent.as_ref().map(|agent| format!(" on {}", safe(agent))).unwrap_or_default();
            let asks = if asked.kind == AttentionKind::Approval { "waits for approval" } else { "asks" };
            view.paint(&view.fold(&format!("{id}{agent} {asks}{since}:")), Style::Yellow) + "\n"
        }
        None => view.paint(&view.fold(&asked.what), Style::Yellow) + "\n",
    };
    if asked.question_id.is_some() {
        out.push_str(&view.verbatim("  ", asked.text.as_deref().unwrap_or_default()));
        if !asked.options.is_empty() {
            out.push_str(&view.hanging("  choices: ", &asked.options.join(", ")));
        }
    }
    if let (Some(until), Some(default)) = (asked.until, asked.by_default) {
        let left = human(until.since(view.now));
        out.push_str(&view.hanging("  ", &format!("without a decision it is {} in {left}", default.as_str())));
    }
    for command in &asked.commands {
        out.push_str(&view.hanging("    ", &view.typed(command)));
    }
    out
}

/// A message was accepted.
pub fn sent(sent: &Sent) -> String {
    let when = sent.reads.map(|when| format!("; it is read {}", when.in_words()));
    format!("sent to {}{}\n", sent.to, when.unwrap_or_else(|| "; not read yet".to_owned()))
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
    let done = answered.approval.map_or("answered", Approval::as_str);
    let plan = answered.plan.as_ref().map(|plan| format!("{plan}\n")).unwrap_or_default();
    format!("{task}: {done} '{}' ({}{more})\n{plan}", line(&answered.question, QUESTION), answered.state)
}

/// A task, or its role, was allowed tools.
pub fn allowed(allowed: &Allowed, view: &View) -> String {
    let tools = allowed.tools.join(", ");
    let (id, mut out) = (&allowed.task.id, String::new());
    match (&allowed.role, &allowed.file) {
        (Some(role), Some(file)) => {
            let read = if allowed.reloaded { "the supervisor has read it" } else { "orch start reads it" };
            out += &format!("{}: role {role} may use {tools} without asking; {read}\n", file.display());
        }
        (Some(role), None) => out += &format!("role {role} may use {tools} without asking already\n"),
        (None, _) => out += &format!("{id}: may use {tools} without asking\n"),
    }
    match (allowed.task.changed, allowed.task.state) {
        (false, TaskState::Running) => out + &format!("{id}: running; its next attempt may use it\n"),
        _ => out + &super::task::retried(&allowed.task, view),
    }
}

/// Whether a message was read, in words.
fn delivery(message: &Message) -> String {
    match (message.state, &message.reason) {
        (Delivery::Delivered, _) => "read".to_owned(),
        (Delivery::Unconfirmed, _) => "not read yet".to_owned(),
        (Delivery::Failed, None) => "not read".to_owned(),
        (Delivery::Failed, Some(why)) => format!("not read: {}", safe(why)),
    }
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
        let lead = format!("message from {} ({})  ", safe(&message.from), delivery(message));
        out.push_str(&view.hanging(&lead, &message.text));
    }
    if out.is_empty() { out } else { format!("\n{out}") }
}
