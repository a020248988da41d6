//! `orch plan cancel` and `orch plan retry`, for persons, the master, and agents for plans of their own tasks.

use super::{no_plan, no_task_of};
use crate::{
    error::{Error, Result},
    model::{
        id::{PlanId, TaskId},
        plan::PlanSummary,
        task::{Task, TaskState},
    },
    ops::{Ops, PlanChanged, Rerun},
    plan::rank,
};

impl Ops {
    /// Cancels a plan with its open tasks.
    ///
    /// # Errors
    /// NotFound: there is no such plan. Failed: an agent calls, and the plan's tasks are not subtasks of its own task.
    /// NotRunning: there is no Redis.
    pub async fn cancel_plan(&self, id: &PlanId) -> Result<PlanChanged> {
        let plan = self.changeable("cancel", id).await?;
        let reason = format!("asked for by {}", self.caller.in_words());
        let state = self.ask(|s| s.cancel_plan(id, &reason)).await?;
        Ok(PlanChanged { id: id.clone(), from: plan.state, state, tasks: Vec::new() })
    }

    /// Retries what of a plan failed or was cancelled, and what was cancelled or skipped because of it; or only one task, or
    /// one task and everything after it. What has succeeded does not run again unless it is named so.
    ///
    /// # Errors
    /// NotFound: there is no such plan or task. Failed: an agent calls, and the plan's tasks are not subtasks of its own
    /// task; or a task that is named can't be retried. NotRunning: there is no Redis.
    pub async fn retry_plan(&self, id: &PlanId, which: &Rerun) -> Result<PlanChanged> {
        let plan = self.changeable("retry", id).await?;
        let (_, tasks) = self.plan_with_tasks(id).await?;
        let meant = match which {
            Rerun::Failed => {
                let failed = |(_, task): &&(String, Task)| {
                    matches!(task.state, TaskState::Failed | TaskState::Cancelled | TaskState::Held)
                };
                rank::order(&super::predecessors(&tasks)).into_iter().map(|at| &tasks[at]).filter(failed).collect()
            }
            Rerun::Only(word) => vec![named(id, &tasks, word)?],
            Rerun::Downstream(word) => downstream(&tasks, named(id, &tasks, word)?),
        };
        let is_named = !matches!(which, Rerun::Failed);
        if let (Rerun::Only(_), [(key, task)]) = (which, meant.as_slice())
            && !task.state.is_terminal()
            && task.state != TaskState::Held
        {
            return Err(Error::failed(format!("task {key} is {}, and has not ended", task.state))
                .hint(format!("orch why {}", task.id)));
        }
        let reason = format!("retried by {}", self.caller.in_words());
        let mut again: Vec<String> = Vec::new();
        // Each after those that it comes after: one whose predecessor has not been retried yet would be refused.
        for (key, task) in meant {
            // An earlier one may have revived it.
            if again.contains(key) {
                continue;
            }
            let retried = self.retry_as_caller(&task.id, &reason, is_named).await;
            match retried {
                Ok(retried) => {
                    let others = tasks.iter().filter(|(_, task)| retried.others.contains(&task.id));
                    again.extend((retried.from != retried.to).then(|| key.clone()));
                    again.extend(others.map(|(key, _)| key.clone()));
                }
                Err(e) if matches!(which, Rerun::Only(_)) => return Err(e),
                // It was never approved, or a task outside the plan keeps it.
                Err(_) => {}
            }
        }
        let now = self.existing_plans(std::slice::from_ref(id)).await?.pop().ok_or_else(|| no_plan(id))?;
        Ok(PlanChanged { id: id.clone(), from: plan.state, state: now.state, tasks: again })
    }

    /// The plan, after checking that the caller may change it.
    async fn changeable(&self, verb: &str, id: &PlanId) -> Result<PlanSummary> {
        let plan = self.existing_plans(std::slice::from_ref(id)).await?.pop().ok_or_else(|| no_plan(id))?;
        if self.caller.attempt().is_some() {
            // They have one parent.
            let tasks: Vec<TaskId> = self.ask(|s| s.plan_tasks(id)).await?.into_values().take(1).collect();
            self.must_be_below_the_caller(verb, &tasks).await?;
        }
        Ok(plan)
    }
}

/// The task that a key or an id names.
fn named<'a>(plan: &PlanId, tasks: &'a [(String, Task)], word: &str) -> Result<&'a (String, Task)> {
    let found = tasks.iter().find(|(key, task)| key == word || task.id.as_str() == word);
    found.ok_or_else(|| no_task_of(plan, word, tasks.iter().map(|(key, _)| key.as_str())))
}

/// A task and all that come after it, each after those that it comes after.
fn downstream<'a>(tasks: &'a [(String, Task)], first: &'a (String, Task)) -> Vec<&'a (String, Task)> {
    let predecessors = super::predecessors(tasks);
    let mut is_meant: Vec<bool> = tasks.iter().map(|(key, _)| *key == first.0).collect();
    let order = rank::order(&predecessors);
    for at in &order {
        is_meant[*at] |= predecessors[*at].iter().any(|before| is_meant[*before]);
    }
    order.into_iter().filter(|at| is_meant[*at]).map(|at| &tasks[at]).collect()
}
