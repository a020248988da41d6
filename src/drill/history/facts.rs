//! A history with its indexes: who looks for the events of a task does not read all of them.

use std::{collections::BTreeMap, str::FromStr};

use super::{History, LOST_DATA};
use crate::model::{
    agent::AgentState,
    cause::Cause,
    event::Event,
    task::{Attempt, TaskDetail, TaskState},
};

/// An event that tells a state, with its place in the stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<'a, S> {
    pub place: usize,
    pub event: &'a Event,
    /// `None` where there was nothing before, or something that is no state.
    pub from: Option<S>,
    pub to: S,
}

/// How an attempt ended, as its event tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub attempt: u32,
    pub cause: Cause,
}

/// A history, and where to find what in it.
pub(super) struct Facts<'a> {
    pub history: &'a History,
    /// By id.
    pub tasks: BTreeMap<&'a str, &'a TaskDetail>,
    /// By task, the oldest first.
    pub task_steps: BTreeMap<&'a str, Vec<Step<'a, TaskState>>>,
    /// By agent id, the oldest first.
    pub agent_steps: BTreeMap<&'a str, Vec<Step<'a, AgentState>>>,
    /// Whether Redis ever came back with less than it had acknowledged.
    pub data_lost: bool,
}

impl<'a> Facts<'a> {
    pub fn of(history: &'a History) -> Self {
        let mut facts = Facts {
            history,
            tasks: history.tasks.iter().map(|t| (t.task.id.as_str(), t)).collect(),
            task_steps: BTreeMap::new(),
            agent_steps: BTreeMap::new(),
            data_lost: history.data_lost || history.events.iter().any(|e| e.kind == LOST_DATA),
        };
        for (place, event) in history.events.iter().enumerate() {
            if let (Some(task), Some(step)) = (&event.task, step("task.", place, event)) {
                facts.task_steps.entry(task).or_default().push(step);
            }
            if let (Some(agent), Some(step)) = (&event.agent, step("agent.", place, event)) {
                facts.agent_steps.entry(agent).or_default().push(step);
            }
        }
        facts
    }

    pub fn steps(&self, task: &str) -> &[Step<'a, TaskState>] {
        self.task_steps.get(task).map_or(&[], Vec::as_slice)
    }

    /// A task's state right before a place in the stream.
    pub fn state_before(&self, task: &str, place: usize) -> Option<TaskState> {
        self.steps(task).iter().take_while(|s| s.place < place).last().map(|s| s.to)
    }

    /// A task's first step after a place in the stream.
    pub fn next_step(&self, task: &str, place: usize) -> Option<&Step<'a, TaskState>> {
        self.steps(task).iter().find(|s| s.place > place)
    }

    /// The steps by which a task was claimed, each with the attempt that it began. The last event belongs to the last
    /// attempt, so it fits, too, where the oldest events were dropped. Attempts that Redis lost have no event.
    pub fn claims(&self, task: &'a TaskDetail) -> Vec<(&Step<'a, TaskState>, Option<&'a Attempt>)> {
        let steps = self.steps(task.task.id.as_str()).iter();
        let claims: Vec<_> = steps.filter(|s| s.to == TaskState::Running).collect();
        let attempts: Vec<&Attempt> = kept(task).collect();
        let attempt = |i: usize| (i + attempts.len()).checked_sub(claims.len()).and_then(|n| attempts.get(n).copied());
        claims.iter().enumerate().map(|(i, s)| (*s, attempt(i))).collect()
    }
}

/// The attempts of which more is known than that they were lost with the data of a Redis.
pub(super) fn kept(task: &TaskDetail) -> impl Iterator<Item = &Attempt> {
    task.attempts.iter().filter(|a| a.fence > 0)
}

/// `agent.idle` with the state `idle` is a step; `task.cancelling`, which stays `running`, is none.
fn step<'a, S: FromStr>(room: &str, place: usize, event: &'a Event) -> Option<Step<'a, S>> {
    let what = event.kind.as_str().strip_prefix(room)?;
    let to = event.to.as_deref().filter(|to| *to == what)?.parse().ok()?;
    Some(Step { place, event, from: event.from.as_deref().and_then(|f| f.parse().ok()), to })
}

impl Step<'_, TaskState> {
    /// The attempt that ended with this step.
    pub fn end(&self) -> Option<End> {
        let data = self.event.data.as_ref()?;
        // Lua's numbers may be written either way.
        let attempt = data.get("attempt")?.as_f64()? as u32;
        let cause = data.get("cause")?.as_str()?.parse().ok()?;
        Some(End { attempt, cause }).filter(|_| self.from == Some(TaskState::Running))
    }

    /// Whether a person started the task anew by it, with its counts at zero.
    pub fn is_retry(&self) -> bool {
        use TaskState::*;
        matches!(self.from, Some(Failed | Cancelled | Held)) && matches!(self.to, Ready | Blocked)
    }
}

/// `event 17-0`: how a finding points at one.
pub(super) fn the_event(event: &Event) -> String {
    format!("event {} ({})", event.id, event.kind)
}
