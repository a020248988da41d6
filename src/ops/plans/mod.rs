//! `orch plan`: tasks with dependencies that are submitted as one.

mod outlook;
mod submit;

use super::{Ops, PlanChanged, tasks::ended_as};
use crate::{
    error::{Error, Result},
    model::{
        id::PlanId,
        plan::{PlanDetail, PlanEdge, PlanSummary, PlanTask},
        suggest::{nearest, printable},
        task::{Task, TaskState, Usage},
    },
    plan::rank,
    store::plans::NewPlan,
};

/// Plans among which a name or the beginning of an id is looked for.
const SEARCHED: usize = 1_000;
/// Records that are read in one round trip.
const PAGE: usize = 200;

impl Ops {
    /// The newest plans.
    ///
    /// # Errors
    /// NotRunning: there is no Redis.
    pub async fn plans(&self, last: usize) -> Result<Vec<PlanSummary>> {
        let ids = self.ask(|s| s.newest_plans(last)).await?;
        self.ask(|s| s.plans(&ids)).await
    }

    /// The plan that a word names: an id, its beginning, or the name of a plan, of which the newest is meant.
    ///
    /// # Errors
    /// NotFound: there is none. Usage: it is the beginning of several. NotRunning: there is no Redis.
    pub async fn find_plan(&self, word: &str) -> Result<PlanId> {
        if let Ok(id) = word.parse() {
            return Ok(id);
        }
        let plans = self.plans(SEARCHED).await?;
        if let Some(plan) = plans.iter().find(|plan| plan.name == word) {
            return Ok(plan.id.clone());
        }
        let begins: Vec<&PlanSummary> =
            plans.iter().filter(|plan| word.len() > 2 && plan.id.as_str().starts_with(word)).collect();
        match begins.as_slice() {
            [one] => Ok(one.id.clone()),
            [] => {
                let near = nearest(word, plans.iter().map(|plan| plan.name.as_str()));
                let meant = near.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
                Err(Error::not_found(format!("there is no plan {}", printable(word)))
                    .hint(format!("{meant}list them with: orch plan list")))
            }
            several => Err(Error::usage(format!("{} is the beginning of {} plans", printable(word), several.len()))
                .hint("write more of the id; orch plan list lists them")),
        }
    }

    /// A plan with its tasks, its critical path and how long it goes on.
    ///
    /// # Errors
    /// NotFound: there is no such plan. NotRunning: there is no Redis.
    pub async fn show_plan(&self, id: &PlanId) -> Result<PlanDetail> {
        let (plan, tasks) = self.plan_with_tasks(id).await?;
        let usage = Usage::default();
        let place = |id: &crate::model::id::TaskId| tasks.iter().position(|(_, task)| task.id == *id);
        let predecessors: Vec<Vec<usize>> =
            tasks.iter().map(|(_, task)| task.after.iter().filter_map(place).collect()).collect();
        let took = self.ask(|s| s.durations(outlook::HISTORY)).await?;
        let outlook = outlook::outlook(&tasks, &predecessors, &took, |role| {
            self.config.roles.get(role).map_or(1, |role| role.max)
        });
        let critical = outlook.path.critical(&predecessors);
        let is_over = plan.state.is_terminal();
        let listed = rank::order(&predecessors).into_iter().map(|at| {
            let (key, task) = &tasks[at];
            let edge = |first: &crate::model::id::TaskId| {
                let edge = task.edges.get(first).copied().unwrap_or_default();
                Some(PlanEdge { task: tasks[place(first)?].0.clone(), edge })
            };
            PlanTask {
                key: key.clone(),
                id: task.id.clone(),
                role: task.role.clone(),
                state: task.state,
                agent: task.agent.clone(),
                after: task.after.iter().filter_map(edge).collect(),
                critical: critical.contains(&at),
                slack_ms: outlook.path.slack[at],
                duration_ms: outlook.durations[at],
                reason: task.reason.clone(),
            }
        });
        Ok(PlanDetail {
            tasks: listed.collect(),
            path: critical.iter().map(|at| tasks[*at].0.clone()).collect(),
            eta: outlook.eta.filter(|_| !is_over),
            shorten: outlook.shorten.filter(|_| !is_over),
            usage,
            plan,
        })
    }

    /// The plan and its tasks, in the order in which they were accepted.
    async fn plan_with_tasks(&self, id: &PlanId) -> Result<(PlanSummary, Vec<(String, Task)>)> {
        let plan = self.ask(|s| s.plans(std::slice::from_ref(id))).await?.pop().ok_or_else(|| no_plan(id))?;
        let keys = self.ask(|s| s.plan_tasks(id)).await?;
        let ids: Vec<_> = keys.values().cloned().collect();
        let mut tasks = Vec::with_capacity(ids.len());
        for page in ids.chunks(PAGE) {
            tasks.extend(self.ask(|s| s.tasks(page)).await?);
        }
        let mut tasks: Vec<(String, Task)> =
            tasks.into_iter().map(|task| (task.plan_key.clone().unwrap_or_default(), task)).collect();
        tasks.sort_by(|(a_key, a), (b_key, b)| (a.created_at, a_key).cmp(&(b.created_at, b_key)));
        Ok((plan, tasks))
    }

    /// Cancels a plan with its open tasks.
    ///
    /// # Errors
    /// NotFound: there is no such plan. Failed: an agent calls within an attempt. NotRunning: there is no Redis.
    pub async fn cancel_plan(&self, id: &PlanId) -> Result<PlanChanged> {
        self.caller.must_not_be_in_an_attempt("plan cancel")?;
        let plan = self.ask(|s| s.plans(std::slice::from_ref(id))).await?.pop().ok_or_else(|| no_plan(id))?;
        let reason = format!("asked for by {}", self.caller.in_words());
        let state = self.ask(|s| s.cancel_plan(id, &reason)).await?;
        Ok(PlanChanged { id: id.clone(), from: plan.state, state, tasks: Vec::new() })
    }

    /// Retries what of a plan failed or was cancelled, and what was cancelled or skipped because of it; with `only`, that
    /// one task alone. What has succeeded does not run again.
    ///
    /// # Errors
    /// NotFound: there is no such plan or task. Failed: an agent calls within an attempt; or a task can't be retried.
    pub async fn retry_plan(&self, id: &PlanId, only: Option<&str>) -> Result<PlanChanged> {
        self.caller.must_not_be_in_an_attempt("plan retry")?;
        let (plan, tasks) = self.plan_with_tasks(id).await?;
        let meant = |(key, task): &&(String, Task)| match only {
            Some(only) => key == only || task.id.as_str() == only,
            None => matches!(task.state, TaskState::Failed | TaskState::Cancelled | TaskState::Held),
        };
        let meant: Vec<&(String, Task)> = tasks.iter().filter(meant).collect();
        if let (Some(only), []) = (only, meant.as_slice()) {
            let near = nearest(only, tasks.iter().map(|(key, _)| key.as_str()));
            let hint = near
                .map_or_else(|| format!("list them with: orch plan show {id}"), |near| format!("did you mean {near}?"));
            return Err(Error::not_found(format!("plan {id} has no task {}", printable(only))).hint(hint));
        }
        if let (Some(_), [(key, task)]) = (only, meant.as_slice())
            && task.state == TaskState::Succeeded
        {
            return Err(Error::failed(format!("task {key} has {}, and does not run again", ended_as(task.state)))
                .hint("submit the plan again to run all of it"));
        }
        let reason = format!("retried by {}", self.caller.in_words());
        let mut again: Vec<String> = Vec::new();
        // Each after those that it comes after: one whose predecessor has not been retried yet would be refused.
        for (key, task) in meant {
            // An earlier one may have revived it.
            if again.contains(key) {
                continue;
            }
            match self.ask(|s| s.retry(&task.id, &reason)).await {
                Ok(retried) => {
                    let others = tasks.iter().filter(|(_, task)| retried.others.contains(&task.id));
                    again.extend((retried.from != retried.to).then(|| key.clone()));
                    again.extend(others.map(|(key, _)| key.clone()));
                }
                // It was never approved, or a task outside the plan keeps it.
                Err(e) if only.is_some() => return Err(e),
                Err(_) => {}
            }
        }
        let now = self.ask(|s| s.plans(std::slice::from_ref(id))).await?.pop().ok_or_else(|| no_plan(id))?;
        Ok(PlanChanged { id: id.clone(), from: plan.state, state: now.state, tasks: again })
    }
}

fn no_plan(id: &PlanId) -> Error {
    Error::not_found(format!("there is no plan {id}")).hint("list them with: orch plan list")
}
