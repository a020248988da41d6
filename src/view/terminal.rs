//! The properties of the output: its width, whether it shows colours, and which characters it shows.

use std::{
    env,
    io::{self, IsTerminal},
};

use super::{View, style};
use crate::model::time::{Timestamp, Zone};

/// How answers look on this standard output now.
///
/// `COLUMNS` takes precedence over the terminal's own width. Where neither is known (a pipe, a file), lines are never
/// cut, so that a program finds every column.
pub fn view() -> View {
    let terminal = io::stdout().is_terminal();
    View {
        width: columns().or_else(|| size().map(|(columns, _)| columns)),
        colour: terminal && style::wanted(),
        terminal,
        ascii: terminal && is_ascii(locale().as_deref()),
        prompt: false,
        now: Timestamp::now(),
        zone: Zone::Local,
    }
}

/// The same for the console's prompt. Its window changes its size while it runs, so `COLUMNS` says nothing about it.
pub fn prompt_view() -> View {
    View { width: size().map(|(columns, _)| columns), prompt: true, ..view() }
}

/// Columns and rows of the terminal that is standard output.
pub fn size() -> Option<(usize, usize)> {
    let (columns, rows) = terminal_size::terminal_size_of(io::stdout())?;
    Some((usize::from(columns.0).max(1), usize::from(rows.0).max(1)))
}

fn columns() -> Option<usize> {
    env::var("COLUMNS").ok()?.parse().ok().filter(|n| *n > 0)
}

/// The locale for characters: the first variable that is set decides, as in the C library.
fn locale() -> Option<String> {
    ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()))
}

/// Whether a locale is known to be without UTF-8. One that is not set says nothing: most terminals show UTF-8.
fn is_ascii(locale: Option<&str>) -> bool {
    let Some(locale) = locale else { return false };
    let charset = locale.split_once('.').map_or("", |(_, charset)| charset).to_ascii_lowercase();
    !charset.starts_with("utf8") && !charset.starts_with("utf-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_locale_that_names_another_charset_is_ascii() {
        for utf8 in [None, Some("C.UTF-8"), Some("de_DE.utf8"), Some("en_US.UTF-8@euro")] {
            assert!(!is_ascii(utf8), "{utf8:?}");
        }
        for ascii in ["C", "POSIX", "en_US", "en_US.ISO-8859-1"] {
            assert!(is_ascii(Some(ascii)), "{ascii}");
        }
    }
}
