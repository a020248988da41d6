//! Invariants of executions: the notes of the agents' programs match the records.

use std::collections::{BTreeMap, BTreeSet};

use super::{Execution, Finding, facts::Facts};
use crate::model::{
    cause::Cause,
    task::{Attempt, TaskState},
};

/// Returns the recorded attempt of an execution.
fn attempt_of<'a>(facts: &Facts<'a>, e: &Execution) -> Option<&'a Attempt> {
    facts.tasks.get(e.task.as_str())?.attempts.iter().find(|a| a.number == e.attempt)
}

fn name(e: &Execution) -> String {
    format!("the execution of attempt {} by {} at {}", e.attempt, e.agent, e.started_at)
}

/// Finds executions of attempts that are not recorded, or that belong to another agent or lease.
pub(super) fn unknown(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for e in &facts.history.executions {
        let why = match attempt_of(facts, e) {
            None => "no such attempt is recorded".to_owned(),
            Some(a) if a.agent != e.agent => format!("it belongs to {}", a.agent),
            Some(a) if e.fence.is_some_and(|fence| fence != a.fence) => {
                format!("it recorded another fence than {}, the attempt's", a.fence)
            }
            Some(_) => continue,
        };
        found.push((e.task.to_string(), format!("{}: {why}", name(e))));
    }
    found
}

/// Finds attempts whose program was started more than once.
pub(super) fn repeated(facts: &Facts<'_>) -> Vec<Finding> {
    let mut seen: BTreeMap<(&str, u32, Option<u64>), &Execution> = BTreeMap::new();
    let mut found = Vec::new();
    for e in &facts.history.executions {
        // After a loss of data, an attempt's number may be used again, with another fence.
        let fence = e.fence.filter(|_| facts.data_lost);
        if facts.data_lost && fence.is_none() {
            continue;
        }
        if let Some(first) = seen.insert((e.task.as_str(), e.attempt, fence), e) {
            found.push((e.task.to_string(), format!("{} came after {}", name(e), name(first))));
        }
    }
    found
}

/// Finds executions of one task that ran at the same time. Lost ones are excluded: they may run until they are found
/// and ended.
pub(super) fn overlapping(facts: &Facts<'_>) -> Vec<Finding> {
    let mut by_task: BTreeMap<&str, Vec<&Execution>> = BTreeMap::new();
    for e in &facts.history.executions {
        by_task.entry(e.task.as_str()).or_default().push(e);
    }
    let mut found = Vec::new();
    for (task, mut executions) in by_task {
        executions.sort_by_key(|e| (e.attempt, e.started_at));
        for pair in executions.windows(2) {
            let (one, next) = (pair[0], pair[1]);
            let Some(cause) = attempt_of(facts, one).and_then(|a| a.cause) else { continue };
            let over = one.ended_at.is_none_or(|end| end <= next.started_at);
            if one.attempt < next.attempt && cause != Cause::Lost && !over {
                found.push((task.to_owned(), format!("{} began before the end of {}", name(next), name(one))));
            }
        }
    }
    found
}

/// Finds successes that were not recorded, recorded successes without an execution, and results that differ.
pub(super) fn misreported(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    // A program may have recorded its success a moment before orch ended it.
    let may_end_so = [Cause::Success, Cause::Lost, Cause::Cancelled, Cause::Timeout];
    for e in facts.history.executions.iter().filter(|e| e.ended_at.is_some() && e.exit_code == Some(0)) {
        let cause = attempt_of(facts, e).and_then(|a| a.cause);
        if !cause.is_some_and(|c| may_end_so.contains(&c)) {
            let cause = cause.map_or("nothing", Cause::as_str);
            found.push((e.task.to_string(), format!("{} succeeded, and was recorded as {cause}", name(e))));
        }
    }
    let noted: BTreeSet<&str> = facts.history.executions.iter().map(|e| e.task.as_str()).collect();
    for t in facts.history.tasks.iter().filter(|t| t.task.state == TaskState::Succeeded) {
        let id = t.task.id.as_str();
        let Some(result) = &t.result else {
            found.push((id.to_owned(), "it has succeeded, and has no result".to_owned()));
            continue;
        };
        let Some(attempt) = t.attempts.iter().rfind(|a| a.cause == Some(Cause::Success)) else { continue };
        let mut executions = facts.history.executions.iter().filter(|e| e.task.as_str() == id);
        let Some(e) = executions.find(|e| e.attempt == attempt.number) else {
            // A task whose programs record nothing has no executions at all.
            if noted.contains(id) {
                found.push((id.to_owned(), format!("attempt {} succeeded, and was not executed", attempt.number)));
            }
            continue;
        };
        let (is, given) = (result.text.trim(), e.text.as_deref().map(str::trim));
        if given.is_some_and(|given| given != is && !(result.truncated && given.ends_with(is))) {
            let given = crate::model::text::one_line(given.unwrap_or_default(), 60);
            let is = crate::model::text::one_line(is, 60);
            found.push((id.to_owned(), format!("{} gave '{given}', and its result is '{is}'", name(e))));
        }
    }
    found
}
