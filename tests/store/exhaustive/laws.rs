//! What must hold of every step, whoever takes it and wherever.

use std::collections::BTreeMap;

use orch::{
    model::{agent::AgentState, cause::Cause, task::TaskState},
    store::audit::{self, Image},
};

use super::{
    Scenario, Shape,
    machine::Outcome,
    state::{AGENTS, TASKS, agent_field, last_fence, number, task_field},
    steps::{Kind, Step},
};

/// What a step has broken that ended with the given answer and events; `after` is `None` where it changed nothing.
pub fn broken(
    scenario: &Scenario,
    step: &Step,
    before: &Image,
    after: Option<&Image>,
    outcome: &Outcome,
) -> Vec<String> {
    let mut found = Vec::new();
    if let Err(words) = outcome.answer.as_ref()
        && !words.starts_with("REFUSED")
    {
        found.push(format!("it broke: {words}"));
    }
    if let Some(after) = after {
        found.extend(audit::judge(after));
        found.extend(bounds(scenario, after));
        if step.kind == Kind::Late && without_markers(after) != without_markers(before) {
            found.push("somebody who is late has changed something".to_owned());
        }
    }
    if step.answer.is_some() && step.answer.as_ref() != outcome.answer.as_ref().ok() {
        found.push(format!("it was answered with {:?}", outcome.answer));
    }
    let after = after.unwrap_or(before);
    found.extend(untold(before, after, outcome));
    found.extend(fences(before, after, outcome));
    found.extend(ends(step, before, after, outcome));
    found
}

/// The events are a path through the tables, from what was to what is.
fn untold(before: &Image, after: &Image, outcome: &Outcome) -> Vec<String> {
    let mut found = Vec::new();
    let record = |kind: &str, id: &str| format!("{kind}:{id}");
    let ids = TASKS.iter().map(|id| ("task", *id)).chain(AGENTS.iter().map(|id| ("agent", *id)));
    let mut told: BTreeMap<(&str, &str), String> = ids
        .map(|(kind, id)| ((kind, id), super::state::field(before, &record(kind, id), "state").to_owned()))
        .collect();
    for event in &outcome.events {
        let get = |name: &str| event.get(name).map_or("", String::as_str);
        let (kind, from, to) = (get("kind"), get("from"), get("to"));
        if get("reason").is_empty() {
            found.push(format!("{kind} has no reason"));
        }
        let Some((room, what)) = kind.split_once('.').filter(|(_, what)| *what == to) else { continue };
        let Some(state) = told.get_mut(&(room, get(room))) else { continue };
        let allowed = match room {
            "task" => may_become::<TaskState>(from, to, TaskState::may_become) || from.is_empty(),
            _ => may_become::<AgentState>(from, to, AgentState::may_become) || what == "starting",
        };
        if *state != from || !allowed {
            found.push(format!("{} was {state}, and {kind} goes from {from} to {to}", get(room)));
        }
        to.clone_into(state);
    }
    for ((kind, id), state) in told {
        let is = super::state::field(after, &record(kind, id), "state");
        // A task is forgotten without an event: nothing happens to it any more.
        if is != state && !(is.is_empty() && kind == "task") {
            found.push(format!("{id} is {is}, and was told to be {state}"));
        }
    }
    found
}

fn may_become<S: std::str::FromStr + Copy>(from: &str, to: &str, may: fn(S, S) -> bool) -> bool {
    matches!((from.parse(), to.parse()), (Ok(from), Ok(to)) if may(from, to))
}

/// Each lease has a new fence, greater than all before it.
fn fences(before: &Image, after: &Image, outcome: &Outcome) -> Vec<String> {
    let (was, is) = (last_fence(before), last_fence(after));
    let given = outcome.events.iter().filter(|e| e["kind"] == "task.running").count() as u64;
    let highest = (0..2).filter_map(|t| task_field(after, t, "fence").parse().ok()).max().unwrap_or(0);
    let as_given = is == was + given && (given == 0 || highest == is);
    let wrong =
        format!("{given} leases were given; the last fence was {was}, is {is}, and the greatest in use {highest}");
    if as_given { Vec::new() } else { vec![wrong] }
}

fn bounds(scenario: &Scenario, after: &Image) -> Vec<String> {
    let mut found = Vec::new();
    let running = (0..2).filter(|t| task_field(after, *t, "state") == "running").count();
    if let Shape::Plan { slots: Some(slots), .. } = scenario.shape
        && running > slots as usize
    {
        found.push(format!("{running} tasks of the plan run, and {slots} may"));
    }
    // A subtask may write what the task above it has locked.
    let locked = after.keys.contains_key("lock:l-1");
    if scenario.locks && (scenario.shape == Shape::Apart && running > 1 || locked && running > 0) {
        found.push(format!("holders that exclude each other run: {running} tasks, and a person's lock: {locked}"));
    }
    for id in TASKS {
        let key = format!("task:{id}");
        let (failures, lost) = (number(after, &key, "failures"), number(after, &key, "lost"));
        if failures > u64::from(scenario.retries) + 1 || lost > u64::from(scenario.lost) + 1 {
            found.push(format!("{id} failed {failures} times and was lost {lost} times"));
        }
    }
    found
}

/// An attempt that ends leads where the table of causes says; what has succeeded stays so.
fn ends(step: &Step, before: &Image, after: &Image, outcome: &Outcome) -> Vec<String> {
    let mut found = Vec::new();
    for t in 0..2 {
        let (was, is) = (task_field(before, t, "state"), task_field(after, t, "state"));
        if was == "succeeded" && !matches!(is, "succeeded" | "") {
            found.push(format!("{t} had succeeded, and is {is}"));
        }
    }
    let Some((t, cause)) = step.ends else { return found };
    let count = |name| task_field(before, t, name).parse::<u32>().unwrap_or(0);
    let cancelled = !task_field(before, t, "cancelling").is_empty() && cause != Cause::Success;
    let cause = if cancelled { Cause::Cancelled } else { cause };
    let own = matches!(cause, Cause::Transient | Cause::Timeout | Cause::Permanent);
    // What ends because a person stops everything at once counts against nobody.
    let stopping = super::state::field(before, "requests", "stop") == "now";
    let failures = count("failures") + u32::from(own);
    let lost = count("lost") + u32::from(cause == Cause::Lost && !stopping);
    let cancelling = !task_field(before, t, "cancelling").is_empty();
    let asks = !task_field(before, t, "asks").is_empty() && !cancelling;
    let waits = asks && matches!(cause, Cause::Success | Cause::Transient | Cause::Timeout);
    let cause = if waits { Cause::NeedsPerson } else { cause };
    let failures = if waits { count("failures") } else { failures };
    let next = match TaskState::after(cause, failures, count("retries"), lost, count("lost_max")) {
        TaskState::Succeeded if task_field(before, t, "approval") == "after" && !cancelling => TaskState::Held,
        next => next,
    };
    let is = task_field(after, t, "state");
    if is != next.as_str() {
        found.push(format!("attempt of {t} ended as {cause}: it is {is} instead of {next}"));
    }
    if outcome.answer.as_deref().ok() != Some(&[next.to_string(), "1".to_owned()]) {
        found.push(format!("its end was answered with {:?}", outcome.answer));
    }
    let agent = (0..2).find(|a| AGENTS[*a] == task_field(before, t, "agent"));
    if agent.is_some_and(|a| agent_field(after, a, "state") == "busy") {
        found.push(format!("the agent of {t} is still busy"));
    }
    found
}

/// What is stored but the markers, which only say "look again".
fn without_markers(image: &Image) -> Vec<(&String, &audit::Content)> {
    image.keys.iter().filter(|(key, _)| !key.starts_with("wake:")).collect()
}
