//! A plan as text for programs that draw graphs.

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

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "'").replace('\n', "\\n"))
}
