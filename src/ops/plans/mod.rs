//! `orch plan`: tasks with dependencies that are submitted as one.

mod budget;
mod change;
mod draft;
mod outlook;
mod submit;
mod template;

use std::collections::HashMap;

use super::Ops;
use crate::{
    error::{Error, Result},
    model::{
        id::{PlanId, TaskId},
        plan::{PlanDetail, PlanEdge, PlanSummary, PlanTask},
        suggest::{nearest, printable},
        task::{Task, Usage},
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
        if let Some(plan) = named(&plans, word) {
            return Ok(plan);
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

    /// The newest plan with this name, if there is one.
    pub(super) async fn plan_named(&self, name: &str) -> Result<Option<PlanId>> {
        Ok(named(&self.plans(SEARCHED).await?, name))
    }

    /// All of these plans.
    ///
    /// # Errors
    /// NotFound: there is no such plan. NotRunning: there is no Redis.
    pub(super) async fn existing_plans(&self, ids: &[PlanId]) -> Result<Vec<PlanSummary>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let plans = self.ask(|s| s.plans(ids)).await?;
        match ids.iter().find(|id| !plans.iter().any(|plan| plan.id == **id)) {
            Some(unknown) => Err(self.missing(no_plan(unknown)).await),
            None => Ok(plans),
        }
    }

    /// A plan with its tasks, its critical path and how long it goes on.
    ///
    /// # Errors
    /// NotFound: there is no such plan. NotRunning: there is no Redis.
    pub async fn show_plan(&self, id: &PlanId) -> Result<PlanDetail> {
        let (plan, tasks) = self.plan_with_tasks(id).await?;
        let ids: Vec<TaskId> = tasks.iter().map(|(_, task)| task.id.clone()).collect();
        let used = self.ask(|s| s.used(&ids)).await?;
        let usage = used.iter().fold(Usage::default(), |sum, usage| sum.and(usage));
        let places = places(&tasks);
        let predecessors = predecessors(&tasks);
        let took = self.ask(|s| s.durations(outlook::HISTORY)).await?;
        let outlook = outlook::outlook(&tasks, &predecessors, &took, |role| {
            self.config.roles.get(role).map_or(1, |role| role.max)
        });
        let critical = outlook.path.critical(&predecessors);
        let is_over = plan.state.is_terminal();
        let listed = rank::order(&predecessors).into_iter().map(|at| {
            let (key, task) = &tasks[at];
            let edge = |first: &TaskId| {
                let edge = task.edges.get(first).copied().unwrap_or_default();
                Some(PlanEdge { task: tasks[*places.get(first)?].0.clone(), edge })
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
                usage: used.get(at).cloned().unwrap_or_default(),
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

    /// The tasks of a plan after which no other one of it comes: what waits for the plan waits for these.
    pub(super) async fn last_tasks(&self, id: &PlanId) -> Result<Vec<TaskId>> {
        // Of a plan that was submitted a moment ago, or whose submitter was killed, some are not made yet.
        while self.ask(|s| s.grow_plan(Some(id))).await? > 0 {}
        let (_, tasks) = self.plan_with_tasks(id).await?;
        let successors = rank::successors(&predecessors(&tasks));
        let last = tasks.into_iter().zip(successors).filter(|(_, after)| after.is_empty());
        Ok(last.map(|((_, task), _)| task.id).collect())
    }

    /// The plan and its tasks, in the order in which they were accepted.
    pub(super) async fn plan_with_tasks(&self, id: &PlanId) -> Result<(PlanSummary, Vec<(String, Task)>)> {
        let plan = self.existing_plans(std::slice::from_ref(id)).await?.pop().ok_or_else(|| no_plan(id))?;
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
}

/// The newest of these plans with this name.
fn named(plans: &[PlanSummary], name: &str) -> Option<PlanId> {
    plans.iter().find(|plan| plan.name == name).map(|plan| plan.id.clone())
}

/// Where each task stands.
fn places(tasks: &[(String, Task)]) -> HashMap<&TaskId, usize> {
    tasks.iter().enumerate().map(|(at, (_, task))| (&task.id, at)).collect()
}

/// For each task the places of those that it comes after.
fn predecessors(tasks: &[(String, Task)]) -> Vec<Vec<usize>> {
    let places = places(tasks);
    tasks.iter().map(|(_, task)| task.after.iter().filter_map(|first| places.get(first).copied()).collect()).collect()
}

pub(super) fn no_task_of<'a>(plan: &PlanId, word: &str, keys: impl Iterator<Item = &'a str>) -> Error {
    let near = nearest(word, keys);
    let hint = near.map_or_else(|| format!("list them with: orch show {plan}"), |near| format!("did you mean {near}?"));
    Error::not_found(format!("plan {plan} has no task {}", printable(word))).hint(hint)
}

fn no_plan(id: &PlanId) -> Error {
    Error::not_found(format!("there is no plan {id}")).hint("list them with: orch plan list")
}
