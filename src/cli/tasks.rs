//! `orch tasks`, `orch show`, `orch result`, `orch why`.

use super::{Session, args, errors, stdio::End};
use crate::{
    error::{Error, Kind},
    model::{
        task::{TaskDetail, TaskState},
        text,
    },
    ops::{
        Wanted,
        types::{Shown, TaskFilter},
    },
    view,
};

pub(super) async fn list(args: args::Tasks, session: &mut Session) -> Result<u8, End> {
    let client = session.reader().await?;
    let parent = match &args.parent {
        Some(word) => Some(client.find_task(word, Wanted::LastTask).await?),
        None => None,
    };
    let filter = TaskFilter {
        states: args.state,
        role: args.role,
        labels: args.label,
        grep: args.grep,
        since: args.since,
        parent,
        below: args.tree,
        limit: (!args.all).then_some(args.last),
    };
    let listed = client.tasks(filter).await?;
    for damaged in &listed.damaged {
        errors::note(&format!("{damaged}; it is left out of this list"));
    }
    let (tasks, none) = (listed.tasks, listed.total == 0 && listed.damaged.is_empty());
    session.answer(&tasks, |tasks, view| match none {
        true => "no tasks yet; orch delegate --role shell 'echo hello' submits one\n".to_owned(),
        false => view::task::list(tasks, args.tree, view),
    })?;
    if listed.more {
        session.out.flush()?;
        let (shown, total) = (tasks.len(), listed.total);
        errors::note(&format!(
            "the newest {shown} are listed, of {total} tasks that are kept; -n N or --all lists more"
        ));
    }
    Ok(0)
}

pub(super) async fn show(args: &args::OneTarget, session: &mut Session) -> Result<u8, End> {
    let client = session.reader().await?;
    let shown = client.show(client.find_any(&args.target).await?).await?;
    session.answer(&shown, |shown, view| match shown {
        Shown::Task(detail) => view::task::page(detail, view),
        Shown::Agent(agent) => view::agent::page(agent, view),
    })?;
    Ok(0)
}

pub(super) async fn result(args: &args::OneTask, session: &mut Session) -> Result<u8, End> {
    let client = session.reader().await?;
    let detail = client.result(client.find_task(&args.task, Wanted::LastTask).await?).await?;
    if session.json {
        session.out.json(&detail.result, session.view.colour)?;
        return Ok(if detail.task.state == TaskState::Succeeded { 0 } else { Kind::Failed.exit_code() });
    }
    print_result(&detail, session)
}

/// Prints the answer alone on standard output. For a task that did not succeed: its last output, and then the reason as an
/// error.
pub(super) fn print_result(detail: &TaskDetail, session: &mut Session) -> Result<u8, End> {
    let task = &detail.task;
    if let Some(why) = detail.unreadable_result() {
        errors::note(&format!("{}: {why}", task.id));
    }
    if let Some(result) = &detail.result {
        // A program receives the answer byte for byte; a terminal would obey what is written in it.
        let answer = if session.view.terminal { text::visible(result.text.as_bytes()) } else { result.text.clone() };
        session.out.text(&answer)?;
        session.out.text(if answer.ends_with('\n') || answer.is_empty() { "" } else { "\n" })?;
    }
    if task.state == TaskState::Succeeded {
        return Ok(0);
    }
    let state = match task.state {
        TaskState::Failed => "has failed".to_owned(),
        TaskState::Cancelled => "was cancelled".to_owned(),
        TaskState::Skipped => "was skipped".to_owned(),
        other => format!("is {other}"),
    };
    let reason = task.reason.as_deref().map(|r| format!(": {r}")).unwrap_or_default();
    Err(Error::failed(format!("task {} {state}{reason}", task.id))
        .hint(format!("orch why {} explains it", task.id))
        .into())
}

pub(super) async fn why(args: &args::OneTarget, session: &mut Session) -> Result<u8, End> {
    let client = session.reader().await?;
    let why = client.why(client.find_any(&args.target).await?).await?;
    session.answer(&why, view::why::page)?;
    Ok(0)
}
