//! After Redis has lost data: waits until living agents have reported what they hold.

use std::collections::BTreeSet;

use super::Action;
use crate::supervisor::world::World;

/// Returns whether unknown sessions may still turn out to be ours, so that none is closed and no agent is started.
pub(super) fn wait(world: &World, actions: &mut Vec<Action>) -> bool {
    let epoch = &world.store.epoch;
    if epoch.settling_until.is_none() {
        return false;
    }
    let reason = if world.store.requests.stop == Some(false) {
        "everything is being stopped"
    } else if every_agent_is_known(world) {
        "every agent that lives is known again"
    } else if !epoch.is_settling(world.store.now) {
        "every living agent has had the time of a lease to report"
    } else {
        return true;
    };
    actions.push(Action::Settle { reason: reason.to_owned() });
    true
}

/// Returns whether every agent with a session is recorded, and every recorded one has reported since. (Dead agents are reaped
/// by now.)
fn every_agent_is_known(world: &World) -> bool {
    let lost_at = world.store.epoch.lost_at;
    if !world.agents().all(|agent| agent.heartbeat_at >= lost_at) {
        return false;
    }
    let known: BTreeSet<&str> = world
        .agents()
        .map(|agent| &agent.incarnation)
        .chain(world.store.orphans.keys())
        .chain(&world.hands.ending)
        .map(String::as_str)
        .collect();
    let ours = |sessions: &[crate::mux::SessionInfo]| {
        let tags = sessions.iter().filter_map(|s| s.tags.as_ref()).filter(|t| t.namespace == world.namespace);
        tags.map(|t| t.incarnation.clone()).collect::<Vec<_>>()
    };
    world.sessions.is_some_and(|sessions| ours(sessions).iter().all(|i| known.contains(i.as_str())))
}
