//! Plans: their lists, their tasks with the critical path, and their graphs.

use std::{collections::HashMap, time::Duration};

use super::{
    Style, View, costs,
    table::{Cell, Column, Table},
    text::{pad, width},
};
use crate::{
    model::{
        duration::human,
        edge::{OnFailure, When},
        plan::{PlanDetail, PlanEdge, PlanState, PlanSummary, PlanTask},
        task::TaskState,
        text::{count, one_line},
    },
    ops::types::{PlanChanged, PlanChecked},
    plan::graph::{self, Drawn, Line},
};

/// What is wrong with a plan, one line each, and what it is otherwise.
pub fn checked(checked: &PlanChecked, file: &str, view: &View) -> String {
    let mut out = String::new();
    for mistake in &checked.mistakes {
        out += &view.hanging("", &format!("{file}:{mistake}"));
    }
    for remark in &checked.remarks {
        out += &view.hanging("note: ", &remark.what);
    }
    let tasks = count(checked.tasks as u64, "task", "tasks");
    out + &match checked.ok {
        true => format!(
            "{}: {tasks}, {} on the longest way\n",
            checked.name,
            count(checked.path.len() as u64, "task", "tasks")
        ),
        false => format!("{}\n", count(checked.mistakes.len() as u64, "mistake", "mistakes")),
    }
}

/// One line per plan.
pub fn list(plans: &[PlanSummary], view: &View) -> String {
    if plans.is_empty() {
        return "no plans yet; orch plan FILE submits one\n".to_owned();
    }
    let mut table = Table::new([
        Column::new("PLAN"),
        Column::new("STATE"),
        Column::new("DONE").right(),
        Column::new("AGE").right().expendable(1),
        Column::new("NAME").at_least(8),
    ]);
    for plan in plans {
        table.row([
            Cell::from(plan.id.as_str()),
            Cell::new(plan.state.as_str(), style(plan.state)),
            Cell::from(format!("{}/{}", ended(plan), plan.total)),
            Cell::from(view.age(plan.created_at)),
            Cell::from(plan.name.as_str()),
        ]);
    }
    table.render(view)
}

/// What a plan may use, and that it has no room for its next task.
fn budget(plan: &PlanSummary) -> Option<String> {
    let usd = plan.max_cost_usd.map(|usd| format!("{usd:.2} USD"));
    let tokens = plan.max_tokens.map(|tokens| count(tokens, "token", "tokens"));
    let amounts: Vec<String> = usd.into_iter().chain(tokens).collect();
    let short = plan.short.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
    (!amounts.is_empty()).then(|| format!("It may use {}{short}.", amounts.join(" and ")))
}

/// A plan with its tasks, in an order in which each comes after its predecessors.
pub fn page(detail: &PlanDetail, view: &View) -> String {
    let plan = &detail.plan;
    let state = view.paint(plan.state.as_str(), style(plan.state));
    let mut out = format!("{} {} {state}, {} of {} done\n", plan.id, plan.name, ended(plan), plan.total);
    if !plan.text.trim().is_empty() {
        out += &view.hanging("  ", &one_line(&plan.text, 300));
    }
    let drawing = drawing(detail, view);
    let edges = drawing.iter().flatten().map(|line| width(&line.node)).max().unwrap_or(1);
    let mut table = Table::new([
        Column::new("TASK").at_least(edges + 8),
        Column::new("STATE"),
        Column::new("TIME").right(),
        Column::new("SLACK").right().expendable(2),
        Column::new("USD").right().expendable(4),
        Column::new("ID").expendable(3),
        Column::new("AFTER").expendable(1).at_least(10),
    ]);
    for (at, task) in detail.tasks.iter().enumerate() {
        let line = drawing.as_ref().and_then(|lines| lines.get(at));
        if let Some(above) = line.and_then(|line| line.above.clone()) {
            let mut cells: [Cell; 7] = std::array::from_fn(|_| Cell::default());
            cells[0] = Cell::default().led_by(above);
            table.row(cells);
        }
        let mark = line.map_or_else(|| if task.critical { "*" } else { " " }.to_owned(), |line| line.node.clone());
        let after: Vec<String> = task.after.iter().map(edge).collect();
        let unknown = task.duration_ms == 0;
        table.row([
            Cell::new(&task.key, Style::Plain).led_by(pad(&mark, edges + 1)),
            Cell::new(task.state.as_str(), Style::of_task(task.state)),
            Cell::from(if unknown { "-".to_owned() } else { time(task) }),
            Cell::from(if task.critical { String::new() } else { human(Duration::from_millis(task.slack_ms)) }),
            Cell::from(costs::money(task.usage.cost_usd).unwrap_or_default()),
            Cell::from(task.id.as_str()),
            Cell::from(after.join(", ")),
        ]);
    }
    out += &table.render(view);
    if !detail.usage.is_nothing() {
        out += &view.hanging("", &format!("It has used {}.", costs::used(&detail.usage)));
    }
    if let Some(budget) = budget(plan) {
        out += &view.hanging("", &budget);
    }
    if let Some(eta) = &detail.eta {
        let [soon, late] = [eta.p50_ms, eta.p90_ms].map(|ms| human(Duration::from_millis(ms)));
        out += &view.hanging("", &format!("It may end in {soon} to {late}, by what earlier tasks took."));
    }
    if let Some(shorten) = &detail.shorten {
        out += &view.hanging("", &format!("{}.", capital(shorten)));
    }
    for task in detail.tasks.iter().filter(|task| explains_itself(task)).take(SHOWN) {
        let reason = one_line(task.reason.as_deref().unwrap_or_default(), 200);
        out += &view.hanging(&format!("{} {}: ", task.key, task.state), &reason);
    }
    out + &match plan.state {
        PlanState::Failed | PlanState::Cancelled => format!("retry what failed with: orch retry {}\n", plan.id),
        _ => String::new(),
    }
}

/// The edges between the tasks, drawn left of them; `None` where they take too much of the width.
fn drawing(detail: &PlanDetail, view: &View) -> Option<Vec<Line>> {
    let places: HashMap<&str, usize> =
        detail.tasks.iter().enumerate().map(|(at, task)| (task.key.as_str(), at)).collect();
    let place = |edge: &PlanEdge| places.get(edge.task.as_str()).copied();
    let predecessors: Vec<Vec<usize>> =
        detail.tasks.iter().map(|task| task.after.iter().filter_map(place).collect()).collect();
    let signs: Vec<char> = detail.tasks.iter().map(|task| if task.critical { '*' } else { 'o' }).collect();
    // Each column takes two characters: at most two fifths of the width.
    let lines = graph::lines(&predecessors, &signs, view.width.map_or(20, |width| width / 5))?;
    let plain = |text: String| match view.ascii {
        true => text
            .chars()
            .map(|sign| match sign {
                '│' => '|',
                '─' => '-',
                '*' | 'o' | ' ' => sign,
                _ => '+',
            })
            .collect(),
        false => text,
    };
    let line = |line: Line| Line { above: line.above.map(plain), node: plain(line.node) };
    Some(lines.into_iter().map(line).collect())
}

/// Reasons that a page shows.
const SHOWN: usize = 10;

fn explains_itself(task: &PlanTask) -> bool {
    matches!(task.state, TaskState::Failed | TaskState::Held | TaskState::Cancelled | TaskState::Skipped)
        && task.reason.is_some()
}

/// How long it took or has taken, or `~` and how long such tasks take.
fn time(task: &PlanTask) -> String {
    let time = human(Duration::from_millis(task.duration_ms));
    if task.state.is_terminal() { time } else { format!("~{time}") }
}

/// `p-3v8n1c5ydw succeeded in 4m: checkout, 12 of 12 tasks done`
pub fn end_in_one_line(plan: &PlanSummary, view: &View) -> String {
    let took = plan.ended_at.map(|end| format!(" in {}", human(end.since(plan.created_at)))).unwrap_or_default();
    let lead = view.paint(&format!("{} {}{took}", plan.id, plan.state), style(plan.state));
    format!("{lead}: {}, {} of {} done\n", plan.name, ended(plan), count(plan.total, "task", "tasks"))
}

/// What `orch plan cancel` has done.
pub fn cancelled(changed: &PlanChanged) -> String {
    match changed.state {
        PlanState::Cancelled => format!("{} cancelled\n", changed.id),
        PlanState::Running | PlanState::Held => {
            format!("{} is being cancelled: its agents were asked to stop\n", changed.id)
        }
        ended => format!("{} has {ended} already\n", changed.id),
    }
}

/// What `orch plan retry` has done.
pub fn retried(changed: &PlanChanged) -> String {
    match changed.tasks.as_slice() {
        [] => format!("{}: nothing of it can be retried\n", changed.id),
        tasks => format!("{} {}: {}\n", changed.id, changed.state, one_line(&tasks.join(" "), 300)),
    }
}

/// The graph in the language of Graphviz.
pub fn dot(detail: &PlanDetail) -> String {
    graph::dot(&detail.plan.name, &drawn(detail))
}

/// The graph in the language of Mermaid.
pub fn mermaid(detail: &PlanDetail) -> String {
    graph::mermaid(&drawn(detail))
}

fn drawn(detail: &PlanDetail) -> Vec<Drawn> {
    let place = |key: &str| detail.tasks.iter().position(|task| task.key == key);
    let draw = |task: &PlanTask| Drawn {
        key: task.key.clone(),
        state: task.state.to_string(),
        critical: task.critical,
        after: task.after.iter().filter_map(|edge| Some((place(&edge.task)?, terms(edge)))).collect(),
    };
    detail.tasks.iter().map(draw).collect()
}

/// `api`, `api (ended)`
fn edge(edge: &PlanEdge) -> String {
    match terms(edge) {
        terms if terms.is_empty() => edge.task.clone(),
        terms => format!("{} ({terms})", edge.task),
    }
}

/// What an edge says, '' for an ordinary one.
fn terms(edge: &PlanEdge) -> String {
    match (edge.edge.when, edge.edge.on_failure) {
        (When::Succeeded, OnFailure::Fail) => String::new(),
        (When::Succeeded, OnFailure::Skip) => "else skip".to_owned(),
        (When::Succeeded, OnFailure::Run) => "or failed".to_owned(),
        (when, _) => when.to_string(),
    }
}

fn ended(plan: &PlanSummary) -> u64 {
    plan.counts.iter().filter(|(state, _)| state.is_terminal()).map(|(_, n)| n).sum()
}

fn style(state: PlanState) -> Style {
    match state {
        PlanState::Running => Style::Blue,
        PlanState::Held => Style::Yellow,
        PlanState::Succeeded => Style::Green,
        PlanState::Failed => Style::Red,
        PlanState::Cancelled => Style::Dim,
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
