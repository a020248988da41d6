//! `orch drill`: what may be broken, and what came of it.

use super::{
    Style, View, millis,
    table::{Cell, Column, Table},
    text::{self, bytes},
};
use crate::{
    drill::{FAULTS, Options, Report, report::FaultReport, steady::Growth},
    model::duration::human,
};

/// So many violations; what is wrong once is often wrong a thousand times.
const SHOWN: usize = 20;

/// `orch drill --list`.
pub fn list(view: &View) -> String {
    let mut table = Table::new([
        Column::new("FAULT"),
        Column::new("GROUP").expendable(1),
        Column::new("WHAT IT DOES").at_least(15),
    ]);
    for fault in FAULTS {
        table.row([fault.name.into(), fault.groups.join(" ").into(), fault.what.into()]);
    }
    table.render(view)
}

/// Before it begins, for a person who will wait.
pub fn beginning(options: &Options, view: &View) -> String {
    let pieces = [
        format!("{} tasks", options.tasks),
        format!("{} agents", options.agents),
        format!("{} kinds of faults", options.faults.len()),
        format!("{}, then until all is quiet", human(options.duration)),
    ];
    let pieces = pieces.map(|piece| (piece, Style::Plain));
    text::flow(&format!("drill {}", options.seed), &pieces, view.width, view.colour)
}

/// The whole answer; what was broken comes last, where the eye is.
pub fn report(report: &Report, view: &View) -> String {
    let mut out = faults(&report.faults, view);
    out.push_str(&growth(&report.growth, view));
    let mut pieces = vec![
        (format!("{} accepted", report.accepted), Style::Plain),
        (format!("{} executions", report.executions), Style::Plain),
        (format!("{} attempts lost", report.attempts_lost), Style::Plain),
    ];
    pieces.extend(report.tasks.iter().map(|(state, n)| (format!("{n} {state}"), Style::Plain)));
    if report.unanswered > 0 {
        pieces.push((format!("{} calls unanswered", report.unanswered), Style::Plain));
    }
    pieces.push((format!("took {}", millis(report.took_ms)), Style::Dim));
    out.push_str(&text::flow("tasks", &pieces, view.width, view.colour));
    out.push_str(&violations(report, view));
    out
}

fn faults(faults: &[FaultReport], view: &View) -> String {
    let mut table = Table::new([
        Column::new("FAULT"),
        Column::new("DONE").right(),
        Column::new("WELL AGAIN").right().expendable(1),
        Column::new("P50").right(),
        Column::new("P99").right(),
    ]);
    let time = |ms: Option<u64>| ms.map_or("-".to_owned(), millis);
    for fault in faults {
        let well = if fault.p50_ms.is_some() { fault.recovered.to_string() } else { "-".to_owned() };
        table.row([
            Cell::from(fault.fault),
            Cell::from(fault.injected.to_string()),
            Cell::from(well),
            Cell::from(time(fault.p50_ms)),
            Cell::from(time(fault.p99_ms)),
        ]);
    }
    table.render(view)
}

fn growth(growth: &[Growth], view: &View) -> String {
    let mut table = Table::new([
        Column::new("WHAT"),
        Column::new("FIRST").right().expendable(1),
        Column::new("LAST").right(),
        Column::new("GROWTH").right(),
    ]);
    for grown in growth {
        let amount = |n: f64| if grown.unit == "bytes" { bytes(n as u64) } else { format!("{n:.0}") };
        let style = if grown.within { Style::Plain } else { Style::Red };
        let percent = Cell::new(format!("{:+.1} %", grown.percent), style);
        table.row([grown.what.into(), amount(grown.first).into(), amount(grown.last).into(), percent]);
    }
    table.render(view)
}

fn violations(report: &Report, view: &View) -> String {
    let folder = report.folder.iter().map(|path| ("folder", path));
    let kept = report.timeline.iter().map(|path| ("timeline", path)).chain(folder);
    let mut out = match report.violations.len() {
        0 => format!("{}\n", view.paint("violations none", Style::Green)),
        n => format!("{}\n", view.paint(&format!("violations {n}"), Style::Red)),
    };
    for violation in report.violations.iter().take(SHOWN) {
        out.push_str(&view.hanging("  ✗ ", &violation.to_string()));
    }
    if report.violations.len() > SHOWN {
        out.push_str(&format!("  and {} more, in the timeline\n", report.violations.len() - SHOWN));
    }
    for (what, path) in kept {
        out.push_str(&format!("{what}: {path}\n"));
    }
    if !report.violations.is_empty() {
        out.push_str(&view.hanging("again: ", &report.replay));
    }
    out
}
