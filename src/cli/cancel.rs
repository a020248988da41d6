//! `orch cancel` and `orch retry`, which print one line per task or plan, and `orch prune`, which prints one line in all and,
//! with `--dry-run`, one per task.

use serde::Serialize;

use super::{Session, args, stdio::End};
use crate::{
    error::Kind,
    model::{
        id::{PlanId, TaskId},
        plan::PlanState,
        task::TaskState,
        text::count,
    },
    ops::{
        Client, Wanted, Work,
        types::{Changed, PlanChanged, Prune, Pruned, Rerun, StateFilter, TaskFilter},
    },
    view::{View, plan, task},
};

pub(super) async fn cancel(args: &args::Cancel, session: &mut Session) -> Result<u8, End> {
    let client = session.client().await?;
    let Work { tasks: mut ids, mut plans } = client.find_work(&args.tasks, Wanted::Task).await?;
    let plan = named(&client, args.plan.as_ref()).await?;
    if !args.label.is_empty() {
        ids.extend(matching(&client, vec![StateFilter::Open], &args.label, plan).await?);
    } else {
        plans.extend(plan);
    }
    let changes = if ids.is_empty() { Vec::new() } else { client.cancel(ids).await? };
    let mut changes: Vec<Change> = changes.into_iter().map(Change::Task).collect();
    for plan in plans {
        changes.push(Change::Plan(client.cancel_plan(plan).await?));
    }
    session.answer(&changes, |changes, view| match changes.is_empty() {
        true => "no open task has this label\n".to_owned(),
        false => changes.iter().map(|change| change.in_words(task::cancelled, plan::cancelled, view)).collect(),
    })?;
    // What is cancelled already is as requested; what has ended otherwise is not.
    Ok(code(changes.iter().all(|change| match change {
        Change::Task(c) => c.changed || !matches!(c.state, TaskState::Succeeded | TaskState::Failed),
        Change::Plan(c) => !matches!(c.state, PlanState::Succeeded | PlanState::Failed),
    })))
}

pub(super) async fn retry(args: &args::Retry, session: &mut Session) -> Result<u8, End> {
    let client = session.client().await?;
    let Work { tasks: ids, plans } = match args.all_failed {
        true => {
            let plan = named(&client, args.plan.as_ref()).await?;
            let tasks = matching(&client, vec![StateFilter::Failed], &args.label, plan).await?;
            Work { tasks, plans: Vec::new() }
        }
        false => client.find_work(&args.tasks, Wanted::LastTask).await?,
    };
    let changes = if ids.is_empty() { Vec::new() } else { client.retry(ids).await? };
    let mut changes: Vec<Change> = changes.into_iter().map(Change::Task).collect();
    for plan in plans {
        changes.push(Change::Plan(client.retry_plan(plan, Rerun::Failed).await?));
    }
    session.answer(&changes, |changes, view| match changes.is_empty() {
        true => "no such task has failed\n".to_owned(),
        false => changes.iter().map(|change| change.in_words(task::retried, plan::retried, view)).collect(),
    })?;
    Ok(code(changes.iter().all(|change| match change {
        Change::Task(c) => c.changed || !c.state.is_terminal(),
        Change::Plan(c) => !c.tasks.is_empty() || !c.state.is_terminal(),
    })))
}

/// What a verb has changed.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Change {
    Task(Changed),
    Plan(PlanChanged),
}

impl Change {
    fn in_words(&self, task: fn(&Changed, &View) -> String, plan: fn(&PlanChanged) -> String, view: &View) -> String {
        match self {
            Change::Task(changed) => task(changed, view),
            Change::Plan(changed) => plan(changed),
        }
    }
}

async fn named(client: &Client, plan: Option<&String>) -> Result<Option<PlanId>, End> {
    Ok(match plan {
        Some(word) => Some(client.find_plan(word.clone()).await?),
        None => None,
    })
}

/// The tasks in any of these states that have all of these labels, of this plan where one is named, the oldest first.
async fn matching(
    client: &Client,
    states: Vec<StateFilter>,
    labels: &[(String, Option<String>)],
    plan: Option<PlanId>,
) -> Result<Vec<TaskId>, End> {
    let filter = TaskFilter { states, labels: labels.to_vec(), plan, ..TaskFilter::default() };
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
