//! `orch cancel` and `orch retry`: one line a task.

use super::{Session, args, end::End, render};
use crate::{error::Kind, model::task::TaskState, ops::types::Changed};

pub(super) async fn cancel(args: &args::SomeTasks, session: &mut Session) -> Result<u8, End> {
    let changes = session.ops()?.cancel(&args.tasks).await?;
    session.answer(&changes, |changes, view| changes.iter().map(|c| render::answer::cancelled(c, view)).collect())?;
    // Told twice is as good as told once; a task that ended otherwise is not.
    let as_asked = |c: &Changed| c.changed || !matches!(c.state, TaskState::Succeeded | TaskState::Failed);
    Ok(code(changes.iter().all(as_asked)))
}

pub(super) async fn retry(args: &args::SomeTasks, session: &mut Session) -> Result<u8, End> {
    let changes = session.ops()?.retry(&args.tasks).await?;
    session.answer(&changes, |changes, view| changes.iter().map(|c| render::answer::retried(c, view)).collect())?;
    let as_asked = |c: &Changed| c.changed || !c.state.is_terminal();
    Ok(code(changes.iter().all(as_asked)))
}

fn code(as_asked: bool) -> u8 {
    if as_asked { 0 } else { Kind::Failed.exit_code() }
}
