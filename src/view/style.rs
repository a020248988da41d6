//! The palette: eight styles, as SGR codes.

use crate::model::{agent::AgentState, task::TaskState};

/// The style of a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// The terminal's own style.
    #[default]
    Plain,
    /// Headings.
    Bold,
    /// What matters less.
    Dim,
    /// Failed.
    Red,
    /// In order.
    Green,
    /// Needs attention.
    Yellow,
    /// At work.
    Blue,
    /// Will continue soon.
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

    /// The style of a task's state.
    pub fn of_task(state: TaskState) -> Style {
        match state {
            TaskState::Blocked | TaskState::Cancelled | TaskState::Skipped => Style::Dim,
            TaskState::Ready | TaskState::Delayed => Style::Cyan,
            TaskState::Held => Style::Yellow,
            TaskState::Running => Style::Blue,
            TaskState::Succeeded => Style::Green,
            TaskState::Failed => Style::Red,
        }
    }

    /// The style of an agent's state.
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

/// The text in that style, where colours are shown.
pub fn paint(text: &str, style: Style, colour: bool) -> String {
    if colour && style != Style::Plain && !text.is_empty() {
        format!("\x1b[{}m{text}\x1b[0m", style.code())
    } else {
        text.to_owned()
    }
}

/// Whether colours are wanted: `NO_COLOR` is not set (<https://no-color.org>), and the terminal is not dumb.
pub fn wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}
