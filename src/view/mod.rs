//! Renders for every surface: pure functions from an answer of `ops` and a [`View`] to text. Programs get JSON
//! instead.
//!
//! Each subject is rendered in one file here: tasks, agents, status, events, logs, messages, costs, explanations,
//! errors. The command line, the console and the MCP server choose which of them to show, and add nothing of their own.
//! `terminal` says how wide a page may be and whether it shows colours, `text` measures and breaks lines, `table` fits
//! columns into a width.
//!
//! Texts written by agents, tasks and programs pass through `model::text` on their way; none of them reaches a terminal
//! unchanged.

pub mod agent;
pub mod budgets;
pub mod costs;
pub mod doctor;
pub mod error;
pub mod event;
pub mod lifecycle;
pub mod locks;
pub mod log;
pub mod messages;
pub mod plan;
pub mod requests;
mod routing;
pub mod schedule;
pub mod status;
pub mod style;
pub mod table;
pub mod task;
pub mod terminal;
#[cfg(test)]
mod tests;
pub mod text;
pub mod why;

use std::fmt::Display;

use crate::model::{
    duration,
    time::{Timestamp, Zone, with_clocks},
};

pub use style::Style;

/// The verbs that are also typed at the console's prompt.
pub const AT_THE_PROMPT: &[&str] = &[
    "status",
    "tasks",
    "agents",
    "questions",
    "answer",
    "approve",
    "deny",
    "inbox",
    "send",
    "show",
    "why",
    "logs",
    "events",
    "costs",
    "result",
    "cancel",
    "retry",
    "pause",
    "resume",
];

/// Width for list items where the output has no width of its own.
const ITEM: usize = 200;

/// How a page is to look, and the time at which it is shown.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Width in columns; `None`: lines are never broken or cut.
    pub width: Option<usize>,
    /// Whether colours are shown.
    pub colour: bool,
    /// Whether the output is a terminal.
    pub terminal: bool,
    /// Whether the output shows only ASCII characters: our own marks are replaced.
    pub ascii: bool,
    /// Whether the page is shown at the console's prompt: commands are written as `/verb`, long texts are cut.
    pub prompt: bool,
    /// The time to which ages are counted.
    pub now: Timestamp,
    /// The time zone in which times are shown.
    pub zone: Zone,
}

impl View {
    /// A view without a terminal: no width, no colours, times in UTC.
    pub fn plain() -> View {
        View {
            width: None,
            colour: false,
            terminal: false,
            ascii: false,
            prompt: false,
            now: Timestamp::now(),
            zone: Zone::Utc,
        }
    }

    /// The width of a page of prose: at most 100 columns, because wider lines are hard to read.
    pub fn page(&self) -> usize {
        self.width.unwrap_or(100).min(100)
    }

    /// A page that clap has made.
    pub fn clap(&self, page: &clap::builder::StyledStr) -> String {
        self.encode(if self.colour { page.ansi().to_string() } else { page.to_string() })
    }

    /// The time since `at`.
    pub fn age(&self, at: Timestamp) -> String {
        duration::human(self.now.since(at))
    }

    /// A time in a list: `21:04:07`, with the date where it is not today's.
    pub fn clock(&self, at: Timestamp) -> String {
        at.clock(self.zone, self.now)
    }

    /// A time on a page: `2026-11-29 21:04:07+01:00`.
    pub fn time(&self, at: Timestamp) -> String {
        at.in_full(self.zone)
    }

    /// A sentence of ours with its times in the zone of this view.
    pub fn with_clocks(&self, sentence: &str) -> String {
        with_clocks(sentence, self.zone, self.now)
    }

    /// The text in a style, where colours are shown.
    pub fn paint(&self, text: &str, style: Style) -> String {
        style::paint(text, style, self.colour)
    }

    /// A sentence after a mark or a name, broken between words. Ends with a newline.
    pub fn hanging(&self, lead: &str, sentence: &str) -> String {
        text::hanging(lead, &text::safe(&self.with_clocks(sentence)), self.width)
    }

    /// A text after a mark or a name, each of its lines as it is; what is too long for a line continues below, indented like
    /// all of it. Ends with a newline.
    pub fn verbatim(&self, lead: &str, text: &str) -> String {
        text::verbatim(lead, &text::safe(text), self.width)
    }

    /// A sentence of ours, which may be coloured, broken between words; further lines are indented by two columns.
    /// Without a newline at its end.
    pub fn fold(&self, sentence: &str) -> String {
        text::fold(&self.with_clocks(sentence), self.width)
    }

    /// An item of a list: `head`, then as much of the first line of `tail` as fits. Where hardly a word would fit, the
    /// tail gets a line of its own.
    pub fn item(&self, head: &str, tail: &str) -> String {
        let columns = self.width.unwrap_or(ITEM);
        match columns.saturating_sub(text::width(head) + 2) {
            _ if tail.trim().is_empty() => head.to_owned(),
            0..12 => format!("{head}\n  {}", text::line(tail, columns.saturating_sub(2))),
            room => format!("{head}  {}", text::line(tail, room)),
        }
    }

    /// How a verb is typed where this page is shown: `orch why t-7k2m9qx4hz`, at the console's prompt `/why ...`.
    pub fn command(&self, verb: &str, argument: impl Display) -> String {
        format!("{}{verb} {argument}", if self.prompt { "/" } else { "orch " })
    }

    /// A command of the command line as it is typed where this page is shown, if the console has it.
    pub fn typed(&self, command: &str) -> String {
        let rest = command.strip_prefix("orch ").filter(|_| self.prompt).map(|rest| rest.replace(" --task ", " "));
        let of_console = |rest: &String| {
            rest.split(' ').next().is_some_and(|verb| AT_THE_PROMPT.contains(&verb)) && !rest.contains(" -")
        };
        // A shell's quotes mean nothing there.
        let is_choice = command.starts_with("orch answer ");
        let unquoted = |rest: String| {
            if is_choice { rest.replace("'\\''", "\0").replace('\'', "").replace('\0', "'") } else { rest }
        };
        rest.filter(of_console).map_or_else(|| command.to_owned(), |rest| format!("/{}", unquoted(rest)))
    }

    /// Commands to type, under a heading.
    pub fn commands(&self, heading: &str, commands: &[(String, &str)]) -> String {
        let column = commands.iter().map(|(c, _)| text::width(c)).max().unwrap_or(0) + 3;
        let mut out = format!("{}\n", self.paint(heading, Style::Bold));
        for (command, purpose) in commands {
            let line = format!("  {}{purpose}", text::pad(command, column));
            let fits = self.width.is_none_or(|w| text::width(&line) <= w);
            out.push_str(&if fits { line.trim_end().to_owned() } else { format!("  {command}") });
            out.push('\n');
        }
        out
    }

    /// The page in the characters that the output shows. Each mark of ours has an ASCII form of the same width.
    pub fn encode(&self, page: String) -> String {
        if !self.ascii {
            return page;
        }
        let ascii = |c| match c {
            '✓' => '+',
            '✗' => 'x',
            '→' | '↳' => '>',
            '…' => '~',
            '·' => ',',
            '├' | '└' => '`',
            '│' => '|',
            '─' => '-',
            '⏎' => '/',
            other => other,
        };
        page.chars().map(ascii).collect()
    }
}
