//! What a drill has come to: the answer of `orch drill`, and the file that tells its story where something went wrong.

use std::{collections::BTreeMap, fs, io, path::Path, time::Duration};

use serde::Serialize;

use super::{
    faults::FAULTS,
    history::{History, Violation},
    measure::Injected,
    measure::{Facts, percentile},
    scene::Note,
    steady::Growth,
};
use crate::model::{cause::Cause, event::Event, time::Timestamp};

pub use crate::store::passes::Passes;

/// The answer of `orch drill`.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// By which it can be done again.
    pub seed: u64,
    /// The command that does it again.
    pub replay: String,
    /// From the start to the last check.
    pub took_ms: u64,
    /// Each kind of fault that came up, in the order of the list.
    pub faults: Vec<FaultReport>,
    /// Tasks that were acknowledged, subtasks too.
    pub accepted: usize,
    /// Delegates that were told that nobody answers.
    pub unanswered: usize,
    /// How often a task's program began.
    pub executions: usize,
    /// Attempts that ended through no fault of their tasks.
    pub attempts_lost: usize,
    /// Where the tasks stand at the end.
    pub tasks: BTreeMap<&'static str, usize>,
    /// What has grown, if that was watched.
    pub growth: Vec<Growth>,
    /// What the supervisor's passes have taken.
    pub passes: Passes,
    /// Broken promises.
    pub violations: Vec<Violation>,
    /// The whole story, where it was kept.
    pub timeline: Option<String>,
    /// The world's folder, where it was kept.
    pub folder: Option<String>,
}

/// One kind of fault.
#[derive(Debug, Clone, Serialize)]
pub struct FaultReport {
    /// Its name.
    pub fault: &'static str,
    /// How often it was done.
    pub injected: usize,
    /// How often there was nothing that it could have hit.
    pub missed: usize,
    /// How often what it hit was seen to be well again.
    pub recovered: usize,
    /// How long that took: half of them no longer than this.
    pub p50_ms: Option<u64>,
    /// And 99 of a hundred.
    pub p99_ms: Option<u64>,
}

/// The faults, by kind.
pub(super) fn faults(injected: &[Injected], missed: &[&'static str], facts: &Facts<'_>) -> Vec<FaultReport> {
    let report = |fault: &'static str| {
        let of: Vec<&Injected> = injected.iter().filter(|i| i.fault.name == fault).collect();
        let mut times: Vec<Duration> = of.iter().filter_map(|i| facts.recovery(i)).collect();
        let ms = |d: Option<Duration>| d.map(|d| d.as_millis() as u64);
        FaultReport {
            fault,
            injected: of.len(),
            missed: missed.iter().filter(|name| **name == fault).count(),
            recovered: times.len(),
            p50_ms: ms(percentile(&mut times, 50)),
            p99_ms: ms(percentile(&mut times, 99)),
        }
    };
    FAULTS.iter().map(|f| report(f.name)).filter(|r| r.injected + r.missed > 0).collect()
}

/// How many tasks are in each state.
pub(super) fn states(history: &History) -> BTreeMap<&'static str, usize> {
    let mut states = BTreeMap::new();
    for task in &history.tasks {
        *states.entry(task.task.state.as_str()).or_default() += 1;
    }
    states
}

/// How many attempts were lost.
pub(super) fn lost(history: &History) -> usize {
    history.tasks.iter().flat_map(|t| &t.attempts).filter(|a| a.cause == Some(Cause::Lost)).count()
}

/// Writes what happened, in the order in which it did: faults, what the drill did and saw, and every event.
///
/// # Errors
/// What the system says.
pub(super) fn write_timeline(path: &Path, notes: &[Note], events: &[Event]) -> io::Result<()> {
    let event = |e: &Event| {
        let about: Vec<&str> = [&e.task, &e.agent].into_iter().flatten().map(String::as_str).collect();
        (e.at, format!("      {} {}: {}", e.kind, about.join(" "), e.reason))
    };
    let mut lines: Vec<(Timestamp, String)> = notes.iter().map(|n| (n.at, format!("drill {}", n.what))).collect();
    lines.extend(events.iter().map(event));
    // Stable: what has the same time stays as it came.
    lines.sort_by_key(|(at, _)| *at);
    let text: String = lines.iter().map(|(at, line)| format!("{at} {line}\n")).collect();
    fs::write(path, text)
}
