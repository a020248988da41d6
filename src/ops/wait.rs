//! `orch wait`: blocks until tasks have ended.
//!
//! It sleeps on a subscription, and looks at the states themselves after every message and every few seconds. So a lost
//! message or a restarted Redis costs a moment, and waiting costs next to nothing.

use std::{collections::HashSet, sync::atomic::Ordering, time::Duration};

use futures_util::FutureExt;
use tokio::time::{Instant, timeout_at};

use super::{Caller, Ops, Wait, Waited};
use crate::{
    error::{Error, Result},
    model::{
        duration,
        id::TaskId,
        task::{Task, TaskDetail, TaskState},
    },
    store::wake::News,
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
        let mut told: HashSet<TaskId> = HashSet::new();
        let mut look = |tasks: &[Task]| {
            for task in tasks {
                match task.state {
                    TaskState::Held if told.insert(task.id.clone()) => held(task),
                    TaskState::Held => {}
                    _ => drop(told.remove(&task.id)),
                }
            }
        };
        let waited = self.wait_watching(&wait, std::future::pending(), &mut look).await?;
        match waited.timed_out {
            true => Err(over(&waited.open, wait.timeout.unwrap_or_default())),
            false => Ok(waited.ended),
        }
    }

    /// The same for a surface that can show how it stands: `seen` is called with all of these tasks after each look, that
    /// is after each end and every few seconds. When the time is over, that is no error; whoever stops listening before
    /// ends the wait by `given_up`.
    ///
    /// # Errors
    /// As [`Ops::wait`], but for TimedOut; Failed: it was given up.
    pub async fn wait_watching(
        &self,
        wait: &Wait,
        given_up: impl Future<Output = ()>,
        seen: &mut (dyn FnMut(&[Task]) + Send),
    ) -> Result<Waited> {
        let mut ids = wait.ids.clone();
        let mut named = HashSet::new();
        ids.retain(|id| named.insert(id.clone()));
        if ids.is_empty() {
            return Err(Error::usage("there is nothing to wait for").hint("name tasks: orch wait t-..."));
        }
        let deadline = wait.timeout.and_then(|limit| Instant::now().checked_add(limit));
        let mut marked = false;
        let waited = tokio::select! {
            waited = self.until_ended(&ids, wait.any, deadline, &mut marked, seen) => waited,
            () = given_up => Err(Error::failed("the wait was given up; the tasks go on").hint("wait again at any time")),
        };
        // Of several at once the last one takes the mark away.
        if marked
            && self.marks.fetch_sub(1, Ordering::Relaxed) == 1
            && let Some(attempt) = self.caller.attempt()
        {
            // Best effort: the mark ends by itself, and what we have to say is the answer.
            let _ = self.store().mark_waiting(attempt, &ids, Duration::ZERO).await;
        }
        if let (Ok(waited), Caller::Agent { attempt: None, .. }) = (&waited, &self.caller) {
            let ended: Vec<&TaskId> = waited.ended.iter().map(|detail| &detail.task.id).collect();
            // Best effort: else it is told of these ends once more, at the end of its turn.
            let _ = self.store().master_has_heard(&self.config.master.session, &ended).await;
        }
        waited
    }

    async fn until_ended(
        &self,
        ids: &[TaskId],
        any: bool,
        deadline: Option<Instant>,
        marked: &mut bool,
        seen: &mut (dyn FnMut(&[Task]) + Send),
    ) -> Result<Waited> {
        let mut ends: Option<News> = None;
        loop {
            // Before the look: what ends in between is told.
            if ends.is_none() {
                ends = Some(self.ask(|s| s.watch_ends(ids)).await?);
            }
            let tasks = self.existing(ids).await?;
            seen(&tasks);
            let now = Instant::now();
            let over = deadline.is_some_and(|deadline| deadline <= now);
            let open: Vec<TaskId> = tasks.iter().filter(|t| !t.state.is_terminal()).map(|t| t.id.clone()).collect();
            if open.is_empty() || over || any && open.len() < tasks.len() {
                let ended = self.ended(ids).await?;
                let enough = any && !ended.is_empty() || ended.len() == ids.len();
                if enough || over {
                    let mut open = tasks;
                    open.retain(|task| !ended.iter().any(|end| end.task.id == task.id));
                    return Ok(Waited { ended, open, timed_out: !enough });
                }
                // Somebody has just started one of them anew.
                continue;
            }
            if let Some(attempt) = self.caller.attempt() {
                // First, as a call that is given up halfway may have been heard.
                if !std::mem::replace(marked, true) {
                    self.marks.fetch_add(1, Ordering::Relaxed);
                }
                self.ask(|s| s.mark_waiting(attempt, &open, MARK)).await?;
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
pub(super) async fn told(ends: &mut News) -> bool {
    let alive = ends.next().await;
    while ends.next().now_or_never() == Some(true) {}
    alive
}

/// The caller's time is over.
fn over(open: &[Task], limit: Duration) -> Error {
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
