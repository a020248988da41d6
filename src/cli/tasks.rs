//! `orch tasks`, `orch show`, `orch result`, `orch why`.

use super::{Session, args, errors, stdio::End};
use crate::{
    error::{Error, Kind},
    model::{
        task::{TaskDetail, TaskState},
        text,
    },
    ops::{
        Ops,
        types::{Shown, TaskFilter},
    },
    view,
};

pub(super) async fn list(args: args::Tasks, session: &mut Session) -> Result<u8, End> {
    let all = args.state.is_none() && args.role.is_none() && args.parent.is_none();
    let filter = TaskFilter { state: args.state, role: args.role, parent: args.parent, below: args.tree, limit: None };
    let listed = session.client().await?.tasks(filter).await?;
    for damaged in &listed.damaged {
        errors::note(&format!("{damaged}; it is left out of this list"));
    }
    let tasks = listed.tasks;
    let all = all && listed.damaged.is_empty();
    session.answer(&tasks, |tasks, view| match tasks.is_empty() && all {
        true => "no tasks yet; orch delegate --role shell 'echo hello' submits one\n".to_owned(),
        false => view::task::list(tasks, args.tree, view),
    })?;
    Ok(0)
}

pub(super) async fn show(args: &args::OneTarget, session: &mut Session) -> Result<u8, End> {
    let target = Ops::target(&args.target)?;
    let shown = session.client().await?.show(target).await?;
    session.answer(&shown, |shown, view| match shown {
        Shown::Task(detail) => view::task::page(detail, view),
        Shown::Agent(agent) => view::agent::page(agent, view),
    })?;
    Ok(0)
}

pub(super) async fn result(args: &args::OneTask, session: &mut Session) -> Result<u8, End> {
    let detail = session.client().await?.result(args.task.clone()).await?;
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
        other => format!("is {other}"),
    };
    let reason = task.reason.as_deref().map(|r| format!(": {r}")).unwrap_or_default();
    Err(Error::failed(format!("task {} {state}{reason}", task.id))
        .hint(format!("orch why {} explains it", task.id))
        .into())
}

pub(super) async fn why(args: &args::OneTarget, session: &mut Session) -> Result<u8, End> {
    let target = Ops::target(&args.target)?;
    let why = session.client().await?.why(target).await?;
    session.answer(&why, view::why::page)?;
    Ok(0)
}
