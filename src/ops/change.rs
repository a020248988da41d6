//! `orch cancel` and `orch retry`: a person's word on a task. An agent at work has it on its own subtasks.

use super::{Changed, Ops};
use crate::{
    error::{Error, Result},
    model::{
        id::TaskId,
        task::{Task, TaskState},
    },
};

impl Ops {
    /// Cancels tasks, and with each its open subtasks. Of a running one the agent is told to stop. A dead letter becomes
    /// cancelled, and is forgotten in time; any other that has ended stays as it is.
    ///
    /// # Errors
    /// NotFound: there is no such task; then none was cancelled. Failed: an agent asks, and it is not a subtask.
    pub async fn cancel(&self, ids: &[TaskId]) -> Result<Vec<Changed>> {
        let before = self.before("cancel", ids).await?;
        let reason = format!("asked for by {}", self.caller.in_words());
        let states = self.ask(|s| s.cancel(ids, &reason)).await?;
        Ok(before
            .iter()
            .zip(states)
            .map(|(task, state)| {
                let state = state.unwrap_or(task.state);
                let told = state == TaskState::Running && !task.cancelling;
                Changed { id: task.id.clone(), from: task.state, state, changed: state != task.state || told }
            })
            .collect())
    }

    /// Starts failed, cancelled and held tasks anew, and delayed ones at once. Any other one stays as it is.
    ///
    /// # Errors
    /// NotFound: there is no such task; then none was started. Failed: an agent asks, and it is not a subtask; or what
    /// it waits for has failed.
    pub async fn retry(&self, ids: &[TaskId]) -> Result<Vec<Changed>> {
        self.before("retry", ids).await?;
        let reason = format!("started anew by {}", self.caller.in_words());
        let mut changed = Vec::with_capacity(ids.len());
        for id in ids {
            let (from, state) = self.ask(|s| s.retry(id, &reason)).await?;
            changed.push(Changed { id: id.clone(), from, state, changed: from != state });
        }
        Ok(changed)
    }

    /// The tasks as they are, one for each id, once it is clear that all exist and that the caller may change them.
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
