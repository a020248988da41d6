//! Checks a plan as a whole.

use std::collections::{BTreeMap, VecDeque};

use super::{Plan, mistake::Mistake, rank};

/// Keys that a message lists.
const LISTED: usize = 8;
/// Cycles that are named.
const CYCLES: usize = 20;

/// The cycles: one for each group of tasks that come after each other, with its whole path. `places` are the bytes at
/// which the tasks stand.
pub(super) fn cycles(plan: &Plan, places: &[usize]) -> Vec<Mistake> {
    let predecessors = plan.predecessors();
    let groups = rank::groups(&predecessors);
    let mut first_of = vec![usize::MAX; groups.iter().max().map_or(0, |last| last + 1)];
    let mut size = vec![0; first_of.len()];
    for (place, group) in groups.iter().enumerate() {
        first_of[*group] = first_of[*group].min(place);
        size[*group] += 1;
    }
    let is_cyclic = |group: usize| size[group] > 1 || predecessors[first_of[group]].contains(&first_of[group]);
    let mut firsts: Vec<usize> =
        (0..first_of.len()).filter(|group| is_cyclic(*group)).map(|group| first_of[group]).collect();
    firsts.sort_unstable();
    let more = firsts.len().saturating_sub(CYCLES);
    let mut mistakes: Vec<Mistake> =
        firsts.into_iter().take(CYCLES).map(|first| cycle(plan, places, &predecessors, &groups, first)).collect();
    if more > 0 {
        mistakes.push(Mistake::new(0, "tasks", format!("has {more} more groups of tasks with a cycle")));
    }
    mistakes
}

/// A shortest way from the first task of a group around to itself.
fn cycle(plan: &Plan, places: &[usize], predecessors: &[Vec<usize>], groups: &[usize], first: usize) -> Mistake {
    let mut next: BTreeMap<usize, usize> = BTreeMap::new();
    let mut asked: VecDeque<usize> = [first].into();
    // From a task back to those that it comes after, until one of them is the first again.
    let last = 'search: loop {
        let Some(one) = asked.pop_front() else { break first };
        for before in predecessors[one].iter().copied().filter(|before| groups[*before] == groups[first]) {
            if before == first {
                break 'search one;
            }
            next.entry(before).or_insert_with(|| {
                asked.push_back(before);
                one
            });
        }
    };
    let mut round = vec![plan.tasks[first].key.as_str()];
    let mut at = last;
    while at != first {
        round.push(&plan.tasks[at].key);
        let Some(before) = next.get(&at) else { break };
        at = *before;
    }
    let shown: Vec<&str> = round.iter().take(LISTED).copied().collect();
    let more = if round.len() > LISTED { format!(" -> ... ({} tasks)", round.len()) } else { String::new() };
    let what = format!("is part of a cycle: {}{more} -> {}", shown.join(" -> "), round[0]);
    Mistake::new(places[first], format!("tasks.{}.after", plan.tasks[first].key), what)
}

/// Results that stand in a text of a task that does not come after the task whose results they are.
pub(super) fn results(plan: &Plan, places: &[usize]) -> Vec<Mistake> {
    let by_key: BTreeMap<&str, usize> =
        plan.tasks.iter().enumerate().map(|(at, task)| (task.key.as_str(), at)).collect();
    let mut mistakes = Vec::new();
    for (place, task) in plan.tasks.iter().enumerate().filter(|(_, task)| !task.text.results.is_empty()) {
        let mut is_before = vec![false; plan.tasks.len()];
        let mut asked: VecDeque<usize> = [place].into();
        while let Some(one) = asked.pop_front() {
            for (first, _) in &plan.tasks[one].after {
                if !std::mem::replace(&mut is_before[*first], true) {
                    asked.push_back(*first);
                }
            }
        }
        for key in
            task.text.results.iter().filter(|key| by_key.get(key.as_str()).is_none_or(|first| !is_before[*first]))
        {
            let what = format!("names the result of {key}, and does not come after it: add it to after");
            mistakes.push(Mistake::new(places[place], format!("tasks.{}.text", task.key), what));
        }
    }
    mistakes
}

/// What is allowed, and probably not meant.
pub(super) fn remarks(plan: &Plan, roles: &[(&str, u32)]) -> Vec<Mistake> {
    let mut remarks = Vec::new();
    // How many tasks of one role are on one level: this many could run concurrently.
    let mut width: BTreeMap<(&str, usize), usize> = BTreeMap::new();
    for (task, level) in plan.tasks.iter().zip(rank::levels(&plan.predecessors())) {
        *width.entry((task.role.as_deref().unwrap_or(""), level)).or_default() += 1;
    }
    for (role, max) in roles {
        let most = width.iter().filter(|((name, _), _)| name == role).map(|(_, width)| *width).max().unwrap_or(0);
        if most > *max as usize {
            let what = format!("up to {most} tasks of role {role} could run at the same time, and its max is {max}");
            remarks.push(Mistake::new(0, "", what));
        }
    }
    remarks
}
