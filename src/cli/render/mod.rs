//! How answers look to people: pure functions from an answer and a [`View`] to text. Programs get JSON instead.
//!
//! Whatever agents or tasks have said passes `model::text` on its way through here; nothing of it is shown as it came.

pub mod agent;
pub mod answer;
pub mod drill;
pub mod status;
pub mod stream;
pub mod style;
pub mod table;
pub mod task;
#[cfg(test)]
mod tests;
pub mod text;

use std::time::Duration;

use crate::model::{duration, time::Timestamp};

pub use style::Style;

/// Who looks, and when.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// The terminal's width; `None`: lines are as long as they are.
    pub width: Option<usize>,
    /// Whether colours are shown.
    pub colour: bool,
    /// Whether it is a terminal at all.
    pub terminal: bool,
    /// The time that ages are counted to.
    pub now: Timestamp,
}

impl View {
    /// The width for pages of text, which are hard to read when they are wide.
    pub fn page(&self) -> usize {
        self.width.unwrap_or(100).min(100)
    }

    /// A page that clap has made.
    pub fn clap(&self, page: &clap::builder::StyledStr) -> String {
        if self.colour { page.ansi().to_string() } else { page.to_string() }
    }

    /// How long ago that was.
    pub fn age(&self, at: Timestamp) -> String {
        duration::human(self.now.since(at))
    }

    fn paint(&self, text: &str, style: Style) -> String {
        style::paint(text, style, self.colour)
    }

    /// A sentence after a mark or a name, broken between words.
    fn hanging(&self, lead: &str, sentence: &str) -> String {
        text::hanging(lead, &safe(sentence), self.width)
    }

    /// Commands to type, under a heading.
    fn commands(&self, heading: &str, commands: &[(String, &str)]) -> String {
        let column = commands.iter().map(|(c, _)| text::width(c)).max().unwrap_or(0) + 3;
        let mut out = format!("{}\n", self.paint(heading, Style::Bold));
        for (command, purpose) in commands {
            let line = format!("  {}{purpose}", text::pad(command, column));
            let fits = self.width.is_none_or(|w| text::width(&line) <= w);
            out.push_str(if fits { line.trim_end() } else { "" });
            if !fits {
                out.push_str(&format!("  {command}"));
            }
            out.push('\n');
        }
        out
    }
}

/// Milliseconds for people.
pub fn millis(ms: u64) -> String {
    duration::human(Duration::from_millis(ms))
}

/// The first line of a text of others, cut to so many columns. A tab is as wide as it likes: a space is one column.
fn line(text: &str, columns: usize) -> String {
    crate::model::text::one_line(&text.trim().replace('\t', " "), columns)
}

/// A text of others without what a terminal would obey.
fn safe(text: &str) -> String {
    crate::model::text::plain(text.as_bytes())
}
