//! The output of agents' programs, line by line.

use super::{Style, View, text::safe};
use crate::{
    model::text::count,
    ops::types::{LogLine, LogQuery, Looked},
};

/// `21:04:07 sonnet-1| text`; standard error has `!` instead of `|`. A pipe gets a line that ends in CRLF as it is.
pub fn line(line: &LogLine, view: &View) -> String {
    let (mark, style) = if line.stream == "stderr" { ("!", Style::Red) } else { ("|", Style::Dim) };
    let clock = view.paint(&view.clock(line.at), Style::Dim);
    let end = if line.text.ends_with('\r') && !view.terminal && !view.prompt { "\r\n" } else { "\n" };
    format!("{clock} {}{} {}{end}", safe(&line.agent), view.paint(mark, style), safe(&line.text).replace('\n', " "))
}

/// The answer to a query that has found no line.
pub fn nothing(query: &LogQuery) -> String {
    if let (None, Some(plan)) = (&query.grep, &query.plan) {
        return format!("the tasks of {plan} have printed nothing");
    }
    match (&query.grep, &query.task, &query.agent) {
        (Some(_), ..) => "no line matches".to_owned(),
        (None, Some(task), _) => format!("{task} has printed nothing"),
        (None, None, Some(agent)) => format!("{agent} has printed nothing"),
        (None, None, None) => "no agent has printed anything yet".to_owned(),
    }
}

/// How far a search has looked, where the lines alone do not tell.
pub fn looked(query: &LogQuery, lines: usize, looked: &Looked, view: &View) -> Option<String> {
    let attempts = count(looked.attempts, "attempt", "attempts");
    let back_to = looked.back_to.map(|at| format!(", back to {}", view.clock(at))).unwrap_or_default();
    match (lines, &query.grep) {
        _ if query.last == 0 => None,
        (0, Some(_)) => Some(format!("{}: searched all output that is kept, of {attempts}{back_to}", nothing(query))),
        (0, None) => Some(nothing(query)),
        (_, None) => None,
        (_, Some(_)) if looked.complete && lines < query.last => {
            Some(format!("searched all output that is kept, of {attempts}{back_to}"))
        }
        (_, Some(_)) if looked.of_tasks > 0 => Some(format!(
            "searched the newest {} of {} with output{back_to}; -n N finds more",
            looked.tasks,
            count(looked.of_tasks, "task", "tasks")
        )),
        (_, Some(_)) => Some("-n N finds more".to_owned()),
    }
}
