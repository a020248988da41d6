//! Schedules: their list, and what became of their occurrences.

use super::{
    Style, View,
    table::{Cell, Column, Table},
    text::{flow, safe},
};
use crate::{
    model::{
        duration::human,
        schedule::{Decided, Outcome},
        text::{count, one_line},
        time::Timestamp,
    },
    ops::types::{ScheduleInfo, ScheduleRequested, ScheduleWhy, Work},
};

/// Schedules that the status names.
const IN_STATUS: usize = 4;
/// Columns of a text.
const TEXT: usize = 200;

/// One line per schedule.
pub fn list(schedules: &[ScheduleInfo], view: &View) -> String {
    if schedules.is_empty() {
        return "sessions.toml has no schedules\n".to_owned();
    }
    let mut table = Table::new([
        Column::new("SCHEDULE").at_least(8),
        Column::new("STATE"),
        Column::new("NEXT").right(),
        Column::new("LAST").expendable(1).at_least(12),
        Column::new("CRON").expendable(2),
        Column::new("RUNS").expendable(3).at_least(12),
    ]);
    for one in schedules {
        table.row([
            Cell::from(&one.name),
            state(one),
            Cell::from(next(one, view)),
            Cell::from(last(one)),
            Cell::from(times(one)),
            Cell::from(work(&one.work)),
        ]);
    }
    table.render(view)
}

/// The schedules in the status: those that occur next, and what is not as usual.
pub fn in_status(schedules: &[ScheduleInfo], view: &View) -> String {
    if schedules.is_empty() {
        return String::new();
    }
    let mut sorted: Vec<&ScheduleInfo> = schedules.iter().collect();
    sorted.sort_by_key(|one| (is_usual(one), one.next_run_at));
    let piece = |one: &&ScheduleInfo| match is_usual(one) {
        true => (format!("{} {}", safe(&one.name), next(one, view)), Style::Plain),
        false => (format!("{} {}", safe(&one.name), state_in_words(one)), Style::Yellow),
    };
    let mut pieces: Vec<(String, Style)> = sorted.iter().take(IN_STATUS).map(piece).collect();
    if sorted.len() > IN_STATUS {
        pieces.push((format!("{} more: orch schedule list", sorted.len() - IN_STATUS), Style::Dim));
    }
    flow("schedules", &pieces, view.width, view.colour)
}

fn is_usual(one: &ScheduleInfo) -> bool {
    one.state == "active" && one.failure.is_none() && one.waiting.is_empty()
}

/// What a schedule waits for, and what became of its last occurrences.
pub fn why(why: &ScheduleWhy, view: &View) -> String {
    let one = &why.schedule;
    let mut out = format!("schedule {}: {}\n", one.name, times(one));
    out += &view.hanging("  ", &format!("runs {}", work(&one.work)));
    let jitter = std::time::Duration::from_millis(one.jitter_ms);
    let jitter = if jitter.is_zero() { String::new() } else { format!(", jitter {}", human(jitter)) };
    out += &view.hanging("  ", &format!("overlap {}, missed {}{jitter}", one.overlap, one.missed));
    for because in &why.because {
        out += &view.hanging("  ", because);
    }
    if !why.recent.is_empty() {
        out += "\nlast occurrences:\n";
    }
    for decided in &why.recent {
        let style = match decided.outcome {
            Outcome::Run => Style::Green,
            Outcome::Skipped => Style::Yellow,
            Outcome::Failed => Style::Red,
        };
        let head = format!("  {}  {}  ", occurrences(decided, view), view.paint(decided.outcome.as_str(), style));
        out += &view.hanging(&head, &decided.reason);
    }
    out
}

fn occurrences(decided: &Decided, view: &View) -> String {
    match decided.count {
        1 => view.clock(decided.at),
        n => format!("{} to {} ({n})", view.clock(decided.at), view.clock(decided.to)),
    }
}

/// What a run that was asked for has become.
pub fn requested(requested: &ScheduleRequested) -> String {
    match (&requested.run, &requested.waits_for) {
        (Some(run), _) => format!("{run}\n"),
        (None, why) => format!("{} waits: {}\n", requested.name, why.as_deref().unwrap_or("it starts in a moment")),
    }
}

/// That a schedule is paused.
pub fn paused(name: &str, changed: bool) -> String {
    match changed {
        true => format!("{name} is paused: its occurrences are skipped until orch schedule resume {name}\n"),
        false => format!("{name} was paused already\n"),
    }
}

/// That a schedule goes on.
pub fn resumed(name: &str, changed: bool) -> String {
    if changed { format!("{name} goes on\n") } else { format!("{name} was not paused\n") }
}

fn state(one: &ScheduleInfo) -> Cell {
    let style = match one.state.as_str() {
        "active" if one.failure.is_some() => Style::Red,
        _ if is_usual(one) => Style::Green,
        _ => Style::Yellow,
    };
    Cell::new(state_in_words(one), style)
}

fn state_in_words(one: &ScheduleInfo) -> String {
    match one.state.as_str() {
        "active" if one.failure.is_some() => "failing".to_owned(),
        "active" if !one.waiting.is_empty() => count(one.waiting.len() as u64, "waits", "wait"),
        "unknown" => "not loaded".to_owned(),
        other => other.to_owned(),
    }
}

fn next(one: &ScheduleInfo, view: &View) -> String {
    match (one.state.as_str(), one.next_run_at) {
        ("active", Some(at)) if at > view.now => format!("in {}", human(whole_seconds(at, view.now))),
        ("active", Some(_)) => "now".to_owned(),
        _ => "-".to_owned(),
    }
}

fn whole_seconds(at: Timestamp, now: Timestamp) -> std::time::Duration {
    std::time::Duration::from_secs(at.since(now).as_secs().max(1))
}

fn last(one: &ScheduleInfo) -> String {
    let Some(run) = &one.last_run else { return "-".to_owned() };
    format!("{run} {}", one.last_state.as_deref().unwrap_or("forgotten"))
}

fn times(one: &ScheduleInfo) -> String {
    match &one.timezone {
        Some(zone) => format!("{} {zone}", one.cron),
        None => one.cron.clone(),
    }
}

fn work(work: &Work) -> String {
    match work {
        Work::Task { text, role, .. } => {
            let role = role.as_ref().map(|role| format!("{role}: ")).unwrap_or_default();
            format!("{role}{}", one_line(text, TEXT))
        }
        Work::Plan { file, .. } => format!("plan {}", file.display()),
    }
}
