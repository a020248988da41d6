//! Computes how many agents of each role run: as many as its tasks need, within its bounds.
//!
//! If `max_agents` leaves too few slots for all roles, they go by the place of the task that each agent would take
//! (`place_of` in `store/lua/prelude/moves.lua`): by priority, which grows as a task waits. Roles whose next tasks
//! have about the same place share the slots. A role whose next task is clearly less urgent than that of a role that
//! lacks a slot gives slots up: its idle agents are stopped here, and its busy ones claim nothing further because of
//! the shortage that is published (`admission`, [`crate::admission::Gate::MoreUrgentRole`]).

use std::{collections::BTreeSet, time::Duration};

use super::Action;
use crate::{
    admission::{self, Gate, Needy, Shortage, Snapshot},
    config::Role,
    model::{
        agent::{Agent, AgentState},
        breaker,
        duration::human,
        task::place_tolerance,
    },
    store::observe::HEADS,
    supervisor::world::World,
};

/// Sessions that are opened concurrently; the next ones follow as these report. More would only make all of them slower.
const OPENING: usize = HEADS;

/// How long a published shortage holds: a supervisor that dies must not keep agents idle.
pub(in crate::supervisor) const SHORTAGE_HOLDS: Duration = Duration::from_secs(8);
/// One that holds for less long is published again.
const RENEW_SHORTAGE: Duration = Duration::from_secs(4);
/// How many tasks a published shortage names at most.
const SHORTAGE_NAMES: usize = 64;

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
    let mut wants = Vec::new();
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
        // A death may open the breaker, and may have taken the very task that this snapshot says is ready.
        let wanted = wanted(world, role, &agents, &gates, actions);
        wants.extend(wanted.into_iter().filter(|want| settled || want.request.is_some()));
    }
    // Tasks of about the same place as the most urgent one share the slots, and so do those after them.
    let first = wants.iter().map(|want| want.place).filter(|place| *place > REQUESTED).min().unwrap_or(0);
    let tolerance = tolerance(world);
    wants.sort_by_key(|want| {
        (want.place != REQUESTED, want.place.saturating_sub(first) / tolerance.max(1), want.beside)
    });
    let mut without_slot = Vec::new();
    for want in wants {
        if total >= now.max_agents {
            without_slot.push((want.role, want.place));
        } else if may_open > 0 {
            let (agent, role) = (free_id(want.role, &mut taken), want.role.to_owned());
            let failures = world.store.breakers.get(want.role).map_or(0, |breaker| breaker.failures);
            actions.push(Action::Spawn {
                agent,
                role,
                master: false,
                request: want.request,
                probation: breaker::probation(failures),
                reason: want.reason,
            });
            may_open -= 1;
            total += 1;
        }
    }
    let made = make_room(world, &live, &without_slot, actions);
    publish(world, &live, &without_slot, made, actions);
}

/// An agent that is to be started.
struct Want<'a> {
    role: &'a str,
    /// The request that it fulfils.
    request: Option<String>,
    reason: String,
    /// The place of the task that it would take.
    place: u64,
    /// How many agents its role has beside it: of about the same place, the role with fewer agents goes first.
    beside: usize,
}

/// The place of an agent that a person or sessions.toml requests.
const REQUESTED: u64 = 0;
/// That of an agent for a task whose place is not known.
const LAST: u64 = u64::MAX;

/// By how many microseconds places may differ until a role gives a slot to another one.
fn tolerance(world: &World) -> u64 {
    u64::try_from(place_tolerance(world.limits.max_wait).as_micros()).unwrap_or(u64::MAX)
}

/// The agents of a role, the master excepted.
fn of_role<'a>(live: &[&'a Agent], role: &Role) -> Vec<&'a Agent> {
    live.iter().copied().filter(|a| a.role == role.name && !a.master).collect()
}

/// Where all slots of the namespace are taken and a role needs one, agents leave that have nothing to do, or only what is
/// less urgent. Returns how many are leaving.
fn make_room(world: &World, live: &[&Agent], without_slot: &[(&str, u64)], actions: &mut Vec<Action>) -> usize {
    let leaves = |agent: &Agent, actions: &[Action]| {
        agent.state == AgentState::Stopping
            || actions
                .iter()
                .any(|a| matches!(a, Action::Stop { incarnation, .. } if *incarnation == agent.incarnation))
    };
    let mut made = live.iter().filter(|a| leaves(a, actions)).count();
    let mut roles: Vec<&Role> = world.roles.values().collect();
    // What is least urgent makes room first.
    roles.sort_by_key(|role| std::cmp::Reverse(head(world, &role.name, 0)));
    for role in roles {
        let stays = |a: &&&Agent| a.role == role.name && !a.master && !a.waiting && !leaves(a, actions);
        let here: Vec<&Agent> = live.iter().filter(stays).copied().collect();
        // The most urgent one first.
        let mut others =
            without_slot.iter().filter(|(other, _)| *other != role.name).map(|(_, place)| *place).peekable();
        let Some(most_urgent) = others.peek().copied() else { continue };
        let missing = others.count().saturating_sub(made);
        let spare = here.len().saturating_sub(world.bounds(role).0 as usize).min(missing);
        let idle = here.iter().rev().filter(|a| a.state == AgentState::Idle);
        // One agent for each ready task that is as urgent is not spare: its wake-up has not arrived yet.
        for agent in idle.skip(as_urgent(world, &role.name, most_urgent)).take(spare) {
            actions.push(Action::Stop {
                agent: agent.id.clone(),
                incarnation: agent.incarnation.clone(),
                only_idle: true,
                reason: format!("another role needs its place: there are {} (max_agents)", world.limits.max_agents),
            });
            made += 1;
        }
    }
    made
}

/// Publishes the tasks for which no agent makes room yet, where that is not known already.
fn publish(world: &World, live: &[&Agent], without_slot: &[(&str, u64)], made: usize, actions: &mut Vec<Action>) {
    let store = world.store;
    let gives = |role: &str, needy: &Needy| {
        let last = store.heads.get(role).and_then(|heads| heads.last());
        role != needy.role && last.is_some_and(|last| *last > needy.place.saturating_add(tolerance(world)))
    };
    let tasks: Vec<Needy> = (without_slot.iter())
        .filter(|(_, place)| !matches!(*place, REQUESTED | LAST))
        .skip(made)
        .map(|(role, place)| Needy { role: (*role).to_owned(), place: *place })
        .filter(|needy| live.iter().any(|agent| !agent.master && gives(&agent.role, needy)))
        .take(SHORTAGE_NAMES)
        .collect();
    let published = if store.shortage_until.is_some() { store.shortage.tasks.as_slice() } else { &[] };
    let is_fresh =
        tasks.is_empty() || store.shortage_until.is_some_and(|until| until.since(store.now) > RENEW_SHORTAGE);
    let mins: Vec<(String, u32)> = world.roles.values().map(|role| (role.name.clone(), world.bounds(role).0)).collect();
    if tasks == published && is_fresh {
        return;
    }
    actions.push(Action::PublishShortage { shortage: Shortage { tasks, tolerance: tolerance(world) }, mins });
}

/// The place of the nth ready task of a role; of one whose place was not read, that of the last one that was.
fn head(world: &World, role: &str, nth: usize) -> u64 {
    let heads = world.store.heads.get(role).map(Vec::as_slice).unwrap_or_default();
    heads.get(nth).or(heads.last()).copied().unwrap_or(LAST)
}

/// How many ready tasks of a role are about as urgent as one at that place, or more so.
fn as_urgent(world: &World, role: &str, that: u64) -> usize {
    let ready = world.store.load.get(role).map_or(0, |load| load.ready as usize);
    match world.store.heads.get(role) {
        Some(heads) if !heads.is_empty() => {
            let enough = that.saturating_add(tolerance(world));
            let first = heads.iter().take_while(|place| **place <= enough).count();
            if first == heads.len() { ready } else { first }
        }
        _ => ready,
    }
}

fn master(world: &World, now: &Snapshot, actions: &mut Vec<Action>) {
    let suspended = !admission::master_gates(now).is_empty();
    let being_ended = world.store.orphans.values().any(|r| r.session == world.master.session);
    // An agent that is declared dead has the name until its end is recorded.
    if !world.agents().any(|a| a.master) && !suspended && !being_ended && world.roles.contains_key(&world.master.role) {
        actions.push(Action::Spawn {
            agent: world.master.session.clone(),
            role: world.master.role.clone(),
            master: true,
            request: None,
            probation: Duration::ZERO,
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

/// The agents to start for a role.
fn wanted<'a>(
    world: &World,
    role: &'a Role,
    agents: &[&Agent],
    gates: &[Gate],
    actions: &mut Vec<Action>,
) -> Vec<Want<'a>> {
    let store = world.store;
    let (min, max) = world.bounds(role);
    let here = agents.iter().filter(|a| !a.waiting && a.state != AgentState::Stopping).count() as u32;
    let places = max.saturating_sub(here);
    let mut wanted: Vec<Want> = Vec::new();
    let want = |wanted: &[Want], request, reason, place| Want {
        role: &role.name,
        request,
        reason,
        place,
        beside: here as usize + wanted.len(),
    };
    for (_, field) in store.requests.spawn.iter().filter(|(r, _)| *r == role.name) {
        if (wanted.len() as u32) < places {
            let reason = "requested by a person: orch spawn".into();
            wanted.push(want(&wanted, Some(field.clone()), reason, REQUESTED));
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
    // No more than its account and its budgets have room for.
    let ready = store.rooms.get(&role.name).map_or(ready, |room| ready.min(*room));
    let free = agents.iter().filter(|a| matches!(a.state, AgentState::Starting | AgentState::Idle)).count() as u64;
    let needed = ready.saturating_sub(free + wanted.len() as u64);
    for nth in 0..needed.min(u64::from(places)) {
        let reason = format!("ready tasks of role {}: {}", role.name, load.ready);
        let place = head(world, &role.name, (free + nth) as usize);
        wanted.push(want(&wanted, None, reason, place));
    }
    while here + (wanted.len() as u32) < min {
        let reason = format!("role {} keeps {min} agents", role.name);
        wanted.push(want(&wanted, None, reason, REQUESTED));
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
