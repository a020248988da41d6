//! The order of a stop: first agents, then the master, then Redis and the supervisor itself.

use std::collections::BTreeSet;

use super::Action;
use crate::{
    model::agent::{Agent, AgentState},
    supervisor::world::World,
};

/// Whether a person wants everything to end, and if so the next steps.
pub(super) fn proceed(world: &World, given_up: &BTreeSet<String>, actions: &mut Vec<Action>) -> bool {
    let Some(drain) = world.store.requests.stop else { return false };
    if drain && world.store.running > 0 {
        // Running tasks may need new agents for the subtasks they wait for.
        return false;
    }
    let mut left: Vec<&Agent> = world.agents().filter(|a| !given_up.contains(&a.incarnation)).collect();
    if left.iter().any(|a| !a.master) {
        left.retain(|a| !a.master);
    }
    for agent in &left {
        if agent.state.may_become(AgentState::Stopping) {
            actions.push(Action::Stop {
                agent: agent.id.clone(),
                incarnation: agent.incarnation.clone(),
                only_idle: false,
                reason: "orch stop".into(),
            });
        }
    }
    let hands = world.hands;
    let clean = world.store.orphans.is_empty() && hands.ending.is_empty() && hands.opening.is_empty();
    let closed = !actions.iter().any(|a| matches!(a, Action::CloseSession { .. }));
    if left.is_empty() && given_up.is_empty() && clean && closed {
        actions.push(Action::ShutDown);
    }
    true
}
