//! The life of the tasks delegated here, as text. Pure.
//!
//! An event only says "look at this task again". What is told comes from the task's own record, which holds every
//! attempt: so nothing is told twice, and what happened while Redis was away, or in one burst, is told all the same.

use std::collections::HashMap;

use super::page::{Page, Tone, excerpt};
use crate::model::{
    cause::Cause,
    duration::human,
    event::Event,
    event::EventKind,
    id::TaskId,
    task::{Attempt, Task, TaskDetail, TaskState},
    text::one_line,
};

/// Tasks followed at once. The console lives for weeks, and a person reads no more than this anyway.
const MAX_FOLLOWED: usize = 1_000;
/// How much of a result is shown at once.
const RESULT_LINES: usize = 40;
const RESULT_BYTES: usize = 8 * 1024;
/// How much of a reason or of a description is shown.
const REASON_COLUMNS: usize = 300;

/// How far the life of one task has been told.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    /// 0 for a task delegated here, one more than its parent's otherwise.
    depth: usize,
    /// Attempts whose beginning was told.
    begun: usize,
    /// Attempts whose end was told.
    ended: usize,
    state: TaskState,
}

/// What an event asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// It is about nothing that is followed.
    No,
    /// Read this task and [`Followed::tell`] it: it is followed, or may be a subtask of one that is.
    At(TaskId),
    /// Tell this at once.
    Say(String),
}

/// The tasks whose life is told until they end.
#[derive(Debug, Default)]
pub(super) struct Followed {
    tasks: HashMap<TaskId, Told>,
}

impl Followed {
    /// Whether nothing is followed.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
    /// All that are followed, parents before their subtasks.
    pub fn ids(&self) -> Vec<TaskId> {
        let mut ids: Vec<_> = self.tasks.iter().map(|(id, told)| (told.depth, id.clone())).collect();
        ids.sort();
        ids.into_iter().map(|(_, id)| id).collect()
    }
    /// The task's record is gone.
    pub fn forget(&mut self, id: &TaskId) {
        self.tasks.remove(id);
    }

    /// A task was delegated from here: its life is told from now on, without its first `past` attempts. Whether there
    /// was room.
    pub fn begin(&mut self, id: &TaskId, past: usize) -> bool {
        self.insert(id, Told { depth: 0, begun: past, ended: past, state: TaskState::Ready })
    }

    /// A task is tried again from here. Where it is followed already, its life just goes on.
    pub fn begin_again(&mut self, id: &TaskId, past: usize) {
        if !self.tasks.contains_key(id) {
            self.begin(id, past);
        }
    }

    /// An open task from before this console's time: one line says how it stands, the rest is told as it comes.
    pub fn adopt(&mut self, detail: &TaskDetail, page: &Page) -> Option<String> {
        let task = &detail.task;
        let depth = task.parent.as_ref().map_or(Some(0), |p| Some(self.tasks.get(p)?.depth + 1))?;
        if task.state.is_terminal() || self.tasks.contains_key(&task.id) {
            return None;
        }
        let ended = detail.attempts.iter().filter(|a| a.ended_at.is_some()).count();
        let told = Told { depth, begun: detail.attempts.len(), ended, state: task.state };
        if !self.insert(&task.id, told) {
            return None;
        }
        let on = task.agent.as_deref().map(|a| format!(" on {}", one_line(a, 48))).unwrap_or_default();
        Some(page.item(&format!("{}{}{on}", head(task, depth), task.state), &task.description))
    }

    fn insert(&mut self, id: &TaskId, told: Told) -> bool {
        let room = self.tasks.len() < MAX_FOLLOWED || self.tasks.contains_key(id);
        if room {
            self.tasks.insert(id.clone(), told);
        }
        room
    }

    /// What this event asks for.
    pub fn hear(&self, event: &Event, page: &Page) -> Look {
        if event.kind == EventKind::AgentNeeds {
            let agent = one_line(event.agent.as_deref().unwrap_or("an agent"), 48);
            let text = format!("{agent}: {}", one_line(&event.reason, REASON_COLUMNS));
            return Look::Say(format!("{}\n  orch attach {agent}", page.paint(Tone::Wants, &page.fold(&text))));
        }
        let Some(id) = event.task.as_deref().and_then(|id| id.parse().ok()) else { return Look::No };
        // A task's first event has no state before it. Whose subtask it is stands in its record.
        let newcomer = event.from.is_none() && event.to.is_some();
        let about_task = event.kind.is_about_task();
        if about_task && (self.tasks.contains_key(&id) || newcomer && !self.tasks.is_empty()) {
            return Look::At(id);
        }
        Look::No
    }

    /// What is new about this task, as lines; `None` if nothing is, or if it is none of ours. Once it has ended it is
    /// followed no longer.
    pub fn tell(&mut self, detail: &TaskDetail, page: &Page) -> Option<String> {
        let task = &detail.task;
        let mut lines = Vec::new();
        if !self.tasks.contains_key(&task.id) {
            let depth = self.tasks.get(task.parent.as_ref()?)?.depth + 1;
            if !self.insert(&task.id, Told { depth, begun: 0, ended: 0, state: task.state }) {
                return None;
            }
            let accepted = format!("{}accepted for {}", head(task, depth), one_line(&task.role, 48));
            lines.push(page.item(&accepted, &task.description));
        }
        let told = self.tasks.get_mut(&task.id)?;
        let head = head(task, told.depth);
        let news = told.state != TaskState::Held || detail.attempts.len() > told.begun;
        for (i, attempt) in detail.attempts.iter().enumerate().skip(told.ended) {
            if i >= told.begun {
                lines.push(format!("{head}{}", running(attempt)));
            }
            if let (Some(ended), Some(next)) = (attempt.ended_at, attempt.next_retry_at) {
                let delayed = page.paint(Tone::Wants, &format!("delayed {}", human(next.since(ended))));
                lines.push(page.fold(&format!("{head}{delayed}: {}", reason(attempt.reason.as_deref()))));
            }
        }
        told.begun = detail.attempts.len();
        told.ended = detail.attempts.iter().filter(|a| a.ended_at.is_some()).count();
        if task.state == TaskState::Held && news {
            lines.push(held(&head, detail, page));
        } else if task.state == TaskState::Ready && matches!(told.state, TaskState::Held | TaskState::Blocked) {
            lines.push(format!("{head}ready"));
        }
        told.state = task.state;
        if task.state.is_terminal() {
            lines.push(end(&head, detail, told.depth, page));
            self.tasks.remove(&task.id);
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

/// The line that says that a task delegated here was accepted.
pub(super) fn accepted(id: &TaskId, role: &str, state: TaskState) -> String {
    let blocked = if state == TaskState::Blocked { ", blocked" } else { "" };
    format!("{id} accepted for {role}{blocked}")
}

fn head(task: &Task, depth: usize) -> String {
    match depth {
        0 => format!("{} ", task.id),
        _ => format!("{}↳ {} ", "  ".repeat(depth.min(8)), task.id),
    }
}

fn running(attempt: &Attempt) -> String {
    let again = if attempt.number > 1 { format!(" (attempt {})", attempt.number) } else { String::new() };
    format!("running on {}{again}", one_line(&attempt.agent, 48))
}

fn reason(text: Option<&str>) -> String {
    one_line(text.unwrap_or("no reason was recorded"), REASON_COLUMNS)
}

fn held(head: &str, detail: &TaskDetail, page: &Page) -> String {
    let id = &detail.task.id;
    let word = page.paint(Tone::Wants, "held");
    let what = page.fold(&format!("{head}{word}: {}", reason(detail.task.reason.as_deref())));
    format!("{what}\n  orch why {id}\n  /retry {id}\n  /cancel {id}")
}

fn end(head: &str, detail: &TaskDetail, depth: usize, page: &Page) -> String {
    let task = &detail.task;
    let id = &task.id;
    match task.state {
        TaskState::Succeeded => {
            let took = detail.result.as_ref().map(|r| format!(" in {}", human_ms(r.duration_ms))).unwrap_or_default();
            let line = format!("{head}{}{took}", page.paint(Tone::Good, "succeeded"));
            match &detail.result {
                // The parent's answer is what its delegator asked for; a subtask's is one command away.
                Some(result) if depth == 0 => line + &answer(id, &result.text, result.truncated, page),
                _ => line,
            }
        }
        TaskState::Failed => {
            let failed = page.paint(Tone::Bad, "failed");
            let line = page.fold(&format!("{head}{failed}: {}", reason(task.reason.as_deref())));
            if depth == 0 { format!("{line}\n  orch why {id}") } else { line }
        }
        state => {
            let why = task.reason.as_deref().filter(|_| task.cause == Some(Cause::Cancelled));
            let why = why.map(|r| format!(": {}", one_line(r, REASON_COLUMNS))).unwrap_or_default();
            page.fold(&format!("{head}{}{why}", page.paint(Tone::Quiet, state.as_str())))
        }
    }
}

fn answer(id: &TaskId, text: &str, truncated: bool, page: &Page) -> String {
    let (shown, more) = excerpt(text, RESULT_LINES, RESULT_BYTES);
    let rest = format!("… orch result {id} shows all");
    match (shown.is_empty(), more || truncated) {
        (true, _) => format!("\n  {}", page.paint(Tone::Quiet, "(it answered nothing)")),
        (false, true) => format!("\n{shown}\n  {}", page.paint(Tone::Quiet, &rest)),
        (false, false) => format!("\n{shown}"),
    }
}

fn human_ms(ms: u64) -> String {
    human(std::time::Duration::from_millis(ms))
}

#[cfg(test)]
mod tests;
