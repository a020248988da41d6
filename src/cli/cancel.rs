//! `orch cancel` and `orch retry`: one line per task. `orch prune`: one line for all, and in a trial one per task.

use super::{Session, args, stdio::End};
use crate::{
    error::Kind,
    model::{task::TaskState, text::count},
    ops::{
        Wanted,
        types::{Changed, Prune, Pruned},
    },
    view::task,
};

pub(super) async fn cancel(args: &args::SomeTasks, session: &mut Session) -> Result<u8, End> {
    let client = session.client().await?;
    let changes = client.cancel(client.find_tasks(&args.tasks, Wanted::Task).await?).await?;
    session.answer(&changes, |changes, view| changes.iter().map(|c| task::cancelled(c, view)).collect())?;
    // A task that is cancelled already is as requested; one that has ended otherwise is not.
    let as_requested = |c: &Changed| c.changed || !matches!(c.state, TaskState::Succeeded | TaskState::Failed);
    Ok(code(changes.iter().all(as_requested)))
}

pub(super) async fn retry(args: &args::SomeTasks, session: &mut Session) -> Result<u8, End> {
    let client = session.client().await?;
    let changes = client.retry(client.find_tasks(&args.tasks, Wanted::LastTask).await?).await?;
    session.answer(&changes, |changes, view| changes.iter().map(|c| task::retried(c, view)).collect())?;
    let as_requested = |c: &Changed| c.changed || !c.state.is_terminal();
    Ok(code(changes.iter().all(as_requested)))
}

pub(super) async fn prune(args: &args::Prune, session: &mut Session) -> Result<u8, End> {
    let asked = Prune { older: args.older, state: args.state, dry_run: args.dry_run };
    let pruned = session.client().await?.prune(asked).await?;
    session.answer(&pruned, |Pruned { tasks, dry_run }, _| {
        let number = count(tasks.len() as u64, "task", "tasks");
        match dry_run {
            true => tasks.iter().map(|id| format!("{id}\n")).collect::<String>() + &format!("would forget {number}\n"),
            false => format!("forgot {number}\n"),
        }
    })?;
    Ok(0)
}

fn code(as_requested: bool) -> u8 {
    if as_requested { 0 } else { Kind::Failed.exit_code() }
}
