//! `orch wait`: blocks until tasks have ended.
//!
//! It sleeps on a subscription, and looks at the states themselves after every message and every few seconds. So a lost
//! message or a restarted Redis costs a moment, and waiting costs next to nothing.

use std::{collections::HashSet, time::Duration};

use futures_util::FutureExt;
use tokio::time::{Instant, timeout_at};

use super::{Ops, Wait};
use crate::{
    error::{Error, Result},
    model::{
        duration,
        id::TaskId,
        task::{Task, TaskDetail, TaskState},
    },
    store::wake::Ends,
};

/// How often to look without having been told.
const LOOK: Duration = Duration::from_secs(5);
/// For how long the mark on a waiting task holds. A waiter that is killed leaves it behind for this long at most.
const MARK: Duration = Duration::from_secs(15);

impl Ops {
    /// Waits until all of these tasks have ended, or with `any` until one has; those that have, in the order asked for.
    /// Within an attempt, the attempt's own task is marked as waiting meanwhile, and takes no place of its role.
    ///
    /// # Errors
    /// TimedOut, with the states of those that have not ended. NotFound: no such task. Failed: the caller's own attempt
    /// is over, or it would wait for itself. NotRunning: there is no Redis, and nobody who brings it back.
    pub async fn wait(&self, wait: Wait) -> Result<Vec<TaskDetail>> {
        self.wait_telling(wait, &mut |_| {}).await
    }

    /// The same; `held` is called with each of them that comes to wait for a person, within seconds.
    ///
    /// # Errors
    /// As [`Ops::wait`].
    pub async fn wait_telling(&self, wait: Wait, held: &mut (dyn FnMut(&Task) + Send)) -> Result<Vec<TaskDetail>> {
        let mut ids = wait.ids.clone();
        let mut seen = HashSet::new();
        ids.retain(|id| seen.insert(id.clone()));
        if ids.is_empty() {
            return Err(Error::usage("there is nothing to wait for").hint("name tasks: orch wait t-..."));
        }
        let deadline = wait.timeout.and_then(|limit| Instant::now().checked_add(limit));
        let mut marked = false;
        let ended = self.until_ended(&ids, &wait, deadline, &mut marked, held).await;
        if marked && let Some(attempt) = self.caller.attempt() {
            // Best effort: the mark ends by itself, and what we have to say is the answer.
            let _ = self.store().mark_waiting(attempt, &ids, Duration::ZERO).await;
        }
        ended
    }

    async fn until_ended(
        &self,
        ids: &[TaskId],
        wait: &Wait,
        deadline: Option<Instant>,
        marked: &mut bool,
        held: &mut (dyn FnMut(&Task) + Send),
    ) -> Result<Vec<TaskDetail>> {
        let mut ends: Option<Ends> = None;
        let mut told_held: HashSet<TaskId> = HashSet::new();
        loop {
            // Before the look: what ends in between is told.
            if ends.is_none() {
                ends = Some(self.ask(|s| s.watch_ends(ids)).await?);
            }
            let tasks = self.existing(ids).await?;
            let open: Vec<&Task> = tasks.iter().filter(|t| !t.state.is_terminal()).collect();
            if open.is_empty() || wait.any && open.len() < tasks.len() {
                let ended = self.ended(ids).await?;
                if wait.any && !ended.is_empty() || ended.len() == ids.len() {
                    return Ok(ended);
                }
                // Somebody has just started one of them anew.
                continue;
            }
            for task in &open {
                match task.state {
                    TaskState::Held if told_held.insert(task.id.clone()) => held(task),
                    TaskState::Held => {}
                    _ => drop(told_held.remove(&task.id)),
                }
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Err(over(&open, wait.timeout.unwrap_or_default()));
            }
            if let Some(attempt) = self.caller.attempt() {
                let open: Vec<TaskId> = open.iter().map(|t| t.id.clone()).collect();
                self.ask(|s| s.mark_waiting(attempt, &open, MARK)).await?;
                *marked = true;
            }
            let until = deadline.map_or(now + LOOK, |deadline| deadline.min(now + LOOK));
            if let Some(subscription) = &mut ends
                && timeout_at(until, told(subscription)).await == Ok(false)
            {
                ends = None;
            }
        }
    }

    /// All of these tasks.
    ///
    /// # Errors
    /// NotFound: there is no such task. Internal: the record of one is damaged.
    pub(super) async fn existing(&self, ids: &[TaskId]) -> Result<Vec<Task>> {
        let (tasks, damaged) = self.ask(|s| s.tasks_and_damaged(ids)).await?;
        if let Some((_, e)) = damaged.into_iter().next() {
            return Err(e.into());
        }
        match ids.iter().find(|id| !tasks.iter().any(|t| t.id == **id)) {
            Some(unknown) => Err(super::tasks::no_task(unknown)),
            None => Ok(tasks),
        }
    }

    /// Those of these tasks that have ended, with everything recorded.
    async fn ended(&self, ids: &[TaskId]) -> Result<Vec<TaskDetail>> {
        let mut ended = Vec::with_capacity(ids.len());
        for id in ids {
            let detail = self.ask(|s| s.task(id)).await?;
            ended.extend(detail.filter(|d| d.task.state.is_terminal()));
        }
        Ok(ended)
    }
}

/// Sleeps until something has ended; `false` when the connection broke. Many ends at once are worth one look.
async fn told(ends: &mut Ends) -> bool {
    let alive = ends.next().await;
    while ends.next().now_or_never() == Some(true) {}
    alive
}

/// The caller's time is over.
fn over(open: &[&Task], limit: Duration) -> Error {
    const NAMED: usize = 5;
    let mut named: Vec<String> = open.iter().take(NAMED).map(|t| format!("{} ({})", t.id, t.state)).collect();
    if open.len() > NAMED {
        named.push(format!("{} more", open.len() - NAMED));
    }
    let error = Error::timed_out(format!("not ended after {}: {}", duration::human(limit), named.join(", ")));
    match open.first() {
        Some(first) => error.hint(format!("see why: orch why {}   (it goes on; wait again at any time)", first.id)),
        None => error,
    }
}
