//! `orch tasks`, `orch show`, `orch result`: what is recorded.

use super::{Listed, Ops, Shown, Target, TaskFilter};
use crate::{
    error::{Error, Result},
    model::{
        id::TaskId,
        name, suggest,
        task::{TaskDetail, TaskState},
        text::one_line,
    },
    store::agents::Record,
};

/// How many records are read before a look at whether they are enough.
const PAGE: usize = 200;

impl Ops {
    /// The tasks that match the filter, the newest first, and the records that cannot be read.
    ///
    /// # Errors
    /// NotFound: no such role, no such parent. NotRunning: there is no Redis.
    pub async fn tasks(&self, filter: TaskFilter) -> Result<Listed> {
        let ids = match &filter.parent {
            Some(parent) => self.subtasks(parent, filter.below).await?,
            None => self.ask(|s| s.task_ids(filter.state)).await?,
        };
        let limit = filter.limit.unwrap_or(usize::MAX);
        let (mut found, mut damaged) = (Vec::new(), Vec::new());
        for page in ids.chunks(PAGE) {
            let (tasks, broken) = self.ask(|s| s.tasks_and_damaged(page)).await?;
            damaged.extend(broken.into_iter().map(|(_, e)| e.to_string()));
            // The state again: it may have changed since the ids were read.
            found.extend(tasks.into_iter().filter(|task| {
                filter.state.is_none_or(|state| task.state == state)
                    && filter.role.as_ref().is_none_or(|role| task.role == *role)
            }));
            if found.len() >= limit {
                break;
            }
        }
        // A role that has left sessions.toml may still have tasks; a role without any is more likely misspelt.
        if let (true, Some(role)) = (found.is_empty() && damaged.is_empty(), &filter.role) {
            self.config.role(role)?;
        }
        found.sort_by_key(|task| std::cmp::Reverse(task.created_at));
        found.truncate(limit);
        Ok(Listed { tasks: found, damaged })
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

    /// What a word names: `t-7k2m9qx4hz` is a task, `sonnet-1` an agent.
    ///
    /// # Errors
    /// Usage: it can be neither.
    pub fn target(text: &str) -> Result<Target> {
        if let Ok(task) = text.parse() {
            return Ok(Target::Task(task));
        }
        // An agent of a role named `t` is called t-1.
        let meant_as_task = text.strip_prefix("t-").is_some_and(|rest| !rest.bytes().all(|b| b.is_ascii_digit()));
        if !meant_as_task && name::check(text).is_ok() {
            return Ok(Target::Agent(text.to_owned()));
        }
        Err(Error::usage(format!("'{}' names neither a task nor an agent", one_line(text, 60)))
            .hint("a task looks like t-7k2m9qx4hz (orch tasks), an agent like sonnet-1 (orch agents)"))
    }

    /// Everything recorded about a task or an agent.
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
        _ => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_names_a_task_or_an_agent() {
        let id = TaskId::random();
        assert_eq!(Ops::target(id.as_str()), Ok(Target::Task(id)));
        for agent in ["sonnet-1", "opus-master", "t-12", "t"] {
            assert_eq!(Ops::target(agent), Ok(Target::Agent(agent.into())));
        }
        for bad in ["", "t-7k2m", "t-7k2m9qx4hl", "Sonnet-1", "a b", "-x"] {
            assert!(Ops::target(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_unknown_agent_is_answered_with_the_living_ones() {
        let hint = |id: &str, living: &[&str]| no_agent(id, living.iter().copied()).hint.unwrap_or_default();
        assert!(hint("sonet-1", &["opus-1", "sonnet-1"]).contains("did you mean sonnet-1"));
        assert!(hint("x", &["opus-1", "sonnet-1"]).contains("opus-1, sonnet-1"));
        assert!(hint("x", &[]).contains("none lives"));
    }
}
