//! What keeps a ready task from an agent.

use super::{
    super::attention::{FREE_MEMORY, MEND_ROLE, OUTDATED, RESTART},
    Around, Explanation, TaskFacts, list, living, reason, standing,
};
use crate::model::{
    agent::{Agent, AgentState},
    duration::human,
    task::Task,
    text::count,
};

/// What keeps a ready task from an agent, the decisive first.
pub(super) fn obstacles(around: &Around, facts: &TaskFacts, task: &Task, out: &mut Explanation) {
    let seen = &around.snapshot;
    let role = task.role.as_str();
    if seen.requests.stop.is_some() {
        out.say("orch is being stopped: nothing new is started.");
        out.hint("orch start");
    } else if !around.supervised {
        out.say("The supervisor is not running: no agent is started.");
        out.hint("orch start");
    }
    if seen.requests.pause {
        out.say("Everything is paused: nothing new is started.");
        out.hint("orch resume");
    } else if !seen.requests.may_start(role) {
        out.say(format!("Role {role} is paused: none of its tasks is started."));
        out.hint(format!("orch resume {role}"));
    }
    let Some(configured) = around.config.roles.get(role) else {
        out.say(format!("There is no role {role} any more: sessions.toml does not name it."));
        out.hint(format!("write [roles.{role}] into sessions.toml, then: orch stop; orch start"));
        return out.hint(format!("orch cancel {}", task.id));
    };
    if let Some(breaker) = seen.breakers.get(role).filter(|b| b.until > seen.now) {
        let rest = human(breaker.until.since(seen.now));
        let (n, why) = (breaker.failures, reason(Some(&breaker.reason)));
        out.say(format!("Agents of role {role} end at once ({n} in a row: {why}); the next is started in {rest}."));
        out.hint(format!("orch spawn {role}"));
    }
    if let Some(held) = seen.suspended.get(role) {
        let why = reason(Some(&held.reason));
        match (held.until, &held.account) {
            (None, _) => {
                out.say(format!(
                    "Nothing of role {role} can be started: {why}. It is tried again once that is mended."
                ));
                out.hint(MEND_ROLE);
            }
            (Some(until), account) => {
                let rest = human(until.since(seen.now));
                out.say(format!("Nothing of role {role} is started for {rest}, until {until}: {why}."));
                out.hint(match account {
                    Some(_) => format!("orch resume {role} (lifts the limit, where you know that it is over)"),
                    None => "orch costs --by role".to_owned(),
                });
            }
        }
    }
    if seen.requests.scale.get(role) == Some(&0) {
        out.say(format!("Role {role} was scaled to 0 agents."));
        out.hint(format!("orch scale {role} 1"));
    }
    places(around, facts, task, configured.max, out);
    memory(around, role, out);
    if let Some(n) = facts.ahead.get(&task.id).filter(|n| **n > 0) {
        let (one, many) = ("ready task of its role goes", "ready tasks of its role go");
        out.say(format!("{} first.", count(*n, one, many)));
    }
    if out.sentences.is_empty() {
        coming(around, role, out);
    }
}

/// Whether all places of the role, or of all roles together, are taken.
fn places(around: &Around, facts: &TaskFacts, task: &Task, max: u32, out: &mut Explanation) {
    let (seen, role) = (&around.snapshot, task.role.as_str());
    let taking: Vec<&Task> = facts.rivals.iter().filter(|t| t.role == role && !t.waiting).collect();
    let places = seen.requests.scale.get(role).map_or(max, |n| max.min(*n));
    if places > 0 && taking.len() as u64 >= u64::from(places) {
        let by = list(taking.iter().map(|t| standing(around, t)));
        let taken = match places {
            1 => format!("The one place of role {role} is taken"),
            n => format!("All {n} places of role {role} are taken"),
        };
        out.say(format!("{taken}, by {by}."));
        let waits = |task: &&&Task| {
            task.agent.as_deref().and_then(|id| living(around, id)).and_then(Agent::waits_for).is_some()
        };
        for task in taking.iter().filter(waits) {
            out.hint(format!("orch why {}", task.id));
        }
        return out.hint(format!("orch tasks --state running --role {role}"));
    }
    let (live, most) = (seen.agents.len() as u64, u64::from(around.config.supervisor.max_agents));
    if live >= most && !has_idle(around, role) {
        let live = count(live, "agent lives", "agents live");
        out.say(format!("{live}, and max_agents under [supervisor] allows {most} over all roles."));
        out.hint("orch agents");
    }
}

/// Whether the machine has no memory for the agent that would take it.
fn memory(around: &Around, role: &str, out: &mut Explanation) {
    let short = around.config.supervisor.short_of_memory(around.free_memory);
    if let Some(short) = short.filter(|_| around.supervised && !has_idle(around, role)) {
        out.say(format!("No new agent is started: {short}."));
        out.hint(FREE_MEMORY);
    }
}

fn has_idle(around: &Around, role: &str) -> bool {
    around.snapshot.agents.iter().any(|r| r.agent.role == role && r.agent.state == AgentState::Idle)
}

/// Nothing is in the way.
fn coming(around: &Around, role: &str, out: &mut Explanation) {
    let of_role = |state| {
        around.snapshot.agents.iter().map(|r| &r.agent).find(|a| a.role == role && a.state == state && !a.master)
    };
    let sentence = match (of_role(AgentState::Idle), of_role(AgentState::Starting)) {
        (Some(idle), _) => format!("{} is idle, and takes it at any moment.", idle.id),
        (None, Some(starting)) => format!("{} is starting, and takes a task when it is ready.", starting.id),
        (None, None) if around.outdated => {
            out.hint(RESTART);
            format!("No agent of role {role} is free, and it may be new to the supervisor: {OUTDATED}.")
        }
        (None, None) => format!("No agent of role {role} is free; the supervisor starts one."),
    };
    out.say(sentence);
}
