//! Events, one per line.

use super::{
    Style, View,
    style::paint,
    text::{line, pad},
};
use crate::model::event::Event;

/// Wide enough for most kinds, so that lines are aligned although each is printed alone.
const KIND: usize = 15;
/// Wide enough for a task's id.
const ABOUT: usize = 12;
/// Below this width nothing is aligned.
const NARROW: usize = 60;
/// Columns of a name and of a reason in a notice.
const NAME: usize = 48;
const REASON: usize = 300;

/// `21:04:07 task.running     t-7k2m9qx4hz  attempt 1 claimed by sonnet-1`. First comes the task or the agent that the kind
/// names; the other one follows the reason, unless the reason mentions it. A long reason is broken between words.
pub fn event(event: &Event, view: &View) -> String {
    let (about, other) = match event.kind.is_about_agent() {
        true => (&event.agent, &event.task),
        false if event.task.is_some() => (&event.task, &event.agent),
        false => (&event.agent, &None),
    };
    let about = about.as_deref().unwrap_or_default();
    let other = other.as_deref().filter(|other| !event.reason.contains(other));
    let reason = format!("{}{}", event.reason, other.map(|other| format!(" ({other})")).unwrap_or_default());
    let narrow = view.width.is_some_and(|w| w < NARROW);
    // A long kind takes from the room of what it is about, which is often empty.
    let head = match (narrow, about) {
        (true, "") => event.kind.to_string(),
        (true, _) => format!("{} {about}", event.kind),
        (false, _) => pad(&format!("{} {about}", pad(event.kind.as_str(), KIND)), KIND + 1 + ABOUT),
    };
    let gap = if narrow { " " } else { "  " };
    let lines = view.hanging(&format!("{} {head}{gap}", view.clock(event.at)), &reason);
    lines.lines().map(|line| format!("{}\n", paint(line, style(event), view.colour))).collect()
}

/// Failures and what waits for a person stand out.
fn style(event: &Event) -> Style {
    match event.to.as_deref() {
        Some("failed") => Style::Red,
        Some("held") => Style::Yellow,
        _ => Style::Plain,
    }
}

/// An agent's program asks its user for something: for which task, what it asks, and how to answer it.
pub fn needs(event: &Event, view: &View) -> String {
    let agent = line(event.agent.as_deref().unwrap_or("an agent"), NAME);
    let task = event.task.as_deref().map(|task| format!(" for {}", line(task, NAME))).unwrap_or_default();
    let text = view.fold(&format!("{agent} waits{task}: {}", line(&event.reason, REASON)));
    format!("{}\n  orch attach {agent}", view.paint(&text, Style::Yellow))
}
