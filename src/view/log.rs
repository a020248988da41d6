//! What agents' programs have printed, one line per line.

use super::{Style, View, text::safe};
use crate::ops::types::{LogLine, LogQuery};

/// `21:04:07 sonnet-1| text`; standard error has `!` instead of `|`. A pipe gets a line that ends in CRLF as it is.
pub fn line(line: &LogLine, view: &View) -> String {
    let (mark, style) = if line.stream == "stderr" { ("!", Style::Red) } else { ("|", Style::Dim) };
    let clock = view.paint(&line.at.clock(), Style::Dim);
    let end = if line.text.ends_with('\r') && !view.terminal && !view.prompt { "\r\n" } else { "\n" };
    format!("{clock} {}{} {}{end}", safe(&line.agent), view.paint(mark, style), safe(&line.text).replace('\n', " "))
}

/// The answer to a query that has found no line.
pub fn nothing(query: &LogQuery) -> String {
    match (&query.grep, &query.task, &query.agent) {
        (Some(_), ..) => "no line matches".to_owned(),
        (None, Some(task), _) => format!("{task} has printed nothing"),
        (None, None, Some(agent)) => format!("{agent} has printed nothing"),
        (None, None, None) => "no agent has printed anything yet".to_owned(),
    }
}
