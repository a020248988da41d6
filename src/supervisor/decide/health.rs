//! Who is dead, hung, or did not start.

use std::{collections::BTreeSet, time::Duration};

use super::Action;
use crate::{
    model::{
        agent::{Agent, AgentState},
        duration::human,
        time::Timestamp,
    },
    store::agents::Record,
    supervisor::world::{Life, World},
};

/// A session that was recorded and not opened within this time was interrupted by a crash of the supervisor.
const TO_OPEN: Duration = Duration::from_secs(5);
/// A runner reports some milliseconds after its session was opened; a loaded machine may take a thousand times as long.
const TO_REPORT: Duration = Duration::from_secs(20);
/// Beyond its grace, a runner that was told to leave gets this long to record its end.
const TO_LEAVE: Duration = Duration::from_secs(5);
/// An agent that has lived this long, or has done a task, is well (`end_agent.lua` counts the others).
const PROVEN: Duration = Duration::from_secs(10);

/// Reaps whom there is reason to; the incarnations.
pub(super) fn check(world: &World, actions: &mut Vec<Action>) -> BTreeSet<String> {
    let mut given_up = BTreeSet::new();
    for record in &world.store.agents {
        let agent = &record.agent;
        let Some((to, reason)) = verdict(world, record) else {
            all_is_well(world, agent, actions);
            continue;
        };
        actions.push(Action::Reap { agent: agent.id.clone(), incarnation: agent.incarnation.clone(), to, reason });
        given_up.insert(agent.incarnation.clone());
    }
    given_up
}

/// Whether an agent has ended or must be given up, and why. The rules in their order.
fn verdict(world: &World, record: &Record) -> Option<(AgentState, String)> {
    let agent = &record.agent;
    let (now, limits) = (world.store.now, world.limits);
    // Its time in this state; a clock that was set ahead must not make it old.
    let age = now.since(agent.since).min(world.undisturbed);
    let life = world.lives.get(&agent.incarnation).unwrap_or(&Life::Unknown);
    let failed = |reason: String| Some((AgentState::Failed, reason));
    if let Life::Dead(how) = life {
        return Some(match agent.state {
            AgentState::Stopping => (AgentState::Stopped, agent.reason.clone().unwrap_or_else(|| how.clone())),
            _ => (AgentState::Failed, format!("crashed: {how}")),
        });
    }
    if agent.state == AgentState::Starting {
        if *life == Life::Unknown && age > TO_OPEN {
            return failed(format!("lost: its session was not opened within {}", human(TO_OPEN)));
        }
        if age > TO_REPORT {
            return failed(format!("hung: its runner did not report within {}", human(TO_REPORT)));
        }
        return None;
    }
    if agent.state == AgentState::Stopping && age > limits.kill_grace + TO_LEAVE {
        let reason = agent.reason.clone().unwrap_or_default();
        return Some((AgentState::Stopped, format!("{reason}; it did not leave within {}", human(age))));
    }
    // What happened before a break of Redis or of this machine is no one's fault.
    let silent = |since: Option<Timestamp>| since.map_or(Duration::ZERO, |t| now.since(t)).min(world.undisturbed);
    let silence = silent(agent.heartbeat_at);
    if silence > limits.lease {
        let state = match life {
            Life::Alive('T' | 't') => "; its runner is stopped (SIGSTOP)",
            Life::Alive(_) => "; its runner is there and does not answer",
            _ => "",
        };
        return failed(format!("hung: no heartbeat for {}{state}", human(silence)));
    }
    let role = world.roles.get(&agent.role)?;
    let quiet = silent(record.progress_at);
    if agent.state == AgentState::Busy && !agent.waiting && agent.needs.is_none() && quiet > role.stall_timeout {
        return failed(format!("hung: no sign of progress for {} (stall_timeout)", human(quiet)));
    }
    None
}

fn all_is_well(world: &World, agent: &Agent, actions: &mut Vec<Action>) {
    let role = breaker_of(agent);
    let proven = agent.tasks_done > 0 || world.store.now.since(agent.started_at) > PROVEN;
    if proven && agent.state != AgentState::Starting && world.store.breakers.contains_key(role) {
        let known = actions.iter().any(|a| matches!(a, Action::Recovered { role: r, .. } if r == role));
        if !known {
            actions.push(Action::Recovered { role: role.to_owned(), reason: format!("{} is well", agent.id) });
        }
    }
}

/// The master has a breaker of its own, by its session: others of its role may do well.
fn breaker_of(agent: &Agent) -> &str {
    if agent.master { &agent.id } else { &agent.role }
}

/// Attempts whose lease has ended and whose agent is not there to be reaped.
pub(super) fn expire(world: &World, given_up: &BTreeSet<String>, actions: &mut Vec<Action>) {
    for overdue in &world.store.overdue {
        let holder = world.agents().find(|a| a.id == overdue.agent && a.task.as_ref() == Some(&overdue.task));
        if holder.is_some_and(|a| !given_up.contains(&a.incarnation)) || world.undisturbed <= world.limits.lease {
            continue;
        }
        if holder.is_none() {
            actions.push(Action::Expire {
                task: overdue.task.clone(),
                fence: overdue.fence,
                lost: overdue.lost,
                reason: format!("its lease ended, and agent {} is not there any more", overdue.agent),
            });
        }
    }
}
