//! Detects a program that repeats itself endlessly: one that calls its model again and again without a result, or
//! reports the same few things over and over. Its heartbeat looks like that of any other. Pure.

use std::{
    collections::{HashSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    time::{Duration, Instant},
};

use crate::{
    drivers::{Ending, Event},
    model::duration::human,
};

/// More turns than this within a [`MINUTE`], without a token in between, are none of a model.
const TURNS: usize = 60;
const MINUTE: Duration = Duration::from_secs(60);
/// So many events in a row that are no more than [`DIFFERENT`] different ones, within [`REPEATED_WITHIN`], are repeated
/// without an end. A model that looks every ten seconds whether something is done reports fewer.
const REPEATED: usize = 200;
const DIFFERENT: usize = 4;
const REPEATED_WITHIN: Duration = Duration::from_secs(600);

/// What one program has reported lately.
#[derive(Debug, Default)]
pub(in crate::runner) struct Runaway {
    tokens: u64,
    /// Turns since the last token.
    turns: VecDeque<Instant>,
    /// The last events, each as a hash.
    events: VecDeque<(Instant, u64)>,
}

impl Runaway {
    /// Takes an event; returns in words how the program repeats itself, if it does.
    pub fn see(&mut self, now: Instant, event: &Event) -> Option<String> {
        let mut hasher = DefaultHasher::new();
        match event {
            Event::Usage(usage) => {
                if usage.tokens() > self.tokens {
                    self.turns.clear();
                }
                self.tokens = usage.tokens();
                return None;
            }
            Event::Turn | Event::Result { .. } => self.turns.push_back(now),
            _ => {}
        }
        match event {
            Event::Turn => "turn".hash(&mut hasher),
            Event::Result { text, ending } => {
                let why = if let Ending::Failed(_, why) = ending { Some(why) } else { None };
                ("result", text, why).hash(&mut hasher);
            }
            Event::Text(text) => ("text", text).hash(&mut hasher),
            Event::ToolCall { name, summary } => ("call", name, summary).hash(&mut hasher),
            Event::ToolResult { ok, summary } => ("answer", ok, summary).hash(&mut hasher),
            Event::Note(text) => ("note", text).hash(&mut hasher),
            Event::Unknown { shown: Some(line) } => ("line", line).hash(&mut hasher),
            // A program that retries has its own bound, and is known to wait for its service.
            _ => return None,
        }
        self.events.push_back((now, hasher.finish()));
        while self.events.len() > REPEATED {
            self.events.pop_front();
        }
        while self.turns.front().is_some_and(|at| now.saturating_duration_since(*at) > MINUTE) {
            self.turns.pop_front();
        }
        if self.turns.len() > TURNS {
            let minute = human(MINUTE);
            return Some(format!("runaway: it began more than {TURNS} turns within {minute} without a token"));
        }
        let since = self.events.front().map(|(at, _)| now.saturating_duration_since(*at))?;
        if self.events.len() == REPEATED && since <= REPEATED_WITHIN {
            let different: HashSet<u64> = self.events.iter().map(|(_, event)| *event).collect();
            if different.len() <= DIFFERENT {
                return Some(format!(
                    "runaway: it repeated the same {} events within {}",
                    different.len(),
                    human(since)
                ));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::task::Usage;

    fn usage(input_tokens: u64) -> Event {
        Event::Usage(Usage { input_tokens, ..Usage::default() })
    }

    /// Returns after how many rounds of these events, one per interval, a program counts as a runaway.
    fn noticed(interval: Duration, rounds: usize, round: impl Fn(u64) -> Vec<Event>) -> Option<(usize, String)> {
        let (began, mut runaway) = (Instant::now(), Runaway::default());
        (0..rounds).find_map(|n| {
            let now = began + interval * n as u32;
            round(n as u64).iter().find_map(|event| runaway.see(now, event)).map(|why| (n, why))
        })
    }

    #[test]
    fn requests_without_a_token_are_bounded() {
        // Twice in three seconds, and each "done".
        let done = || Event::Result { text: None, ending: Ending::Done };
        let (rounds, why) = noticed(Duration::from_millis(230), 525, |_| vec![Event::Turn, usage(0), done()]).unwrap();
        assert!(rounds <= 31 && why.contains("60 turns within 1m"), "{rounds} {why}");
        let works = noticed(Duration::from_millis(230), 525, |n| {
            vec![Event::Turn, Event::Text(format!("step {n}")), usage(10 * n), done()]
        });
        assert_eq!(works, None);
    }

    #[test]
    fn the_same_events_over_and_over_are_bounded_and_a_patient_look_is_not() {
        let look = |answer: String| {
            let (name, summary) = ("Bash".to_owned(), "make".to_owned());
            vec![Event::ToolCall { name, summary }, Event::ToolResult { ok: false, summary: answer }]
        };
        let second = Duration::from_secs(1);
        let (rounds, why) = noticed(second, 1_000, |n| [look("failed".into()), vec![usage(10 * n)]].concat()).unwrap();
        assert!(rounds < 100 && why.contains("the same 2 events"), "{rounds} {why}");
        assert_eq!(noticed(second, 1_000, |n| look(format!("{n} failed"))), None, "it makes progress");
        assert_eq!(noticed(10 * second, 1_000, |n| [look("pending".into()), vec![usage(10 * n)]].concat()), None);
    }
}
