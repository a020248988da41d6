//! The answers of commands as text: a line an item, made for a person at a prompt. Pure.

use std::time::Duration;

use super::{
    input::COMMANDS,
    page::{Page, Tone, excerpt},
};
use crate::{
    error::Error,
    model::{
        agent::{Agent, AgentState},
        duration::human,
        task::{Task, TaskDetail, TaskState},
        text::{one_line, plain},
    },
    ops::types::{Changed, LogLine, Status, Why},
};

/// How much of a result `/show` shows.
const SHOWN_LINES: usize = 20;
const SHOWN_BYTES: usize = 4 * 1024;

/// From here on there is room to align what stands under each other.
const WIDE: usize = 60;

/// What stands above the first prompt.
pub(super) fn greeting(namespace: &str, default_role: &str, page: &Page) -> String {
    format!(
        "orch: {namespace}\n{}\n{}\n{}",
        page.paint(Tone::Quiet, &format!("A line is a task for @{default_role}.")),
        page.paint(Tone::Quiet, "Another role: @shell ls -la"),
        page.paint(Tone::Quiet, "Commands: /help")
    )
}

/// What is said at the end.
pub(super) const GOODBYE: &str = "Tasks and agents go on.\nBack to the master: orch attach\nStop everything: orch stop";

/// `/help`
pub(super) fn help(default_role: &str, page: &Page) -> String {
    let mut lines = vec![
        page.item("a line", &format!("a task for @{default_role}")),
        page.item("@role text", "a task for that role"),
    ];
    for (command, argument, what) in COMMANDS {
        lines.push(page.fold(&format!("{:<16}  {what}", format!("/{command} {argument}"))));
    }
    lines.push(page.fold("A \\ at the end of a line continues it; a pasted text is one task."));
    lines.push(page.fold("Tab completes, Ctrl-C clears the line, Ctrl-D leaves; nothing stops."));
    lines.join("\n")
}

/// An error, with what to do about it.
pub(super) fn error(what: &str, e: &Error, page: &Page) -> String {
    let line = page.fold(&format!("{what}{}", plain(e.message.as_bytes())));
    let hint = e.hint.as_deref().map(|h| format!("\n{}", page.fold(&format!("  {}", plain(h.as_bytes())))));
    format!("{}{}", page.paint(Tone::Bad, &line), hint.unwrap_or_default())
}

/// `/status`
pub(super) fn status(status: &Status, page: &Page) -> String {
    let s = &status.supervisor;
    let mut supervisor = format!("supervisor {}", s.state);
    if let (Some(pid), Some(up)) = (s.pid, s.uptime_ms) {
        supervisor += &format!(" (pid {pid}, {})", human(Duration::from_millis(up)));
    }
    if s.paused {
        supervisor += ", paused";
    }
    if !s.paused_roles.is_empty() {
        supervisor += &format!(", paused: {}", s.paused_roles.join(", "));
    }
    // Without Redis nobody can say what was requested.
    if !s.accepting && status.redis.state == "ok" {
        supervisor += ", accepts nothing new";
    }
    let version = status.redis.version.as_deref().map(|v| format!(" {v}")).unwrap_or_default();
    let counts: Vec<String> = TaskState::ALL
        .iter()
        .filter_map(|state| Some((status.tasks.get(state.as_str()).filter(|n| **n > 0)?, state)))
        .map(|(n, state)| format!("{n} {state}"))
        .collect();
    let mut lines = vec![
        format!("namespace {}", status.namespace),
        supervisor,
        format!("redis {} ({}{version})", status.redis.state, status.redis.mode),
        page.fold(&format!("tasks {}", if counts.is_empty() { "none".to_owned() } else { counts.join(", ") })),
    ];
    lines.extend(status.agents.iter().map(|a| agent(a, page)));
    for attention in &status.attention {
        lines.push(page.paint(Tone::Wants, &page.fold(&plain(attention.what.as_bytes()))));
        lines.push(page.fold(&format!("  {}", plain(attention.do_.as_bytes()))));
    }
    lines.join("\n")
}

/// `/tasks`: one of its lines.
pub(super) fn task(task: &Task, page: &Page) -> String {
    let state = page.paint(tone(task.state), task.state.as_str());
    let who = one_line(task.agent.as_deref().unwrap_or(&task.role), 48);
    // The tail's room is computed from what is seen, so the colour is put in afterwards.
    let state_columns = if page.columns < WIDE { 0 } else { 9 };
    let head = format!("{} {:<state_columns$} {who}", task.id, task.state.as_str());
    let line = page.item(&head, &task.description);
    line.replacen(task.state.as_str(), &state, 1)
}

/// `/agents`: one of its lines.
pub(super) fn agent(agent: &Agent, page: &Page) -> String {
    let task = agent.task.as_ref().map(|t| format!(" {t}")).unwrap_or_default();
    let id_columns = if page.columns < WIDE { 0 } else { 12 };
    let head = format!("{:<id_columns$} {}{task}", one_line(&agent.id, 48), agent.state);
    match agent.waits_for().map(|wait| wait.to_string()) {
        Some(waits) => page.paint(Tone::Wants, &page.item(&head, &waits)),
        None if agent.state == AgentState::Failed => page.item(&head, agent.reason.as_deref().unwrap_or_default()),
        None => head,
    }
}

fn tone(state: TaskState) -> Tone {
    match state {
        TaskState::Succeeded | TaskState::Running => Tone::Good,
        TaskState::Failed => Tone::Bad,
        TaskState::Held | TaskState::Delayed => Tone::Wants,
        _ => Tone::Quiet,
    }
}

/// `/show TASK`
pub(super) fn detail(detail: &TaskDetail, page: &Page) -> String {
    let t = &detail.task;
    let mut lines = vec![task(t, page)];
    if let Some(reason) = &t.reason {
        lines.push(page.fold(&format!("  reason: {}", one_line(reason, 300))));
    }
    if let Some(parent) = &t.parent {
        lines.push(format!("  subtask of {parent}"));
    }
    if !t.children.is_empty() {
        lines.push(format!("  subtasks: {}", list(&t.children)));
    }
    if !t.after.is_empty() {
        lines.push(format!("  after: {}", list(&t.after)));
    }
    for a in &detail.attempts {
        let took = a.ended_at.map(|end| format!(" {}", human(end.since(a.started_at)))).unwrap_or_default();
        let how = a.cause.map_or("running".to_owned(), |c| c.to_string());
        let head = format!("  attempt {} {}{took} {how}", a.number, one_line(&a.agent, 48));
        lines.push(page.item(&head, a.reason.as_deref().unwrap_or_default()));
    }
    if let Some(result) = &detail.result {
        let (text, more) = excerpt(&result.text, SHOWN_LINES, SHOWN_BYTES);
        if !text.is_empty() {
            lines.push(text);
        }
        if more || result.truncated {
            lines.push(format!("  … /result {} shows all", t.id));
        }
    }
    lines.join("\n")
}

fn list(ids: &[crate::model::id::TaskId]) -> String {
    ids.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(" ")
}

/// `/why`
pub(super) fn why(why: &Why, page: &Page) -> String {
    let sentences = why.sentences.iter().map(|s| page.fold(&plain(s.as_bytes())));
    let hints = why.hints.iter().map(|h| page.fold(&format!("  {}", plain(h.as_bytes()))));
    std::iter::once(format!("{} is {}", plain(why.id.as_bytes()), why.state))
        .chain(sentences)
        .chain(hints)
        .collect::<Vec<_>>()
        .join("\n")
}

/// `/logs`
pub(super) fn log(line: &LogLine, page: &Page) -> String {
    let at = page.paint(Tone::Quiet, &line.at.clock());
    format!("{at} {}", plain(line.text.as_bytes()))
}

/// `/cancel` and `/retry`: one task's answer.
pub(super) fn changed(changed: &Changed) -> String {
    let Changed { id, from, state, .. } = changed;
    match (changed.changed, *state) {
        (false, _) => format!("{id} is {state}: nothing to do"),
        (true, TaskState::Running) => format!("{id}: its agent was told to stop"),
        (true, _) => format!("{id} {state} (was {from})"),
    }
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn greeting_and_help_are_readable_at_40_columns() {
        let page = Page { columns: 40, colour: false };
        for line in greeting("shop", "sonnet", &page).lines().chain(GOODBYE.lines()) {
            assert!(line.width() <= 40, "{line}");
        }
        let help = help("sonnet", &page);
        for (command, ..) in COMMANDS {
            let line = help.lines().find(|l| l.starts_with(&format!("/{command} "))).unwrap();
            assert!(line.width() <= 40, "{line}");
        }
        assert!(help.lines().all(|l| l.width() <= 40) && !help.contains('…'), "{help}");
    }

    #[test]
    fn an_error_says_what_to_do_and_moves_no_cursor() {
        let page = Page { columns: 40, colour: false };
        let e = Error::not_running("Redis \x1b[2Jdoes not answer").hint("orch start");
        assert_eq!(error("not accepted: ", &e, &page), "not accepted: Redis does not answer\n  orch start");
    }

    #[test]
    fn what_did_not_change_says_so() {
        let id: crate::model::id::TaskId = "t-7k2m9qx4hz".parse().unwrap();
        let say = |from, state, did| changed(&Changed { id: id.clone(), from, state, changed: did });
        assert_eq!(say(TaskState::Ready, TaskState::Cancelled, true), "t-7k2m9qx4hz cancelled (was ready)");
        assert!(say(TaskState::Running, TaskState::Running, true).contains("told to stop"));
        assert!(say(TaskState::Succeeded, TaskState::Succeeded, false).contains("nothing to do"));
    }
}
