//! The palette: eight looks, as SGR codes.

use crate::model::{agent::AgentState, task::TaskState};

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// As the terminal shows text.
    #[default]
    Plain,
    /// Headings.
    Bold,
    /// What matters less.
    Dim,
    /// Failed.
    Red,
    /// Well.
    Green,
    /// Needs a look.
    Yellow,
    /// At work.
    Blue,
    /// Soon.
    Cyan,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Style::Plain => "",
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Red => "31",
            Style::Green => "32",
            Style::Yellow => "33",
            Style::Blue => "34",
            Style::Cyan => "36",
        }
    }

    /// How a task's state looks.
    pub fn of_task(state: TaskState) -> Style {
        match state {
            TaskState::Blocked | TaskState::Cancelled => Style::Dim,
            TaskState::Ready | TaskState::Delayed => Style::Cyan,
            TaskState::Held => Style::Yellow,
            TaskState::Running => Style::Blue,
            TaskState::Succeeded => Style::Green,
            TaskState::Failed => Style::Red,
        }
    }

    /// How an agent's state looks.
    pub fn of_agent(state: AgentState) -> Style {
        match state {
            AgentState::Starting => Style::Cyan,
            AgentState::Idle => Style::Green,
            AgentState::Busy => Style::Blue,
            AgentState::Stopping | AgentState::Stopped => Style::Dim,
            AgentState::Failed => Style::Red,
        }
    }
}

/// The text in that look, or bare.
pub fn paint(text: &str, style: Style, colour: bool) -> String {
    if colour && style != Style::Plain && !text.is_empty() {
        format!("\x1b[{}m{text}\x1b[0m", style.code())
    } else {
        text.to_owned()
    }
}

/// Whether the reader has not asked for none (<https://no-color.org>).
pub fn wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}
