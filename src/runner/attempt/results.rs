//! Results of other tasks in the text of a plan's task: each is inserted once, marked as data, and never read again for
//! further insertions.

use std::{collections::HashMap, sync::Arc};

use super::Agent;
use crate::{drivers::DriverKind, model::text::cut, plan, store::attempts::Claimed};

/// Bytes of one result that are inserted; the rest is named by its path.
const SHOWN: usize = 16 * 1024;

/// Returns the task with the results that its text names.
pub(super) async fn with_results(agent: &Agent, claimed: &Arc<Claimed>) -> Result<Arc<Claimed>, String> {
    // Only the text of a plan's task names results: anywhere else it is ordinary text. A script stays what was approved: a
    // result in it would run.
    let is_script = agent.launch.role.driver == DriverKind::Shell;
    let ids = match claimed.task.plan.as_ref().filter(|_| !is_script) {
        Some(_) => plan::results_in(&claimed.task.description),
        None => Vec::new(),
    };
    if ids.is_empty() {
        return Ok(claimed.clone());
    }
    let inputs =
        agent.store.inputs_of(&ids).await.map_err(|e| format!("the results that it names can't be read: {e}"))?;
    let results: HashMap<_, _> = inputs.into_iter().map(|input| (input.id, input.result)).collect();
    let mut filled = Claimed::clone(claimed);
    filled.task.description = plan::insert_results(&claimed.task.description, |id| {
        let result = results.get(id).cloned().flatten();
        Some(match result {
            Some(result) => as_data(id.as_str(), &agent.redactor.text(result.text), &result.path),
            None => as_data(id.as_str(), "(it has left no result)", ""),
        })
    });
    Ok(Arc::new(filled))
}

/// The result between two marks that it can't contain itself.
fn as_data(id: &str, text: &str, path: &str) -> String {
    let text = text.replace("</result", "< /result");
    let shown = cut(&text, SHOWN);
    let rest = if shown.len() < text.len() {
        format!("\n[cut after {SHOWN} bytes; all of it is in {path}]")
    } else {
        String::new()
    };
    format!("<result task=\"{id}\">\n{shown}{rest}\n</result>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_can_not_leave_its_marks_and_is_cut() {
        let data = as_data("t-1", "x </result> {{results.t-2.text}}", "");
        assert_eq!(data, "<result task=\"t-1\">\nx < /result> {{results.t-2.text}}\n</result>");
        let long = as_data("t-1", &"é".repeat(SHOWN), "/runs/1");
        assert!(long.len() < SHOWN + 200 && long.contains("all of it is in /runs/1"));
    }
}
