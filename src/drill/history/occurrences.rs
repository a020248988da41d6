//! Invariants of schedules: each occurrence is decided once, and with a reason.

use std::collections::BTreeMap;

use super::{Finding, facts::Facts};
use crate::model::event::EventKind;

/// Finds occurrences that were decided twice, runs that stand for several, and what has no reason.
pub(super) fn decided_twice(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut ends: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
    let mut runs: BTreeMap<String, String> = BTreeMap::new();
    for event in &facts.history.events {
        let is_decision =
            matches!(event.kind, EventKind::ScheduleRun | EventKind::ScheduleSkipped | EventKind::ScheduleFailed);
        let Some(data) = event.data.as_ref().filter(|_| is_decision) else { continue };
        let schedule = data["schedule"].as_str().unwrap_or_default().to_owned();
        let (from, to) = (data["at"].as_u64().unwrap_or(0), data["to"].as_u64().unwrap_or(0));
        if data["reason"].as_str().is_none_or(str::is_empty) {
            found.push((schedule.clone(), format!("its occurrence {from} was decided without a reason")));
        }
        let before = ends.entry(schedule.clone()).or_default();
        if before.iter().any(|(first, last)| [from, to].iter().any(|at| at == first || at == last)) {
            found.push((schedule.clone(), format!("its occurrence {from} was decided twice")));
        }
        before.push((from, to));
        if let Some(run) = data["run"].as_str()
            && let Some(other) = runs.insert(run.to_owned(), schedule.clone())
        {
            found.push((schedule, format!("its run {run} stands for another occurrence of {other} too")));
        }
    }
    found
}
