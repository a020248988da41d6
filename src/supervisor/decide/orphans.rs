//! Processes and sessions that ended agents may have left behind.

use std::collections::BTreeSet;

use super::Action;
use crate::supervisor::world::World;

/// Ends what is left of ended agents, and closes sessions of ours that belong to no living one.
pub(super) fn clean_up(world: &World, given_up: &BTreeSet<String>, actions: &mut Vec<Action>) {
    for (incarnation, orphans) in &world.store.orphans {
        if !world.hands.ending.contains(incarnation) {
            actions.push(Action::EndOrphans { incarnation: incarnation.clone(), orphans: orphans.clone() });
        }
    }
    let living: BTreeSet<&str> = world.agents().map(|a| a.incarnation.as_str()).collect();
    for session in world.sessions.unwrap_or_default() {
        let Some(tags) = session.tags.as_ref().filter(|t| t.namespace == world.namespace) else { continue };
        let known = living.contains(tags.incarnation.as_str())
            || world.store.orphans.contains_key(&tags.incarnation)
            || given_up.contains(&tags.incarnation)
            || world.hands.ending.contains(&tags.incarnation);
        if !known {
            actions.push(Action::CloseSession {
                session: session.name.clone(),
                agent: tags.agent.clone(),
                incarnation: tags.incarnation.clone(),
                pid: session.pane_pid,
            });
        }
    }
}
