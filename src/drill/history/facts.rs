//! A history with its indexes: who looks for the events of a task does not read all of them.

use std::collections::BTreeMap;

use super::{History, LOST_DATA};
use crate::model::{event::Event, task::TaskDetail};

/// A history, and where to find what in it.
pub(super) struct Facts<'a> {
    pub history: &'a History,
    /// By id.
    pub tasks: BTreeMap<&'a str, &'a TaskDetail>,
    /// The events about each task, the oldest first.
    pub task_events: BTreeMap<&'a str, Vec<&'a Event>>,
    /// The events `agent.<state>` of each agent id, the oldest first.
    pub agent_events: BTreeMap<&'a str, Vec<&'a Event>>,
    /// Whether Redis ever came back with less than it had acknowledged.
    pub data_lost: bool,
}

impl<'a> Facts<'a> {
    pub fn of(history: &'a History) -> Self {
        let mut facts = Facts {
            history,
            tasks: history.tasks.iter().map(|t| (t.task.id.as_str(), t)).collect(),
            task_events: BTreeMap::new(),
            agent_events: BTreeMap::new(),
            data_lost: history.data_lost || history.events.iter().any(|e| e.kind == LOST_DATA),
        };
        for event in &history.events {
            let (room, what) = event.kind.split_once('.').unwrap_or((&event.kind, ""));
            match (room, &event.task, &event.agent) {
                ("task", Some(task), _) => facts.task_events.entry(task).or_default().push(event),
                ("agent", _, Some(agent)) if event.to.as_deref() == Some(what) => {
                    facts.agent_events.entry(agent).or_default().push(event);
                }
                _ => {}
            }
        }
        facts
    }
}
