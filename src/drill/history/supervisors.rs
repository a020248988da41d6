//! Invariants of supervisors: at most one acts, and one that ends in order leaves no agent behind. A killed supervisor
//! records no end, so nothing is expected of it.

use std::collections::BTreeMap;

use super::{
    Finding,
    facts::{Facts, the_event},
};
use crate::model::{agent::AgentState, event::EventKind};

/// Finds supervisors that ran at the same time.
pub(super) fn two_at_once(facts: &Facts<'_>) -> Vec<Finding> {
    let mut lives: Vec<_> = facts.history.supervisors.iter().collect();
    lives.sort_by_key(|l| (l.from, l.until));
    let mut found = Vec::new();
    for pair in lives.windows(2) {
        if pair[0].pid != pair[1].pid && pair[1].from < pair[0].until {
            let facts = format!("it ran at {}, while {} ran until {}", pair[1].from, pair[0].pid, pair[0].until);
            found.push((format!("supervisor {}", pair[1].pid), facts));
        }
    }
    found
}

/// Finds agents that were alive after a clean stop, or that recorded an event before the start of the next supervisor.
pub(super) fn after_the_end(facts: &Facts<'_>) -> Vec<Finding> {
    let mut living: BTreeMap<&str, AgentState> = BTreeMap::new();
    let mut stopped_by = None;
    let mut found = Vec::new();
    for event in &facts.history.events {
        match (event.kind, event.agent.as_deref()) {
            (EventKind::SupervisorStarted, _) => stopped_by = None,
            (EventKind::SupervisorStopped, _) => {
                stopped_by = Some(event);
                let left = std::mem::take(&mut living).into_iter();
                found
                    .extend(left.map(|(id, state)| (id.to_owned(), format!("it was {state} at {}", the_event(event)))));
            }
            (kind, Some(agent)) => {
                let Some(state) = kind.agent_state() else { continue };
                if state.is_live() {
                    living.insert(agent, state)
                } else {
                    living.remove(agent)
                };
                if let Some(stopped) = stopped_by {
                    found.push((agent.to_owned(), format!("{} came after {}", the_event(event), the_event(stopped))));
                }
            }
            _ => {}
        }
    }
    found
}
