//! One thing closely: `orch result`, `orch show`, `orch why`.

use super::{Session, args, end::End, render};
use crate::{
    error::{Error, Kind},
    model::{
        task::{TaskDetail, TaskState},
        text,
    },
    ops::{Ops, types::Shown},
};

pub(super) async fn result(args: &args::OneTask, session: &mut Session) -> Result<u8, End> {
    let detail = session.ops()?.result(&args.task).await?;
    if session.json {
        session.out.json(&detail.result, session.view.colour)?;
        return Ok(if detail.task.state == TaskState::Succeeded { 0 } else { Kind::Failed.exit_code() });
    }
    print_result(&detail, session)
}

/// The answer alone on standard output. Of a task that did not succeed: its last output, and then why as an error.
pub(super) fn print_result(detail: &TaskDetail, session: &mut Session) -> Result<u8, End> {
    let task = &detail.task;
    if let Some(result) = &detail.result {
        // A program gets it byte for byte; a terminal would obey what is written in it.
        let answer = if session.view.terminal { text::plain(result.text.as_bytes()) } else { result.text.clone() };
        session.out.text(&answer)?;
        session.out.text(if answer.ends_with('\n') || answer.is_empty() { "" } else { "\n" })?;
    }
    if task.state == TaskState::Succeeded {
        return Ok(0);
    }
    let reason = task.reason.as_deref().map(|r| format!(": {r}")).unwrap_or_default();
    Err(Error::failed(format!("task {} {}{reason}", task.id, was(task.state)))
        .hint(format!("orch why {} explains it", task.id))
        .into())
}

fn was(state: TaskState) -> String {
    match state {
        TaskState::Failed => "has failed".to_owned(),
        TaskState::Cancelled => "was cancelled".to_owned(),
        other => format!("is {other}"),
    }
}

pub(super) async fn show(args: &args::OneTarget, session: &mut Session) -> Result<u8, End> {
    let target = Ops::target(&args.target)?;
    let shown = session.ops()?.show(&target).await?;
    session.answer(&shown, |shown, view| match shown {
        Shown::Task(detail) => render::task::task(detail, view),
        Shown::Agent(agent) => render::agent::agent(agent, view),
    })?;
    Ok(0)
}

pub(super) async fn why(args: &args::OneTarget, session: &mut Session) -> Result<u8, End> {
    let target = Ops::target(&args.target)?;
    let why = session.ops()?.why(&target).await?;
    session.answer(&why, render::answer::why)?;
    Ok(0)
}
