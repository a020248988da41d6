//! `orch drill`: the options, and the report as text. No other surface shows a drill.

use std::time::Duration;

use serde_json::json;

use super::{Session, args, stdio::End};
use crate::{
    drill::{self, FAULTS, Fault, Options, Report, faults, report::FaultReport, steady::Growth},
    error::{Error, Kind},
    model::duration::human,
    view::{
        Style, View,
        table::{Cell, Column, Table},
        text::{self, bytes, millis},
    },
};

/// A shorter drill would end before the first fault; a longer one is a mistyped unit.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// The fastest even pace: each task is a process, and more per second would measure the machine.
const FASTEST: f64 = 200.0;

pub(super) async fn run(args: &args::Drill, session: &mut Session) -> Result<u8, End> {
    let options = options(args)?;
    if args.list {
        let list: Vec<_> =
            FAULTS.iter().map(|f| json!({"fault": f.name, "groups": f.groups, "what": f.what})).collect();
        session.answer(&list, |_, view| fault_list(view))?;
        return Ok(0);
    }
    if !session.json {
        session.page(beginning(&options, &session.view))?;
        session.out.flush()?;
    }
    let report = drill::run(&options).await?;
    session.answer(&report, report_page)?;
    Ok(if report.violations.is_empty() { 0 } else { Kind::Failed.exit_code() })
}

fn options(args: &args::Drill) -> Result<Options, Error> {
    if !(SHORTEST..=LONGEST).contains(&args.duration) {
        return Err(
            Error::usage("--duration must be at least 500ms and at most 7d").hint("for example: --duration 20s")
        );
    }
    if let Some(rate) = args.rate.filter(|rate| !(*rate > 0.0 && *rate <= FASTEST)) {
        return Err(Error::usage(format!(
            "--rate {rate}: it must be more than 0 and at most {FASTEST} tasks per second"
        )));
    }
    let seed = args.seed.unwrap_or_else(|| u64::from(uuid::Uuid::new_v4().as_fields().0));
    let tasks = args.rate.map_or(args.tasks as usize, |rate| (rate * args.duration.as_secs_f64()).ceil() as usize);
    Ok(Options {
        seed,
        faults: faults::select(&args.faults)?,
        tasks,
        agents: args.agents as u32,
        duration: args.duration,
        rate: args.rate,
        keep: args.keep,
        replay: replay(args, seed),
    })
}

/// The command that repeats this drill.
fn replay(args: &args::Drill, seed: u64) -> String {
    let (faults, agents, ms) = (args.faults.join(","), args.agents, args.duration.as_millis());
    let load = args.rate.map_or_else(|| format!("--tasks {}", args.tasks), |rate| format!("--rate {rate}"));
    format!("orch drill --seed {seed} --faults {faults} {load} --agents {agents} --duration {ms}ms")
}

/// Violations that are shown: one mistake often causes thousands.
const SHOWN: usize = 20;

/// Below this width there is no room for the groups.
const NARROW: usize = 70;

/// `orch drill --list`.
fn fault_list(view: &View) -> String {
    let longest = |of: &dyn Fn(&Fault) -> usize| FAULTS.iter().map(of).max().unwrap_or(0) + 2;
    let groups = |fault: &Fault| fault.groups.join(" ");
    let columns = (longest(&|f| f.name.len()), longest(&|f| groups(f).len()));
    let is_narrow = view.width.is_some_and(|width| width < NARROW);
    let line = |fault: &Fault| {
        let groups = if is_narrow { String::new() } else { text::pad(&groups(fault), columns.1) };
        view.hanging(&format!("{}{groups}", text::pad(fault.name, columns.0)), fault.what)
    };
    FAULTS.iter().map(line).collect()
}

/// What is about to run, for a person who will wait for it.
fn beginning(options: &Options, view: &View) -> String {
    let pieces = [
        format!("{} tasks", options.tasks),
        format!("{} agents", options.agents),
        format!("{} kinds of faults", options.faults.len()),
        format!("{}, then until all is quiet", human(options.duration)),
    ];
    let pieces = pieces.map(|piece| (piece, Style::Plain));
    text::flow(&format!("drill {}", options.seed), &pieces, view.width, view.colour)
}

/// The whole report. Violations come last, next to the prompt.
fn report_page(report: &Report, view: &View) -> String {
    let mut out = fault_table(&report.faults, view);
    out.push_str(&growth(&report.growth, view));
    let mut pieces = vec![
        (format!("{} accepted", report.accepted), Style::Plain),
        (format!("{} executions", report.executions), Style::Plain),
        (format!("{} attempts lost", report.attempts_lost), Style::Plain),
    ];
    pieces.extend(report.tasks.iter().map(|(state, n)| (format!("{n} {state}"), Style::Plain)));
    if report.unanswered > 0 {
        pieces.push((format!("{} unanswered", report.unanswered), Style::Plain));
    }
    pieces.push((format!("took {}", millis(report.took_ms)), Style::Dim));
    out.push_str(&text::flow("tasks", &pieces, view.width, view.colour));
    let passes = [
        (format!("longest {}", millis(report.passes.max_ms)), Style::Plain),
        (format!("held up {} at most", millis(report.passes.max_held_up_ms)), Style::Plain),
    ];
    out.push_str(&text::flow("passes", &passes, view.width, view.colour));
    out.push_str(&violations(report, view));
    out
}

fn fault_table(faults: &[FaultReport], view: &View) -> String {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        drill::{history::Violation, report::Passes},
        model::time::Timestamp,
    };

    fn view(width: usize) -> View {
        View { width: Some(width), now: Timestamp(0), ..View::plain() }
    }

    fn broken() -> Report {
        let fault = |fault, recovered, ms| FaultReport {
            fault,
            injected: 3,
            missed: 0,
            recovered,
            p50_ms: ms,
            p99_ms: ms.map(|ms| ms * 10),
        };
        let grown = |what, within| Growth { what, unit: "bytes", first: 2e6, last: 4e6, percent: 100.0, within };
        let violation = |n: usize| Violation {
            invariant: "one success",
            subject: format!("t-{n}"),
            facts: "attempts 1 and 2 both succeeded".into(),
        };
        Report {
            seed: 7,
            replay: "orch drill --seed 7 --faults all --tasks 40 --agents 6 --duration 20000ms".into(),
            took_ms: 25_000,
            faults: vec![fault("kill-supervisor", 3, Some(53)), fault("kill-grandchild", 0, None)],
            accepted: 54,
            unanswered: 3,
            executions: 69,
            attempts_lost: 4,
            tasks: BTreeMap::from([("succeeded", 50), ("failed", 4)]),
            passes: Passes { last_ms: 2, max_ms: 31, max_held_up_ms: 4, max_starved_ms: 7 },
            growth: vec![grown("supervisor memory", false), grown("redis memory", true)],
            violations: (0..25).map(violation).collect(),
            timeline: Some("/tmp/d/timeline".into()),
            folder: Some("/tmp/d".into()),
        }
    }

    #[test]
    fn a_violation_is_shown_with_everything_needed_to_repeat_it() {
        for width in [80, 40] {
            let page = report_page(&broken(), &view(width));
            assert!(page.lines().all(|line| text::width(line) <= width), "{page}");
            let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
            for part in [
                "kill-supervisor 3",
                "53ms 530ms",
                "+100.0 %",
                "4 attempts lost",
                "violations 25",
                "✗ one success: t-0: attempts 1 and 2 both succeeded",
                "and 5 more",
                "timeline: /tmp/d/timeline",
                "again: orch drill --seed 7 --faults all --tasks 40 --agents 6 --duration 20000ms",
            ] {
                assert!(words.contains(part), "{part} is not in\n{page}");
            }
        }
    }

    #[test]
    fn a_drill_without_violations_is_one_line() {
        let well = Report { violations: vec![], timeline: None, folder: None, growth: vec![], ..broken() };
        let page = report_page(&well, &view(80));
        assert!(page.ends_with("violations none\n") && !page.contains("again:"), "{page}");
    }
}
