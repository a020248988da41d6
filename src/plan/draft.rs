//! A plan that an agent drafts: what it is asked, where the plan stands in its answer, and how a person sees it before it
//! is submitted.

use super::{Plan, rank};
use crate::model::text::{count, one_line};

/// Columns of what a plan is for, in an outline.
const COLUMNS: usize = 120;
/// Bytes of an outline: a person reads all of it.
const LONGEST: usize = 48 * 1024;
/// Columns of a line: none of a plan's lines is cut.
const UNCUT: usize = 1 << 20;

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

/// A plan for a person who approves it: each task below those that it comes after, which it
/// names, with its role and its whole text.
///
/// # Errors
/// What a draft may not have, for the agent that wrote it: a key that changes what its tasks may do or cost, which the outline
/// does not show, or more text than a person reads.
pub fn outline(plan: &Plan, default_role: &str) -> Result<String, String> {
    if let Some(key) = not_shown(plan) {
        return Err(format!(
            "{key} is not for a draft: its tasks have role, text, after, on_failure, writes, reads, priority, timeout, deadline and retries"
        ));
    }
    let tasks = count(plan.tasks.len() as u64, "task", "tasks");
    let mut out = format!("{}: {tasks}", plan.name);
    if !plan.text.trim().is_empty() {
        out += &format!(". {}", one_line(&plan.text, COLUMNS));
    }
    for at in rank::order(&plan.predecessors()) {
        let task = &plan.tasks[at];
        let after: Vec<&str> = task.after.iter().map(|(first, _)| plan.tasks[*first].key.as_str()).collect();
        let after = if after.is_empty() { String::new() } else { format!(" after {}", after.join(", ")) };
        let role = task.role.as_deref().unwrap_or(default_role);
        out += &format!("\n- {} ({role}){after}:", task.key);
        let text = task.text(|_| None);
        // What follows a carriage return would hide what stands before it.
        let lines: Vec<&str> = text.trim().split(['\n', '\r']).collect();
        let begin = if lines.len() > 1 { "\n    | " } else { " " };
        lines.iter().for_each(|line| out += &format!("{begin}{}", one_line(line, UNCUT)));
        if out.len() > LONGEST {
            return Err(format!(
                "its texts are longer than a person reads ({LONGEST} bytes): write shorter ones, or fewer tasks"
            ));
        }
    }
    Ok(out)
}

/// The first key of a plan that its outline does not show and that would change what its tasks may do or cost.
fn not_shown(plan: &Plan) -> Option<String> {
    let of_task = |task: &super::Task| {
        let terms = &task.terms;
        let set = [
            ("approval", terms.approval.is_some()),
            ("max_cost_usd", terms.max_cost_usd.is_some()),
            ("max_tokens", terms.max_tokens.is_some()),
            ("context", terms.context.is_some()),
            ("labels", !terms.labels.is_empty()),
            ("artifacts", !terms.artifacts.is_empty()),
            ("cwd", terms.cwd.is_some()),
        ];
        set.into_iter().find(|(_, is_set)| *is_set).map(|(name, _)| format!("tasks.{}.{name}", task.key))
    };
    plan.weight.map(|_| "weight".to_owned()).or_else(|| plan.tasks.iter().find_map(of_task))
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
        let outlined = outline(&plan(&two), "sonnet").unwrap();
        assert!(
            outlined.starts_with("x: 2 tasks. the…\n- a (backend): first\n- b (sonnet) after a:\n    | second\n    | "),
            "{outlined}"
        );
        assert!(!outlined.contains('\u{1b}'), "{outlined:?}");
    }

    #[test]
    fn an_outline_hides_nothing_of_what_is_approved() {
        let plan = |document: &str| read(document, Place::default(), &[("backend", 1)], &[], None).plan.unwrap();
        let hidden = format!("name = 'x'\n[tasks.a]\ntext = \"{}; touch bad #\\recho tidy up\"\n", "y".repeat(200));
        let outlined = outline(&plan(&hidden), "sonnet").unwrap();
        assert!(outlined.contains("touch bad #\n    | echo tidy up"), "{outlined}");
        let many: String = (0..2_000).map(|n| format!("[tasks.t{n}]\ntext = '{}'\n", "x".repeat(200))).collect();
        assert!(
            outline(&plan(&format!("name = 'x'\n{many}")), "sonnet")
                .unwrap_err()
                .contains("longer than a person reads")
        );
        for (key, set) in
            [("approval", "'none'"), ("max_cost_usd", "9999"), ("cwd", "'/tmp'"), ("labels", "{ a = 'b' }")]
        {
            let with = format!("name = 'x'\n[tasks.a]\ntext = 'a'\n{key} = {set}\n");
            let why = outline(&plan(&with), "sonnet").unwrap_err();
            assert!(why.starts_with(&format!("tasks.a.{key} is not for a draft")), "{why}");
        }
        assert!(outline(&plan("name = 'x'\nweight = 100\n[tasks.a]\ntext = 'a'\n"), "sonnet").is_err());
    }
}
