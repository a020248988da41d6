//! Invariants of accepted tasks: each is stored exactly once, and ends with a cause and a reason.

use std::collections::BTreeMap;

use super::{Finding, facts::Facts};
use crate::model::{
    cause::Cause,
    task::{TaskDetail, TaskState},
};

/// Finds acknowledged tasks that are not stored, and tasks that are stored twice.
pub(super) fn unknown(facts: &Facts<'_>) -> Vec<Finding> {
    let acknowledged = facts.history.acknowledged.iter();
    let mut found: Vec<Finding> = acknowledged
        .filter(|ack| !facts.tasks.contains_key(ack.id.as_str()))
        .map(|ack| {
            (ack.id.to_string(), format!("it was acknowledged at {}, and the store does not contain it", ack.at))
        })
        .collect();
    let mut times: BTreeMap<&str, u32> = BTreeMap::new();
    facts.history.tasks.iter().for_each(|t| *times.entry(t.task.id.as_str()).or_default() += 1);
    let doubled = times.into_iter().filter(|(_, n)| *n > 1);
    found.extend(doubled.map(|(id, n)| (id.to_owned(), format!("the store shows it {n} times"))));
    found
}

/// Finds keys that belong to more than one task. A dead letter that is removed gives its key back.
pub(super) fn keys_of_several(facts: &Facts<'_>) -> Vec<Finding> {
    let was_removed = |id: &str| {
        let mut steps = facts.task_steps.get(id).into_iter().flatten();
        steps.any(|step| (step.from, step.to) == (Some(TaskState::Failed), TaskState::Cancelled))
    };
    let mut by_key: BTreeMap<&str, &str> = BTreeMap::new();
    let acknowledged = facts.history.acknowledged.iter().filter_map(|a| Some((a.key.as_deref()?, a.id.as_str())));
    let stored = facts.history.tasks.iter().filter_map(|t| Some((t.task.key.as_deref()?, t.task.id.as_str())));
    acknowledged
        .chain(stored)
        .filter(|(_, id)| !was_removed(id))
        .filter_map(|(key, id)| {
            let first = *by_key.entry(key).or_insert(id);
            (first != id).then(|| (id.to_owned(), format!("its key '{key}' belonged to {first} before")))
        })
        .collect()
}

/// Finds tasks that are still open after all work has ended. A blocked task may wait for a held one; whether it waits
/// for an open task at all is another invariant.
pub(super) fn restless(facts: &Facts<'_>) -> Vec<Finding> {
    use TaskState::*;
    let moving = |t: &&TaskDetail| matches!(t.task.state, Ready | Delayed | Running);
    let says = |t: &TaskDetail| format!("it is {} although all work has ended", t.task.state);
    facts.history.tasks.iter().filter(moving).map(|t| (t.task.id.to_string(), says(t))).collect()
}

/// Finds failed, cancelled and held tasks without a reason or with a cause that does not match.
pub(super) fn unexplained(facts: &Facts<'_>) -> Vec<Finding> {
    use TaskState::*;
    let mut found = Vec::new();
    for TaskDetail { task, .. } in &facts.history.tasks {
        let fits = match (task.state, task.cause) {
            (Failed, Some(cause)) => {
                matches!(cause, Cause::Transient | Cause::Timeout | Cause::Deadline | Cause::Permanent | Cause::Lost)
            }
            (Held, Some(cause)) => cause == Cause::NeedsPerson,
            (Cancelled, Some(cause)) => cause == Cause::Cancelled,
            (Failed | Held | Cancelled, None) => false,
            _ => continue,
        };
        if !fits {
            let cause = task.cause.map_or("no cause", Cause::as_str);
            found.push((task.id.to_string(), format!("it is {}, with {cause} as its cause", task.state)));
        } else if task.reason.as_deref().unwrap_or("").trim().is_empty() {
            found.push((task.id.to_string(), format!("it is {}, and has no reason", task.state)));
        }
    }
    found
}

/// Finds dead letters without their text or without the output of their last program.
pub(super) fn incomplete_dead_letters(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for letter in facts.history.tasks.iter().filter(|t| t.task.state == TaskState::Failed) {
        let id = &letter.task.id;
        if letter.task.description.is_empty() {
            found.push((id.to_string(), "it is a dead letter, and its text is gone".to_owned()));
        }
        // Without an exit code the program may never have run.
        let ran = letter.attempts.iter().rfind(|a| a.exit_code.is_some());
        if let (Some(attempt), Some(outputs)) = (ran, &facts.history.outputs)
            && !outputs.iter().any(|(task, number)| task == id && *number == attempt.number)
        {
            found.push((id.to_string(), format!("it is a dead letter, and attempt {} has no output", attempt.number)));
        }
    }
    found
}
