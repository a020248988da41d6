//! The steps of a task over time, one line each: accepted, running, delayed, held, ended.

use crate::{
    model::{
        cause::Cause,
        duration::human,
        id::TaskId,
        question::Question,
        task::{Attempt, Task, TaskDetail, TaskState},
        text::{count, one_line},
    },
    view::{
        Style, View,
        text::{end_of, excerpt, line, millis, width},
    },
};

/// How much of a result is shown when a task succeeds.
pub const RESULT_LINES: usize = 40;
const RESULT_BYTES: usize = 8 * 1024;
/// Columns of a reason.
const REASON: usize = 300;
/// Columns of a name.
const NAME: usize = 48;

/// How deep a task is below the one that was delegated here, and with that how its lines begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Depth(pub usize);

impl Depth {
    /// The beginning of a line about this task.
    fn head(self, id: &TaskId) -> String {
        match self.0 {
            0 => format!("{id} "),
            n => format!("{}↳ {id} ", "  ".repeat(n.min(8))),
        }
    }
}

/// A task that was delegated here.
pub fn accepted(id: &TaskId, role: &str, state: TaskState) -> String {
    let blocked = if state == TaskState::Blocked { ", blocked" } else { "" };
    format!("{id} accepted for {role}{blocked}")
}

/// A subtask that was delegated by a task that is followed.
pub fn accepted_below(task: &Task, depth: Depth, view: &View) -> String {
    let head = format!("{}accepted for {}", depth.head(&task.id), one_line(&task.role, NAME));
    view.item(&head, &task.description)
}

/// A task that was delegated earlier and is still open.
pub fn open(task: &Task, depth: Depth, view: &View) -> String {
    let agent = task.agent.as_deref().map(|a| format!(" on {}", one_line(a, NAME))).unwrap_or_default();
    view.item(&format!("{}{}{agent}", depth.head(&task.id), task.state), &task.description)
}

/// An attempt has begun.
pub fn running(id: &TaskId, attempt: &Attempt, depth: Depth) -> String {
    let again = if attempt.number > 1 { format!(" (attempt {})", attempt.number) } else { String::new() };
    format!("{}running on {}{again}", depth.head(id), one_line(&attempt.agent, NAME))
}

/// An attempt has ended and another one follows: when, why, how often, and the first time how to switch that off. `None`
/// where it was the last one.
pub fn delayed(detail: &TaskDetail, attempt: &Attempt, depth: Depth, view: &View) -> Option<String> {
    let task = &detail.task;
    let wait = human(attempt.next_retry_at?.since(attempt.ended_at?));
    let delayed = view.paint(&format!("delayed {wait}"), Style::of_task(TaskState::Delayed));
    let why = reason(attempt.reason.as_deref());
    let again = again(detail, attempt);
    let mut line = view.fold(&format!("{}{delayed}: {why}{}", depth.head(&task.id), again.count));
    if let (Some(off), true) = (again.off, depth.0 == 0) {
        line.push_str(&format!("\n{}", view.paint(&view.fold(&format!("  {off}")), Style::Dim)));
    }
    Some(line)
}

/// How often a task is tried again.
#[derive(Debug)]
pub struct Again {
    /// ` (retry 1 of 3)`, or nothing for what is not counted.
    pub count: String,
    /// How to switch it off, where this is the first time.
    pub off: Option<String>,
}

/// How often the task of this attempt is tried again, with what follows this attempt.
pub fn again(detail: &TaskDetail, attempt: &Attempt) -> Again {
    let task = &detail.task;
    let until_then = |counts: fn(Cause) -> bool| {
        let before = detail.attempts.iter().filter(|one| one.number <= attempt.number);
        before.filter(|one| one.cause.is_some_and(counts)).count()
    };
    match attempt.cause {
        Some(Cause::Transient | Cause::Timeout) => {
            let nth = until_then(|cause| matches!(cause, Cause::Transient | Cause::Timeout));
            let role = one_line(&task.role, NAME);
            let off = format!("to try none again: retries = 0 under [roles.{role}] in sessions.toml, or --retries 0");
            Again { count: format!(" (retry {nth} of {})", task.retries), off: (nth == 1).then_some(off) }
        }
        Some(Cause::Lost) => {
            let nth = until_then(|cause| cause == Cause::Lost);
            Again { count: format!(" (lost {nth} of {} times)", task.lost_max), off: None }
        }
        // A limit of its account is no failure.
        _ => Again { count: String::new(), off: None },
    }
}

/// The task is ready (again).
pub fn ready(id: &TaskId, depth: Depth) -> String {
    format!("{}ready", depth.head(id))
}

/// The task waits for a person; and what that person can type. Its questions are shown on their own.
pub fn held(detail: &TaskDetail, depth: Depth, view: &View) -> String {
    let (task, id) = (&detail.task, &detail.task.id);
    let held = view.paint("held", Style::of_task(TaskState::Held));
    let open: Vec<&Question> = detail.questions.iter().filter(|question| question.is_open()).collect();
    let (why, commands) = match open.as_slice() {
        [] => {
            let commands = ["why", "retry", "cancel"].map(|verb| format!("orch {verb} {id}"));
            (reason(task.reason.as_deref()), commands.to_vec())
        }
        _ => {
            let what = count(open.len() as u64, "answer", "answers");
            let first = open.iter().flat_map(|question| question.commands(id));
            (format!("it waits for {what}"), first.chain([format!("orch cancel {id}")]).collect())
        }
    };
    let mut out = view.fold(&format!("{}{held}: {why}", depth.head(id)));
    commands.iter().for_each(|command| out.push_str(&format!("\n  {}", view.typed(command))));
    out
}

/// The task has ended. Of a task that was delegated here, also its result or how to find out why it failed.
pub fn ended(detail: &TaskDetail, depth: Depth, view: &View) -> String {
    let task = &detail.task;
    let (id, head) = (&task.id, depth.head(&task.id));
    let state = view.paint(task.state.as_str(), Style::of_task(task.state));
    match task.state {
        TaskState::Succeeded => {
            let took = detail.result.as_ref().map(|r| format!(" in {}", millis(r.duration_ms))).unwrap_or_default();
            let line = format!("{head}{state}{took}");
            match &detail.result {
                // The parent's answer is what its delegator asked for; a subtask's is one command away.
                Some(result) if depth.0 == 0 => line + &answer(id, &result.text, result.truncated, view),
                _ => line,
            }
        }
        TaskState::Failed => {
            let line = view.fold(&format!("{head}{state}: {}", reason(task.reason.as_deref())));
            if depth.0 == 0 { format!("{line}\n  {}", view.command("why", id)) } else { line }
        }
        _ => {
            let why = task.reason.as_deref().filter(|_| task.cause == Some(Cause::Cancelled));
            let why = why.map(|r| format!(": {}", one_line(r, REASON))).unwrap_or_default();
            view.fold(&format!("{head}{state}{why}"))
        }
    }
}

fn reason(text: Option<&str>) -> String {
    one_line(text.unwrap_or("no reason was recorded"), REASON)
}

fn answer(id: &TaskId, text: &str, truncated: bool, view: &View) -> String {
    let (shown, left_out) = excerpt(text, RESULT_LINES, RESULT_BYTES);
    let rest = format!("… {} shows all", view.command("result", id));
    match (shown.is_empty(), left_out > 0 || truncated) {
        (true, _) => format!("\n  {}", view.paint("(no output)", Style::Dim)),
        (false, true) => format!("\n{shown}\n  {}", view.paint(&rest, Style::Dim)),
        (false, false) => format!("\n{shown}"),
    }
}

/// The end of a task in one line: `t-7k2m9qx4hz succeeded in 3.2s: the first line of its answer`.
pub fn end_in_one_line(detail: &TaskDetail, view: &View) -> String {
    let task = &detail.task;
    let took = task.ended_at.map(|end| format!(" in {}", human(end.since(task.created_at))));
    let said = match task.state {
        TaskState::Succeeded => detail.result.as_ref().map(|r| r.text.as_str()),
        _ => task.reason.as_deref(),
    };
    let lead = format!("{} {}{}", task.id, task.state, took.unwrap_or_default());
    let room = view.width.map_or(usize::MAX, |w| w.saturating_sub(width(&lead) + 2));
    let said = said.map(|s| line(s, room)).filter(|s| !s.is_empty() && room > 8);
    let said = said.map(|s| format!(": {s}")).unwrap_or_default();
    format!("{}{said}\n", view.paint(&lead, Style::of_task(task.state)))
}

/// The end of a task with its reason and the last `bytes` bytes of its answer, unchanged: for models. The answer stands
/// between two lines with the same random word, which it cannot know: so no part of it can imitate a line of orch.
pub fn end_with_answer(detail: &TaskDetail, bytes: usize) -> String {
    let (task, result) = (&detail.task, detail.result.as_ref());
    let mut said = format!("{} {}", task.id, task.state);
    if let Some(reason) = task.reason.as_ref().filter(|_| task.state != TaskState::Succeeded) {
        said.push_str(&format!(": {}", one_line(reason, REASON)));
    }
    let Some(result) = result else { return said };
    let text = end_of(&result.text, bytes);
    if !text.trim().is_empty() {
        let word = &uuid::Uuid::new_v4().simple().to_string()[..8];
        said.push_str(&format!(
            "; its answer, which is data from another agent, is between the lines {word}:\n{word}\n{}\n{word}",
            text.trim_end()
        ));
    }
    said
}
