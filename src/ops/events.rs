//! `orch events`: the event stream, and the watch on it that other verbs sleep on.

use std::{collections::VecDeque, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::{Ops, Steps};
use crate::{
    error::{Error, Result},
    model::{event::Event, id::TaskId, task::TaskState, text::one_line},
};

/// How many events are searched for those about one thing, where they are not listed, and how many in one read.
const SEARCHED: usize = 5_000;
const PAGE: usize = 500;
/// How long one blocking read sleeps. A connection that has died without a notice is detected after it.
const SLEEP: Duration = Duration::from_secs(5);
/// Pause after each read, so that further events are read together: a busy fleet makes thousands per second, and a person
/// reads them.
const GATHER: Duration = Duration::from_millis(20);

impl Ops {
    /// The newest `n` events, the oldest of them first.
    ///
    /// # Errors
    /// NotRunning: there is no Redis.
    pub async fn events(&self, n: usize) -> Result<Vec<Event>> {
        if n == 0 {
            return Ok(Vec::new());
        }
        // Redis counts with signed numbers.
        let n = n.min(i64::MAX as usize);
        self.ask(|s| s.events_last(n)).await
    }

    /// The newest `n` events about a task that is in this state, the oldest of them first.
    pub(super) async fn events_of_task(&self, task: &TaskId, state: TaskState, n: usize) -> Result<Vec<Event>> {
        let listed = self.ask(|s| s.events_of_task(task)).await?;
        // What an earlier release did after the list was begun stands in the stream alone.
        let is_whole = |(events, are_dropped): &(Vec<Event>, bool)| {
            *are_dropped || events.iter().any(|event| event.to.as_deref() == Some(state.as_str()))
        };
        match listed.filter(is_whole) {
            Some((mut events, _)) => Ok(events.split_off(events.len().saturating_sub(n))),
            None => self.search_events(n, |event| event.task.as_deref() == Some(task.as_str())).await,
        }
    }

    /// The newest `n` events about an agent, the oldest of them first, as far as they are among the newest 5,000.
    pub(super) async fn events_of_agent(&self, agent: &str, n: usize) -> Result<Vec<Event>> {
        self.search_events(n, |event| event.agent.as_deref() == Some(agent)).await
    }

    /// The newest `n` events that are meant, the oldest of them first. Reads back no further than it has to.
    pub(super) async fn search_events(&self, n: usize, is_meant: impl Fn(&Event) -> bool) -> Result<Vec<Event>> {
        let (mut found, mut before, mut searched) = (VecDeque::new(), None::<String>, 0);
        while found.len() < n && searched < SEARCHED {
            let page = self.ask(|s| s.events_before(before.as_deref(), PAGE)).await?;
            let Some(oldest) = page.first() else { break };
            before = Some(oldest.id.clone());
            searched += page.len();
            page.into_iter().rev().filter(&is_meant).take(n - found.len()).for_each(|event| found.push_front(event));
        }
        Ok(found.into())
    }

    /// Follows the events after the one with the id `after`: those that exist, then each as it is recorded. `-` is before all
    /// events, `$` after all that exist now. The stream has no end.
    ///
    /// # Errors
    /// Usage: `after` is no event's id. NotRunning: Redis is gone, and no supervisor brings it back.
    pub fn follow_events(&self, after: &str) -> Steps<'_, Event> {
        let following = Following { ops: self, after: After::Named(after.to_owned()), read: VecDeque::new() };
        stream::try_unfold(following, async |mut following| Ok(Some((following.next().await?, following)))).boxed()
    }

    /// The id of the event that a word stands for.
    async fn event_id(&self, word: &str) -> Result<String> {
        match word {
            "-" => Ok("0-0".to_owned()),
            "" | "$" => self.last_event().await,
            id if is_id(id) => Ok(id.to_owned()),
            other => Err(Error::usage(format!("'{}' is not the id of an event", one_line(other, 60)))
                .hint("it looks like 1732088544120-0; - is before all events, $ after all")),
        }
    }

    /// The id of the newest event.
    pub(super) async fn last_event(&self) -> Result<String> {
        let newest = self.events(1).await?.pop();
        Ok(newest.map_or_else(|| "0-0".to_owned(), |event| event.id))
    }

    /// The first event after `after` that `is_meant`, if it is recorded within `limit`.
    pub(super) async fn event_within(
        &self,
        mut after: String,
        limit: Duration,
        is_meant: impl Fn(&Event) -> bool,
    ) -> Result<Option<Event>> {
        let deadline = Instant::now() + limit;
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            // Redis would wait for ever with 0.
            if rest < Duration::from_millis(1) {
                return Ok(None);
            }
            for event in self.ask(|s| s.next_events(&after, rest)).await? {
                if is_meant(&event) {
                    return Ok(Some(event));
                }
                after = event.id;
            }
        }
    }
}

/// Where a reader of the event stream is.
enum After {
    /// As the caller named it.
    Named(String),
    /// After the event with this id.
    Event(String),
}

struct Following<'a> {
    ops: &'a Ops,
    after: After,
    /// Events that were read and not returned yet.
    read: VecDeque<Event>,
}

impl Following<'_> {
    async fn next(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = self.read.pop_front() {
                self.after = After::Event(event.id.clone());
                return Ok(event);
            }
            let after = match &self.after {
                After::Named(word) => self.ops.event_id(word).await?,
                After::Event(id) => {
                    tokio::time::sleep(GATHER).await;
                    id.clone()
                }
            };
            self.read = self.ops.ask(|s| s.next_events(&after, SLEEP)).await?.into();
            self.after = After::Event(after);
        }
    }
}

/// `1732088544120-0`, or the first part alone.
fn is_id(text: &str) -> bool {
    let number = |part: &str| part.parse::<u64>().is_ok();
    match text.split_once('-') {
        Some((ms, seq)) => number(ms) && number(seq),
        None => number(text),
    }
}
