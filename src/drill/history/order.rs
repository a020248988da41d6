//! Invariants of dependencies and subtasks.

use super::{
    Finding,
    facts::{Facts, Step, the_event},
};
use crate::model::{
    edge::Outcome,
    task::{Task, TaskDetail, TaskState},
};

/// Finds attempts that began before all dependencies of the task had succeeded.
pub(super) fn too_early(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for t in &facts.history.tasks {
        for dependency in t.task.after.iter().filter_map(|d| facts.tasks.get(d.as_str())) {
            let id = dependency.task.id.as_str();
            let edge = t.task.edges.get(&dependency.task.id).copied().unwrap_or_default();
            let is_met = |state: TaskState| edge.outcome(state) == Outcome::Met;
            let succeeded = facts.steps(id).iter().find(|s| is_met(s.to)).map(|s| s.index);
            let dropped_success = facts.history.trimmed && is_met(dependency.task.state);
            let claims = facts.steps(t.task.id.as_str()).iter().filter(|s| s.to == TaskState::Running);
            for claim in claims {
                let early = succeeded.map_or(!dropped_success, |index| claim.index < index);
                if early {
                    let facts = format!("it was claimed by {} before {id} had succeeded", the_event(claim.event));
                    found.push((t.task.id.to_string(), facts));
                }
            }
        }
    }
    found
}

/// Finds tasks that stay blocked although no open task blocks them, or although a dependency failed or was cancelled.
pub(super) fn stuck(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for TaskDetail { task, .. } in &facts.history.tasks {
        let id = task.id.as_str();
        let dependencies = || task.after.iter().filter_map(|d| facts.tasks.get(d.as_str())).map(|d| &d.task);
        let not_cancelled = dependencies().find_map(|d| {
            let edge = task.edges.get(&d.id).copied().unwrap_or_default();
            facts.steps(d.id.as_str()).iter().filter(|s| is_end(s)).find(|end| {
                let next = facts.next_step(id, end.index).map(|s| s.to);
                let left = match edge.outcome(end.to) {
                    Outcome::Open | Outcome::Met => false,
                    Outcome::Cancel => next != Some(TaskState::Cancelled),
                    // Another end at the same moment may cancel it, which outranks this one.
                    Outcome::Skip => !matches!(next, Some(TaskState::Skipped | TaskState::Cancelled)),
                };
                left && facts.state_before(id, end.index) == Some(TaskState::Blocked)
            })
        });
        if let Some(end) = not_cancelled {
            found.push((id.to_owned(), format!("{} left it blocked, and did not cancel it", the_event(end.event))));
        } else if task.state == TaskState::Blocked && !dependencies().any(|d| is_open_below(facts, d)) {
            found.push((id.to_owned(), "it is blocked, and nothing that it waits for is open".to_owned()));
        }
    }
    found
}

/// Returns whether a task is open, or has ended and left a subtask open.
fn is_open_below(facts: &Facts<'_>, task: &Task) -> bool {
    let mut children = task.children.iter().filter_map(|child| facts.tasks.get(child.as_str()));
    !task.state.is_terminal() || children.any(|child| !child.task.detached && is_open_below(facts, &child.task))
}

/// Finds subtasks that continued after their parent failed or was cancelled.
pub(super) fn outliving(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for TaskDetail { task, .. } in &facts.history.tasks {
        let Some(parent) = &task.parent else { continue };
        for end in facts.steps(parent.as_str()).iter().filter(|s| is_unsuccessful_end(s)) {
            let next = facts.next_step(task.id.as_str(), end.index).map(|s| s.to);
            let continued = match facts.state_before(task.id.as_str(), end.index) {
                None => false,
                Some(state) if state.is_terminal() => false,
                // Its agent is asked to stop, and may have finished before it receives the request.
                Some(TaskState::Running) => {
                    next.is_some_and(|to| !matches!(to, TaskState::Cancelled | TaskState::Succeeded))
                }
                Some(_) => next != Some(TaskState::Cancelled),
            };
            if continued {
                let next = next.map_or("nothing", TaskState::as_str);
                let facts = format!("{} ended its parent {parent}, and it became {next}", the_event(end.event));
                found.push((task.id.to_string(), facts));
            }
        }
    }
    found
}

/// Returns whether a step ends a task, other than by the removal of a dead letter.
fn is_end(step: &Step<'_, TaskState>) -> bool {
    step.to.is_terminal() && !step.from.is_some_and(TaskState::is_terminal)
}

/// Returns whether a step fails or cancels a task. The removal of a dead letter does not count: its dependents ended
/// when it failed.
fn is_unsuccessful_end(step: &Step<'_, TaskState>) -> bool {
    matches!(step.to, TaskState::Failed | TaskState::Cancelled) && !step.from.is_some_and(TaskState::is_terminal)
}
