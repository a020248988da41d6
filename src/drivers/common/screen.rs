//! Reads an agent program's state from its terminal: the pane's title and the visible screen.
//!
//! Pure: the caller passes the title and the screen as plain text (`tmux capture-pane -p`). Each driver with a terminal has
//! a file `screen.rs` for the layout of its program; [`Driver::see`](crate::drivers::Driver::see) and
//! [`Driver::prompt`](crate::drivers::Driver::prompt) call it. The helpers that these files share are here.
//!
//! # What counts as evidence
//!
//! A program draws its own prompt at the *bottom* of the screen, in a place that it never gives to other text: a box, a bar,
//! a first column. Output of the model or of a tool stands above it, indented. So only the structure at the bottom counts:
//! a text that quotes a question is no question while there is an input box under it. A title comes from the program alone,
//! but says less than the screen (claude's is the same when it is idle and when it asks), and is missing before the first
//! turn; so each file states which of the two it trusts first.
//!
//! A screen that matches nothing is [`Seen::Unknown`], never a guess. A screen that is captured while it is being drawn can
//! look like anything, so callers look twice before they act.
//!
//! The layouts are those of the versions with which `tests/fixtures/screens` was recorded, at 40 to 200 columns.

use super::{errors, event::Failure};
use crate::model::wait::Needs;

/// What a program does, by its screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It works.
    Working,
    /// It waits at its prompt for the next task.
    Idle,
    /// It waits for an answer of its user.
    Asking(Needs),
    /// Unknown: it starts, has ended, or has another layout than the tested version.
    Unknown,
}

impl Seen {
    /// The state of a program that shows its prompt, which it also does while it works and when it is not logged in.
    pub(in crate::drivers) fn at_prompt(works: bool, wants_login: bool) -> Self {
        match (works, wants_login) {
            (true, _) => Seen::Working,
            (false, true) => Seen::Asking(Needs::Login),
            (false, false) => Seen::Idle,
        }
    }
}

/// The prompt of a program, by its screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    /// Nothing is typed in it.
    Empty,
    /// Something is typed in it.
    Filled,
    /// There is none: the program asks something, or its screen is not understood.
    Absent,
}

impl Prompt {
    /// One with this in it. A program shows words of its own where nothing is typed, which plain text does not tell from
    /// typed ones: only those that are known count as nothing.
    pub(in crate::drivers) fn with(typed: &str, own_words: &[&str]) -> Self {
        let typed = typed.trim();
        let is_empty = typed.is_empty() || own_words.iter().any(|words| typed.starts_with(words));
        if is_empty { Prompt::Empty } else { Prompt::Filled }
    }
}

/// Structures at the bottom of a screen are within so many lines. The question about a change of a file is taller, but not
/// what it is known by, which is its end.
pub(in crate::drivers) const BOTTOM: usize = 25;

/// The lines of a screen, without the empty ones at its end and without trailing blanks.
pub(in crate::drivers) fn lines(screen: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = screen.lines().map(str::trim_end).collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    lines
}

/// The last of them.
pub(in crate::drivers) fn bottom<'a, 'b>(lines: &'a [&'b str]) -> &'a [&'b str] {
    &lines[lines.len().saturating_sub(BOTTOM)..]
}

/// By how many columns a line is indented.
pub(in crate::drivers) fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The last `n` lines that are not empty, as one: a narrow terminal wraps.
pub(in crate::drivers) fn end(lines: &[&str], n: usize) -> String {
    let mut last: Vec<&str> = lines.iter().rev().map(|line| line.trim()).filter(|l| !l.is_empty()).take(n).collect();
    last.reverse();
    last.join(" ")
}

/// A line drawn from side to side. It may carry a word, as the top of a box does.
pub(in crate::drivers) fn is_rule(line: &str, stroke: char) -> bool {
    line.starts_with(stroke) && line.chars().filter(|c| *c == stroke).count() >= 10
}

/// The number and the text of a line such as `❯ 2. No` or `  3. Yes, always`: a choice, whether or not the cursor is on it.
pub(in crate::drivers) fn choice(line: &str, cursor: char) -> Option<(u32, &str)> {
    let line = line.trim_start();
    let line = line.strip_prefix(cursor).unwrap_or(line).trim_start();
    let (number, text) = line.split_once(". ")?;
    Some((number.parse().ok()?, text.trim_start()))
}

/// Where the choices begin that the screen ends with: at the first one, or where the cursor stands if they have no numbers.
pub(in crate::drivers) fn first_choice(lines: &[&str], cursor: char) -> Option<usize> {
    let is_first = |line: &&str| choice(line, cursor).is_some_and(|(number, _)| number == 1);
    let has_cursor = |line: &&str| line.trim_start().starts_with(cursor);
    lines.iter().rposition(is_first).or_else(|| lines.iter().rposition(has_cursor))
}

/// The texts between empty lines, each as one: a narrow terminal has wrapped it.
pub(in crate::drivers) fn paragraphs(lines: &[&str]) -> Vec<String> {
    let texts = lines.split(|line| line.trim().is_empty()).filter(|lines| !lines.is_empty());
    texts.map(|lines| lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")).collect()
}

/// Whether the first choice of a list says yes: it is asked whether something may be done, not what.
pub(in crate::drivers) fn is_yes_or_no(lines: &[&str], cursor: char) -> bool {
    let first = lines.iter().rev().filter_map(|line| choice(line, cursor)).find(|(number, _)| *number == 1);
    first.is_some_and(|(_, text)| text.starts_with("Yes") || text.starts_with("Allow"))
}

/// `3/10`: which try of how many.
pub(in crate::drivers) fn tries(text: &str) -> (Option<u64>, Option<u64>) {
    let counted = text.split_once('/').and_then(|(attempt, of)| Some((attempt.parse().ok()?, of.parse().ok()?)));
    counted.unzip()
}

/// Whether an error that a program shows means that it isn't logged in. A narrow terminal has cut it where it liked.
pub(in crate::drivers) fn wants_login<'a>(error: impl Iterator<Item = &'a str> + Clone) -> bool {
    let joined = |by: &str| error.clone().map(str::trim).collect::<Vec<_>>().join(by);
    [joined(" "), joined("")].iter().any(|text| {
        let says = |words: &str| text.to_lowercase().contains(words);
        errors::failure(None, text) == Failure::Login
            || says("missing environment variable")
            || says("authentication failed")
    })
}

/// Whether a title begins with one of the braille patterns, which programs turn while they work.
pub(in crate::drivers) fn is_turning(title: &str) -> bool {
    title.trim_start().starts_with(|c| ('\u{2800}'..='\u{28ff}').contains(&c))
}
