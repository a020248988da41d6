//! Which agents are dead, hung, or did not start.

use std::{collections::BTreeSet, time::Duration};

use super::{Action, evidence};
use crate::{
    model::{
        agent::{Agent, AgentState},
        breaker::PROVEN,
        duration::human,
        evidence::{Evidence, Rule},
    },
    store::agents::Record,
    supervisor::world::{Death, Life, World},
};

/// An agent that was recorded, and whose session was not opened within this time, was interrupted by a crash of the
/// supervisor.
const TO_OPEN: Duration = Duration::from_secs(5);
/// The same where tmux reports no such session: the session is opened immediately after the record is written.
const TO_BE_THERE: Duration = Duration::from_secs(1);
/// A runner reports some milliseconds after its session was opened; a loaded machine may take a thousand times as long.
const TO_REPORT: Duration = Duration::from_secs(20);
/// An agent is hung after this many leases without a heartbeat while Redis answered, whatever was interrupted meanwhile.
const LEASES: u32 = 3;
/// Beyond its grace, a runner that should have ended its attempt gets this long to record that.
const TO_END: Duration = Duration::from_secs(30);
/// Beyond its grace period, a runner that was asked to stop gets this long to record its end.
const TO_LEAVE: Duration = Duration::from_secs(5);

/// Reaps every agent that a rule applies to; returns their incarnations.
pub(super) fn check(world: &World, actions: &mut Vec<Action>) -> BTreeSet<String> {
    let mut given_up = BTreeSet::new();
    for record in &world.store.agents {
        let agent = &record.agent;
        if world.hands.reaping.contains(&agent.incarnation) {
            given_up.insert(agent.incarnation.clone());
            continue;
        }
        let Some(Verdict { to, reason, evidence }) = verdict(world, record) else {
            all_is_well(world, agent, actions);
            continue;
        };
        let (id, incarnation) = (agent.id.clone(), agent.incarnation.clone());
        actions.push(Action::Reap { agent: id, incarnation, to, reason, evidence: Box::new(evidence) });
        given_up.insert(agent.incarnation.clone());
    }
    given_up
}

/// An agent that has ended or must be declared dead, with the reason.
struct Verdict {
    to: AgentState,
    reason: String,
    evidence: Evidence,
}

/// Returns whether an agent has ended or must be declared dead, and why. The rules are in their order.
fn verdict(world: &World, record: &Record) -> Option<Verdict> {
    let agent = &record.agent;
    let (now, limits) = (world.store.now, world.limits);
    // Its time in this state; a clock that was set ahead must not make it old.
    let age = now.since(agent.since).min(world.undisturbed);
    let life = world.lives.get(&agent.incarnation).unwrap_or(&Life::Unknown);
    let counted = world.ceilings.of(&agent.incarnation);
    let seen = |rule| evidence::seen(world, record, life, rule);
    let failed = |reason: String, evidence: Evidence| Some(Verdict { to: AgentState::Failed, reason, evidence });
    if let Life::Dead(how) = life {
        let (rule, how) = (if *how == Death::EarlierBoot { Rule::Boot } else { Rule::ProcessGone }, dead(*how, agent));
        return Some(match agent.state {
            AgentState::Stopping => {
                Verdict { to: AgentState::Stopped, reason: agent.reason.clone().unwrap_or(how), evidence: seen(rule) }
            }
            _ => Verdict { to: AgentState::Failed, reason: format!("crashed: {how}"), evidence: seen(rule) },
        });
    }
    if agent.state == AgentState::Starting {
        let to_open = if world.has_no_session(agent) { TO_BE_THERE } else { TO_OPEN };
        let is_opening = world.hands.opening.contains(&agent.incarnation);
        if *life == Life::Unknown && age > to_open && !is_opening {
            let reason = format!("lost: its session was not opened within {}", human(to_open));
            return failed(reason, seen(Rule::Open).beyond(to_open, age));
        }
        if age > TO_REPORT {
            let reason = format!("hung: its runner did not report within {}", human(TO_REPORT));
            return failed(reason, seen(Rule::Start).beyond(TO_REPORT, age));
        }
        let ceiling = limits.lease.max(TO_REPORT) * LEASES;
        if counted.silence > ceiling {
            let reason = format!("hung: its runner did not report within {} of service", human(counted.silence));
            return failed(reason, seen(Rule::Silent).beyond(ceiling, counted.silence));
        }
        return None;
    }
    let to_leave = limits.kill_grace + TO_LEAVE;
    if agent.state == AgentState::Stopping && age > to_leave {
        let reason = agent.reason.clone().unwrap_or_default();
        let reason = format!("{reason}; it did not leave within {}", human(age));
        return Some(Verdict { to: AgentState::Stopped, reason, evidence: seen(Rule::Leave).beyond(to_leave, age) });
    }
    let silence = world.silence(agent.heartbeat_at).unwrap_or_default();
    let state = match life {
        Life::Alive('T' | 't') => "; its runner is stopped (SIGSTOP)",
        Life::Alive(_) => "; its runner is there and does not answer",
        _ => "",
    };
    if silence > limits.lease {
        let reason = format!("hung: no heartbeat for {}{state}", human(silence));
        return failed(reason, seen(Rule::Lease).beyond(limits.lease, silence));
    }
    let ceiling = limits.lease * LEASES;
    if counted.silence > ceiling {
        let reason = format!("hung: no heartbeat for {} during which Redis answered{state}", human(counted.silence));
        return failed(reason, seen(Rule::Silent).beyond(ceiling, counted.silence));
    }
    let to_end = limits.kill_grace + TO_END;
    if agent.state == AgentState::Busy && counted.overtime > to_end {
        let over = human(counted.overtime);
        let reason = format!("hung: its runner did not end the attempt, which is {over} past the task's time limit");
        return failed(reason, seen(Rule::TaskTimeout).beyond(to_end, counted.overtime));
    }
    let stall = world.roles.get(&agent.role)?.stall_timeout;
    let quiet = world.silence(record.progress_at).unwrap_or_default();
    if agent.state == AgentState::Busy && !agent.waiting && agent.needs.is_none() && quiet > stall {
        let reason = format!("hung: no sign of progress for {} (stall_timeout)", human(quiet));
        return failed(reason, seen(Rule::StallTimeout).beyond(stall, quiet));
    }
    None
}

fn dead(how: Death, agent: &Agent) -> String {
    match how {
        Death::Gone => format!("its runner (pid {}) is gone", agent.process.pid),
        Death::Zombie => format!("its runner (pid {}) is gone and remains as a zombie process", agent.process.pid),
        Death::EarlierBoot => "the machine was rebooted".to_owned(),
    }
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
                reason: format!("its lease ended, and agent {} is not there any more", overdue.agent),
            });
        }
    }
}
