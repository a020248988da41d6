//! What is known of the reader: how wide the terminal is, and whether it shows colours.

use std::io::{self, IsTerminal};

use super::render::{View, style};
use crate::model::time::Timestamp;

/// How answers are to look on this standard output, now.
///
/// `COLUMNS` wins over what the terminal says. Where neither says anything (a pipe, a file), lines are as long as they
/// are, so that a program finds every column.
pub(super) fn view() -> View {
    let terminal = io::stdout().is_terminal();
    View {
        width: columns().or_else(|| size().map(|(columns, _)| columns)),
        colour: terminal && style::wanted(),
        terminal,
        now: Timestamp::now(),
    }
}

/// Columns and rows of the terminal that is standard output.
pub(super) fn size() -> Option<(usize, usize)> {
    let (columns, rows) = terminal_size::terminal_size_of(io::stdout())?;
    Some((usize::from(columns.0).max(1), usize::from(rows.0).max(1)))
}

fn columns() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.parse().ok().filter(|n| *n > 0)
}
