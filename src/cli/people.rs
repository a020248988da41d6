//! Questions to persons, their answers, and messages.

use super::{Session, args, end::End, text};
use crate::{
    error::Kind,
    model::{
        message::Message,
        question::Approval,
        text::{one_line, plain},
    },
    ops::types::{self, Answer},
};

pub(super) async fn ask(args: args::Ask, session: &mut Session) -> Result<u8, End> {
    let text = text::given(args.text)?;
    let ask = types::Ask { text, options: args.options, wait: !args.no_wait, timeout: args.timeout };
    let asked = session.ops()?.ask_person(&ask).await?;
    session.answer(&asked, |asked, _| match &asked.answer {
        Some(answer) => format!("{}\n", answer.trim_end()),
        None => format!("asked; a person answers with: orch answer {} TEXT\n", asked.task),
    })?;
    // Who says no means no, whether with `orch deny` or `orch answer`: what comes after `&&` must not be done.
    let no = asked.answer.as_deref().is_some_and(|answer| answer.trim().eq_ignore_ascii_case("no"));
    Ok(if no || asked.approval == Some(Approval::Denied) { Kind::Failed.exit_code() } else { 0 })
}

pub(super) async fn answer(task: &crate::model::id::TaskId, answer: Answer, session: &mut Session) -> Result<u8, End> {
    let answered = session.ops()?.answer(task, &answer).await?;
    session.answer(&answered, |answered, _| {
        let more = match answered.open {
            0 => String::new(),
            n => format!("; {n} more to answer"),
        };
        format!("{task}: answered '{}' ({}{more})\n", one_line(&answered.question, 60), answered.state)
    })?;
    Ok(0)
}

pub(super) async fn send(args: args::Send, session: &mut Session) -> Result<u8, End> {
    let sent = session.ops()?.send(&args.to, &text::given(args.text)?).await?;
    session.answer(&sent, |sent, _| format!("sent to {}; not read yet\n", sent.to))?;
    Ok(0)
}

pub(super) async fn inbox(args: &args::Inbox, session: &mut Session) -> Result<u8, End> {
    let inbox = session.ops()?.inbox(args.wait, args.timeout).await?;
    let timed_out = args.wait && inbox.messages.is_empty();
    session.answer(&inbox, |inbox, _| {
        let mut out: String = inbox.messages.iter().map(message).collect();
        match inbox.left {
            0 if inbox.messages.is_empty() => out.push_str("no new messages\n"),
            0 => {}
            n => out.push_str(&format!("{n} more: orch inbox\n")),
        }
        out
    })?;
    Ok(if timed_out { Kind::TimedOut.exit_code() } else { 0 })
}

/// `21:04:07  sonnet-1 within t-7k2m9qx4hz: the schema is done`
fn message(message: &Message) -> String {
    let text = plain(message.text.trim_end().as_bytes());
    format!("{}  {}: {}\n", message.at.clock(), plain(message.from.as_bytes()), text.replace('\n', "\n    "))
}
