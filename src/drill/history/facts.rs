//! A history with indexes, so that the events of a task are found without reading all events.

use std::{collections::BTreeMap, str::FromStr};

use super::{History, LOST_DATA};
use crate::model::{
    agent::AgentState,
    cause::Cause,
    event::Event,
    task::{Attempt, TaskDetail, TaskState},
};

/// An event that records a state, with its index in the stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<'a, S> {
    pub index: usize,
    pub event: &'a Event,
    /// The previous state; `None` if there was none.
    pub from: Option<S>,
    pub to: S,
}

/// The end of an attempt, as recorded in its event.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub attempt: u32,
    pub cause: Cause,
}

/// A history with its indexes.
pub(super) struct Facts<'a> {
    pub history: &'a History,
    /// By id.
    pub tasks: BTreeMap<&'a str, &'a TaskDetail>,
    /// By task, oldest first.
    pub task_steps: BTreeMap<&'a str, Vec<Step<'a, TaskState>>>,
    /// By agent id, oldest first.
    pub agent_steps: BTreeMap<&'a str, Vec<Step<'a, AgentState>>>,
    /// Whether Redis ever lost acknowledged data.
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
        for (index, event) in history.events.iter().enumerate() {
            if let (Some(task), Some(step)) = (&event.task, step("task.", index, event)) {
                facts.task_steps.entry(task).or_default().push(step);
            }
            if let (Some(agent), Some(step)) = (&event.agent, step("agent.", index, event)) {
                facts.agent_steps.entry(agent).or_default().push(step);
            }
        }
        facts
    }

    pub fn steps(&self, task: &str) -> &[Step<'a, TaskState>] {
        self.task_steps.get(task).map_or(&[], Vec::as_slice)
    }

    /// Returns a task's state right before an index of the stream.
    pub fn state_before(&self, task: &str, index: usize) -> Option<TaskState> {
        self.steps(task).iter().take_while(|s| s.index < index).last().map(|s| s.to)
    }

    /// Returns a task's first step after an index of the stream.
    pub fn next_step(&self, task: &str, index: usize) -> Option<&Step<'a, TaskState>> {
        self.steps(task).iter().find(|s| s.index > index)
    }

    /// Returns the steps with which a task was claimed, each with its attempt. They are matched from the end, because
    /// the oldest events may have been dropped. Attempts that Redis lost have no event.
    pub fn claims(&self, task: &'a TaskDetail) -> Vec<(&Step<'a, TaskState>, Option<&'a Attempt>)> {
        let steps = self.steps(task.task.id.as_str()).iter();
        let claims: Vec<_> = steps.filter(|s| s.to == TaskState::Running).collect();
        let attempts: Vec<&Attempt> = kept(task).collect();
        let attempt = |i: usize| (i + attempts.len()).checked_sub(claims.len()).and_then(|n| attempts.get(n).copied());
        claims.iter().enumerate().map(|(i, s)| (*s, attempt(i))).collect()
    }
}

/// Returns the attempts except those that are only known as lost with Redis's data.
pub(super) fn kept(task: &TaskDetail) -> impl Iterator<Item = &Attempt> {
    task.attempts.iter().filter(|a| a.fence > 0)
}

/// Returns the step that an event records, if any: `agent.idle` with the state `idle` is one, but `task.cancelling`,
/// which leaves the state `running`, is not.
fn step<'a, S: FromStr>(room: &str, index: usize, event: &'a Event) -> Option<Step<'a, S>> {
    let what = event.kind.as_str().strip_prefix(room)?;
    let to = event.to.as_deref().filter(|to| *to == what)?.parse().ok()?;
    Some(Step { index, event, from: event.from.as_deref().and_then(|f| f.parse().ok()), to })
}

impl Step<'_, TaskState> {
    /// Returns the end of the attempt that this step records.
    pub fn end(&self) -> Option<End> {
        let data = self.event.data.as_ref()?;
        // Lua may write an integer as a float.
        let attempt = data.get("attempt")?.as_f64()? as u32;
        let cause = data.get("cause")?.as_str()?.parse().ok()?;
        Some(End { attempt, cause }).filter(|_| self.from == Some(TaskState::Running))
    }

    /// Returns whether a person retried the task with this step, which resets its counts.
    pub fn is_retry(&self) -> bool {
        use TaskState::*;
        matches!(self.from, Some(Failed | Cancelled | Skipped | Held)) && matches!(self.to, Ready | Blocked)
    }
}

/// Returns the notation of an event in a finding, such as `event 17-0`.
pub(super) fn the_event(event: &Event) -> String {
    format!("event {} ({})", event.id, event.kind)
}
