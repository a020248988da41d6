//! Follows what a task waits for, what that waits for in turn, and so on, down to where something can be done. Pure.
//!
//! The store prevents cycles (a task can depend only on older ones, and wait only for its own subtasks); if there were
//! one, each of its tasks would be listed once.

use std::collections::BTreeSet;

use super::{Around, Explanation, Link, TaskFacts, list, living, obstacles::obstacles, reason, since};
use crate::model::{
    duration::human,
    id::TaskId,
    task::{Task, TaskState},
};

/// How deep a chain is followed, and over how many tasks in all.
pub(super) const DEPTH: usize = 8;
pub(super) const LINKS: usize = 50;

/// The tasks that this one waits for, as its own record says.
pub(super) fn waits_for(task: &Task) -> Vec<TaskId> {
    match task.state {
        TaskState::Blocked | TaskState::Running if task.waiting => task.children.clone(),
        TaskState::Blocked => task.after.clone(),
        _ => Vec::new(),
    }
}

/// The chain below the task, in the order in which it is read: each link followed by what that one waits for.
pub(super) fn links(around: &Around, facts: &TaskFacts) -> Vec<Link> {
    let mut told = BTreeSet::from([facts.detail.task.id.clone()]);
    let mut out = Vec::new();
    follow(around, facts, &facts.detail.task, 1, &mut told, &mut out);
    out
}

fn follow(
    around: &Around,
    facts: &TaskFacts,
    task: &Task,
    depth: usize,
    told: &mut BTreeSet<TaskId>,
    out: &mut Vec<Link>,
) {
    if depth > DEPTH {
        return;
    }
    let next = waits_for(task);
    // No task waits for a subtask that failed or succeeded.
    let open = |t: &&Task| next.contains(&t.id) && !t.state.is_terminal();
    for link in facts.links.iter().filter(open) {
        let is_new = told.insert(link.id.clone());
        let why = if is_new { why(around, facts, link) } else { "explained above".to_owned() };
        out.push(Link { depth, id: link.id.clone(), state: link.state, why });
        if is_new {
            follow(around, facts, link, depth + 1, told, out);
        }
    }
}

/// Why a task has not ended yet, in a line.
fn why(around: &Around, facts: &TaskFacts, task: &Task) -> String {
    let now = around.snapshot.now;
    match task.state {
        TaskState::Blocked if task.waiting => "waits for its subtasks, without a program".to_owned(),
        TaskState::Blocked => format!("comes after {}", list(task.after.iter().map(|id| name(facts, id)))),
        TaskState::Delayed => {
            let due = task.due_at.filter(|due| *due > now);
            let due =
                due.map_or_else(|| "due now".to_owned(), |due| format!("due in {}, at {due}", human(due.since(now))));
            format!("{due}; its last attempt: {}", reason(task.reason.as_ref()))
        }
        TaskState::Held => format!("waits for a person: {}", reason(task.reason.as_ref())),
        TaskState::Ready => {
            let mut out = Explanation::default();
            obstacles(around, facts, task, &mut out);
            out.sentences.join(" ")
        }
        TaskState::Running => running(around, task),
        TaskState::Succeeded | TaskState::Failed | TaskState::Cancelled | TaskState::Skipped => {
            reason(task.reason.as_ref())
        }
    }
}

/// A task that is waited for, with its key where it is part of a plan and is looked at.
fn name(facts: &TaskFacts, id: &TaskId) -> String {
    let known = facts.links.iter().find(|link| link.id == *id);
    match known.and_then(|task| task.plan_key.as_deref()) {
        Some(key) => format!("{key} ({id})"),
        None => id.to_string(),
    }
}

fn running(around: &Around, task: &Task) -> String {
    let Some(id) = task.agent.as_deref() else { return "no agent is recorded for it".to_owned() };
    if task.waiting {
        return format!("{id} is at it, and waits for its subtasks");
    }
    match living(around, id) {
        Some(agent) => {
            let heard = agent.heartbeat_at.map(|at| format!("; last heard {} ago", since(around, at)));
            let waits = agent.waits_for().map(|waits| format!("; its program {waits}"));
            let for_ = since(around, agent.since);
            format!("{id} has worked on it for {for_}{}{}", heard.unwrap_or_default(), waits.unwrap_or_default())
        }
        None => format!("{id} had it, and no longer exists"),
    }
}
