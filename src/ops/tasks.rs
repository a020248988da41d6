//! `orch tasks`, `orch show`, `orch result`: the records of tasks.

use std::collections::{BTreeMap, HashSet};

use regex::Regex;

use super::{Listed, Ops, Shown, StateFilter, Target, TaskFilter};
use crate::{
    error::{Error, Result},
    model::{
        id::{PlanId, TaskId},
        suggest,
        task::{Task, TaskDetail, TaskState},
        text::one_line,
        time::Timestamp,
    },
    store::{agents::Record, listing::Brief},
};

/// How many records are read before a look at whether they are enough.
const PAGE: usize = 200;
/// How many tasks a filter looks at in one round trip at most.
const PAGES: usize = 2_000;
/// Up to this many tasks in the requested states, all ids are read; with more, the newest tasks are read instead.
const FEW: usize = 5_000;

/// A filter, ready to be applied.
struct Sieve<'a> {
    filter: &'a TaskFilter,
    states: Vec<TaskState>,
    grep: Option<Regex>,
}

impl Sieve<'_> {
    fn new(filter: &TaskFilter) -> Result<Sieve<'_>> {
        let mut states: Vec<TaskState> = filter.states.iter().flat_map(|state| state.states()).collect();
        states.sort_unstable();
        states.dedup();
        Ok(Sieve { filter, states, grep: super::logs::pattern(filter.grep.as_deref())? })
    }

    /// Whether every task passes.
    fn is_open(&self) -> bool {
        let TaskFilter { states, role, labels, .. } = self.filter;
        states.is_empty() && role.is_none() && labels.is_empty() && self.grep.is_none() && self.filter.since.is_none()
    }

    fn passes(&self, brief: &Brief, asks: bool, now: Timestamp) -> bool {
        let is_waiting = brief.waiting_until > now;
        brief.state.is_none_or(|state| self.has_state(state, is_waiting, asks))
            && self.filter.role.as_ref().is_none_or(|role| brief.role == *role)
            && self.has_labels(&brief.labels)
            && self.grep.as_ref().is_none_or(|grep| grep.is_match(&brief.text))
    }

    fn still_passes(&self, task: &Task, asks: bool) -> bool {
        self.has_state(task.state, task.waiting, asks)
            && self.filter.role.as_ref().is_none_or(|role| task.role == *role)
            && self.has_labels(&task.labels)
            && self.grep.as_ref().is_none_or(|grep| grep.is_match(&task.description))
    }

    fn has_state(&self, state: TaskState, is_waiting: bool, asks: bool) -> bool {
        let has = |filter: &StateFilter| match filter {
            StateFilter::Waiting => state == TaskState::Running && is_waiting,
            StateFilter::Asks => asks,
            other => other.states().contains(&state),
        };
        self.filter.states.is_empty() || self.filter.states.iter().any(has)
    }

    fn has_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |(name, value): &(String, Option<String>)| {
            labels.get(name).is_some_and(|its| value.as_ref().is_none_or(|value| its == value))
        };
        self.filter.labels.iter().all(has)
    }
}

impl Ops {
    /// The tasks that match the filter, the newest first, and the records that cannot be read.
    ///
    /// Reads no more than the limit asks for: where few tasks are in the states that are asked for, those; else the newest
    /// ones, page by page, and of each only what the filter looks at.
    ///
    /// # Errors
    /// NotFound: no such role, no such parent. Usage: the pattern is no regular expression. NotRunning: there is no Redis.
    pub async fn tasks(&self, filter: TaskFilter) -> Result<Listed> {
        let sieve = Sieve::new(&filter)?;
        let limit = filter.limit.unwrap_or(usize::MAX);
        let asking = filter.states.contains(&StateFilter::Asks);
        let some = match &filter.parent {
            Some(parent) => Some(self.subtasks(parent, filter.below).await?),
            None if filter.plan.is_some() => Some(self.newest_of_plan(filter.plan.as_ref()).await?),
            None if filter.states.is_empty() => None,
            None => {
                // With questions, whatever the number: there is no other way to find them.
                let few = if asking { usize::MAX } else { FEW };
                self.ask(|s| s.few_ids(&sieve.states, asking, few)).await?
            }
        };
        let asking: HashSet<TaskId> = match asking {
            true => self.ask(|s| s.few_ids(&[], true, usize::MAX)).await?.unwrap_or_default().into_iter().collect(),
            false => HashSet::new(),
        };
        let total = self.ask(|s| s.task_count()).await?;
        let is_in_order = filter.parent.is_none() && filter.plan.is_none();
        let mut listed = Listed { tasks: Vec::new(), damaged: Vec::new(), more: false, total };
        let (mut from, mut page, mut is_over) = (0, limit.saturating_add(1).clamp(1, PAGE), false);
        while listed.tasks.len() <= limit && !is_over {
            let ids = match &some {
                Some(ids) => ids.get(from..(from + page).min(ids.len())).unwrap_or_default().to_vec(),
                None => self.ask(|s| s.newest_ids(None, from, page)).await?,
            };
            if ids.is_empty() {
                break;
            }
            from += ids.len();
            page = (page * 2).min(PAGES);
            let ids = if sieve.is_open() {
                ids
            } else {
                let (now, briefs) = self.ask(|s| s.briefs(&ids, sieve.grep.is_some())).await?;
                let is_old = |brief: &Brief| filter.since.is_some_and(|limit| now.since(brief.created_at) > limit);
                let old = |brief: &Option<Brief>| brief.as_ref().is_some_and(is_old);
                // Of the newest tasks, all that follow are older; subtasks and those of a plan are in no such order.
                let over = briefs.iter().position(old).filter(|_| is_in_order).unwrap_or(ids.len());
                is_over = over < ids.len();
                let may_pass = |(id, brief): (TaskId, Option<Brief>)| match &brief {
                    Some(found) => (!old(&brief) && sieve.passes(found, asking.contains(&id), now)).then_some(id),
                    None => Some(id),
                };
                ids.into_iter().zip(briefs).take(over).filter_map(may_pass).collect()
            };
            for ids in ids.chunks(PAGE) {
                let (tasks, broken) = self.ask(|s| s.tasks_and_damaged(ids)).await?;
                listed.damaged.extend(broken.into_iter().map(|(_, e)| e.to_string()));
                // Again: it may have changed since.
                listed
                    .tasks
                    .extend(tasks.into_iter().filter(|task| sieve.still_passes(task, asking.contains(&task.id))));
                if listed.tasks.len() > limit {
                    break;
                }
            }
        }
        // A role that has left sessions.toml may still have tasks; a role without any is more likely misspelt.
        if let (true, Some(role)) = (listed.tasks.is_empty() && listed.damaged.is_empty(), &filter.role) {
            self.config.role(role)?;
        }
        listed.tasks.sort_by_key(|task| std::cmp::Reverse(task.created_at));
        listed.more = listed.tasks.len() > limit;
        listed.tasks.truncate(limit);
        Ok(listed)
    }

    /// The tasks of a plan, the newest first.
    async fn newest_of_plan(&self, plan: Option<&PlanId>) -> Result<Vec<TaskId>> {
        let Some(plan) = plan else { return Ok(Vec::new()) };
        let mut tasks = self.plan_with_tasks(plan).await?.1;
        tasks.reverse();
        Ok(tasks.into_iter().map(|(_, task)| task.id).collect())
    }

    /// The subtasks of a task, with `below` those of any depth.
    async fn subtasks(&self, parent: &TaskId, below: bool) -> Result<Vec<TaskId>> {
        let mut ids = self.detail(parent).await?.task.children;
        let mut level = ids.clone();
        // As many turns as there are levels of delegation, which max_depth bounds.
        while below && !level.is_empty() {
            let mut next = Vec::new();
            for page in level.chunks(PAGE) {
                next.extend(self.ask(|s| s.tasks(page)).await?.into_iter().flat_map(|task| task.children));
            }
            ids.extend_from_slice(&next);
            level = next;
        }
        ids.reverse();
        Ok(ids)
    }

    /// Everything recorded about a task, an agent or a plan.
    ///
    /// # Errors
    /// NotFound: there is none. NotRunning: there is no Redis.
    pub async fn show(&self, target: &Target) -> Result<Shown> {
        match target {
            Target::Task(id) => Ok(Shown::Task(Box::new(self.detail(id).await?))),
            Target::Agent(id) => {
                let mut agent = self.record(id).await?.agent;
                if let Some(task) = &agent.task {
                    agent.waiting = self.existing(std::slice::from_ref(task)).await?.iter().any(|t| t.waiting);
                }
                Ok(Shown::Agent(Box::new(agent)))
            }
            Target::Plan(id) => Ok(Shown::Plan(Box::new(self.show_plan(id).await?))),
        }
    }

    /// A task that has ended and left an answer. A failed one's answer is its last output.
    ///
    /// # Errors
    /// Failed: it has not ended yet, or has left nothing. NotFound: there is no such task.
    pub async fn result(&self, id: &TaskId) -> Result<TaskDetail> {
        let detail = self.detail(id).await?;
        let state = detail.task.state;
        if !state.is_terminal() {
            let error = Error::failed(format!("{id} is {state}: it has no result yet"));
            return Err(match state {
                TaskState::Held => error.hint(format!("it waits for a person: orch why {id}")),
                _ => error.hint(format!("wait for it with: orch wait {id}")),
            });
        }
        if detail.result.is_some() {
            return Ok(detail);
        }
        let why = detail.task.reason.as_ref().map(|r| format!(": {}", one_line(r, 200))).unwrap_or_default();
        Err(Error::failed(format!("{id} has {}, and left no result{why}", ended_as(state)))
            .hint(format!("see what happened: orch why {id}")))
    }

    /// Everything recorded about a task.
    pub(super) async fn detail(&self, id: &TaskId) -> Result<TaskDetail> {
        match self.ask(|s| s.task(id)).await? {
            Some(detail) => Ok(detail),
            None => Err(self.missing(no_task(id)).await),
        }
    }

    /// An agent's record, by its id, or by its session's name as long as it lives.
    pub(super) async fn record(&self, id: &str) -> Result<Record> {
        if let Some(record) = self.ask(|s| s.agent(id)).await? {
            return Ok(record);
        }
        let mut living = self.ask(|s| s.agents()).await?;
        match living.iter().position(|r| r.agent.session == id) {
            Some(at) => Ok(living.swap_remove(at)),
            None => Err(self.missing(no_agent(id, living.iter().map(|r| r.agent.id.as_str()))).await),
        }
    }
}

/// There is no such task.
pub(super) fn no_task(id: &TaskId) -> Error {
    Error::not_found(format!("there is no task {id}")).hint("list them with: orch tasks")
}

/// There is no such agent.
pub(super) fn no_agent<'a>(id: &str, living: impl Iterator<Item = &'a str> + Clone) -> Error {
    let error = Error::not_found(format!("there is no agent {}", suggest::printable(id)));
    match (suggest::nearest(id, living.clone()), living.clone().next()) {
        (Some(near), _) => error.hint(format!("did you mean {near}? list them with: orch agents")),
        (None, Some(_)) => error.hint(format!("living agents: {}", living.collect::<Vec<_>>().join(", "))),
        (None, None) => error.hint("none lives: orch status says whether orch runs, orch spawn ROLE asks for one"),
    }
}

/// `has ...`
pub(super) fn ended_as(state: TaskState) -> &'static str {
    match state {
        TaskState::Succeeded => "succeeded",
        TaskState::Cancelled => "been cancelled",
        TaskState::Skipped => "been skipped",
        _ => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_agent_is_answered_with_the_living_ones() {
        let hint = |id: &str, living: &[&str]| no_agent(id, living.iter().copied()).hint.unwrap_or_default();
        assert!(hint("sonet-1", &["opus-1", "sonnet-1"]).contains("did you mean sonnet-1"));
        assert!(hint("x", &["opus-1", "sonnet-1"]).contains("opus-1, sonnet-1"));
        assert!(hint("x", &[]).contains("none lives"));
    }
}
