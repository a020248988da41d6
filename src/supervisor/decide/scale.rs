//! As many agents of each role as its tasks need, within its bounds.

use std::collections::BTreeSet;

use super::Action;
use crate::{
    admission::{self, Gate, Snapshot},
    config::Role,
    model::{
        agent::{Agent, AgentState},
        duration::human,
    },
    supervisor::world::World,
};

/// Sessions that are opened concurrently; the next ones follow as these report. More would only make all of them slower.
const OPENING: usize = 32;

/// Starts and stops agents.
pub(super) fn fit(world: &World, given_up: &BTreeSet<String>, actions: &mut Vec<Action>) {
    let live: Vec<&Agent> = world.agents().filter(|a| !given_up.contains(&a.incarnation)).collect();
    let now = world.admission(given_up);
    master(world, &now, actions);
    homeless(world, &live, actions);
    let mut taken = taken_ids(world, &live);
    // An agent that waits for its own subtasks takes no slot, or a hierarchy would block itself.
    let mut total = now.agents_that_count();
    let opening = live.iter().filter(|a| a.state == AgentState::Starting).count();
    let mut may_open = OPENING.saturating_sub(opening);
    let mut without_place = 0;
    for role in world.roles.values() {
        let agents = of_role(&live, role);
        shrink(world, role, &agents, actions);
        let gates = admission::gates(None, &role.name, &now);
        if gates.iter().any(|gate| matches!(gate, Gate::Memory { .. } | Gate::Disk { .. })) {
            // No agent is started, not even by request: a machine that runs out of memory ends the agents that it has, and
            // on a full disk Redis ends.
            continue;
        }
        let is_dying = |agent: &Agent| agent.role == role.name && given_up.contains(&agent.incarnation);
        let settled = !world.agents().any(is_dying);
        for (request, reason) in wanted(world, role, &agents, &gates, actions) {
            // A death may open the breaker, and may have taken the very task that this snapshot says is ready.
            if request.is_none() && !settled {
                continue;
            }
            if total >= now.max_agents {
                without_place += 1;
                continue;
            }
            if may_open == 0 {
                break;
            }
            let agent = free_id(&role.name, &mut taken);
            actions.push(Action::Spawn { agent, role: role.name.clone(), master: false, request, reason });
            may_open -= 1;
            total += 1;
        }
    }
    make_room(world, &live, without_place, actions);
}

/// The agents of a role, the master excepted.
fn of_role<'a>(live: &[&'a Agent], role: &Role) -> Vec<&'a Agent> {
    live.iter().copied().filter(|a| a.role == role.name && !a.master).collect()
}

/// Where all places of the namespace are taken and a role needs one, agents leave that have nothing to do.
fn make_room(world: &World, live: &[&Agent], without_place: usize, actions: &mut Vec<Action>) {
    let leaves = |agent: &Agent, actions: &[Action]| {
        agent.state == AgentState::Stopping
            || actions
                .iter()
                .any(|a| matches!(a, Action::Stop { incarnation, .. } if *incarnation == agent.incarnation))
    };
    let mut missing = without_place.saturating_sub(live.iter().filter(|a| leaves(a, actions)).count());
    for role in world.roles.values() {
        let stays = |a: &&&Agent| a.role == role.name && !a.master && !a.waiting && !leaves(a, actions);
        let here: Vec<&Agent> = live.iter().filter(stays).copied().collect();
        let load = world.store.load.get(&role.name).copied().unwrap_or_default();
        let spare = here.len().saturating_sub(world.bounds(role).0 as usize).min(missing);
        let idle = here.iter().rev().filter(|a| a.state == AgentState::Idle);
        // One for each ready task is not spare: it has only not heard of it yet.
        for agent in idle.skip(load.ready as usize).take(spare) {
            actions.push(Action::Stop {
                agent: agent.id.clone(),
                incarnation: agent.incarnation.clone(),
                only_idle: true,
                reason: format!("another role needs its place: there are {} (max_agents)", world.limits.max_agents),
            });
            missing -= 1;
        }
    }
}

fn master(world: &World, now: &Snapshot, actions: &mut Vec<Action>) {
    let suspended = !admission::master_gates(now).is_empty();
    let being_ended = world.store.orphans.values().any(|r| r.session == world.master.session);
    // One that is given up has the name until its end is recorded.
    if !world.agents().any(|a| a.master) && !suspended && !being_ended && world.roles.contains_key(&world.master.role) {
        actions.push(Action::Spawn {
            agent: world.master.session.clone(),
            role: world.master.role.clone(),
            master: true,
            request: None,
            reason: "there is no master".into(),
        });
    }
}

/// Agents of a role that is not in sessions.toml any more leave when they have nothing to do.
fn homeless(world: &World, live: &[&Agent], actions: &mut Vec<Action>) {
    for agent in live.iter().filter(|a| !a.master && a.state == AgentState::Idle) {
        if !world.roles.contains_key(&agent.role) {
            actions.push(Action::Stop {
                agent: agent.id.clone(),
                incarnation: agent.incarnation.clone(),
                only_idle: true,
                reason: format!("there is no role {} in sessions.toml any more", agent.role),
            });
        }
    }
}

/// The agents to start for a role: the request each fulfils, and why.
fn wanted(
    world: &World,
    role: &Role,
    agents: &[&Agent],
    gates: &[Gate],
    actions: &mut Vec<Action>,
) -> Vec<(Option<String>, String)> {
    let store = world.store;
    let (min, max) = world.bounds(role);
    let here = agents.iter().filter(|a| !a.waiting && a.state != AgentState::Stopping).count() as u32;
    let places = max.saturating_sub(here);
    let mut wanted: Vec<(Option<String>, String)> = Vec::new();
    for (_, field) in store.requests.spawn.iter().filter(|(r, _)| *r == role.name) {
        if (wanted.len() as u32) < places {
            wanted.push((Some(field.clone()), "requested by a person: orch spawn".into()));
        } else {
            let reason = format!("role {} has {here} already, {max} at most", role.name);
            actions.push(Action::DropRequest { field: field.clone(), role: role.name.clone(), reason });
        }
    }
    if gates.iter().any(Gate::suspends_role) {
        return wanted;
    }
    let load = store.load.get(&role.name).copied().unwrap_or_default();
    let (ready, min) = if store.requests.stop.is_some() {
        // Only what a running task waits for may still be claimed, and no spare agents are kept.
        let waiting = store.load.values().map(|load| load.waiting).sum();
        (load.ready.min(waiting), 0)
    } else {
        (load.ready, min)
    };
    let free = agents.iter().filter(|a| matches!(a.state, AgentState::Starting | AgentState::Idle)).count() as u64;
    let needed = ready.saturating_sub(free + wanted.len() as u64);
    for _ in 0..needed.min(u64::from(places)) {
        wanted.push((None, format!("ready tasks of role {}: {}", role.name, load.ready)));
    }
    while here + (wanted.len() as u32) < min {
        wanted.push((None, format!("role {} keeps {min} agents", role.name)));
    }
    wanted.truncate(places as usize);
    wanted
}

/// Tells agents to leave that are too many, or have been idle for too long.
fn shrink(world: &World, role: &Role, agents: &[&Agent], actions: &mut Vec<Action>) {
    let (min, max) = world.bounds(role);
    let mut here = agents.iter().filter(|a| !a.waiting && a.state != AgentState::Stopping).count() as u32;
    // The highest number first: people remember the low ones.
    for agent in agents.iter().rev().filter(|a| a.state == AgentState::Idle) {
        let idle = world.store.now.since(agent.since);
        let reason = if here > max {
            format!("role {} has {here} agents, {max} at most", role.name)
        } else if here > min && idle > role.idle_timeout {
            format!("idle for {} (idle_timeout)", human(idle))
        } else {
            continue;
        };
        here -= 1;
        actions.push(Action::Stop {
            agent: agent.id.clone(),
            incarnation: agent.incarnation.clone(),
            only_idle: true,
            reason,
        });
    }
}

/// Names that cannot be given now: of living agents, of those being ended, and of any session, ours or not.
fn taken_ids(world: &World, live: &[&Agent]) -> BTreeSet<String> {
    let mut taken: BTreeSet<String> = live.iter().map(|a| a.id.clone()).collect();
    taken.extend(world.agents().map(|a| a.id.clone()));
    taken.extend(world.store.orphans.values().map(|r| r.session.clone()));
    taken.extend(world.taken_names.iter().cloned());
    taken
}

fn free_id(role: &str, taken: &mut BTreeSet<String>) -> String {
    let mut number = 1u32;
    loop {
        let id = format!("{role}-{number}");
        if taken.insert(id.clone()) {
            return id;
        }
        number += 1;
    }
}
