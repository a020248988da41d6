//! Measures how long a program waits for a person. This time does not count towards the attempt's time limit. It has
//! its own limit (`person_timeout`), beyond which the task is held, and not failed: the program is not to blame.

use std::{future::pending, time::Duration};

use tokio::time::Instant;

use crate::{
    model::wait::Wait,
    runner::lease::{
        blocked_on::{BlockedOn, Changes},
        heartbeat::Heartbeat,
    },
};

/// Follows what one program waits for: on its screen or in its stream, and with `orch ask`.
pub(super) struct PersonClock {
    sources: [BlockedOn; 2],
    changes: [Changes; 2],
    limit: Option<Duration>,
    since: Option<Instant>,
}

impl PersonClock {
    /// Starts with what the heartbeat knows. `limit` is the longest wait.
    pub fn new(heartbeat: &Heartbeat, limit: Option<Duration>) -> Self {
        Self::of([heartbeat.blocked_on(), heartbeat.asks()], limit)
    }

    fn of(sources: [BlockedOn; 2], limit: Option<Duration>) -> Self {
        let changes = [sources[0].changes(), sources[1].changes()];
        PersonClock { sources, changes, limit, since: None }
    }

    /// Returns whether the program waits for a person now.
    pub fn is_needed(&self) -> bool {
        self.sources.iter().any(BlockedOn::is_for_person)
    }

    /// Returns how long the wait has taken that has just ended.
    pub fn waited(&mut self) -> Option<Duration> {
        match (self.is_needed(), self.since) {
            (true, None) => {
                self.since = Some(Instant::now());
                None
            }
            (false, Some(since)) => {
                self.since = None;
                Some(since.elapsed())
            }
            _ => None,
        }
    }

    /// Waits until what the program waits for changes (`None`), or the wait is over its limit: what it asks, and the limit.
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<(String, Duration)> {
        let (since, limit) = (self.since, self.limit);
        let over = async {
            match since.zip(limit).and_then(|(since, limit)| Some((since.checked_add(limit)?, limit))) {
                Some((at, limit)) => {
                    tokio::time::sleep_until(at).await;
                    limit
                }
                None => pending().await,
            }
        };
        let [stream, ask] = &mut self.changes;
        tokio::select! {
            biased;
            () = stream.next() => None,
            () = ask.next() => None,
            limit = over => {
                let asked = self.sources.iter().filter_map(BlockedOn::get).find(|wait| matches!(wait, Wait::Person(_)));
                Some((asked.map_or_else(String::new, |asked| asked.to_string()), limit))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        secret::Redactor,
        wait::{Need, Needs},
    };

    fn asks() -> Option<Wait> {
        Some(Wait::Person(Need { what: Needs::Permission, of: "run Bash: npm test".into() }))
    }

    #[tokio::test]
    async fn the_time_is_counted_from_the_question_to_its_answer() {
        let (stream, ask) = (BlockedOn::new(Redactor::default()), BlockedOn::new(Redactor::default()));
        let limit = Duration::from_millis(1);
        let mut clock = PersonClock::of([stream.clone(), ask.clone()], Some(limit));
        assert_eq!((clock.waited(), clock.is_needed()), (None, false));
        stream.set(asks());
        assert_eq!((clock.next().await, clock.waited(), clock.is_needed()), (None, None, true));
        stream.set(None);
        assert_eq!(clock.next().await, None);
        assert!(clock.waited().is_some() && clock.waited().is_none(), "once");
        ask.set(asks());
        assert_eq!((clock.next().await, clock.waited()), (None, None));
        assert_eq!(clock.next().await, Some(("asks to run Bash: npm test".to_owned(), limit)));
    }

    #[tokio::test]
    async fn without_a_limit_it_waits_for_ever() {
        let (stream, ask) = (BlockedOn::new(Redactor::default()), BlockedOn::new(Redactor::default()));
        stream.set(asks());
        let mut clock = PersonClock::of([stream, ask], None);
        assert_eq!(clock.waited(), None);
        assert!(futures_util::poll!(Box::pin(clock.next())).is_pending());
    }
}
