//! Invariants of attempts: each ends once, at most one succeeds, fences grow, and their number is bounded.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Finding,
    facts::{Facts, kept, the_event},
};
use crate::model::{
    approval::ApprovalRule,
    cause::Cause,
    task::{Attempt, TaskDetail, TaskState},
};

/// Finds tasks with more than one success, or that continued after a success.
pub(super) fn several_successes(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for t in &facts.history.tasks {
        // A person may let it run again after a success.
        if t.task.approval == Some(ApprovalRule::After) {
            continue;
        }
        let successes: Vec<_> = t.attempts.iter().filter(|a| a.cause == Some(Cause::Success)).collect();
        let events = facts.steps(t.task.id.as_str()).iter().filter(|s| s.to == TaskState::Succeeded).count();
        let facts = match successes.as_slice() {
            [] if t.task.state == TaskState::Succeeded => {
                "it has succeeded, and none of its attempts has succeeded".to_owned()
            }
            [] if events == 0 => continue,
            [_] if events > 1 => format!("{events} events record a success"),
            [one] if t.task.state != TaskState::Succeeded => {
                format!("attempt {} succeeded, and the task is {}", one.number, t.task.state)
            }
            [one] if t.attempts.last() != Some(*one) => {
                format!("it was retried after attempt {} succeeded", one.number)
            }
            [_] => continue,
            [] => "an event records a success, and none of its attempts has succeeded".to_owned(),
            [first, .., last] => format!("attempts {} and {} both succeeded", first.number, last.number),
        };
        found.push((t.task.id.to_string(), facts));
    }
    found
}

/// Finds fences that did not grow from one lease to the next, across all tasks.
pub(super) fn shrinking_fences(facts: &Facts<'_>) -> Vec<Finding> {
    let mut given: Vec<(usize, &TaskDetail, &Attempt)> = Vec::new();
    for t in facts.tasks.values().copied() {
        given.extend(facts.claims(t).into_iter().filter_map(|(step, attempt)| Some((step.index, t, attempt?))));
    }
    given.sort_by_key(|(index, ..)| *index);
    // After a loss of data, live agents renew their leases in any order.
    if facts.data_lost {
        given.sort_by_key(|(_, t, _)| &t.task.id);
    }
    let mut found = Vec::new();
    for pair in given.windows(2) {
        let ((_, before, earlier), (_, t, attempt)) = (pair[0], pair[1]);
        let compared = !facts.data_lost || before.task.id == t.task.id;
        if compared && attempt.fence <= earlier.fence {
            found.push((
                t.task.id.to_string(),
                format!(
                    "attempt {} got fence {} after attempt {} of {} had got {}",
                    attempt.number, attempt.fence, earlier.number, before.task.id, earlier.fence
                ),
            ));
        }
    }
    // A fence from before a loss of data may be missing in the records, but the programs have recorded it.
    let recorded = given.iter().map(|(_, t, a)| (a.fence, (t.task.id.as_str(), a.number)));
    let noted = facts.history.executions.iter().filter_map(|e| Some((e.fence?, (e.task.as_str(), e.attempt))));
    let mut holders: BTreeMap<u64, BTreeSet<(&str, u32)>> = BTreeMap::new();
    for (fence, holder) in recorded.chain(noted) {
        holders.entry(fence).or_default().insert(holder);
    }
    for (fence, holders) in holders.into_iter().filter(|(_, h)| h.len() > 1) {
        let names: Vec<_> = holders.iter().map(|(task, attempt)| format!("attempt {attempt} of {task}")).collect();
        found.push((format!("fence {fence}"), format!("it was given to {}", names.join(" and to "))));
    }
    found
}

/// Finds claims and ends in which events and attempts differ.
pub(super) fn disagreeing(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for t in &facts.history.tasks {
        let id = t.task.id.to_string();
        let claims = facts.claims(t);
        let recorded = kept(t).count();
        if claims.len() > recorded || (claims.len() < recorded && !facts.history.trimmed) {
            found.push((id, format!("{} events record a claim, and {recorded} attempts are recorded", claims.len())));
            continue;
        }
        for (step, attempt) in claims {
            let (claimer, Some(attempt)) = (step.event.agent.as_deref().unwrap_or("no agent"), attempt) else {
                continue;
            };
            if attempt.agent != claimer {
                let facts = format!(
                    "attempt {} was claimed by {claimer} according to {}",
                    attempt.number,
                    the_event(step.event)
                );
                found.push((id.clone(), format!("{facts}, and by {} according to its record", attempt.agent)));
            }
        }
        let ends = facts.steps(&id).iter().filter_map(|s| Some((s, s.end()?)));
        for (step, end) in ends {
            let recorded = t.attempts.iter().find(|a| a.number == end.attempt).and_then(|a| a.cause);
            if recorded != Some(end.cause) {
                let recorded = recorded.map_or("nothing", Cause::as_str);
                let ended = format!("attempt {} ended as {}", end.attempt, end.cause);
                found.push((
                    id.clone(),
                    format!("{ended} according to {}; its record says {recorded}", the_event(step.event)),
                ));
            }
        }
    }
    found
}

/// Finds attempts that ended twice, or had an effect while another attempt held the lease.
pub(super) fn late_effects(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for t in &facts.history.tasks {
        let claims = facts.claims(t);
        let mut ended = BTreeSet::new();
        let ends = facts.steps(t.task.id.as_str()).iter().filter_map(|s| Some((s, s.end()?)));
        for (step, end) in ends {
            let holder = claims.iter().rfind(|(claim, _)| claim.index < step.index).and_then(|(_, attempt)| *attempt);
            let what = format!("attempt {} ended as {} by {}", end.attempt, end.cause, the_event(step.event));
            if !ended.insert(end.attempt) {
                found.push((t.task.id.to_string(), format!("{what}, and had ended before")));
            } else if let Some(holder) = holder.filter(|h| h.number != end.attempt) {
                found.push((t.task.id.to_string(), format!("{what}, while attempt {} held the lease", holder.number)));
            }
        }
    }
    found
}

/// Finds tasks that failed too early or too late.
pub(super) fn unbounded(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for t in &facts.history.tasks {
        let (task, id) = (&t.task, t.task.id.to_string());
        if task.failures > task.retries + 1 || task.lost > task.lost_max + 1 {
            found.push((
                id.clone(),
                format!(
                    "it failed {} times ({} retries) and was lost {} times ({} permitted)",
                    task.failures, task.retries, task.lost, task.lost_max
                ),
            ));
        }
        let (mut failures, mut lost) = (0, 0);
        for step in facts.steps(&id) {
            if step.is_retry() {
                (failures, lost) = (0, 0);
            }
            let Some(end) = step.end() else { continue };
            let own = matches!(end.cause, Cause::Transient | Cause::Timeout);
            failures += u32::from(own || end.cause == Cause::Permanent);
            lost += u32::from(end.cause == Cause::Lost);
            let failed = step.to == TaskState::Failed;
            // Losses during an `orch stop` are not counted, so there may be more of them.
            let too_early = (own && failures <= task.retries) || (end.cause == Cause::Lost && lost <= task.lost_max);
            // After a loss of data, the counts are recovered, but the events are not.
            let counted = !facts.history.trimmed && !facts.data_lost;
            let wrong = match (own && failures > task.retries, failed) {
                (true, false) => "it did not fail",
                (false, true) if too_early && counted => "it failed too early",
                _ => continue,
            };
            let times =
                format!("after {failures} failures of {} and {lost} losses of {}", task.retries + 1, task.lost_max + 1);
            found.push((id.clone(), format!("{wrong}: {}, {times}", the_event(step.event))));
        }
    }
    found
}
