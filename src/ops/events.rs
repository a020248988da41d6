//! `orch events`: the event stream, and the watch on it that other verbs sleep on.

use std::time::Duration;

use tokio::time::Instant;

use super::Ops;
use crate::{
    error::{Error, Result},
    model::{event::Event, text::one_line},
};

/// For how long one blocking read sleeps. A connection that died unseen is noticed after it.
const SLEEP: Duration = Duration::from_secs(5);

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

    /// Calls `each` for every event after the one with the id `after`, until it says `false`: those there are, then each
    /// as it comes. `-` is before all events, `$` after all that there are now.
    ///
    /// # Errors
    /// Usage: `after` is no event's id. NotRunning: Redis is gone, and nobody brings it back.
    pub async fn follow_events(&self, after: &str, each: &mut dyn FnMut(Event) -> bool) -> Result<()> {
        let mut after = match after {
            "-" => "0-0".to_owned(),
            "" | "$" => self.last_event().await?,
            id if is_id(id) => id.to_owned(),
            other => {
                return Err(Error::usage(format!("'{}' is no event's id", one_line(other, 60)))
                    .hint("it looks like 1732088544120-0; - is before all events, $ after all"));
            }
        };
        loop {
            for event in self.ask(|s| s.next_events(&after, SLEEP)).await? {
                after.clone_from(&event.id);
                if !each(event) {
                    return Ok(());
                }
            }
        }
    }

    /// The id of the newest event.
    pub(super) async fn last_event(&self) -> Result<String> {
        let newest = self.events(1).await?.pop();
        Ok(newest.map_or_else(|| "0-0".to_owned(), |event| event.id))
    }

    /// The first event after `after` that is meant, if it comes within `limit`.
    pub(super) async fn event_within(
        &self,
        mut after: String,
        limit: Duration,
        is_meant: impl Fn(&Event) -> bool,
    ) -> Result<Option<Event>> {
        let deadline = Instant::now() + limit;
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            // Redis takes 0 for ever.
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

/// `1732088544120-0`, or the first part alone.
fn is_id(text: &str) -> bool {
    let number = |part: &str| part.parse::<u64>().is_ok();
    match text.split_once('-') {
        Some((ms, seq)) => number(ms) && number(seq),
        None => number(text),
    }
}
