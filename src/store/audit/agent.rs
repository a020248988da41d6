//! One agent: its record, the sets that name it, and the task that it holds.

use std::collections::BTreeSet;

use super::image::Image;
use crate::model::agent::AgentState;

/// What does not agree about an agent.
pub(super) fn judge(image: &Image, id: &str, found: &mut Vec<String>) {
    let mut say = |what: String| found.push(format!("agent {id}: {what}"));
    let idle_of = image.sets_with(&["idle"], id);
    let Some(agent) = image.record("agent", id) else {
        if image.keys.contains_key(&format!("agent:{id}")) {
            say("its record is no hash".to_owned());
        }
        if image.has("agents", id) || !idle_of.is_empty() {
            say("it has no record, and is named as living".to_owned());
        }
        return;
    };
    let Ok(state) = agent.text("state").parse::<AgentState>() else {
        return say(format!("its state is '{}'", agent.text("state")));
    };
    if image.has("agents", id) != state.is_live() {
        say(format!("it is {state}, and {} among the living", if state.is_live() { "not" } else { "still" }));
    }
    // The master takes no tasks.
    let waits = state == AgentState::Idle && agent.text("master") != "1";
    let expected = BTreeSet::from_iter(waits.then(|| format!("idle:{}", agent.text("role"))));
    if idle_of != expected {
        say(format!("it is {state}, and stands in {idle_of:?} instead of {expected:?}"));
    }
    let holds = agent.has("task");
    let may_hold = match state {
        AgentState::Busy => holds,
        AgentState::Stopping => true,
        _ => !holds,
    };
    if !may_hold {
        say(format!("it is {state} {} a task", if holds { "with" } else { "without" }));
    }
    if holds {
        let name = agent.text("task");
        let its = image.record("task", name).is_some_and(|task| {
            task.text("agent") == id
                && task.text("incarnation") == agent.text("incarnation")
                && task.text("fence") == agent.text("fence")
        });
        if !its {
            say(format!("it holds {name} with fence {}, which is not its own", agent.text("fence")));
        }
    }
}
