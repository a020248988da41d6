//! `orch cancel` and `orch retry`, for persons, the master, and agents for their own subtasks.

use super::{Caller, Changed, Ops};
use crate::{
    error::{Error, Result},
    home::Decision,
    model::{
        id::TaskId,
        task::{Task, TaskState},
    },
    store::tasks::{Again, Retried},
};

impl Ops {
    /// Cancels tasks with their open subtasks. The agent of a running task is asked to stop it. A dead letter becomes
    /// cancelled, and is removed when its time to be kept has passed; any other task that has ended stays as it is.
    ///
    /// # Errors
    /// NotFound: there is no such task, and none was cancelled. Failed: an agent calls, and it is not one of its subtasks.
    pub async fn cancel(&self, ids: &[TaskId]) -> Result<Vec<Changed>> {
        let before = self.before("cancel", ids).await?;
        let reason = format!("asked for by {}", self.caller.in_words());
        let states = self.ask(|s| s.cancel(ids, &reason)).await?;
        self.remember(&Decision::Over(ids.to_vec()));
        Ok(before
            .iter()
            .zip(states)
            .map(|(task, state)| {
                let state = state.unwrap_or(task.state);
                let requested = state == TaskState::Running && !task.cancelling;
                let changed = state != task.state || requested;
                Changed { id: task.id.clone(), from: task.state, state, changed, others: Vec::new() }
            })
            .collect())
    }

    /// Retries failed, cancelled and held tasks with what was cancelled because of them, and starts delayed ones immediately. Any other task stays as it is.
    ///
    /// # Errors
    /// NotFound: there is no such task, and none was retried. Failed: an agent calls, and it is not one of its subtasks; or a
    /// task that it comes after has failed.
    pub async fn retry(&self, ids: &[TaskId]) -> Result<Vec<Changed>> {
        self.before("retry", ids).await?;
        let reason = format!("retried by {}", self.caller.in_words());
        let mut changed = Vec::with_capacity(ids.len());
        for id in ids {
            let Retried { from, to, others } = self.retry_as_caller(id, &reason, false).await?;
            let again = std::iter::once(id).chain(others.iter()).cloned().collect();
            self.remember(&Decision::Retried(again));
            changed.push(Changed { id: id.clone(), from, state: to, changed: from != to, others });
        }
        Ok(changed)
    }

    /// Retries one task with what the caller may decide by it. `even_succeeded`: also if it has succeeded.
    pub(super) async fn retry_as_caller(&self, id: &TaskId, reason: &str, even_succeeded: bool) -> Result<Retried> {
        let by_agent = !matches!(self.caller, Caller::Person(_));
        let terms = Again { even_succeeded, by_agent, ..Again::default() };
        self.ask(|s| s.retry_as(id, reason, &terms)).await
    }

    /// For a Redis that loses data: without the record, at worst a task runs again that had ended.
    fn remember(&self, decision: &Decision) {
        if let Err(e) = self.home().record_decision(decision) {
            tracing::warn!("{decision:?} could not be recorded: {e}");
        }
    }

    /// Returns the tasks, one per id, after checking that all exist and that the caller may change them.
    async fn before(&self, verb: &str, ids: &[TaskId]) -> Result<Vec<Task>> {
        if ids.is_empty() {
            return Err(
                Error::usage(format!("there is nothing to {verb}")).hint(format!("name tasks: orch {verb} t-..."))
            );
        }
        let tasks = self.existing(ids).await?;
        self.must_be_below_the_caller(verb, ids).await?;
        Ok(tasks)
    }
}
