//! What the events report about tasks, up to a given moment.

use std::collections::HashMap;

use super::{
    super::{Result, Store},
    image::Image,
};
use crate::model::event::Event;

/// So many events are read in one call.
const BATCH: usize = 1000;

/// The stream as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The last event that was read.
    last: Option<Event>,
    /// The first one that is there.
    first: Option<Event>,
    /// Each task's state before its first event that is there, and its state by now.
    states: HashMap<String, (Option<String>, String)>,
}

impl Told {
    /// Reads on, up to this event.
    pub async fn read(&mut self, store: &Store, up_to: &str, found: &mut Vec<String>) -> Result<()> {
        loop {
            let after = self.last.as_ref().map_or("-", |e| e.id.as_str());
            if up_to.is_empty() || place(after) >= place(up_to) {
                return Ok(());
            }
            let events = store.events_after(after, BATCH).await?;
            let so_far = events.into_iter().take_while(|e| place(&e.id) <= place(up_to));
            let before = self.last.clone();
            for event in so_far {
                self.hear(&event, found);
                self.last = Some(event);
            }
            // Dropped meanwhile: the stream is capped.
            if self.last == before {
                return Ok(());
            }
        }
    }

    fn hear(&mut self, event: &Event, found: &mut Vec<String>) {
        self.first.get_or_insert_with(|| event.clone());
        if event.reason.is_empty() {
            found.push(format!("event {} ({}): it has no reason", event.id, event.kind));
        }
        let (Some(task), Some(to)) = (&event.task, &event.to) else { return };
        if !event.kind.is_about_task() {
            return;
        }
        match self.states.get_mut(task) {
            None => drop(self.states.insert(task.clone(), (event.from.clone(), to.clone()))),
            Some((_, state)) => {
                if event.from.as_ref() != Some(state) {
                    let from = event.from.as_deref().unwrap_or("nothing");
                    found.push(format!("event {}: {task} goes from {from} to {to}, and was {state}", event.id));
                }
                state.clone_from(to);
            }
        }
    }

    /// What does not agree between the events of a task and its record.
    pub fn judge(&self, image: &Image, id: &str, found: &mut Vec<String>) {
        let Some(task) = image.record("task", id) else { return };
        // The oldest events are dropped; then a task's first one need not be its beginning.
        let created = task.number("created_at").unwrap_or(0.0);
        let whole = self.first.as_ref().is_none_or(|e| (e.at.0 as f64) < created);
        match self.states.get(id) {
            Some((_, state)) if state != task.text("state") => {
                found.push(format!("task {id}: it is {}, and its last event says {state}", task.text("state")));
            }
            Some((Some(from), _)) if whole => {
                found.push(format!("task {id}: its first event says that it was {from} before"));
            }
            None if whole => found.push(format!("task {id}: no event tells of it")),
            _ => {}
        }
    }
}

/// An event's place in the stream: the parts of its id. Before all others: `-`.
fn place(id: &str) -> (u64, u64) {
    let (ms, n) = id.split_once('-').unwrap_or((id, ""));
    (ms.parse().unwrap_or(0), n.parse().unwrap_or(0))
}
