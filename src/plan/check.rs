//! Checks a plan as a whole.

use std::collections::{BTreeMap, VecDeque};

use super::{Plan, mistake::Mistake, rank};

/// Keys that a message lists.
const LISTED: usize = 8;

/// A cycle, with its whole path; there may be others. `places` are the bytes at which the tasks stand.
pub(super) fn cycle(plan: &Plan, places: &[usize]) -> Option<Mistake> {
    let predecessors = plan.predecessors();
    let ordered = rank::order(&predecessors);
    if ordered.len() == plan.tasks.len() {
        return None;
    }
    let mut is_left = vec![true; plan.tasks.len()];
    ordered.iter().for_each(|place| is_left[*place] = false);
    // Each remaining task comes after a remaining one, so going back leads around a cycle.
    let back = |place: usize| predecessors[place].iter().copied().find(|first| is_left[*first]);
    let mut at = is_left.iter().position(|left| *left)?;
    let mut seen = vec![usize::MAX; plan.tasks.len()];
    let mut path = Vec::new();
    while seen[at] == usize::MAX {
        seen[at] = path.len();
        path.push(at);
        at = back(at)?;
    }
    let mut round: Vec<&str> = path[seen[at]..].iter().map(|place| plan.tasks[*place].key.as_str()).collect();
    round.reverse();
    let first = *path[seen[at]..].iter().min()?;
    let begins = round.iter().position(|key| *key == plan.tasks[first].key)?;
    round.rotate_left(begins);
    let shown: Vec<&str> = round.iter().take(LISTED).copied().collect();
    let more = if round.len() > LISTED { format!(" -> ... ({} tasks)", round.len()) } else { String::new() };
    let what = format!("is part of a cycle: {}{more} -> {}", shown.join(" -> "), round[0]);
    Some(Mistake::new(places[first], format!("tasks.{}.after", plan.tasks[first].key), what))
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
