//! `orch status`.

use super::{Style, View, agent, millis, text};
use crate::{
    model::task::TaskState,
    ops::types::{Attention, RedisStatus, Status, SupervisorStatus},
};

/// The whole page; what needs a person comes last, where the eye is. `attach` is what shows the master's terminal.
pub fn status(status: &Status, attach: &str, view: &View) -> String {
    let parts =
        [header(status, view), agents(status, view), needs_you(&status.attention, view), next(status, attach, view)];
    joined(&parts)
}

/// The same for a page that is cut at its end: what needs a person comes before the agents, of which there may be many.
pub fn watched(status: &Status, attach: &str, view: &View) -> String {
    let parts =
        [header(status, view), needs_you(&status.attention, view), next(status, attach, view), agents(status, view)];
    joined(&parts)
}

fn joined(parts: &[String]) -> String {
    parts.iter().filter(|p| !p.is_empty()).map(String::as_str).collect::<Vec<_>>().join("\n")
}

fn header(status: &Status, view: &View) -> String {
    let mut pieces = supervisor(&status.supervisor, known(status));
    pieces.push(redis(&status.redis, &status.supervisor));
    let first = text::flow(&super::safe(&status.namespace), &pieces, view.width, view.colour);
    match known(status) {
        true => {
            let today = match status.usage_today.is_nothing() {
                true => String::new(),
                false => text::flow(
                    "today",
                    &[(super::task::used(&status.usage_today), Style::Plain)],
                    view.width,
                    view.colour,
                ),
            };
            first + &text::flow("tasks", &counts(status), view.width, view.colour) + &today
        }
        false => first,
    }
}

/// Whether the tasks and the requests could be read: nothing is said of what could not.
fn known(status: &Status) -> bool {
    status.redis.state == "ok"
}

fn agents(status: &Status, view: &View) -> String {
    agent::agents_beside_attention(&status.agents, view)
}

/// What to type where nothing runs, or nothing has been asked for yet.
fn next(status: &Status, attach: &str, view: &View) -> String {
    let told = || status.attention.iter().any(|a| a.do_.contains("orch start"));
    match status.supervisor.state {
        "running" if known(status) && status.tasks.values().all(|n| *n == 0) => first_steps(attach, view),
        "running" => String::new(),
        _ if told() => String::new(),
        _ => view.commands("next:", &[("orch start".into(), "start what is stopped")]),
    }
}

/// What to type when everything runs and nothing has been asked for yet.
pub fn first_steps(attach: &str, view: &View) -> String {
    let steps =
        [("orch delegate --role shell 'echo hello'".into(), "submit a task"), (attach.to_owned(), "see the master")];
    view.commands("next:", &steps)
}

fn supervisor(s: &SupervisorStatus, known: bool) -> Vec<(String, Style)> {
    let mut pieces =
        vec![(format!("supervisor {}", s.state), if s.state == "running" { Style::Green } else { Style::Red })];
    pieces.extend(s.pid.map(|pid| (format!("pid {pid}"), Style::Plain)));
    pieces.extend(s.uptime_ms.map(|ms| (format!("up {}", millis(ms)), Style::Plain)));
    if s.paused {
        pieces.push(("paused: starts nothing new".into(), Style::Yellow));
    } else if !s.paused_roles.is_empty() {
        pieces.push((format!("paused roles: {}", s.paused_roles.join(", ")), Style::Yellow));
    }
    if !s.accepting && known && s.state == "running" {
        pieces.push(("draining: accepts nothing new".into(), Style::Yellow));
    }
    pieces
}

fn redis(r: &RedisStatus, s: &SupervisorStatus) -> (String, Style) {
    let version = r.version.as_deref().map(|v| format!(" {v}")).unwrap_or_default();
    let state = match (r.state, r.mode) {
        // The supervisor starts and stops it: that it does not answer is no trouble of its own.
        ("unreachable", "managed") if s.state == "stopped" => "stopped",
        (state, _) => state,
    };
    (format!("redis {state} ({}{version})", r.mode), if r.state == "ok" { Style::Green } else { Style::Red })
}

/// Ready and running always, the others where there are any.
fn counts(status: &Status) -> Vec<(String, Style)> {
    let count = |state: &TaskState| {
        let n = status.tasks.get(state.as_str()).copied().unwrap_or(0);
        let always = matches!(state, TaskState::Ready | TaskState::Running);
        let style = if n == 0 { Style::Dim } else { Style::of_task(*state) };
        (n > 0 || always).then(|| (format!("{n} {state}"), style))
    };
    TaskState::ALL.iter().filter_map(count).collect()
}

fn needs_you(attention: &[Attention], view: &View) -> String {
    if attention.is_empty() {
        return String::new();
    }
    let mut out = format!("{}\n", view.paint("needs you:", Style::Yellow));
    for a in attention {
        out.push_str(&view.hanging("  ", &a.what));
        out.push_str(&view.hanging("    ", &a.do_));
    }
    out
}
