//! `orch prune`: removes ended tasks before their retention time has passed.

use super::{Ops, Prune, Pruned};
use crate::{
    error::{Error, Result},
    model::task::TaskState,
};

/// Tasks that are forgotten before their folders are removed.
const AT_ONCE: usize = 500;

impl Ops {
    /// Forgets tasks that have ended, with their attempts and run folders. What an open task refers to stays. Without a
    /// state, dead letters stay as well.
    ///
    /// # Errors
    /// Usage: tasks of that state have not ended. Failed: the caller is in an attempt. NotRunning: there is no Redis.
    pub async fn prune(&self, asked: &Prune) -> Result<Pruned> {
        self.caller.must_not_be_in_an_attempt("prune")?;
        let states = match asked.state {
            Some(state) if !state.is_terminal() => {
                return Err(Error::usage(format!("a task that is {state} has not ended, and is not forgotten")).hint(
                    "name one of: succeeded, failed, cancelled, skipped; an open task ends with: orch cancel TASK",
                ));
            }
            Some(state) => vec![state],
            None => vec![TaskState::Succeeded, TaskState::Cancelled, TaskState::Skipped],
        };
        let mut tasks = Vec::new();
        for state in states {
            let settings = &self.config.supervisor;
            let kept = if state == TaskState::Failed { settings.keep_failed } else { settings.keep };
            let older = asked.older.unwrap_or(kept);
            if asked.dry_run {
                tasks.extend(self.ask(|s| s.prune_state(state, older, usize::MAX, true)).await?);
                continue;
            }
            loop {
                let gone = self.ask(|s| s.prune_state(state, older, AT_ONCE, false)).await?;
                for task in &gone {
                    let _ = std::fs::remove_dir_all(self.home.task_runs(task));
                }
                let is_all = gone.len() < AT_ONCE;
                tasks.extend(gone);
                if is_all {
                    break;
                }
            }
        }
        Ok(Pruned { tasks, dry_run: asked.dry_run })
    }
}
