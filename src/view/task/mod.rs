//! Tasks in every form in which they are shown: a line, a table, a tree, a page (`page`), and the steps over time
//! (`life`).

pub mod life;
mod page;

use std::collections::BTreeMap;

pub use page::page;

use super::{
    Style, View,
    table::{Cell, Column, Table},
    text::{line, millis},
};
use crate::{
    model::{
        id::TaskId,
        task::{Task, TaskState},
    },
    ops::types::{Changed, Edited},
};

/// Columns of a reason in a line.
const REASON: usize = 480;

/// The tasks as a table, one line per task, the newest first; with `tree`, subtasks follow their parents in the order in which
/// they were delegated.
pub fn list(tasks: &[Task], tree: bool, view: &View) -> String {
    if tasks.is_empty() {
        return "no such tasks\n".to_owned();
    }
    table(if tree { forest(tasks) } else { by_age(tasks) }, view)
}

/// A task was changed.
pub fn edited(edited: &Edited) -> String {
    let what = edited.changed.join(", ");
    match edited.from == edited.state {
        true => format!("{} has another {what}, and is {}\n", edited.id, edited.state),
        false => format!("{} has another {what}, and is {} now\n", edited.id, edited.state),
    }
}

/// The tasks as a table, in the given order.
pub fn in_order(tasks: &[Task], view: &View) -> String {
    table(tasks.iter().map(|task| (String::new(), task)), view)
}

/// One row per task, after the branch that leads to it.
fn table<'a>(tasks: impl IntoIterator<Item = (String, &'a Task)>, view: &View) -> String {
    let mut table = Table::new([
        Column::new("TASK"),
        Column::new("STATE").at_least(9),
        Column::new("AGE").right().expendable(4),
        Column::new("RAN").right().expendable(6),
        Column::new("ROLE").expendable(5).at_least(8),
        Column::new("AGENT").expendable(3).at_least(12),
        Column::new("LABELS").expendable(7).at_least(12),
        Column::new("TEXT").expendable(1).at_least(15),
    ]);
    for (branch, task) in tasks {
        table.row([
            Cell::from(task.id.as_str()).led_by(branch),
            Cell::new(state(task, view), Style::of_task(task.state)),
            Cell::from(view.age(task.created_at)),
            Cell::from(task.running_ms.map(millis).unwrap_or_default()),
            Cell::from(&task.role),
            Cell::from(task.agent.as_deref().unwrap_or_default()),
            Cell::from(labels(task)),
            Cell::from(&task.description),
        ]);
    }
    table.render(view)
}

/// `plan=checkout, urgent`
fn labels(task: &Task) -> String {
    let label = |(name, value): (&String, &String)| match value.is_empty() {
        true => name.clone(),
        false => format!("{name}={value}"),
    };
    task.labels.iter().map(label).collect::<Vec<_>>().join(", ")
}

/// `t-7k2m9qx4hz running (shell-1)`, `t-7k2m9qx4hz failed: exit code 65`: a task with what explains its state.
pub fn in_one_line(task: &Task) -> String {
    let agent = task.agent.as_ref().map(|agent| format!(" ({})", line(agent, REASON))).unwrap_or_default();
    let reason = match task.state {
        TaskState::Held | TaskState::Delayed | TaskState::Failed | TaskState::Cancelled | TaskState::Skipped => {
            task.reason.as_deref()
        }
        _ => None,
    };
    let reason = reason.map(|reason| format!(": {}", line(reason, REASON))).unwrap_or_default();
    format!("{} {}{agent}{reason}", task.id, task.state)
}

/// What `cancel` has changed about a task.
pub fn cancelled(change: &Changed, view: &View) -> String {
    match (change.changed, change.state) {
        (true, TaskState::Running) => format!("{}: its agent was asked to stop it\n", change.id),
        (true, _) => format!("{}: cancelled (was {})\n", change.id, change.from),
        (false, TaskState::Running) => format!("{}: is being cancelled already\n", change.id),
        (false, _) => unchanged(change, view),
    }
}

/// What `retry` has changed about a task.
pub fn retried(change: &Changed, view: &View) -> String {
    match change.changed {
        true => {
            let others: String =
                change.others.iter().map(|id| format!("{id}: again, because it waits for it\n")).collect();
            format!("{}: {} again (was {})\n{others}", change.id, change.state, change.from)
        }
        false => unchanged(change, view),
    }
}

fn unchanged(change: &Changed, view: &View) -> String {
    let state = view.paint(change.state.as_str(), Style::of_task(change.state));
    format!("{}: {state} already, nothing to do\n", change.id)
}

/// The state, or what is more to the point.
fn state(task: &Task, view: &View) -> String {
    match task.due_at {
        _ if task.cancelling => "cancelling".to_owned(),
        _ if task.waiting => "waiting".to_owned(),
        Some(due) if due > view.now => format!("{} {}", task.state, millis(due.0 - view.now.0)),
        _ => task.state.to_string(),
    }
}

fn sorted<'a>(tasks: impl IntoIterator<Item = &'a Task>) -> Vec<&'a Task> {
    let mut sorted: Vec<&Task> = tasks.into_iter().collect();
    sorted.sort_by_key(|t| (t.created_at, &t.id));
    sorted
}

fn by_age(tasks: &[Task]) -> Vec<(String, &Task)> {
    sorted(tasks).into_iter().rev().map(|t| (String::new(), t)).collect()
}

/// Every task with the branch that leads to it. A task whose parent is not listed is a root.
fn forest(tasks: &[Task]) -> Vec<(String, &Task)> {
    let listed: BTreeMap<&TaskId, &Task> = tasks.iter().map(|t| (&t.id, t)).collect();
    let mut children: BTreeMap<&TaskId, Vec<&Task>> = BTreeMap::new();
    let mut roots = Vec::new();
    for task in sorted(tasks) {
        match task.parent.as_ref().filter(|p| listed.contains_key(p)) {
            Some(parent) => children.entry(parent).or_default().push(task),
            None => roots.push(task),
        }
    }
    let mut rows = Vec::new();
    // A stack rather than recursion: depth is bounded where tasks are made, but not here.
    let mut open: Vec<(String, String, &Task)> = roots.into_iter().map(|t| (String::new(), String::new(), t)).collect();
    while let Some((branch, below, task)) = open.pop() {
        rows.push((branch, task));
        for (n, child) in children.remove(&task.id).unwrap_or_default().into_iter().rev().enumerate() {
            let (turn, on) = if n == 0 { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            open.push((format!("{below}{turn}"), format!("{below}{on}"), child));
        }
    }
    rows
}
