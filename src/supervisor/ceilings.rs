//! Limits on the silence of an agent that no interruption resets.
//!
//! An interruption of Redis or of the machine gives every agent a whole lease to report again
//! ([`super::world::World::undisturbed`]). If interruptions follow one another more quickly than a lease lasts, that
//! alone would keep a hung agent for ever. So the supervisor also counts the time in which Redis answered and the
//! agent did not report, by its own clock and at most [`STEP`] per pass. A machine that sleeps, a supervisor that is
//! stopped, and a Redis that does not answer add next to nothing.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{
    model::{agent::AgentState, time::Timestamp},
    store::{agents::Record, observe::Snapshot},
};

/// The most that one pass adds.
const STEP: Duration = Duration::from_secs(1);

/// The counts of all living agents, by incarnation.
#[derive(Debug, Clone, Default)]
pub(super) struct Ceilings {
    last: Option<Instant>,
    /// By how much Redis's clock went ahead of ours since the last pass.
    slept: Duration,
    agents: BTreeMap<String, Counted>,
}

/// What counts against one agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Time without a new heartbeat.
    pub silence: Duration,
    /// Time beyond the deadline of its attempt.
    pub overtime: Duration,
    heartbeat_at: Option<Timestamp>,
    fence: u64,
    /// How long its attempt's program was asleep with the machine: its runner does not count that either.
    slept: Duration,
}

impl Ceilings {
    /// Returns what counts against an agent.
    pub fn of(&self, incarnation: &str) -> Counted {
        self.agents.get(incarnation).cloned().unwrap_or_default()
    }

    /// Redis's clock went ahead of ours by this much: the machine slept, or the clock was set.
    pub fn slept(&mut self, by: Duration) {
        self.slept += by;
    }

    /// Counts a pass.
    pub fn count(&mut self, now: Instant, seen: &Snapshot) {
        let step = self.last.replace(now).map_or(Duration::ZERO, |last| now.saturating_duration_since(last).min(STEP));
        let slept = std::mem::take(&mut self.slept);
        let mut before = std::mem::take(&mut self.agents);
        self.agents = (seen.agents.iter())
            .map(|record| {
                let counted = match before.remove(&record.agent.incarnation) {
                    Some(counted) => counted.after(step, slept, record, seen.now),
                    None => Counted::of(record),
                };
                (record.agent.incarnation.clone(), counted)
            })
            .collect();
    }
}

impl Counted {
    fn of(record: &Record) -> Counted {
        Counted { heartbeat_at: record.agent.heartbeat_at, fence: record.agent.fence, ..Counted::default() }
    }

    fn after(mut self, step: Duration, slept: Duration, record: &Record, now: Timestamp) -> Counted {
        let agent = &record.agent;
        if self.heartbeat_at == agent.heartbeat_at {
            self.silence += step;
        } else {
            (self.heartbeat_at, self.silence) = (agent.heartbeat_at, Duration::ZERO);
        }
        if self.fence != agent.fence {
            (self.fence, self.slept, self.overtime) = (agent.fence, Duration::ZERO, Duration::ZERO);
        }
        self.slept += slept;
        // While its program waits for a person, the time limit stands still. It is deferred when the wait ends.
        let is_over = agent.needs.is_none() && record.deadline.is_some_and(|deadline| now.since(deadline) > self.slept);
        self.overtime = if is_over && agent.state == AgentState::Busy { self.overtime + step } else { Duration::ZERO };
        self
    }
}
