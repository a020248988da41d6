//! The status of a project: what runs, what is queued, and what needs a person.

use std::borrow::Cow;

use super::{
    Style, View, agent, budgets, costs, schedule,
    table::{Cell, Column, Table},
    text::{flow, millis, safe},
};
use crate::{
    model::{
        attention::in_short,
        task::TaskState,
        text::{count, one_line},
    },
    ops::types::{Attention, MachineProject, RedisStatus, Status, SupervisorStatus},
};

/// Columns of what needs a person, for a program.
const ITEM: usize = 400;

/// The whole page. What needs a person comes last, next to the prompt. `attach` is the command that shows the master's
/// terminal.
pub fn page(status: &Status, attach: &str, view: &View) -> String {
    let parts =
        [header(status, view), agents(status, view), needs_you(&status.attention, view), next(status, attach, view)];
    joined(&parts)
}

/// The same for a page that is cut at its end: what needs a person comes before the agents, which may be many.
pub fn watched(status: &Status, attach: &str, view: &View) -> String {
    let parts =
        [header(status, view), needs_you(&status.attention, view), next(status, attach, view), agents(status, view)];
    joined(&parts)
}

/// The status in a few sentences, for programs: a line for the supervisor, one for the tasks, one per item that needs a
/// person.
pub fn in_words(status: &Status) -> String {
    let there_are = |(_, n): &(&Cow<str>, &u64)| **n > 0;
    let counts: Vec<String> = status.tasks.iter().filter(there_are).map(|(state, n)| format!("{n} {state}")).collect();
    let tasks = match &*status.redis.state {
        "ok" if counts.is_empty() => "none".to_owned(),
        "ok" => counts.join(", "),
        state => format!("unknown, Redis is {state}"),
    };
    let agents = count(status.agents.len() as u64, "agent", "agents");
    let mut out = format!("{}: supervisor {}, {agents}\n", status.namespace, status.supervisor.state);
    out.push_str(&format!("tasks: {tasks}\n"));
    for a in &in_short(&status.attention) {
        out.push_str(&format!("needs a person: {} (do: {})\n", one_line(&a.what, ITEM), a.do_));
    }
    out
}

/// Every project of this machine, one per line.
pub fn projects(projects: &[MachineProject], view: &View) -> String {
    let mut table = Table::new([
        Column::new("PROJECT").at_least(12),
        Column::new("STATE"),
        Column::new("MASTER").expendable(3).at_least(12),
        Column::new("AGENTS").right().expendable(2),
        Column::new("OPEN TASKS").expendable(4).at_least(10),
        Column::new("NEEDS YOU").right().expendable(1),
        Column::new("FOLDER").expendable(5).at_least(15),
    ]);
    let number = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    for project in projects {
        let tasks: Vec<String> = project.tasks.iter().map(|(state, n)| format!("{n} {state}")).collect();
        let style = if project.state == "running" { Style::Green } else { Style::Dim };
        let what = project.problem.clone().unwrap_or_else(|| project.folder.display().to_string());
        table.row([
            Cell::from(&project.namespace),
            Cell::new(&project.state, style),
            Cell::from(project.master.as_deref().unwrap_or("-")),
            Cell::from(number(project.agents)),
            Cell::from(if tasks.is_empty() { "-".to_owned() } else { tasks.join(", ") }),
            Cell::from(number(project.needs_person)),
            Cell::from(what),
        ]);
    }
    table.render(view)
}

fn joined(parts: &[String]) -> String {
    parts.iter().filter(|p| !p.is_empty()).map(String::as_str).collect::<Vec<_>>().join("\n")
}

fn header(status: &Status, view: &View) -> String {
    let mut pieces = supervisor(&status.supervisor, known(status));
    pieces.push(redis(&status.redis, &status.supervisor));
    let first = flow(&safe(&status.namespace), &pieces, view.width, view.colour);
    match known(status) {
        true => {
            let used = (!status.usage_today.is_nothing()).then(|| costs::used(&status.usage_today));
            let day = status.budgets.iter().find(|budget| budget.scope == "day").map(budgets::limit);
            let pieces: Vec<_> = used.into_iter().chain(day).map(|piece| (piece, Style::Plain)).collect();
            let today = match pieces.is_empty() {
                true => String::new(),
                false => flow("today", &pieces, view.width, view.colour),
            };
            first
                + &flow("tasks", &counts(status), view.width, view.colour)
                + &scaled(status, view)
                + &schedule::in_status(&status.schedules, view)
                + &today
        }
        false => first,
    }
}

/// The roles whose number of agents a person has set: what `orch scale` does lasts until it is taken back.
fn scaled(status: &Status, view: &View) -> String {
    let role = |(role, n): (&String, &u32)| (format!("{} to {n}", safe(role)), Style::Yellow);
    match status.scaled.is_empty() {
        true => String::new(),
        false => {
            let mut pieces: Vec<(String, Style)> = status.scaled.iter().map(role).collect();
            pieces.push(("orch scale ROLE auto takes it back".to_owned(), Style::Dim));
            flow("scaled", &pieces, view.width, view.colour)
        }
    }
}

/// Whether tasks and requests could be read. What could not be read is left out.
fn known(status: &Status) -> bool {
    status.redis.state == "ok"
}

fn agents(status: &Status, view: &View) -> String {
    agent::list_beside_attention(&status.agents, view)
}

/// What to type where nothing runs, or nothing was delegated yet.
fn next(status: &Status, attach: &str, view: &View) -> String {
    let is_named = || status.attention.iter().any(|a| a.do_.contains("orch start"));
    match &*status.supervisor.state {
        "running" if known(status) && status.tasks.values().all(|n| *n == 0) => first_steps(attach, view),
        "running" | "frozen" => String::new(),
        _ if is_named() => String::new(),
        _ => view.commands("next:", &[("orch start".into(), "start what is stopped")]),
    }
}

/// What to type when everything runs and nothing was delegated yet.
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
    let state = match (&*r.state, &*r.mode) {
        // The supervisor starts and stops it: without a supervisor it is expected to be stopped.
        ("unreachable", "managed") if s.state == "stopped" => "stopped",
        (state, _) => state,
    };
    (format!("redis {state} ({}{version})", r.mode), if r.state == "ok" { Style::Green } else { Style::Red })
}

/// Ready and running tasks always, other states where there are any.
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
    for a in &in_short(attention) {
        match a.what.contains('\n') {
            // A whole question: it must be read before it is answered.
            true => out.push_str(&view.verbatim("  ", &a.what)),
            false => out.push_str(&view.hanging("  ", &a.what)),
        }
        match view.prompt && !a.commands.is_empty() {
            // What is typed here, one per line.
            true => a.commands.iter().for_each(|c| out.push_str(&view.hanging("    ", &view.typed(c)))),
            false => out.push_str(&view.hanging("    ", &a.do_)),
        }
    }
    out
}
