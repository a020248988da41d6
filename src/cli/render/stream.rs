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

/// `21:04:07 task.ready       t-7k2m9qx4hz  reason`, cut to one line on a terminal.
pub fn event(event: &Event, view: &View) -> String {
    let about: Vec<&str> = [&event.task, &event.agent].into_iter().flatten().map(String::as_str).collect();
    let (kind, about, gap) = match view.width.is_some_and(|w| w < NARROW) {
        true => (event.kind.clone(), about.first().map(|s| (*s).to_owned()).unwrap_or_default(), " "),
        false => (pad(&event.kind, KIND), pad(&about.join(" "), ABOUT), "  "),
    };
    let line = format!("{} {kind}{gap}{about}{gap}{}", event.at.clock(), event.reason);
    let line = super::line(&line, view.width.unwrap_or(usize::MAX));
    format!("{}\n", paint(line.trim_end(), style(event), view.colour))
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
