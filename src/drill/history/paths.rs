//! Invariants of the event stream: the events are paths through the transition tables of `model`, up to the recorded
//! state.

use std::collections::BTreeMap;

use super::{
    Finding,
    facts::{Facts, the_event},
};
use crate::model::{agent::AgentState, event::Event, task::TaskState};

/// Finds events without a reason.
pub(super) fn without_reason(facts: &Facts<'_>) -> Vec<Finding> {
    let silent = facts.history.events.iter().filter(|e| e.reason.trim().is_empty());
    silent.map(|e| (the_event(e), "it has no reason".to_owned())).collect()
}

/// Finds steps of tasks that are not in the table, or that do not start in the state of the previous step.
pub(super) fn of_tasks(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (id, steps) in &facts.task_steps {
        let mut before = None;
        for (i, step) in steps.iter().enumerate() {
            let allowed = match (step.from, before) {
                (Some(from), _) if !from.may_become(step.to) => false,
                (from, Some(before)) => from == Some(before),
                (None, None) => step.event.from.is_none() && begins(step.to),
                (Some(_), None) => facts.history.trimmed && i == 0,
            };
            if !allowed {
                found.push(((*id).to_owned(), not_allowed(step.event, before.map(TaskState::as_str))));
            }
            before = Some(step.to);
        }
    }
    found
}

/// Whether a task may be accepted in this state; held, where a person has to approve it.
fn begins(state: TaskState) -> bool {
    matches!(state, TaskState::Ready | TaskState::Blocked | TaskState::Held)
}

/// Finds such steps of agents. A new incarnation starts after the end of the previous one.
pub(super) fn of_agents(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (id, steps) in &facts.agent_steps {
        let mut before: Option<AgentState> = None;
        for (i, step) in steps.iter().enumerate() {
            let allowed = match step.to {
                // The record of an agent that ended long ago has expired.
                AgentState::Starting => {
                    !before.is_some_and(AgentState::is_live) && !step.from.is_some_and(AgentState::is_live)
                }
                to => {
                    let connected = step.from == before || (i == 0 && facts.history.trimmed);
                    connected && step.from.is_some_and(|from| from.may_become(to))
                }
            };
            if !allowed {
                found.push(((*id).to_owned(), not_allowed(step.event, before.map(AgentState::as_str))));
            }
            before = Some(step.to);
        }
    }
    found
}

fn not_allowed(event: &Event, before: Option<&str>) -> String {
    let from = event.from.as_deref().unwrap_or("nothing");
    let to = event.to.as_deref().unwrap_or("nothing");
    format!("{} goes from {from} to {to}, after {}", the_event(event), before.unwrap_or("nothing"))
}

/// Finds tasks and agents whose last event has another state than their record.
pub(super) fn last_states(facts: &Facts<'_>) -> Vec<Finding> {
    let differs = |id: &str, last: Option<&str>, is: Option<&str>| {
        let or = |s: Option<&str>| s.map_or_else(|| "nothing".to_owned(), str::to_owned);
        (last != is).then(|| (id.to_owned(), format!("its last event says {}, its record {}", or(last), or(is))))
    };
    let mut found = Vec::new();
    for (id, t) in &facts.tasks {
        let last = facts.steps(id).last().map(|s| s.to.as_str());
        // All its events may have been dropped.
        if last.is_some() || !facts.history.trimmed {
            found.extend(differs(id, last, Some(t.task.state.as_str())));
        }
    }
    for (id, steps) in facts.task_steps.iter().filter(|(id, _)| !facts.tasks.contains_key(*id)) {
        found.extend(differs(id, steps.last().map(|s| s.to.as_str()), None));
    }
    let Some(agents) = &facts.history.agents else { return found };
    let live: BTreeMap<&str, AgentState> = agents.iter().map(|a| (a.id.as_str(), a.state)).collect();
    for (id, steps) in &facts.agent_steps {
        let last = steps.last().map(|s| s.to).filter(|s| s.is_live());
        found.extend(differs(id, last.map(AgentState::as_str), live.get(*id).map(|s| s.as_str())));
    }
    let without_events = live.iter().filter(|(id, _)| !facts.agent_steps.contains_key(*id) && !facts.history.trimmed);
    found.extend(without_events.filter_map(|(id, state)| differs(id, None, Some(state.as_str()))));
    found
}
