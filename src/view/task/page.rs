//! Everything recorded about one task.

use crate::{
    model::{
        duration::human,
        id::TaskId,
        pattern::Pattern,
        task::{Attempt, Task, TaskDetail, TaskResult, TaskState},
        text::count,
    },
    view::{
        Style, View, costs, messages,
        table::{Cell, Column, Fields, Table},
        text::{excerpt, millis},
    },
};

/// How much of a result the page shows.
const RESULT_LINES: usize = 12;
const RESULT_BYTES: usize = 4 * 1024;
/// How much of a text the page shows at the console's prompt.
const TEXT_LINES: usize = 20;

/// Everything recorded about a task.
pub fn page(detail: &TaskDetail, view: &View) -> String {
    let task = &detail.task;
    // While a task runs, reason, cause and result are those of the attempt before, which is in the table of attempts.
    let is_current = task.state != TaskState::Running;
    let mut out = fields(detail, is_current, view);
    if !detail.attempts.is_empty() {
        out.push('\n');
        out.push_str(&attempts(&detail.attempts, view));
    }
    out.push_str(&messages::of_task(detail, view));
    if let Some(result) = detail.result.as_ref().filter(|_| is_current) {
        out.push('\n');
        out.push_str(&result_excerpt(task, result, view));
    }
    out
}

fn fields(detail: &TaskDetail, is_current: bool, view: &View) -> String {
    let task = &detail.task;
    let list = |ids: &[TaskId]| ids.iter().map(TaskId::as_str).collect::<Vec<_>>().join(" ");
    let mut fields = Fields::new(view);
    fields.heading(task.id.as_str(), &super::state(task, view), Style::of_task(task.state));
    fields.add("text", &text(task, view));
    fields.option("reason", task.reason.as_ref().filter(|_| is_current));
    fields.option("cause", task.cause.filter(|_| is_current));
    fields.add("role", &task.role);
    fields.option("agent", task.agent.as_ref());
    fields.add("priority", task.priority.as_str());
    fields.option("parent", task.parent.as_ref());
    fields.add("subtasks", &list(&task.children));
    fields.add("after", &list(&task.after));
    fields.option("folder", task.cwd.as_ref());
    fields.option("context", task.context.as_ref());
    fields.add("artifacts", &task.artifacts.join("\n"));
    let named = |patterns: &[Pattern]| patterns.iter().map(Pattern::as_str).collect::<Vec<_>>().join("\n");
    fields.add("writes", &named(&task.writes));
    fields.add("reads", &named(&task.reads));
    fields.add("labels", &task.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join("\n"));
    fields.option("key", task.key.as_ref());
    fields.add("created", &format!("{} ({} ago)", view.time(task.created_at), view.age(task.created_at)));
    fields.option("ready", task.ready_at.map(|at| view.time(at)));
    fields.option("waits for a lock since", task.parked_at.map(|at| view.time(at)));
    fields.option("due", task.due_at.map(|at| view.time(at)));
    fields.option("deadline", task.deadline_at.map(|at| view.time(at)));
    fields.option("ended", task.ended_at.map(|at| view.time(at)));
    fields.add("limits", &limits(task));
    if !detail.usage.is_nothing() {
        fields.add("used", &costs::used(&detail.usage));
    }
    if detail.tree_usage != detail.usage {
        fields.add("with below", &costs::used(&detail.tree_usage));
    }
    fields.finish()
}

/// The text as it was given; at a prompt, which scrolls, its beginning.
fn text(task: &Task, view: &View) -> String {
    match excerpt(&task.description, TEXT_LINES, RESULT_BYTES) {
        (beginning, 1..) if view.prompt => format!("{beginning}\n…"),
        _ => task.description.clone(),
    }
}

fn limits(task: &Task) -> String {
    format!(
        "{} per attempt; {} of {} failures, {} of {} losses used",
        millis(task.timeout_ms),
        task.failures.min(task.retries),
        task.retries,
        task.lost.min(task.lost_max),
        task.lost_max
    )
}

fn attempts(attempts: &[Attempt], view: &View) -> String {
    let mut table = Table::new([
        Column::new("ATTEMPT").right(),
        Column::new("AGENT").expendable(2).at_least(10),
        Column::new("STARTED").expendable(3),
        Column::new("TOOK").right().expendable(4),
        Column::new("CAUSE"),
        Column::new("EXIT").right().expendable(5),
        Column::new("REASON").expendable(1).at_least(12),
    ]);
    for a in attempts {
        let took = a.ended_at.unwrap_or(view.now).since(a.started_at);
        table.row([
            Cell::from(a.number.to_string()),
            Cell::from(&a.agent),
            Cell::from(view.clock(a.started_at)),
            Cell::from(human(took)),
            Cell::from(a.cause.map_or("running", |c| c.as_str())),
            Cell::from(a.exit_code.map(|c| c.to_string()).unwrap_or_default()),
            Cell::from(a.reason.as_deref().unwrap_or_default()),
        ]);
    }
    table.render(view)
}

fn result_excerpt(task: &Task, result: &TaskResult, view: &View) -> String {
    let (text, left_out) = excerpt(&result.text, RESULT_LINES, RESULT_BYTES);
    // A program that was held or failed has often answered nothing.
    let title = if text.trim().is_empty() { "result: none" } else { "result:" };
    let mut out = format!("{}\n", view.paint(title, Style::Bold));
    if !text.is_empty() {
        out.push_str(&format!("{text}\n"));
    }
    let rest = match left_out {
        0 if result.truncated => Some("(cut: all of it is in the folder below)".to_owned()),
        0 => None,
        n => Some(format!("({}: {})", count(n, "more line", "more lines"), view.command("result", &task.id))),
    };
    if let Some(rest) = rest {
        out.push_str(&format!("  {}\n", view.paint(&rest, Style::Dim)));
    }
    let mut fields = Fields::new(view);
    fields.add("took", &millis(result.duration_ms));
    fields.option("exit code", result.exit_code);
    if let Some(u) = &result.usage {
        fields.add("usage", &costs::used(u));
    }
    fields.add("files", &result.path);
    out.push_str(&fields.finish());
    out
}
