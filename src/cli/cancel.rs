//! `orch cancel` and `orch retry`, which print one line per task, and `orch prune`, which prints one line in all and,
//! with `--dry-run`, one per task.

use super::{Session, args, stdio::End};
use crate::{
    error::Kind,
    model::{id::TaskId, task::TaskState, text::count},
    ops::{
        Client, Wanted,
        types::{Changed, Prune, Pruned, StateFilter, TaskFilter},
    },
    view::task,
};

pub(super) async fn cancel(args: &args::Cancel, session: &mut Session) -> Result<u8, End> {
    let client = session.client().await?;
    let mut ids = client.find_tasks(&args.tasks, Wanted::Task).await?;
    if !args.label.is_empty() {
        ids.extend(matching(&client, vec![StateFilter::Open], &args.label).await?);
    }
    let changes = if ids.is_empty() { Vec::new() } else { client.cancel(ids).await? };
    session.answer(&changes, |changes, view| match changes.is_empty() {
        true => "no open task has this label\n".to_owned(),
        false => changes.iter().map(|c| task::cancelled(c, view)).collect(),
    })?;
    // A task that is cancelled already is as requested; one that has ended otherwise is not.
    let as_requested = |c: &Changed| c.changed || !matches!(c.state, TaskState::Succeeded | TaskState::Failed);
    Ok(code(changes.iter().all(as_requested)))
}

pub(super) async fn retry(args: &args::Retry, session: &mut Session) -> Result<u8, End> {
    let client = session.client().await?;
    let ids = match args.all_failed {
        true => matching(&client, vec![StateFilter::Failed], &args.label).await?,
        false => client.find_tasks(&args.tasks, Wanted::LastTask).await?,
    };
    let changes = if ids.is_empty() { Vec::new() } else { client.retry(ids).await? };
    session.answer(&changes, |changes, view| match changes.is_empty() {
        true => "no such task has failed\n".to_owned(),
        false => changes.iter().map(|c| task::retried(c, view)).collect(),
    })?;
    let as_requested = |c: &Changed| c.changed || !c.state.is_terminal();
    Ok(code(changes.iter().all(as_requested)))
}

/// The tasks in any of these states that have all of these labels, the oldest first.
async fn matching(
    client: &Client,
    states: Vec<StateFilter>,
    labels: &[(String, Option<String>)],
) -> Result<Vec<TaskId>, End> {
    let filter = TaskFilter { states, labels: labels.to_vec(), ..TaskFilter::default() };
    let listed = client.tasks(filter).await?;
    Ok(listed.tasks.iter().rev().map(|task| task.id.clone()).collect())
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
