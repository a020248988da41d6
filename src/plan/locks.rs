//! Tasks of a plan that could run at the same time, and whose locks keep them from it.

use super::{Placed, Plan, mistake::Mistake, rank};
use crate::model::{
    lock::{LockMode, Pattern},
    pattern::expand,
    text::count,
};

/// Tasks with locks that are compared with each other.
const COMPARED: usize = 1_000;
/// Overlaps of one task that are named one by one.
const NAMED: usize = 3;
/// Remarks about overlaps.
const LISTED: usize = 20;

/// A task that locks something.
struct Locking<'a> {
    place: usize,
    key: &'a str,
    wants: Vec<(LockMode, Pattern)>,
}

/// What two of its tasks lock that neither comes after the other: they run one after the other.
pub(super) fn remarks(plan: &Plan, places: &[usize]) -> Vec<Mistake> {
    let locking: Vec<Locking<'_>> = plan.tasks.iter().enumerate().filter_map(locking).take(COMPARED).collect();
    let before = before(plan, &locking);
    let mut remarks = Vec::new();
    for (at, one) in locking.iter().enumerate() {
        let is_beside = |other: usize| other != at && !before[one.place][other] && !before[locking[other].place][at];
        let beside: Vec<usize> = (0..locking.len()).filter(|other| is_beside(*other)).collect();
        let overlaps: Vec<(usize, &Pattern)> =
            beside.iter().filter_map(|other| Some((*other, overlap(one, &locking[*other])?))).collect();
        let say = |what: String| Mistake::new(places[one.place], format!("tasks.{}.writes", one.key), what);
        if overlaps.len() > NAMED {
            let all = count(beside.len() as u64, "task", "tasks");
            let what = "while it runs, none of these does: name less, or order them with after";
            remarks
                .push(say(format!("overlaps with {} of the {all} that could run beside it; {what}", overlaps.len())));
            continue;
        }
        // Each pair once, at the later one.
        for (other, pattern) in overlaps.into_iter().filter(|(other, _)| *other < at) {
            let other = &locking[other];
            let what = "and neither comes after the other: they run one after the other";
            remarks.push(say(format!("overlaps with {} in {pattern}, {what}", other.key)));
        }
    }
    if remarks.len() > LISTED {
        let more = remarks.len() - LISTED;
        remarks.truncate(LISTED);
        remarks.push(Mistake::new(0, "tasks", format!("has {more} more overlaps of what its tasks lock")));
    }
    remarks
}

fn locking<'a>((place, task): (usize, &'a super::Task)) -> Option<Locking<'a>> {
    let parsed = |mode: LockMode, texts: &[Placed]| -> Vec<(LockMode, Pattern)> {
        let all = texts.iter().flat_map(|one| expand(&one.text).unwrap_or_default());
        all.filter_map(|text| Some((mode, text.parse().ok()?))).collect()
    };
    let mut wants = parsed(LockMode::Write, &task.terms.writes);
    wants.extend(parsed(LockMode::Read, &task.terms.reads));
    (!wants.is_empty()).then(|| Locking { place, key: &task.key, wants })
}

/// A pattern of the first that some path of the second excludes.
fn overlap<'a>(one: &'a Locking<'_>, other: &Locking<'_>) -> Option<&'a Pattern> {
    let excludes = |(mode, pattern): &&(LockMode, Pattern)| {
        let writes = |its: &LockMode| *mode == LockMode::Write || *its == LockMode::Write;
        other.wants.iter().any(|(its_mode, its)| writes(its_mode) && pattern.meets(its))
    };
    one.wants.iter().find(excludes).map(|(_, pattern)| pattern)
}

/// For each task of the plan, which of these come before it.
fn before(plan: &Plan, locking: &[Locking<'_>]) -> Vec<Vec<bool>> {
    let predecessors = plan.predecessors();
    let mut at = vec![None; plan.tasks.len()];
    locking.iter().enumerate().for_each(|(n, one)| at[one.place] = Some(n));
    let mut before = vec![vec![false; locking.len()]; plan.tasks.len()];
    if locking.is_empty() {
        return before;
    }
    for place in rank::order(&predecessors) {
        let mut row = std::mem::take(&mut before[place]);
        for first in &predecessors[place] {
            row.iter_mut().zip(&before[*first]).for_each(|(here, there)| *here |= *there);
            if let Some(n) = at[*first] {
                row[n] = true;
            }
        }
        before[place] = row;
    }
    before
}
