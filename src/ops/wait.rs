//! `orch wait`: blocks until tasks have ended.
//!
//! A wait is a stream of steps. It sleeps on a subscription, and reads the tasks' states after every message and every few
//! seconds. So a lost message or a restarted Redis costs a moment, and waiting costs next to nothing.

use std::{
    collections::{HashSet, VecDeque},
    sync::atomic::Ordering,
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, stream};
use tokio::time::{Instant, timeout_at};

use super::{Caller, Ops, Steps, Wait, WaitStep, Waited};
use crate::{
    error::{Error, Result},
    model::{
        duration,
        id::{PlanId, TaskId},
        lock::HolderKind,
        plan::PlanSummary,
        task::{Task, TaskDetail, TaskState},
        time::Timestamp,
    },
    store::wake::News,
};

/// Of a plan with more open tasks than this, none is looked at by itself.
const LOOKED_INTO: usize = 500;
/// Ready tasks whose locks are looked at each time.
const LOCKS_LOOKED_AT: usize = 20;
/// How often the states are read without a message.
const LOOK: Duration = Duration::from_secs(5);
/// How long the mark on a waiting task lasts. A waiter that is killed leaves it for at most this long.
const MARK: Duration = Duration::from_secs(15);

impl Ops {
    /// Waits until all of these tasks have ended, or with `any` until one has, and returns those that have, in the order
    /// asked for. Within an attempt, the attempt's own task is marked as waiting meanwhile, and takes no slot of its role.
    ///
    /// # Errors
    /// TimedOut, with the states of those that have not ended. NotFound: no such task. Failed: the caller's own attempt
    /// is over, or it would wait for itself. NotRunning: there is no Redis, and no supervisor that brings it back.
    pub async fn wait(&self, wait: Wait) -> Result<Vec<TaskDetail>> {
        let limit = wait.timeout;
        let mut steps = self.wait_steps(wait, std::future::pending());
        while let Some(step) = steps.next().await {
            if let WaitStep::Done(waited) = step? {
                return Ok(waited.in_time(limit)?.ended);
            }
        }
        Err(Error::internal("the wait has ended without an answer"))
    }

    /// The same, step by step. A time that is over is no error here. `cancelled` ends the wait early and takes the mark away
    /// at once; after a stream that is only dropped, the mark expires.
    ///
    /// The stream ends with [`WaitStep::Done`] or an error: those of [`Ops::wait`] but TimedOut; Failed: it was cancelled.
    pub fn wait_steps<'a>(
        &'a self,
        wait: Wait,
        cancelled: impl Future<Output = ()> + Send + 'a,
    ) -> Steps<'a, WaitStep> {
        let waiting = Some((Waiting::new(self, wait), Box::pin(cancelled)));
        stream::unfold(waiting, async |waiting| {
            let (mut waiting, mut cancelled) = waiting?;
            let step = tokio::select! {
                step = waiting.next() => step,
                () = &mut cancelled => {
                    Err(Error::failed("the wait was cancelled; the tasks continue").hint("wait again at any time"))
                }
            };
            if matches!(step, Ok(WaitStep::Looked(_) | WaitStep::Held(_) | WaitStep::Locked { .. })) {
                return Some((step, Some((waiting, cancelled))));
            }
            waiting.close(&step).await;
            Some((step, None))
        })
        .boxed()
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
            Some(unknown) => Err(self.missing(super::tasks::no_task(unknown)).await),
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

impl Waited {
    /// The same, if what it waits for has ended.
    ///
    /// # Errors
    /// TimedOut: the time was over first.
    pub fn in_time(self, limit: Option<Duration>) -> Result<Waited> {
        match self.timed_out {
            true => Err(over(&self, limit.unwrap_or_default())),
            false => Ok(self),
        }
    }
}

/// A wait in progress.
struct Waiting<'a> {
    ops: &'a Ops,
    ids: Vec<TaskId>,
    plans: Vec<PlanId>,
    any: bool,
    deadline: Option<Instant>,
    /// The subscription to their ends.
    ends: Option<News>,
    /// Steps that were not returned yet.
    steps: VecDeque<WaitStep>,
    /// Tasks that had not ended at the last look, those of plans among them.
    open: Vec<TaskId>,
    /// Whether to look without sleeping first.
    looks_at_once: bool,
    /// Tasks that were reported as held.
    held: HashSet<TaskId>,
    /// Tasks that were reported as kept by a person's lock, with the lock.
    locked: HashSet<(TaskId, String)>,
    /// Whether the caller's task was marked as waiting.
    is_marked: bool,
}

impl<'a> Waiting<'a> {
    fn new(ops: &'a Ops, wait: Wait) -> Self {
        let mut named = HashSet::new();
        let mut ids = wait.ids;
        ids.retain(|id| named.insert(id.clone()));
        let deadline = wait.timeout.and_then(|limit| Instant::now().checked_add(limit));
        let mut named = HashSet::new();
        let mut plans = wait.plans;
        plans.retain(|id| named.insert(id.clone()));
        let (steps, open, held, locked) = (VecDeque::new(), Vec::new(), HashSet::new(), HashSet::new());
        let (any, ends, looks_at_once, is_marked) = (wait.any, None, true, false);
        Waiting { ops, ids, plans, any, deadline, ends, steps, open, looks_at_once, held, locked, is_marked }
    }

    async fn next(&mut self) -> Result<WaitStep> {
        if self.ids.is_empty() && self.plans.is_empty() {
            return Err(Error::usage("there is nothing to wait for").hint("name tasks: orch wait t-..."));
        }
        loop {
            if let Some(step) = self.steps.pop_front() {
                return Ok(step);
            }
            if !self.looks_at_once {
                self.mark().await?;
                self.sleep().await;
            }
            self.look().await?;
        }
    }

    /// Reads the tasks, and decides whether the wait is over.
    async fn look(&mut self) -> Result<()> {
        // Before the tasks are read: an end in between sends a message. While orch is stopped, nothing ends.
        let is_stopped = self.ops.reads_history();
        if self.ends.is_none() && !is_stopped {
            self.ends = Some(self.ops.ask(|s| s.watch_work(&self.ids, &self.plans)).await?);
        }
        let mut tasks = self.ops.existing(&self.ids).await?;
        let plans = self.ops.existing_plans(&self.plans).await?;
        if is_stopped && !self.is_enough(&tasks, &plans) {
            let of_task = tasks.iter().find(|t| !t.state.is_terminal()).map(|t| format!("{} is {}", t.id, t.state));
            let of_plan = || plans.iter().find(|p| !p.state.is_terminal()).map(|p| format!("{} is {}", p.id, p.state));
            let open = of_task.or_else(of_plan).unwrap_or_else(|| "it has not ended".to_owned());
            return Err(Error::not_running(format!("{open}, and orch is stopped")).hint("orch start; it goes on then"));
        }
        let of_plans = self.open_tasks_of(&plans).await?;
        self.steps.push_back(WaitStep::Looked(tasks.iter().chain(&of_plans).cloned().collect()));
        for task in tasks.iter().chain(&of_plans) {
            match task.state {
                TaskState::Held if self.held.insert(task.id.clone()) => {
                    self.steps.push_back(WaitStep::Held(Box::new(task.clone())));
                }
                TaskState::Held => {}
                _ => drop(self.held.remove(&task.id)),
            }
        }
        self.look_at_locks(tasks.iter().chain(&of_plans)).await?;
        let is_over = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
        let open = tasks.iter().filter(|t| !t.state.is_terminal()).chain(&of_plans);
        self.open = open.map(|t| t.id.clone()).collect();
        self.looks_at_once = false;
        if self.is_enough(&tasks, &plans) || is_over {
            let ended = self.ops.ended(&self.ids).await?;
            // Read again: one of them may just have been retried.
            let (plans, open_plans): (Vec<_>, Vec<_>) =
                self.ops.existing_plans(&self.plans).await?.into_iter().partition(|plan| plan.state.is_terminal());
            let has_ended = ended.len() + plans.len();
            let is_enough = self.any && has_ended > 0 || has_ended == self.ids.len() + self.plans.len();
            if is_enough || is_over {
                tasks.retain(|task| !ended.iter().any(|end| end.task.id == task.id));
                self.steps.push_back(WaitStep::Done(Waited {
                    ended,
                    open: tasks,
                    plans,
                    open_plans,
                    timed_out: !is_enough,
                }));
            }
            // Otherwise one of them was just retried: look again without sleeping.
            self.looks_at_once = true;
        }
        Ok(())
    }

    /// Reports the locks of persons that keep ready ones of these from starting.
    async fn look_at_locks(&mut self, tasks: impl Iterator<Item = &Task>) -> Result<()> {
        let ready = tasks.filter(|task| task.state == TaskState::Ready).take(LOCKS_LOOKED_AT);
        for (task, lacking) in self.ops.lacking(ready).await? {
            let Some(id) = lacking.lock.id.clone().filter(|_| lacking.lock.holder == HolderKind::Person) else {
                continue;
            };
            if self.locked.insert((task.clone(), id.clone())) {
                let (what, command) = (lacking.sentence(Timestamp::now()), format!("orch unlock {id}"));
                self.steps.push_back(WaitStep::Locked { task, what, command });
            }
        }
        Ok(())
    }

    /// The open tasks of those plans that have not ended.
    async fn open_tasks_of(&mut self, plans: &[PlanSummary]) -> Result<Vec<Task>> {
        let mut open = Vec::new();
        for plan in plans.iter().filter(|plan| !plan.state.is_terminal()) {
            let states = plan.counts.iter().filter(|(state, _)| !state.is_terminal());
            if states.map(|(_, n)| *n as usize).sum::<usize>() > LOOKED_INTO {
                continue;
            }
            let ids: Vec<TaskId> = self.ops.ask(|s| s.plan_tasks(&plan.id)).await?.into_values().collect();
            let open_ids = self.ops.ask(|s| s.open_among(&ids)).await?;
            let tasks = self.ops.ask(|s| s.tasks(&open_ids)).await?;
            open.extend(tasks.into_iter().filter(|task| !task.state.is_terminal()));
        }
        Ok(open)
    }

    /// Whether as many of them have ended as the wait is for.
    fn is_enough(&self, tasks: &[Task], plans: &[PlanSummary]) -> bool {
        let tasks = tasks.iter().map(|task| task.state.is_terminal());
        let mut states = tasks.chain(plans.iter().map(|plan| plan.state.is_terminal()));
        if self.any { states.any(|ended| ended) } else { states.all(|ended| ended) }
    }

    /// Marks the caller's own task as waiting.
    async fn mark(&mut self) -> Result<()> {
        let Some(attempt) = self.ops.caller.attempt() else { return Ok(()) };
        // Counted before the call, which may take effect even if it is interrupted.
        if !std::mem::replace(&mut self.is_marked, true) {
            self.ops.marks.fetch_add(1, Ordering::Relaxed);
        }
        self.ops.ask(|s| s.mark_waiting(attempt, &self.open, MARK)).await
    }

    /// Sleeps until one of them has ended, or until it is time to look anyway.
    async fn sleep(&mut self) {
        let look = Instant::now() + LOOK;
        let until = self.deadline.map_or(look, |deadline| deadline.min(look));
        if let Some(ends) = &mut self.ends
            && timeout_at(until, message(ends)).await == Ok(false)
        {
            self.ends = None;
        }
    }

    /// The wait is over: the mark is taken away, and what the master has been told is recorded.
    async fn close(&mut self, last: &Result<WaitStep>) {
        // Of several concurrent waits, the last one takes the mark away.
        if std::mem::take(&mut self.is_marked)
            && self.ops.marks.fetch_sub(1, Ordering::Relaxed) == 1
            && let Some(attempt) = self.ops.caller.attempt()
        {
            // Best effort: the mark expires, and the answer matters more than this error.
            let _ = self.ops.store().mark_waiting(attempt, &self.ids, Duration::ZERO).await;
        }
        if let (Ok(WaitStep::Done(waited)), Caller::Agent { attempt: None, .. }) = (last, &self.ops.caller) {
            let ended = waited.ended.iter().map(|detail| detail.task.id.as_str());
            let ended: Vec<&str> = ended.chain(waited.plans.iter().map(|plan| plan.id.as_str())).collect();
            // Best effort: on failure the master receives these ends again, after its turn.
            let _ = self.ops.store().master_has_heard(&self.ops.config.master.session, &ended).await;
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.is_marked {
            self.ops.marks.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Sleeps until a message arrives; `false` when the connection broke. Messages that arrive together are one.
pub(super) async fn message(news: &mut News) -> bool {
    let alive = news.next().await;
    while news.next().now_or_never() == Some(true) {}
    alive
}

/// The error for a timeout that has passed.
fn over(waited: &Waited, limit: Duration) -> Error {
    const NAMED: usize = 5;
    let tasks = waited.open.iter().map(|task| (task.id.to_string(), task.state.as_str()));
    let plans = waited.open_plans.iter().map(|plan| (plan.id.to_string(), plan.state.as_str()));
    let open: Vec<(String, &str)> = tasks.chain(plans).collect();
    let mut named: Vec<String> = open.iter().take(NAMED).map(|(id, state)| format!("{id} ({state})")).collect();
    if open.len() > NAMED {
        named.push(format!("{} more", open.len() - NAMED));
    }
    let error = Error::timed_out(format!("not ended after {}: {}", duration::human(limit), named.join(", ")));
    match open.first() {
        Some((first, _)) => error.hint(format!("see why: orch why {first}   (it goes on; wait again at any time)")),
        None => error,
    }
}
