//! The small answers: explanations, changes, checks, a start.

use super::{Style, View, agent::facts, safe, status, text::pad};
use crate::{
    model::{task::TaskState, text::count},
    ops::types::{Changed, Check, Started, Stopped, Why},
};

/// `orch why`: the sentences, then what to type.
pub fn why(why: &Why, view: &View) -> String {
    let mut out = format!("{}  {}\n", view.paint(&safe(&why.id), Style::Bold), state(&why.state, view));
    for sentence in &why.sentences {
        out.push_str(&view.hanging("  ", sentence));
    }
    if !why.chain.is_empty() {
        out.push_str(&format!("{}\n", view.paint("waits for:", Style::Bold)));
    }
    for link in &why.chain {
        let state = view.paint(link.state.as_str(), Style::of_task(link.state));
        let lead = format!("{}{}  {}: ", "  ".repeat(link.depth), link.id, link.state);
        let line = view.hanging(&lead, &link.why);
        // The state is coloured after the line was measured.
        out.push_str(&line.replacen(link.state.as_str(), &state, 1));
    }
    if let Some(evidence) = &why.evidence {
        let of = why.evidence_attempt.map(|n| format!(" of attempt {n}")).unwrap_or_default();
        let heading = format!("evidence of the end{of} ({}):", safe(&evidence.agent));
        out.push_str(&format!("{}\n", view.paint(&heading, Style::Bold)));
        out.push_str(&facts(evidence, view));
    }
    if !why.hints.is_empty() {
        let hints: Vec<_> = why.hints.iter().map(|h| (safe(h), "")).collect();
        out.push_str(&view.commands("next:", &hints));
    }
    out
}

/// A task's or an agent's; their words overlap only where they look alike.
fn state(word: &str, view: &View) -> String {
    let task = word.parse().map(Style::of_task);
    let style = task.or_else(|_| word.parse().map(Style::of_agent)).unwrap_or_default();
    view.paint(&safe(word), style)
}

/// One task of `orch cancel`.
pub fn cancelled(change: &Changed, view: &View) -> String {
    match (change.changed, change.state) {
        (true, TaskState::Running) => format!("{}: its agent was told to stop it\n", change.id),
        (true, _) => format!("{}: cancelled (was {})\n", change.id, change.from),
        (false, TaskState::Running) => format!("{}: is being cancelled already\n", change.id),
        (false, state) => unchanged(change, state, view),
    }
}

/// One task of `orch retry`.
pub fn retried(change: &Changed, view: &View) -> String {
    match change.changed {
        true => format!("{}: {} again (was {})\n", change.id, change.state, change.from),
        false => unchanged(change, change.state, view),
    }
}

fn unchanged(change: &Changed, state: TaskState, view: &View) -> String {
    format!("{}: {} already, nothing to do\n", change.id, view.paint(state.as_str(), Style::of_task(state)))
}

/// `orch doctor`: one line a check, and under it how to mend what is not well.
pub fn checks(checks: &[Check], view: &View) -> String {
    let column = checks.iter().map(|c| super::text::width(&c.name)).max().unwrap_or(0).min(16);
    let mut out = String::new();
    for check in checks {
        let (mark, style) = match check.state {
            "ok" => ("✓", Style::Green),
            "warning" => ("!", Style::Yellow),
            _ => ("✗", Style::Red),
        };
        let line = view.hanging(&format!("{mark} {}  ", pad(&safe(&check.name), column)), &check.found);
        // The mark is coloured after the line was measured.
        out.push_str(&line.replacen(mark, &view.paint(mark, style), 1));
        if let Some(mend) = check.mend.as_ref().filter(|_| check.state != "ok") {
            out.push_str(&view.hanging("    → ", mend));
        }
    }
    out
}

/// `orch start`: what runs, how to see it, what to type next.
pub fn started(started: &Started, attach: &str, view: &View) -> String {
    let mut out = view.paint(if started.already { "running already" } else { "started" }, Style::Green);
    out.push('\n');
    out.push_str(&status::status(&started.status, attach, view));
    if started.status.tasks.values().any(|n| *n > 0) {
        out.push('\n');
        out.push_str(&status::first_steps(attach, view));
    }
    out
}

/// `orch stop`.
pub fn stopped(stopped: &Stopped) -> String {
    let kept = match stopped.open_tasks.unwrap_or(0) {
        0 => String::new(),
        n => {
            let open = count(n, "task has not ended; it is", "tasks have not ended; they are");
            format!("{open} kept for the next orch start\n")
        }
    };
    match stopped.stopped {
        true => format!("stopped; nothing is left running\n{kept}"),
        false => "nothing was running\n".to_owned(),
    }
}
