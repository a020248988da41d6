//! Invariants of plans.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Finding,
    facts::{Facts, the_event},
};
use crate::model::{id::PlanId, task::TaskState};

/// Finds moments at which more tasks of a plan ran than its `max_parallel` allows.
pub(super) fn too_many_at_once(facts: &Facts<'_>) -> Vec<Finding> {
    let limited =
        facts.history.tasks.iter().filter_map(|t| Some((&t.task, t.task.plan.as_ref()?, t.task.max_parallel?)));
    let mut steps: Vec<_> = limited
        .flat_map(|(task, plan, most)| facts.steps(task.id.as_str()).iter().map(move |step| (step, task, plan, most)))
        .collect();
    steps.sort_by_key(|(step, ..)| step.index);
    let mut running: BTreeMap<&PlanId, BTreeSet<&str>> = BTreeMap::new();
    let mut found = Vec::new();
    for (step, task, plan, most) in steps {
        let of_plan = running.entry(plan).or_default();
        if step.to != TaskState::Running {
            of_plan.remove(task.id.as_str());
        } else if of_plan.insert(task.id.as_str()) && of_plan.len() > most as usize {
            let facts = format!("{} of its tasks ran after {}, and {most} may", of_plan.len(), the_event(step.event));
            found.push((plan.to_string(), facts));
        }
    }
    found
}
