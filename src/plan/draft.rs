//! A plan that an agent drafts: what it is asked, where the plan stands in its answer, and how a person sees it before it
//! is submitted.

use super::{
    Plan,
    graph::{self, Line},
    rank,
};
use crate::model::text::{count, one_line};

/// Columns of a task's text in an outline.
const COLUMNS: usize = 120;
/// Columns that edges may take in an outline; without room, each task names what it comes after.
const EDGES: usize = 12;
/// Bytes of an outline: it stands in a question.
const LONGEST: usize = 12 * 1024;

/// What an agent is asked so that it drafts a plan. `roles` are the roles that take tasks, each with a word about it.
#[must_use]
pub fn request(goal: &str, roles: &[(&str, String)]) -> String {
    let roles: Vec<String> = roles
        .iter()
        .map(|(name, about)| if about.is_empty() { format!("  - {name}") } else { format!("  - {name}: {about}") })
        .collect();
    format!(
        "Draft a plan: divide this work into tasks for agents that work concurrently. Do not do any of the work. Look at what \
         you need to see, and answer with the plan alone.\n\nThe work:\n\n{goal}\n\nThe plan is JSON of this form:\n\n\
         {{\"name\": \"checkout\", \"text\": \"what it is for\", \"tasks\": {{\n  \"api\": {{\"role\": \"ROLE\", \"text\": \"what is to be \
         done\", \"writes\": [\"src/api/**\"]}},\n  \"page\": {{\"role\": \"ROLE\", \"text\": \"Build the page. The API: \
         {{{{results.api.text}}}}\", \"after\": [\"api\"], \"writes\": [\"src/page/**\"]}}\n}}}}\n\n\
         - name, and the keys of tasks: letters, digits, - and _.\n\
         - text: everything that the agent has to know. It sees neither this conversation nor the other tasks.\n\
         - after: the keys of the tasks that must have succeeded before. {{{{results.KEY.text}}}} inserts the answer of one of \
         them.\n\
         - writes: the paths that the task changes, as patterns from the root of the project. Tasks without an order between \
         them should not write the same paths.\n\
         - optional: priority (low, normal, high), timeout (\"30m\"), reads (like writes).\n\
         - role: one of\n{}\n\n\
         What is wrong with the plan is reported to you, and you correct it. Nothing of it starts before a person has \
         approved it.",
        roles.join("\n")
    )
}

/// The document in an answer: its last block between fences, or all from the first brace to the last, or all of it.
#[must_use]
pub fn document_in(answer: &str) -> &str {
    let mut blocks: Vec<&str> = Vec::new();
    let (mut begun, mut at) = (None, 0);
    for line in answer.split_inclusive('\n') {
        let end = at + line.len();
        if line.trim_start().starts_with("```") {
            match begun.take() {
                Some(start) => blocks.push(&answer[start..at]),
                None => begun = Some(end),
            }
        }
        at = end;
    }
    if let Some(block) = blocks.iter().rfind(|block| !block.trim().is_empty()) {
        return block;
    }
    let is_toml = answer.lines().any(|line| line.trim_start().starts_with("[tasks."));
    match (answer.find('{'), answer.rfind('}')) {
        (Some(first), Some(last)) if first < last && !is_toml => &answer[first..=last],
        _ => answer,
    }
}

/// A plan for a person: each task below those that it comes after, with its role and the beginning of its text.
#[must_use]
pub fn outline(plan: &Plan, default_role: &str) -> String {
    let order = rank::order(&plan.predecessors());
    let mut place = vec![0; plan.tasks.len()];
    order.iter().enumerate().for_each(|(n, at)| place[*at] = n);
    let predecessors: Vec<Vec<usize>> =
        order.iter().map(|at| plan.tasks[*at].after.iter().map(|(first, _)| place[*first]).collect()).collect();
    let lines = graph::lines(&predecessors, &vec!['o'; order.len()], EDGES / 2);
    let width = lines.iter().flatten().map(|line| line.node.chars().count()).max().unwrap_or(0);
    let tasks = count(plan.tasks.len() as u64, "task", "tasks");
    let mut out = format!("{}: {tasks}", plan.name);
    if !plan.text.trim().is_empty() {
        out += &format!(". {}", one_line(&plan.text, COLUMNS));
    }
    for (n, at) in order.iter().enumerate() {
        if out.len() > LONGEST {
            out += &format!("\n(and {} more)", count((order.len() - n) as u64, "task", "tasks"));
            break;
        }
        let task = &plan.tasks[*at];
        let line: Option<&Line> = lines.as_ref().and_then(|lines| lines.get(n));
        if let Some(above) = line.and_then(|line| line.above.as_ref()) {
            out += &format!("\n{above}");
        }
        let node = line.map_or("o", |line| &line.node);
        let after: Vec<&str> = task.after.iter().map(|(first, _)| plan.tasks[*first].key.as_str()).collect();
        let after =
            if after.is_empty() || line.is_some() { String::new() } else { format!(" after {}", after.join(", ")) };
        let role = task.role.as_deref().unwrap_or(default_role);
        let text = one_line(&task.text(|_| None), COLUMNS);
        out += &format!("\n{node:width$} {} ({role}){after}: {text}", task.key);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Place, read};

    #[test]
    fn a_plan_is_found_in_an_answer() {
        let plan = "{\"name\": \"x\"}\n";
        for answer in [
            plan.to_owned(),
            format!("Here it is:\n```json\n{plan}```\nTell me if it fits."),
            format!("First ```x``` inline.\n```\nan example\n```\n\n  ```json\n{plan}  ```"),
            format!("The plan:\n{plan}"),
        ] {
            assert_eq!(document_in(&answer).trim(), plan.trim(), "{answer}");
        }
        let toml = "name = 'x'\n[tasks.a]\ntext = 'f() { x; }'\n";
        assert_eq!(document_in(toml), toml);
        assert_eq!(document_in("```"), "```");
    }

    #[test]
    fn the_form_that_is_asked_for_is_a_plan() {
        let asked = request("the goal", &[("ROLE", "claude".into()), ("other", String::new())]);
        let form = document_in(asked.split("of this form:").nth(1).unwrap().split("\n\n- name").next().unwrap());
        let reading = read(form, Place::default(), &[("ROLE", 1)], &[], None);
        assert_eq!(reading.mistakes, []);
        assert!(asked.contains("  - ROLE: claude\n  - other\n"), "{asked}");
    }

    #[test]
    fn an_outline_shows_each_task_with_its_role_and_its_edges() {
        let plan = |document: &str| read(document, Place::default(), &[("backend", 1)], &[], None).plan.unwrap();
        let two = "name = 'x'\ntext = 'the\ngoal'\n[tasks.b]\ntext = \"\"\"second\n\u{1b}[2J\"\"\"\nafter = 'a'\n[tasks.a]\n\
                   role = 'backend'\ntext = 'first'\n";
        let two = two.replace("'the\ngoal'", "\"the\\ngoal\"").replace('\u{1b}', "\\u001b");
        let outlined = outline(&plan(&two), "sonnet");
        assert!(outlined.starts_with("x: 2 tasks. the…\no a (backend): first\no b (sonnet): second"), "{outlined}");
        assert!(!outlined.contains('\u{1b}'), "{outlined:?}");
        let many: String = (0..2_000).map(|n| format!("[tasks.t{n}]\ntext = '{}'\n", "x".repeat(200))).collect();
        let many = outline(&plan(&format!("name = 'x'\n{many}")), "sonnet");
        assert!(many.len() < LONGEST + 500 && many.contains(" tasks more)"), "{}", many.len());
    }
}
