//! Invariants of locks.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Finding,
    facts::{Facts, the_event},
};
use crate::{
    admission::locks::wants,
    model::{
        event::EventKind,
        lock::LockMode,
        task::{Task, TaskState},
    },
};

/// Finds tasks that were claimed while another one ran whose locks exclude theirs, and of which neither is above the other.
pub(super) fn overlapping(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut running: BTreeMap<&str, &Task> = BTreeMap::new();
    let locking = |id: &str| facts.tasks.get(id).map(|detail| &detail.task).filter(|task| wants(task).next().is_some());
    let mut steps: Vec<_> = facts.task_steps.iter().flat_map(|(id, steps)| steps.iter().map(|s| (*id, s))).collect();
    steps.sort_by_key(|(_, step)| step.index);
    for (id, step) in steps {
        let Some(task) = locking(id) else { continue };
        if step.to != TaskState::Running {
            running.remove(id);
            continue;
        }
        let other = running.values().find(|other| {
            other.id != task.id
                && excludes(task, other)
                && !is_above(facts, task, other)
                && !is_above(facts, other, task)
        });
        if let Some(other) = other {
            let event = the_event(step.event);
            found.push((id.to_owned(), format!("it was claimed by {event} while {} ran, which excludes it", other.id)));
        }
        running.insert(id, task);
    }
    found
}

/// Finds events by which a task waits for a lock that it does not declare.
pub(super) fn undeclared(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for event in facts.history.events.iter().filter(|event| event.kind == EventKind::TaskParked) {
        let detail = event.task.as_deref().and_then(|id| facts.tasks.get(id));
        // A task of a plan may wait for one of the plan's slots.
        if let Some(detail) = detail.filter(|detail| wants(&detail.task).next().is_none() && detail.task.plan.is_none())
        {
            let why = format!("{} says that it waits for a lock, and it declares none", the_event(event));
            found.push((detail.task.id.to_string(), why));
        }
    }
    found
}

fn excludes(one: &Task, other: &Task) -> bool {
    wants(one).any(|(mode, pattern)| {
        wants(other)
            .any(|(its, its_pattern)| (mode == LockMode::Write || its == LockMode::Write) && pattern.meets(its_pattern))
    })
}

/// Returns whether `top` is above `task`.
fn is_above(facts: &Facts<'_>, top: &Task, task: &Task) -> bool {
    let (mut seen, mut at) = (BTreeSet::new(), task.parent.as_ref());
    while let Some(parent) = at.filter(|parent| seen.insert(parent.as_str())) {
        if *parent == top.id {
            return true;
        }
        at = facts.tasks.get(parent.as_str()).and_then(|detail| detail.task.parent.as_ref());
    }
    false
}
