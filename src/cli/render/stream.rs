//! What comes line by line: logs, events, ends of tasks.

use super::{
    Style, View, millis, safe,
    style::paint,
    text::{pad, width},
};
use crate::{
    model::{
        event::Event,
        task::{TaskDetail, TaskState},
    },
    ops::types::LogLine,
};

/// `21:04:07 sonnet-1| text`; standard error has `!` in place of `|`.
pub fn log_line(line: &LogLine, view: &View) -> String {
    let (mark, style) = if line.stream == "stderr" { ("!", Style::Red) } else { ("|", Style::Dim) };
    let clock = view.paint(&line.at.clock(), Style::Dim);
    format!("{clock} {}{} {}\n", safe(&line.agent), view.paint(mark, style), safe(&line.text).replace('\n', " "))
}

/// Wide enough for most kinds, so that lines that come one by one stand under each other.
const KIND: usize = 15;
/// Wide enough for a task's id.
const ABOUT: usize = 12;
/// Below this the words stand as close as they can.
const NARROW: usize = 60;

/// `21:04:07 task.running     t-7k2m9qx4hz  attempt 1 claimed by sonnet-1`. What it is about is the task or the agent
/// that the kind names; the other one follows the reason, unless that speaks of it. A long reason goes on below itself.
pub fn event(event: &Event, view: &View) -> String {
    let (about, other) = match event.kind.starts_with("agent.") {
        true => (&event.agent, &event.task),
        false if event.task.is_some() => (&event.task, &event.agent),
        false => (&event.agent, &None),
    };
    let about = about.as_deref().unwrap_or_default();
    let other = other.as_deref().filter(|other| !event.reason.contains(other));
    let reason = format!("{}{}", event.reason, other.map(|other| format!(" ({other})")).unwrap_or_default());
    let narrow = view.width.is_some_and(|w| w < NARROW);
    // A long kind takes from the room of what it is about, which it often lacks.
    let head = match (narrow, about) {
        (true, "") => event.kind.clone(),
        (true, _) => format!("{} {about}", event.kind),
        (false, _) => pad(&format!("{} {about}", pad(&event.kind, KIND)), KIND + 1 + ABOUT),
    };
    let gap = if narrow { " " } else { "  " };
    let lines = view.hanging(&format!("{} {head}{gap}", event.at.clock()), &reason);
    lines.lines().map(|line| format!("{}\n", paint(line, style(event), view.colour))).collect()
}

/// What went wrong stands out; all else is plain.
fn style(event: &Event) -> Style {
    match event.to.as_deref() {
        Some("failed") => Style::Red,
        Some("held") => Style::Yellow,
        _ => Style::Plain,
    }
}

/// The end of a task: `t-7k2m9qx4hz succeeded in 3.2s: the first line of its answer`.
pub fn end(detail: &TaskDetail, view: &View) -> String {
    let task = &detail.task;
    let took = task.ended_at.map(|end| format!(" in {}", millis(end.since(task.created_at).as_millis() as u64)));
    let said = match task.state {
        TaskState::Succeeded => detail.result.as_ref().map(|r| r.text.as_str()),
        _ => task.reason.as_deref(),
    };
    let lead = format!("{} {}{}", task.id, task.state, took.unwrap_or_default());
    let room = view.width.map_or(usize::MAX, |w| w.saturating_sub(width(&lead) + 2));
    let said = said.map(|s| super::line(s, room)).filter(|s| !s.is_empty() && room > 8);
    let said = said.map(|s| format!(": {s}")).unwrap_or_default();
    format!("{}{said}\n", view.paint(&lead, Style::of_task(task.state)))
}
