//! Why an agent is in its state.

use super::{AgentFacts, Around, Explanation, at_work, reason, since, standing, waits};
use crate::{
    admission::{self, Gate},
    model::{agent::AgentState, duration::human},
};

/// The explanation of an agent's state.
pub(super) fn explain(around: &Around, facts: &AgentFacts) -> Explanation {
    let mut out = Explanation::default();
    let agent = &facts.record.agent;
    let (for_, why) = (since(around, agent.since), reason(agent.reason.as_ref()));
    match agent.state {
        AgentState::Starting => {
            out.say(format!("It was begun {for_} ago ({why}), and its runner has not reported yet."));
            unsupervised(around, "it is not declared dead if it never reports", &mut out);
            out.hint(format!("orch attach {}", agent.id));
        }
        AgentState::Idle => idle(around, facts, &for_, &mut out),
        AgentState::Busy => busy(around, facts, &for_, &mut out),
        AgentState::Stopping => {
            out.say(format!("It was told to end {for_} ago: {why}."));
            unsupervised(around, "it ends by itself, but nobody sees to it", &mut out);
        }
        AgentState::Stopped => out.say(format!("It ended in order {for_} ago: {why}.")),
        AgentState::Failed => out.say(format!("It failed {for_} ago: {why}.")),
    }
    if !agent.state.is_live() {
        ended(around, facts, &mut out);
        out.evidence.clone_from(&agent.evidence);
    }
    if agent.tasks_done > 0 || agent.restarts > 0 {
        out.say(format!("Tasks done: {}; restarts before it: {}.", agent.tasks_done, agent.restarts));
    }
    if let (Some(pid), true) = (agent.pid, agent.state.is_live()) {
        let memory = agent.rss_bytes.map(|b| format!(", {} MiB of memory", b >> 20)).unwrap_or_default();
        out.say(format!("Its runner is process {pid}, in the tmux session {}{memory}.", agent.session));
        if let Some(way_back) = around.way_back.as_ref().filter(|_| around.displaced.contains(&agent.id)) {
            out.say("Its session cannot be reached: another tmux server has taken the socket of its own.");
            out.hint(way_back.clone());
        }
    }
    out
}

fn idle(around: &Around, facts: &AgentFacts, for_: &str, out: &mut Explanation) {
    let agent = &facts.record.agent;
    let seen = &around.snapshot;
    if agent.master {
        out.say("It is the master: it delegates tasks and claims none.");
        waits(around, agent, out);
    } else {
        out.say(format!("It has waited for a task of role {} for {for_}.", agent.role));
    }
    for gate in admission::gates(None, &agent.role, &around.admission()) {
        if matches!(gate, Gate::Paused | Gate::RolePaused) {
            tell(around, &gate, &agent.role, out);
        }
    }
    let ready = seen.load.get(&agent.role).map_or(0, |load| load.ready);
    if ready > 0 && !agent.master {
        out.say(format!("Ready tasks of its role: {ready}."));
        out.hint(format!("orch tasks --state ready --role {}", agent.role));
    }
    if let Some(role) = around.config.roles.get(&agent.role).filter(|_| !agent.master) {
        out.say(format!(
            "Its role keeps at least {} agents; an idle agent beyond that is stopped after {}.",
            role.min,
            human(role.idle_timeout)
        ));
    }
}

fn busy(around: &Around, facts: &AgentFacts, for_: &str, out: &mut Explanation) {
    let agent = &facts.record.agent;
    let attempt = agent.attempt.map(|n| format!(" (attempt {n})")).unwrap_or_default();
    match &agent.task {
        Some(task) => {
            out.say(format!("It has worked on {task}{attempt} for {for_}."));
            if facts.task.as_ref().is_some_and(|t| t.waiting) {
                out.say("That task waits for subtasks of its own.");
            }
            at_work(around, &facts.record, out);
            out.hint(format!("orch why {task}"));
        }
        None => out.say(format!("It has been busy for {for_}: {}.", reason(agent.reason.as_ref()))),
    }
    out.hint(format!("orch logs {} -f", agent.id));
    out.hint(format!("orch attach {}", agent.id));
}

fn ended(around: &Around, facts: &AgentFacts, out: &mut Explanation) {
    let agent = &facts.record.agent;
    if let Some(task) = &facts.task {
        out.say(format!("The last task it had: {}.", standing(around, task)));
        out.hint(format!("orch why {}", task.id));
    }
    let now = around.admission();
    let gates = if agent.master { admission::master_gates(&now) } else { admission::gates(None, &agent.role, &now) };
    for gate in gates.iter().filter(|gate| matches!(gate, Gate::BreakerOpen { .. })) {
        tell(around, gate, &agent.role, out);
    }
    out.hint(format!("orch logs {}", agent.id));
}

fn unsupervised(around: &Around, then: &str, out: &mut Explanation) {
    if !around.supervised {
        out.say(format!("The supervisor is not running: {then}."));
        out.hint("orch start");
    }
}

fn tell(around: &Around, gate: &Gate, role: &str, out: &mut Explanation) {
    out.say_of(gate, &[role], around, "");
    if let Some(hint) = gate.hint(&[role]) {
        out.hint(hint);
    }
}
