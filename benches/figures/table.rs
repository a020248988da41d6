//! Figures, and how they are printed.

use serde_json::json;

use crate::processes;

/// The unit of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unit {
    Ms,
    Mb,
    Percent,
    PerSecond,
    Count,
}

/// The goal of a figure.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// At least this multiple of the reference.
    TimesReference(f64),
    /// At most this multiple of the reference.
    WithinReference(f64),
    /// No goal: the figure is for comparison.
    None,
}

/// One row of the table.
#[derive(Debug, Clone)]
pub struct Row {
    name: String,
    unit: Unit,
    goal: Goal,
    measured: f64,
    runs: usize,
    reference: Option<(f64, String)>,
    load: f64,
}

impl Row {
    pub fn new(name: impl Into<String>, unit: Unit, goal: Goal, measured: f64, runs: usize) -> Self {
        Row { name: name.into(), unit, goal, measured, runs, reference: None, load: processes::load() }
    }

    /// Adds a reference, which is the bare system's figure for the same work, and its description.
    pub fn with_reference(self, reference: f64, what: &str) -> Self {
        Row { reference: Some((reference, what.to_owned())), ..self }
    }

    fn reached(&self) -> Option<bool> {
        match self.goal {
            Goal::AtMost(most) => Some(self.measured <= most),
            Goal::AtLeast(least) => Some(self.measured >= least),
            Goal::TimesReference(times) => Some(self.measured >= times * self.reference.as_ref()?.0),
            Goal::WithinReference(times) => Some(self.measured <= times * self.reference.as_ref()?.0),
            Goal::None => None,
        }
    }
}

/// Returns the rows as JSON, for programs.
pub fn json(rows: &[Row]) -> serde_json::Value {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let (goal, of) = match row.goal {
                Goal::AtMost(n) => (Some(n), "at_most"),
                Goal::AtLeast(n) => (Some(n), "at_least"),
                Goal::TimesReference(n) => (Some(n), "times_reference"),
                Goal::WithinReference(n) => (Some(n), "within_reference"),
                Goal::None => (None, "none"),
            };
            json!({
                "figure": row.name, "unit": row.unit.name(), "to_reach": goal, "to_reach_is": of,
                "measured": row.measured, "runs": row.runs, "reached": row.reached(), "load": row.load,
                "reference": row.reference.as_ref().map(|(n, _)| n),
                "reference_is": row.reference.as_ref().map(|(_, what)| what),
                "ratio": row.reference.as_ref().map(|(n, _)| row.measured / n),
            })
        })
        .collect();
    json!({"cores": cores(), "figures": rows})
}

/// Returns the rows as a table, for people.
pub fn text(rows: &[Row]) -> String {
    let head = ["figure", "to reach", "measured", "reached", "runs", "reference (same run)", "ratio", "load"];
    let mut table = vec![head.map(str::to_owned)];
    for row in rows {
        let (reference, ratio) = match &row.reference {
            Some((n, what)) => (format!("{} {what}", row.unit.show(*n)), format!("{:.2}", row.measured / n)),
            None => (String::new(), String::new()),
        };
        table.push([
            row.name.clone(),
            match row.goal {
                Goal::AtMost(most) => format!("≤ {}", row.unit.show(most)),
                Goal::AtLeast(least) => format!("≥ {}", row.unit.show(least)),
                Goal::TimesReference(times) => format!("≥ {times} × ref."),
                Goal::WithinReference(times) => format!("≤ {times} × ref."),
                Goal::None => String::new(),
            },
            row.unit.show(row.measured),
            row.reached().map_or("", |yes| if yes { "yes" } else { "NO" }).to_owned(),
            row.runs.to_string(),
            reference,
            ratio,
            format!("{:.1}", row.load),
        ]);
    }
    let mut out = format!("{} cores\n", cores());
    let width = |column: usize| table.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    for line in &table {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Ms => "ms",
            Unit::Mb => "MB",
            Unit::Percent => "% of a core",
            Unit::PerSecond => "per second",
            Unit::Count => "count",
        }
    }

    fn show(self, n: f64) -> String {
        match self {
            Unit::Ms if n >= 1000.0 => format!("{:.2} s", n / 1000.0),
            Unit::Ms => format!("{n:.1} ms"),
            Unit::Mb => format!("{n:.1} MB"),
            Unit::Percent => format!("{n:.2} %"),
            Unit::PerSecond => format!("{n:.0}/s"),
            Unit::Count => format!("{n:.0}"),
        }
    }
}
