//! What keeps a ready task from an agent: the gates of [`crate::admission`] as sentences, and their causes.

use super::{
    super::attention::{OUTDATED, RELOAD},
    Around, Explanation, TaskFacts, list, living, standing,
};
use crate::{
    admission::{self, Candidate, Gate},
    model::{
        agent::{Agent, AgentState},
        task::Task,
    },
};

/// Says what keeps a ready task from an agent, the decisive first.
pub(super) fn obstacles(around: &Around, facts: &TaskFacts, task: &Task, out: &mut Explanation) {
    let role = task.role.as_str();
    let taking: Vec<&Task> = facts.rivals.iter().filter(|t| t.role == role && !t.waiting).collect();
    let mut now = around.admission();
    // As of the look at the tasks themselves, which are named.
    now.roles.entry(role.to_owned()).or_default().taken = taking.len() as u32;
    let (ahead, lacks) = (facts.ahead.get(&task.id).copied().unwrap_or(0), facts.lacks.get(&task.id));
    let plan_slots = facts.full_plans.get(&task.id).copied();
    let candidate = Candidate { task, ahead, lacks, plan_slots, short: facts.short.get(&task.id) };
    let mut gates = admission::held_up_by(Some(candidate), role, &now);
    let has = |gates: &[Gate], is_it: fn(&Gate) -> bool| gates.iter().any(is_it);
    if has(&gates, |gate| *gate == Gate::UnknownRole) {
        gates.retain(|gate| {
            !matches!(
                gate,
                Gate::MoreUrgentRole { .. }
                    | Gate::MaxAgents { .. }
                    | Gate::Memory { .. }
                    | Gate::Disk { .. }
                    | Gate::BehindOthers { .. }
            )
        });
    }
    if has(&gates, |gate| matches!(gate, Gate::Stopping | Gate::Draining)) {
        gates.retain(|gate| *gate != Gate::SupervisorDown);
    }
    if has(&gates, |gate| matches!(gate, Gate::RoleSlots { .. })) {
        gates.retain(|gate| !matches!(gate, Gate::MaxAgents { .. }));
    }
    for gate in &gates {
        say(around, gate, &taking, task, out);
    }
    if gates.is_empty() {
        coming(around, role, out);
    }
}

fn say(around: &Around, gate: &Gate, taking: &[&Task], task: &Task, out: &mut Explanation) {
    let role = [task.role.as_str()];
    match gate {
        Gate::RoleSlots { .. } => {
            let by = list(taking.iter().map(|t| standing(around, t)));
            out.say_of(gate, &role, around, &format!(", by {by}"));
            let waits = |task: &&&Task| {
                task.agent.as_deref().and_then(|id| living(around, id)).and_then(Agent::waits_for).is_some()
            };
            for task in taking.iter().filter(waits) {
                out.hint(format!("orch why {}", task.id));
            }
        }
        Gate::UnknownRole => out.say_of(gate, &role, around, ": sessions.toml does not name it"),
        Gate::Lock(lacking) => {
            out.say_of(gate, &role, around, "");
            if let Some(holder) = &lacking.lock.task {
                out.hint(format!("orch why {holder}"));
            } else if let Some(id) = &lacking.lock.id {
                out.hint(format!("orch unlock {id}"));
            }
        }
        _ => out.say_of(gate, &role, around, ""),
    }
    if let Some(hint) = gate.hint(&role) {
        out.hint(hint);
    }
    if *gate == Gate::UnknownRole {
        out.hint(format!("orch cancel {}", task.id));
    }
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
            out.hint(RELOAD);
            format!("No agent of role {role} is free, and it may be new to the supervisor: {OUTDATED}.")
        }
        (None, None) => format!("No agent of role {role} is free; the supervisor starts one."),
    };
    out.say(sentence);
}
