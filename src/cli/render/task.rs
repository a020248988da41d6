//! Tasks: in a table, as a tree, and one by itself.

use std::{collections::BTreeMap, fmt::Display};

use super::{
    Style, View, millis,
    table::{Cell, Column, Table},
    text::pad,
};
use crate::model::{
    id::TaskId,
    task::{Attempt, Task, TaskDetail, TaskResult, TaskState, Usage},
    text::count,
};

/// How many lines of a result `orch show` prints.
const RESULT_LINES: usize = 12;

/// The tasks, one a line, the newest last; with `tree` subtasks stand under their parents.
pub fn tasks(tasks: &[Task], tree: bool, view: &View) -> String {
    if tasks.is_empty() {
        return "no such tasks\n".to_owned();
    }
    let mut table = Table::new([
        Column::new("TASK"),
        Column::new("STATE").at_least(9),
        Column::new("AGE").right().expendable(4),
        Column::new("ROLE").expendable(5).at_least(8),
        Column::new("AGENT").expendable(3).at_least(12),
        Column::new("TEXT").expendable(1).at_least(15),
    ]);
    for (branch, task) in if tree { forest(tasks) } else { by_age(tasks) } {
        table.row([
            Cell::from(task.id.as_str()).led_by(branch),
            Cell::new(state(task, view), Style::of_task(task.state)),
            Cell::from(view.age(task.created_at)),
            Cell::from(&task.role),
            Cell::from(task.agent.as_deref().unwrap_or_default()),
            Cell::from(&task.description),
        ]);
    }
    table.render(view)
}

/// The state, with what changes how it is read.
fn state(task: &Task, view: &View) -> String {
    match task.due_at {
        _ if task.cancelling => "cancelling".to_owned(),
        _ if task.waiting => "waiting".to_owned(),
        Some(due) if due > view.now => format!("{} {}", task.state, millis(due.0 - view.now.0)),
        _ => task.state.to_string(),
    }
}

fn sorted<'a>(tasks: impl IntoIterator<Item = &'a Task>) -> Vec<&'a Task> {
    let mut sorted: Vec<&Task> = tasks.into_iter().collect();
    sorted.sort_by_key(|t| (t.created_at, &t.id));
    sorted
}

fn by_age(tasks: &[Task]) -> Vec<(String, &Task)> {
    sorted(tasks).into_iter().map(|t| (String::new(), t)).collect()
}

/// Every task with the branch that leads to it. One whose parent is not listed is a root.
fn forest(tasks: &[Task]) -> Vec<(String, &Task)> {
    let listed: BTreeMap<&TaskId, &Task> = tasks.iter().map(|t| (&t.id, t)).collect();
    let mut children: BTreeMap<&TaskId, Vec<&Task>> = BTreeMap::new();
    let mut roots = Vec::new();
    for task in sorted(tasks) {
        match task.parent.as_ref().filter(|p| listed.contains_key(p)) {
            Some(parent) => children.entry(parent).or_default().push(task),
            None => roots.push(task),
        }
    }
    let mut rows = Vec::new();
    // A stack rather than recursion: depth is bounded where tasks are made, but not here.
    let mut open: Vec<(String, String, &Task)> =
        roots.into_iter().rev().map(|t| (String::new(), String::new(), t)).collect();
    while let Some((branch, below, task)) = open.pop() {
        rows.push((branch, task));
        for (n, child) in children.remove(&task.id).unwrap_or_default().into_iter().rev().enumerate() {
            let (turn, on) = if n == 0 { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            open.push((format!("{below}{turn}"), format!("{below}{on}"), child));
        }
    }
    rows
}

/// Everything recorded about one.
pub fn task(detail: &TaskDetail, view: &View) -> String {
    let task = &detail.task;
    let mut fields = Fields::new(view);
    let list = |ids: &[TaskId]| ids.iter().map(TaskId::as_str).collect::<Vec<_>>().join(" ");
    fields.heading(task.id.as_str(), &state(task, view), Style::of_task(task.state));
    fields.add("text", &task.description);
    // Of a running task they are those of the attempt before, which stands in the table.
    let past = task.state != TaskState::Running;
    fields.option("reason", task.reason.as_ref().filter(|_| past));
    fields.option("cause", task.cause.filter(|_| past));
    fields.add("role", &task.role);
    fields.option("agent", task.agent.as_ref());
    fields.add("priority", task.priority.as_str());
    fields.option("parent", task.parent.as_ref());
    fields.add("subtasks", &list(&task.children));
    fields.add("after", &list(&task.after));
    fields.option("folder", task.cwd.as_ref());
    fields.option("context", task.context.as_ref());
    fields.add("artifacts", &task.artifacts.join("\n"));
    fields.add("labels", &task.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join("\n"));
    fields.option("key", task.key.as_ref());
    fields.add("created", &format!("{} ({} ago)", task.created_at, view.age(task.created_at)));
    fields.option("ready", task.ready_at);
    fields.option("due", task.due_at);
    fields.option("ended", task.ended_at);
    fields.add("limits", &limits(task));
    if !detail.usage.is_nothing() {
        fields.add("used", &used(&detail.usage));
    }
    if detail.tree_usage != detail.usage {
        fields.add("with below", &used(&detail.tree_usage));
    }
    let mut out = fields.finish();
    if !detail.attempts.is_empty() {
        out.push('\n');
        out.push_str(&attempts(&detail.attempts, view));
    }
    out.push_str(&said(detail, view));
    if let Some(result) = detail.result.as_ref().filter(|_| past) {
        out.push('\n');
        out.push_str(&result_excerpt(task, result, view));
    }
    out
}

/// `1200 tokens in, 340 out, 0.12 USD`
pub(super) fn used(u: &Usage) -> String {
    let money = money(u.cost_usd).map(|usd| format!(", {usd} USD")).unwrap_or_default();
    format!("{} tokens in, {} out{money}", u.input_tokens, u.output_tokens)
}

/// Money in dollars. `None`: no program has told of any, which is not the same as that it cost nothing.
pub fn money(usd: f64) -> Option<String> {
    match usd {
        ..=0.0 => None,
        ..0.005 => Some("<0.01".to_owned()),
        _ => Some(format!("{usd:.2}")),
    }
}

/// What it has asked, and what it was told.
fn said(detail: &TaskDetail, view: &View) -> String {
    let mut out = String::new();
    for question in &detail.questions {
        let answer = match (&question.answer, &question.closed) {
            (Some(answer), _) => format!("{answer} ({})", question.answered_by.as_deref().unwrap_or("a person")),
            (None, Some(why)) => format!("not answered: {why}"),
            (None, None) => format!("not answered yet: orch answer {} TEXT", detail.task.id),
        };
        out.push_str(&view.hanging(&format!("question {}  ", question.number), &question.question));
        out.push_str(&view.hanging("    → ", &answer));
    }
    for message in &detail.messages {
        let lead = format!("message from {} ({})  ", super::safe(&message.from), message.state);
        out.push_str(&view.hanging(&lead, &message.text));
    }
    if out.is_empty() { out } else { format!("\n{out}") }
}

fn limits(task: &Task) -> String {
    format!(
        "{} an attempt; {} of {} failures, {} of {} losses forgiven",
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
            Cell::from(a.started_at.clock()),
            Cell::from(crate::model::duration::human(took)),
            Cell::from(a.cause.map_or("running", |c| c.as_str())),
            Cell::from(a.exit_code.map(|c| c.to_string()).unwrap_or_default()),
            Cell::from(a.reason.as_deref().unwrap_or_default()),
        ]);
    }
    table.render(view)
}

fn result_excerpt(task: &Task, result: &TaskResult, view: &View) -> String {
    let text = super::safe(&result.text);
    // A program that was held or failed has often answered nothing.
    let title = if text.trim().is_empty() { "result: none" } else { "result:" };
    let mut out = format!("{}\n", view.paint(title, Style::Bold));
    let lines: Vec<&str> = text.trim_end().lines().collect();
    for line in lines.iter().take(RESULT_LINES) {
        out.push_str(format!("  {line}").trim_end());
        out.push('\n');
    }
    if lines.len() > RESULT_LINES {
        let more = count(lines.len() - RESULT_LINES, "more line", "more lines");
        let more = format!("({more}: orch result {})", task.id);
        out.push_str(&format!("  {}\n", view.paint(&more, Style::Dim)));
    }
    let mut fields = Fields::new(view);
    fields.add("took", &millis(result.duration_ms));
    fields.option("exit code", result.exit_code);
    if let Some(u) = &result.usage {
        fields.add("usage", &used(u));
    }
    fields.add("files", &result.path);
    out.push_str(&fields.finish());
    out
}

/// Names and values under each other. An empty value is left out.
pub(super) struct Fields<'a> {
    view: &'a View,
    out: String,
}

impl<'a> Fields<'a> {
    /// As wide as the longest name, and two.
    const NAME: usize = 12;

    pub(super) fn new(view: &'a View) -> Self {
        Fields { view, out: String::new() }
    }
    /// What it is about, and its state.
    pub(super) fn heading(&mut self, what: &str, state: &str, style: Style) {
        let what = self.view.paint(&super::safe(what), Style::Bold);
        self.out.push_str(&format!("{what}  {}\n", self.view.paint(state, style)));
    }
    /// A value, also of several lines.
    pub(super) fn add(&mut self, name: &str, value: &str) {
        let mut lead = self.view.paint(&pad(name, Self::NAME), Style::Dim);
        for line in super::safe(value).trim_end().lines() {
            self.out.push_str(format!("{lead}{line}").trim_end());
            self.out.push('\n');
            lead = pad("", Self::NAME);
        }
    }
    /// A value that may be absent.
    pub(super) fn option(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.add(name, &value.to_string());
        }
    }
    pub(super) fn finish(self) -> String {
        self.out
    }
}
