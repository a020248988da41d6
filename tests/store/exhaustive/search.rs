//! Breadth first over all states, and backwards from the ends.

use std::collections::{HashMap, VecDeque};

use orch::store::audit::Image;

use super::{
    Scenario, laws,
    machine::{Machine, Mistake},
    state::{Memory, State},
    steps::{Kind, steps},
};

struct Node {
    state: State,
    memory: Memory,
    image: Image,
    /// How it was first reached.
    reached: Option<(usize, String)>,
    /// Where work leads from here.
    by_work: Vec<usize>,
}

/// How much was searched.
#[derive(Debug, Clone, Copy, Default)]
pub struct Searched {
    pub states: usize,
    pub steps: usize,
}

/// Searches everything that a scenario allows; the first thing that is broken, and the steps that lead to it.
pub fn search(scenario: &Scenario, mistake: Option<Mistake>) -> Result<Searched, String> {
    let mut machine = Machine::new(scenario, mistake);
    let (memory, image) = (Memory::default(), Image::default());
    let state = State::of(&image, &memory, scenario.markers);
    let mut known = HashMap::from([(state.clone(), 0)]);
    let mut nodes = vec![Node { state, memory, image, reached: None, by_work: Vec::new() }];
    let mut open = VecDeque::from([0]);
    let mut searched = Searched { states: 1, steps: 0 };
    while let Some(at) = open.pop_front() {
        let node = &nodes[at];
        let steps = steps(scenario, &node.image, &node.memory, &node.state);
        searched.steps += steps.len();
        let outcomes = machine.take(&at.to_string(), &steps);
        for (step, mut outcome) in steps.into_iter().zip(outcomes) {
            let node = &nodes[at];
            let after = (!outcome.changed.is_empty()).then(|| outcome.image(&node.image));
            let broken = laws::broken(scenario, &step, &node.image, after.as_ref(), &outcome);
            if !broken.is_empty() {
                return Err(format!("{}\n  {}: {}", path(&nodes, at), step.name, broken.join("\n    ")));
            }
            let mut memory = node.memory.after(&node.image, after.as_ref().unwrap_or(&node.image));
            if let Some((agent, woken)) = step.woken.filter(|_| scenario.markers) {
                memory.woken[agent] = woken;
            }
            if after.is_none() && memory.woken == node.memory.woken {
                continue;
            }
            let kept_as = if after.is_some() { outcome.kept_as } else { at.to_string() };
            let image = after.unwrap_or_else(|| node.image.clone());
            let state = State::of(&image, &memory, scenario.markers);
            if scenario.markers && state.sleeps_over_work() {
                return Err(format!(
                    "{}\n  {}: a task is ready, and nobody wakes the idle",
                    path(&nodes, at),
                    step.name
                ));
            }
            let to = *known.entry(state.clone()).or_insert_with(|| {
                let to = nodes.len();
                machine.keep(&kept_as, &to.to_string());
                nodes.push(Node { state, memory, image, reached: Some((at, step.name.clone())), by_work: Vec::new() });
                open.push_back(to);
                to
            });
            if step.kind == Kind::Work && to != at {
                nodes[at].by_work.push(to);
            }
        }
    }
    searched.states = nodes.len();
    no_dead_ends(&nodes)?;
    Ok(searched)
}

/// From every state, work alone leads to an end of everything, or to where a person is needed.
fn no_dead_ends(nodes: &[Node]) -> Result<(), String> {
    let mut from: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        node.by_work.iter().for_each(|to| from[*to].push(at));
    }
    let mut open: Vec<usize> = (0..nodes.len()).filter(|n| nodes[*n].state.is_at_rest()).collect();
    let mut leads_there = vec![false; nodes.len()];
    open.iter().for_each(|n| leads_there[*n] = true);
    while let Some(at) = open.pop() {
        for before in &from[at] {
            if !std::mem::replace(&mut leads_there[*before], true) {
                open.push(*before);
            }
        }
    }
    match leads_there.iter().position(|leads| !leads) {
        Some(stuck) => {
            Err(format!("{}\n  no work leads to an end from here: {:?}", path(nodes, stuck), nodes[stuck].state))
        }
        None => Ok(()),
    }
}

/// The steps that led there.
fn path(nodes: &[Node], mut at: usize) -> String {
    let mut names = Vec::new();
    while let Some((before, name)) = &nodes[at].reached {
        names.push(name.as_str());
        at = *before;
    }
    names.reverse();
    names.join("\n  ")
}
