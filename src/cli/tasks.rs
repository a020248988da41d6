//! `orch tasks`, `orch show`, `orch result`, `orch why`.

use std::collections::{BTreeMap, HashSet};

use super::{Session, args, errors, stdio::End};
use crate::{
    error::{Error, Kind},
    model::{
        id::PlanId,
        plan::{PlanState, PlanTask},
        task::{TaskDetail, TaskResult, TaskState},
        text,
    },
    ops::{
        Client, Wanted,
        types::{Shown, Target, TaskFilter},
    },
    view,
};

pub(super) async fn list(args: args::Tasks, session: &mut Session) -> Result<u8, End> {
    let client = session.reader().await?;
    let parent = match &args.parent {
        Some(word) => Some(client.find_task(word, Wanted::LastTask).await?),
        None => None,
    };
    let plan = match args.plan {
        Some(word) => Some(client.find_plan(word).await?),
        None => None,
    };
    let filter = TaskFilter {
        plan,
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
        Shown::Plan(plan) => view::plan::page(plan, view),
    })?;
    Ok(0)
}

pub(super) async fn result(args: &args::OneTask, session: &mut Session) -> Result<u8, End> {
    let client = session.reader().await?;
    let id = match client.find_any(&args.task).await? {
        Target::Plan(plan) => return result_of_plan(&client, plan, session).await,
        Target::Task(task) => task,
        Target::Agent(_) => client.find_task(&args.task, Wanted::LastTask).await?,
    };
    let detail = client.result(id).await?;
    if session.json {
        session.out.json(&detail.result, session.view.colour)?;
        return Ok(if detail.task.state == TaskState::Succeeded { 0 } else { Kind::Failed.exit_code() });
    }
    print_result(&detail, session)
}

/// Prints the answers of the tasks after which no other one of the plan comes, each below its key; as JSON, an object with
/// the answer of each.
async fn result_of_plan(client: &Client, id: PlanId, session: &mut Session) -> Result<u8, End> {
    let detail = client.show_plan(id.clone()).await?;
    if !detail.plan.state.is_terminal() {
        let error = Error::failed(format!("{id} is {}: it has no result yet", detail.plan.state));
        return Err(error.hint(format!("wait for it with: orch wait {id}")).into());
    }
    let before: HashSet<&str> =
        detail.tasks.iter().flat_map(|task| &task.after).map(|edge| edge.task.as_str()).collect();
    let last: Vec<&PlanTask> = detail.tasks.iter().filter(|task| !before.contains(task.key.as_str())).collect();
    let mut answers = BTreeMap::new();
    for task in &last {
        // A task that was skipped or cancelled has left no answer.
        let Ok(found) = client.result(task.id.clone()).await else { continue };
        answers.extend(found.result.map(|result| (task.key.clone(), result)));
    }
    session.answer(&answers, |answers, view| {
        let text = |answer: &TaskResult| match view.terminal {
            true => text::visible(answer.text.as_bytes()),
            false => answer.text.clone(),
        };
        match (answers.len(), answers.first_key_value()) {
            (1, Some((_, only))) => format!("{}\n", text(only).trim_end_matches('\n')),
            _ => answers.iter().map(|(key, one)| format!("{key}:\n{}\n", text(one).trim_end_matches('\n'))).collect(),
        }
    })?;
    Ok(if detail.plan.state == PlanState::Succeeded { 0 } else { Kind::Failed.exit_code() })
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
