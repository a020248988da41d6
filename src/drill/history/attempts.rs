//! Attempts: each ends once, one succeeds at most, fences grow, and nobody is tried more often than allowed.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Finding,
    facts::{Facts, kept, the_event},
};
use crate::model::{
    cause::Cause,
    task::{Attempt, TaskDetail, TaskState},
};

/// Tasks with more than one success, or whose success was not their end.
pub(super) fn several_successes(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for t in &facts.history.tasks {
        let successes: Vec<_> = t.attempts.iter().filter(|a| a.cause == Some(Cause::Success)).collect();
        let told = facts.steps(t.task.id.as_str()).iter().filter(|s| s.to == TaskState::Succeeded).count();
        let facts = match successes.as_slice() {
            [] if t.task.state == TaskState::Succeeded => "it has succeeded, and none of its attempts has".to_owned(),
            [] if told == 0 => continue,
            [_] if told > 1 => format!("{told} events say that it succeeded"),
            [one] if t.task.state != TaskState::Succeeded => {
                format!("attempt {} succeeded, and the task is {}", one.number, t.task.state)
            }
            [one] if t.attempts.last() != Some(*one) => {
                format!("it was tried again after attempt {} succeeded", one.number)
            }
            [_] => continue,
            [] => "an event says that it succeeded, and none of its attempts has".to_owned(),
            [first, .., last] => format!("attempts {} and {} both succeeded", first.number, last.number),
        };
        found.push((t.task.id.to_string(), facts));
    }
    found
}

/// Fences that did not grow from one lease to the next, whoever got them.
pub(super) fn shrinking_fences(facts: &Facts<'_>) -> Vec<Finding> {
    let mut given: Vec<(usize, &TaskDetail, &Attempt)> = Vec::new();
    for t in facts.tasks.values().copied() {
        given.extend(facts.claims(t).into_iter().filter_map(|(step, attempt)| Some((step.place, t, attempt?))));
    }
    given.sort_by_key(|(place, ..)| *place);
    // After a loss of data the living take up their leases again, each in its own time.
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
    // What was given before a loss of data may stand in no record any more; the programs have noted it.
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

/// Claims and ends of which events and attempts tell different things.
pub(super) fn disagreeing(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for t in &facts.history.tasks {
        let id = t.task.id.to_string();
        let claims = facts.claims(t);
        let recorded = kept(t).count();
        if claims.len() > recorded || (claims.len() < recorded && !facts.history.trimmed) {
            found.push((id, format!("{} claims are told, and {recorded} attempts recorded", claims.len())));
            continue;
        }
        for (step, attempt) in claims {
            let (told, Some(attempt)) = (step.event.agent.as_deref().unwrap_or("nobody"), attempt) else { continue };
            if attempt.agent != told {
                let facts = format!("attempt {} was claimed by {told}, says {}", attempt.number, the_event(step.event));
                found.push((id.clone(), format!("{facts}; its record says by {}", attempt.agent)));
            }
        }
        let ends = facts.steps(&id).iter().filter_map(|s| Some((s, s.end()?)));
        for (step, end) in ends {
            let recorded = t.attempts.iter().find(|a| a.number == end.attempt).and_then(|a| a.cause);
            if recorded != Some(end.cause) {
                let recorded = recorded.map_or("nothing", Cause::as_str);
                let told = format!("attempt {} ended as {}", end.attempt, end.cause);
                found.push((id.clone(), format!("{told}, says {}; its record says {recorded}", the_event(step.event))));
            }
        }
    }
    found
}

/// Attempts that ended twice, or had an effect while another one held the lease.
pub(super) fn late_effects(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for t in &facts.history.tasks {
        let claims = facts.claims(t);
        let mut ended = BTreeSet::new();
        let ends = facts.steps(t.task.id.as_str()).iter().filter_map(|s| Some((s, s.end()?)));
        for (step, end) in ends {
            let holder = claims.iter().rfind(|(claim, _)| claim.place < step.place).and_then(|(_, attempt)| *attempt);
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

/// Tasks that were given up too early, or too late.
pub(super) fn unbounded(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for t in &facts.history.tasks {
        let (task, id) = (&t.task, t.task.id.to_string());
        if task.failures > task.retries + 1 || task.lost > task.lost_max + 1 {
            found.push((
                id.clone(),
                format!(
                    "it failed {} times ({} retries) and was lost {} times ({} forgiven)",
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
            // What was lost while a person stopped everything is not counted; so there may be more of these.
            let too_early = (own && failures <= task.retries) || (end.cause == Cause::Lost && lost <= task.lost_max);
            // What was counted before a loss of data is known again, and its events are not.
            let counted = !facts.history.trimmed && !facts.data_lost;
            let wrong = match (own && failures > task.retries, failed) {
                (true, false) => "it was not given up",
                (false, true) if too_early && counted => "it was given up too early",
                _ => continue,
            };
            let times =
                format!("after {failures} failures of {} and {lost} losses of {}", task.retries + 1, task.lost_max + 1);
            found.push((id.clone(), format!("{wrong}: {}, {times}", the_event(step.event))));
        }
    }
    found
}
