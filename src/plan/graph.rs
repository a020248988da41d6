//! A plan drawn in text, and as text for programs that draw graphs.

use super::rank;

/// A task as it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// Its key.
    pub key: String,
    /// Its state, or another word about it.
    pub state: String,
    /// Whether it is on the critical path.
    pub critical: bool,
    /// The places of those that it comes after, each with what the edge says, '' for an ordinary one.
    pub after: Vec<(usize, String)>,
}

/// The graph in the language of Graphviz.
pub fn dot(name: &str, tasks: &[Drawn]) -> String {
    let mut out = format!("digraph {} {{\n  rankdir=LR;\n  node [shape=box];\n", quoted(name));
    for task in tasks {
        let bold = if task.critical { ", penwidth=2" } else { "" };
        let label = format!("{}\n{}", task.key, task.state);
        out += &format!("  {} [label={}{bold}];\n", quoted(&task.key), quoted(&label));
    }
    for task in tasks {
        for (first, edge) in &task.after {
            let label = if edge.is_empty() { String::new() } else { format!(" [label={}]", quoted(edge)) };
            out += &format!("  {} -> {}{label};\n", quoted(&tasks[*first].key), quoted(&task.key));
        }
    }
    out + "}\n"
}

/// The graph in the language of Mermaid.
pub fn mermaid(tasks: &[Drawn]) -> String {
    let mut out = "flowchart LR\n".to_owned();
    for (place, task) in tasks.iter().enumerate() {
        out += &format!("  t{place}[{}]\n", quoted(&format!("{} ({})", task.key, task.state)));
    }
    for (place, task) in tasks.iter().enumerate() {
        for (first, edge) in &task.after {
            let is_critical = task.critical && tasks[*first].critical;
            let arrow = if is_critical { "==>" } else { "-->" };
            let label = if edge.is_empty() { String::new() } else { format!("|{edge}|") };
            out += &format!("  t{first} {arrow}{label} t{place}\n");
        }
    }
    out
}

/// A task's line in a drawing of the edges, and the line above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What leads from other columns to the task; absent where it stands below what it comes after, or after nothing.
    pub above: Option<String>,
    /// The columns of edges that pass by, and the task's own sign.
    pub node: String,
}

/// Draws the edges between tasks that stand below each other, each after those that it comes after: one column per task
/// that others have yet to follow. `None` where that takes more than `most` columns.
#[must_use]
pub fn lines(predecessors: &[Vec<usize>], signs: &[char], most: usize) -> Option<Vec<Line>> {
    let mut left: Vec<usize> = rank::successors(predecessors).iter().map(Vec::len).collect();
    let mut columns: Vec<Option<usize>> = Vec::new();
    let mut lines = Vec::with_capacity(predecessors.len());
    for (place, before) in predecessors.iter().enumerate() {
        before.iter().for_each(|first| left[*first] -= 1);
        let from: Vec<usize> =
            before.iter().filter_map(|first| columns.iter().position(|column| *column == Some(*first))).collect();
        // It stands below one that nothing else follows, or in a free column.
        let below = from.iter().copied().filter(|at| columns[*at].is_some_and(|first| left[first] == 0)).min();
        let own = below.or_else(|| columns.iter().position(Option::is_none)).unwrap_or(columns.len());
        if own == columns.len() {
            columns.push(None);
        }
        if columns.len() > most {
            return None;
        }
        let above = from.iter().any(|at| *at != own).then(|| connector(&columns, &left, own, &from));
        for at in from {
            columns[at] = columns[at].filter(|first| left[*first] > 0);
        }
        columns[own] = Some(place);
        let sign = |(at, column): (usize, &Option<usize>)| match column {
            _ if at == own => signs.get(place).copied().unwrap_or('o'),
            Some(_) => '│',
            None => ' ',
        };
        let node: Vec<String> = columns.iter().enumerate().map(sign).map(String::from).collect();
        lines.push(Line { above, node: node.join(" ").trim_end().to_owned() });
        columns[own] = columns[own].filter(|place| left[*place] > 0);
        while columns.last() == Some(&None) {
            columns.pop();
        }
    }
    Some(lines)
}

/// The line that leads from the columns `from` to the column `own`.
fn connector(columns: &[Option<usize>], left: &[usize], own: usize, from: &[usize]) -> String {
    let first = from.iter().copied().chain([own]).min().unwrap_or(own);
    let last = from.iter().copied().chain([own]).max().unwrap_or(own);
    let mut line = String::new();
    for (at, column) in columns.iter().enumerate() {
        let goes_on = column.is_some_and(|place| left[place] > 0);
        let (up, down) = if at == own { (column.is_some(), true) } else { (column.is_some(), goes_on) };
        let is_end = at == own || from.contains(&at);
        let (before, behind) = (first < at && at <= last, first <= at && at < last);
        line.push(match (up, down, before, behind) {
            (true, true, true, true) => '┼',
            (true, true, true, false) => '┤',
            (true, true, false, true) => '├',
            (true, false, true, true) => '┴',
            (false, true, true, true) if is_end => '┬',
            (true, false, true, false) => '┘',
            (true, false, false, true) => '└',
            (false, true, true, false) => '┐',
            (false, true, false, true) => '┌',
            (_, _, true, true) => '─',
            (true, ..) => '│',
            _ => ' ',
        });
        line.push(if behind { '─' } else { ' ' });
    }
    line.trim_end().to_owned()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "'").replace('\n', "\\n"))
}
