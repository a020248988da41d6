//! One plan: the counts of its tasks by state, and its own state.

use std::collections::BTreeMap;

use super::image::{Content, Image};
use crate::model::{plan::PlanState, task::TaskState, text::count};

/// Adds what does not agree about a plan.
pub(super) fn judge(image: &Image, id: &str, found: &mut Vec<String>) {
    let mut say = |what: String| found.push(format!("plan {id}: {what}"));
    let tasks = match image.keys.get(&format!("plan_tasks:{id}")) {
        Some(Content::Fields(tasks)) => tasks.clone(),
        _ => BTreeMap::new(),
    };
    let Some(plan) = image.record("plan", id) else {
        if !tasks.is_empty() {
            say(format!("it has no record, and {}", count(tasks.len() as u64, "task", "tasks")));
        }
        return;
    };
    let mut counted: BTreeMap<TaskState, u64> = BTreeMap::new();
    for (key, task) in &tasks {
        let Some(record) = image.record("task", task) else {
            say(format!("its task {key}, {task}, is not known"));
            continue;
        };
        if record.text("plan") != id {
            say(format!("its task {key}, {task}, is of plan '{}'", record.text("plan")));
        }
        match record.text("state").parse() {
            Ok(state) => *counted.entry(state).or_default() += 1,
            Err(_) => say(format!("its task {key}, {task}, has no state")),
        }
    }
    for state in TaskState::ALL {
        let (is, has) = (plan.number(&format!("n:{state}")).unwrap_or(0.0), counted.get(state).copied().unwrap_or(0));
        if is != has as f64 {
            say(format!("it counts {is} {state} tasks, and has {has}"));
        }
    }
    let short =
        tasks.values().filter(|task| image.record("task", task).is_some_and(|task| task.text("short") == id)).count();
    if plan.number("n:short") != Some(short as f64) {
        say(format!("it counts {} tasks that wait for its budget, and has {short}", plan.text("n:short")));
    }
    // One that an earlier release has accepted counts nothing.
    let used: f64 = tasks
        .values()
        .filter_map(|task| image.record("task", task))
        .filter_map(|task| task.number("tree_micro_usd"))
        .sum();
    let is_whole = plan.number("made") == Some(tasks.len() as f64);
    if is_whole && plan.has("used_micro_usd") && plan.number("used_micro_usd") != Some(used) {
        say(format!(
            "its tasks have used {used} millionths of a dollar, and it counts {}",
            plan.text("used_micro_usd")
        ));
    }
    let (made, total) = (plan.number("made").unwrap_or(0.0), plan.number("total").unwrap_or(0.0));
    if made > total || (tasks.len() as f64) > made {
        say(format!("of {total} tasks {made} are made, and {} are known", tasks.len()));
    }
    let is_open = made < total || counted.keys().any(|state| !state.is_terminal());
    match plan.text("state").parse::<PlanState>() {
        Ok(state) if state.is_terminal() == is_open => say(format!(
            "it is {state}, and {}",
            if is_open { "has open tasks" } else { "all of its tasks have ended" }
        )),
        Ok(state) if state.is_terminal() != plan.has("ended_at") => say(format!("it is {state}, and its end is wrong")),
        Ok(_) => {}
        Err(_) => say(format!("its state is '{}'", plan.text("state"))),
    }
}
