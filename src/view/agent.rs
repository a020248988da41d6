//! Agents: in a table, and everything recorded about one.

use std::time::Duration;

use super::{
    Style, View,
    table::{Cell, Column, Fields, Table},
    text::{bytes, millis},
    why,
};
use crate::model::{
    agent::{Agent, AgentState},
    text,
    wait::{Need, Needs, Retry, Wait},
};

/// The agents, one line per agent, and below them what their programs wait for.
pub fn list(agents: &[Agent], view: &View) -> String {
    table(agents.iter(), view)
        + &notes(agents.iter().filter_map(|a| Some((a, a.waits_for()?))), view)
        + &unread_notes(agents, view)
}

/// The same for a page that shows elsewhere what agents ask.
pub fn list_beside_attention(agents: &[Agent], view: &View) -> String {
    let mut shown: Vec<&Agent> = agents.iter().filter(|a| a.master || !is_idle(a)).collect();
    // Those that ask for something first, then those at work; the master above all.
    shown.sort_by_key(|a| (!a.master, a.needs.is_none(), a.state != AgentState::Busy));
    let idle: Vec<&str> = agents.iter().filter(|a| !a.master && is_idle(a)).map(|a| a.id.as_str()).collect();
    let waits = agents.iter().filter_map(|a| Some((a, a.waits_for()?)));
    table(shown, view)
        + &idle_line(&idle, view)
        + &notes(waits.filter(|(_, wait)| matches!(wait, Wait::Service(_))), view)
        + &unread_notes(agents, view)
}

fn is_idle(a: &Agent) -> bool {
    a.state == AgentState::Idle && a.waits_for().is_none()
}

/// `3 idle: shell-1, shell-2, sonnet-1`
fn idle_line(idle: &[&str], view: &View) -> String {
    const NAMED: usize = 20;
    if idle.is_empty() {
        return String::new();
    }
    let more = idle.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let named = idle[..idle.len().min(NAMED)].join(", ");
    view.hanging(&format!("{} idle: ", idle.len()), &format!("{named}{more}"))
}

fn unread_notes(agents: &[Agent], view: &View) -> String {
    agents.iter().filter_map(|a| unread(a, view)).map(|line| view.hanging("  ", &line)).collect()
}

/// How many messages an agent's program has not read, where that is worth a line.
fn unread(a: &Agent, view: &View) -> Option<String> {
    let at = a.unread_since.filter(|at| a.unread > 0 && view.now.since(*at) >= UNREAD)?;
    let messages = text::count(a.unread, "message is", "messages are");
    Some(format!("{}: {messages} not read yet, sent {} ago", a.id, view.age(at)))
}

/// A message that is younger than this is no news.
const UNREAD: Duration = Duration::from_secs(10);

fn notes<'a>(waits: impl Iterator<Item = (&'a Agent, Wait)>, view: &View) -> String {
    waits.map(|(a, waits)| view.hanging("  ", &format!("{} {waits}", a.id))).collect()
}

fn table<'a>(agents: impl IntoIterator<Item = &'a Agent>, view: &View) -> String {
    let mut table = Table::new([
        Column::new("AGENT").at_least(12),
        Column::new("ROLE").expendable(4).at_least(8),
        Column::new("STATE").at_worst(11),
        Column::new("TASK"),
        Column::new("FOR").right().expendable(1),
        Column::new("HEARTBEAT").right().expendable(3),
        Column::new("DONE").right().expendable(5),
        Column::new("MEMORY").right().expendable(6),
        Column::new("TEXT").expendable(2).at_least(15),
    ]);
    for a in agents {
        let style = if a.waits_for().is_some() { Style::Yellow } else { Style::of_agent(a.state) };
        table.row([
            Cell::new(&a.id, if a.master { Style::Bold } else { Style::Plain }),
            Cell::from(&a.role),
            Cell::new(state(a, view), style),
            Cell::from(a.task.as_ref().map(|t| t.as_str()).unwrap_or_default()),
            Cell::from(view.age(a.waits_since().unwrap_or(a.since))),
            Cell::from(a.heartbeat_age_ms.map(millis).unwrap_or_default()),
            Cell::from(a.tasks_done.to_string()),
            Cell::from(a.rss_bytes.map(bytes).unwrap_or_default()),
            Cell::from(a.task_text.as_deref().unwrap_or_default()),
        ]);
    }
    table.render(view)
}

/// The state, or what is more to the point.
fn state(a: &Agent, view: &View) -> String {
    match a.waits_for() {
        Some(Wait::Person(Need { what: Needs::Error, .. })) => "error".to_owned(),
        Some(Wait::Person(need)) => format!("needs {}", need.what),
        _ if a.waiting => "waiting".to_owned(),
        Some(Wait::Service(Retry { limited_until: Some(until), .. })) => format!("limited until {}", view.clock(until)),
        Some(Wait::Service(Retry { attempt: Some(attempt), of: Some(of), .. })) => format!("retrying {attempt}/{of}"),
        Some(Wait::Service(_)) => "retrying".to_owned(),
        None => match quiet(a, view) {
            Some(for_) => format!("quiet {for_}"),
            None => a.state.to_string(),
        },
    }
}

/// A program that shows no progress for this long is called quiet.
const QUIET: Duration = Duration::from_secs(30);

/// How long the program of a busy agent has shown no progress, where that is worth a word.
fn quiet(a: &Agent, view: &View) -> Option<String> {
    let at = a.progress_at.filter(|_| a.state == AgentState::Busy && !a.waiting && a.waits_for().is_none())?;
    (view.now.since(at) >= QUIET).then(|| view.age(at))
}

/// Everything recorded about an agent.
pub fn page(a: &Agent, view: &View) -> String {
    let mut fields = Fields::new(view);
    let heading = if a.master { format!("{} (the master)", a.id) } else { a.id.clone() };
    fields.heading(&heading, a.state.as_str(), Style::of_agent(a.state));
    fields.add("role", &a.role);
    fields.add("session", &a.session);
    fields.option("pid", a.pid);
    fields.add("since", &format!("{} ({} ago)", view.time(a.since), view.age(a.since)));
    fields.option("reason", a.reason.as_ref());
    let for_ = a.waits_since().map(|at| format!(" (for {})", view.age(at))).unwrap_or_default();
    fields.option("needs", a.needs.map(|needs| format!("{needs}{for_}")));
    fields.option("program", a.waits_for().map(|wait| format!("{wait}{}", if a.needs.is_none() { &for_ } else { "" })));
    fields.option("task", a.task.as_ref().map(|t| attempt_of(t.as_str(), a.attempt)));
    fields.option("waiting", a.waiting.then_some("for subtasks of its task"));
    fields.option("quiet", quiet(a, view).map(|for_| format!("for {for_}: no event, no output, no work")));
    fields.option("messages", unread(a, view));
    fields.option("heartbeat", a.heartbeat_age_ms.map(|ms| format!("{} ago", millis(ms))));
    fields.option("memory", a.rss_bytes.map(bytes));
    fields.add("started", &format!("{} ({} ago)", view.time(a.started_at), view.age(a.started_at)));
    fields.add("tasks done", &a.tasks_done.to_string());
    fields.option("restarts", (a.restarts > 0).then_some(a.restarts));
    let mut page = fields.finish();
    if let Some(evidence) = &a.evidence {
        page.push_str(&format!("{}\n{}", view.paint("evidence:", Style::Bold), why::facts(evidence, view)));
    }
    page
}

fn attempt_of(task: &str, attempt: Option<u32>) -> String {
    match attempt {
        Some(n) => format!("{task} (attempt {n})"),
        None => task.to_owned(),
    }
}

/// One more agent of a role was requested; `agent`: the one that was started for it.
pub fn spawned(role: &str, agent: Option<&Agent>) -> String {
    match agent {
        Some(a) => format!("{} is {} (orch attach {})\n", a.id, a.state, a.id),
        None => format!("a new agent of role {role} was requested and has not started yet; see orch status\n"),
    }
}

/// An agent was asked to stop, or has.
pub fn killed(a: &Agent) -> String {
    match a.state {
        AgentState::Stopping => format!("{} was asked to stop; orch why {} shows its progress\n", a.id, a.id),
        state if a.master => format!("{} is {state}; the supervisor starts it again\n", a.id),
        state => format!("{} is {state}\n", a.id),
    }
}
