//! Finds what is new about the tasks that were delegated here. Pure.
//!
//! An event only says "look at this task again". The report comes from the task's own record, which contains every
//! attempt. So nothing is reported twice, and what happened while Redis was unreachable, or in one burst, is still
//! reported.

use std::collections::HashMap;

use crate::{
    model::{
        event::{Event, EventKind},
        id::TaskId,
        task::{TaskDetail, TaskState},
    },
    view::{
        View, event,
        task::life::{self, Depth},
    },
};

/// Tasks followed at the same time. The console runs for weeks, and no person reads about more than this.
const MAX_FOLLOWED: usize = 1_000;

/// What was reported about one task.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reported {
    /// 0 for a task delegated here, otherwise one more than its parent's.
    depth: Depth,
    /// Attempts whose beginning was reported.
    begun: usize,
    /// Attempts whose end was reported.
    ended: usize,
    state: TaskState,
}

/// What to do about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Nothing: it is about no task that is followed.
    Ignore,
    /// Read this task and pass it to [`Followed::report`]: it is followed, or may be a subtask of one that is.
    Read(TaskId),
    /// Read the open questions of this task, and show those that were not shown yet.
    Questions(TaskId),
    /// The same; without an open question, show this.
    Needs(TaskId, String),
    /// Read the unread messages to the master.
    Messages,
    /// Show this.
    Show(String),
}

/// The tasks that are followed until they end.
#[derive(Debug, Default)]
pub(super) struct Followed {
    tasks: HashMap<TaskId, Reported>,
}

impl Followed {
    /// Whether nothing is followed.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
    /// Every task that is followed, parents before their subtasks.
    pub fn ids(&self) -> Vec<TaskId> {
        let mut ids: Vec<_> = self.tasks.iter().map(|(id, reported)| (reported.depth, id.clone())).collect();
        ids.sort();
        ids.into_iter().map(|(_, id)| id).collect()
    }
    /// Follows a task no longer: its record is gone.
    pub fn forget(&mut self, id: &TaskId) {
        self.tasks.remove(id);
    }

    /// Follows a task that was delegated here, without its first `past` attempts. `false`: too many are followed already.
    pub fn begin(&mut self, id: &TaskId, past: usize) -> bool {
        self.insert(id, Reported { depth: Depth(0), begun: past, ended: past, state: TaskState::Ready })
    }

    /// Follows a task that was retried here, unless it is followed already.
    pub fn begin_again(&mut self, id: &TaskId, past: usize) {
        if !self.tasks.contains_key(id) {
            self.begin(id, past);
        }
    }

    /// Follows an open task that was delegated before this console began, and returns a line about its state. `None`: it is
    /// followed already, has ended, or is a subtask of a task that is not followed.
    pub fn adopt(&mut self, detail: &TaskDetail, view: &View) -> Option<String> {
        let task = &detail.task;
        let depth = task.parent.as_ref().map_or(Some(Depth(0)), |p| self.below(p))?;
        if task.state.is_terminal() || self.tasks.contains_key(&task.id) {
            return None;
        }
        let ended = detail.attempts.iter().filter(|a| a.ended_at.is_some()).count();
        let reported = Reported { depth, begun: detail.attempts.len(), ended, state: task.state };
        self.insert(&task.id, reported).then(|| life::open(task, depth, view))
    }

    /// The depth of a subtask of this task.
    fn below(&self, parent: &TaskId) -> Option<Depth> {
        Some(Depth(self.tasks.get(parent)?.depth.0 + 1))
    }

    fn insert(&mut self, id: &TaskId, reported: Reported) -> bool {
        let room = self.tasks.len() < MAX_FOLLOWED || self.tasks.contains_key(id);
        if room {
            self.tasks.insert(id.clone(), reported);
        }
        room
    }

    /// What to do about this event.
    pub fn receive(&self, event: &Event, view: &View) -> Reaction {
        let task = event.task.as_deref().and_then(|id| id.parse().ok());
        let id: TaskId = match (event.kind, task) {
            (EventKind::AgentNeeds, Some(id)) => return Reaction::Needs(id, event::needs(event, view)),
            (EventKind::AgentNeeds, None) => return Reaction::Show(event::needs(event, view)),
            (EventKind::TaskAsks, Some(id)) => return Reaction::Questions(id),
            (EventKind::MessageSent, None) | (EventKind::MessageFailed, _) => return Reaction::Messages,
            (_, Some(id)) => id,
            (_, None) => return Reaction::Ignore,
        };
        // A task's first event has no previous state. Its record says whose subtask it is.
        let newcomer = event.from.is_none() && event.to.is_some();
        let about_task = event.kind.is_about_task();
        if about_task && (self.tasks.contains_key(&id) || newcomer && !self.tasks.is_empty()) {
            return Reaction::Read(id);
        }
        Reaction::Ignore
    }

    /// What is new about this task, as lines; `None` if nothing is, or if it is neither followed nor a subtask of a task that
    /// is. A task that has ended is followed no longer.
    pub fn report(&mut self, detail: &TaskDetail, view: &View) -> Option<String> {
        let task = &detail.task;
        let mut lines = Vec::new();
        if !self.tasks.contains_key(&task.id) {
            let depth = self.below(task.parent.as_ref()?)?;
            if !self.insert(&task.id, Reported { depth, begun: 0, ended: 0, state: task.state }) {
                return None;
            }
            lines.push(life::accepted_below(task, depth, view));
        }
        let reported = self.tasks.get_mut(&task.id)?;
        let depth = reported.depth;
        let is_news = reported.state != TaskState::Held || detail.attempts.len() > reported.begun;
        for (i, attempt) in detail.attempts.iter().enumerate().skip(reported.ended) {
            if i >= reported.begun {
                lines.push(life::running(&task.id, attempt, depth));
            }
            lines.extend(life::delayed(detail, attempt, depth, view));
        }
        reported.begun = detail.attempts.len();
        reported.ended = detail.attempts.iter().filter(|a| a.ended_at.is_some()).count();
        if task.state == TaskState::Held && is_news {
            lines.push(life::held(detail, depth, view));
        } else if task.state == TaskState::Ready && matches!(reported.state, TaskState::Held | TaskState::Blocked) {
            lines.push(life::ready(&task.id, depth));
        }
        reported.state = task.state;
        if task.state.is_terminal() {
            lines.push(life::ended(detail, depth, view));
            self.tasks.remove(&task.id);
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

#[cfg(test)]
mod tests;
