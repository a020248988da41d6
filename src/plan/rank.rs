//! The critical path of a plan, and how long the plan takes: the longest path through its tasks, and a simulation of
//! which task runs when, with as many agents per role as there may be.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BinaryHeap},
};

/// The places of all tasks in an order in which each comes after its predecessors; without those in or behind a cycle.
pub fn order(predecessors: &[Vec<usize>]) -> Vec<usize> {
    let mut left: Vec<usize> = predecessors.iter().map(Vec::len).collect();
    let successors = successors(predecessors);
    let mut order: Vec<usize> = (0..left.len()).filter(|place| left[*place] == 0).collect();
    let mut next = 0;
    while let Some(place) = order.get(next).copied() {
        for one in &successors[place] {
            left[*one] -= 1;
            if left[*one] == 0 {
                order.push(*one);
            }
        }
        next += 1;
    }
    order
}

/// For each task the number of its group: two tasks are in one group if each comes after the other (Kosaraju's algorithm,
/// without recursion: a chain may be longer than the stack is deep).
#[must_use]
pub fn groups(predecessors: &[Vec<usize>]) -> Vec<usize> {
    let successors = successors(predecessors);
    let (mut finished, mut is_seen) = (Vec::with_capacity(predecessors.len()), vec![false; predecessors.len()]);
    for start in 0..predecessors.len() {
        if std::mem::replace(&mut is_seen[start], true) {
            continue;
        }
        let mut way = vec![(start, 0)];
        while let Some((place, next)) = way.last_mut() {
            match successors[*place].get(*next) {
                Some(one) => {
                    *next += 1;
                    if !std::mem::replace(&mut is_seen[*one], true) {
                        way.push((*one, 0));
                    }
                }
                None => {
                    finished.push(*place);
                    way.pop();
                }
            }
        }
    }
    let (mut groups, mut group) = (vec![usize::MAX; predecessors.len()], 0);
    for start in finished.into_iter().rev() {
        if groups[start] != usize::MAX {
            continue;
        }
        let mut left = vec![start];
        while let Some(place) = left.pop() {
            if groups[place] == usize::MAX {
                groups[place] = group;
                left.extend(predecessors[place].iter().filter(|first| groups[**first] == usize::MAX));
            }
        }
        group += 1;
    }
    groups
}

/// For each task the places of those that come after it.
pub fn successors(predecessors: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut successors = vec![Vec::new(); predecessors.len()];
    for (place, before) in predecessors.iter().enumerate() {
        before.iter().for_each(|first| successors[*first].push(place));
    }
    successors
}

/// On which level each task is: 0 without predecessors, else one more than the highest of them.
pub fn levels(predecessors: &[Vec<usize>]) -> Vec<usize> {
    let mut levels = vec![0; predecessors.len()];
    for place in order(predecessors) {
        levels[place] = predecessors[place].iter().map(|first| levels[*first] + 1).max().unwrap_or(0);
    }
    levels
}

/// How long the longest way through the plan is, and where each task stands to it. Durations are in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// For each task its upward rank: its own duration and the longest way from it to an end of the plan.
    pub rank: Vec<u64>,
    /// For each task how much later it may end without the whole ending later.
    pub slack: Vec<u64>,
    /// The length of the longest way.
    pub length: u64,
}

/// Computes the longest way through tasks of these durations.
#[must_use]
pub fn path(predecessors: &[Vec<usize>], durations: &[u64]) -> Path {
    let (order, successors) = (order(predecessors), successors(predecessors));
    let mut rank = vec![0; durations.len()];
    for place in order.iter().rev() {
        let rest = successors[*place].iter().map(|one| rank[*one]).max().unwrap_or(0);
        rank[*place] = u64::saturating_add(rest, durations[*place]);
    }
    let length = rank.iter().copied().max().unwrap_or(0);
    let mut starts = vec![0; durations.len()];
    for place in &order {
        let start =
            predecessors[*place].iter().map(|first| u64::saturating_add(starts[*first], durations[*first])).max();
        starts[*place] = start.unwrap_or(0);
    }
    let slack =
        rank.iter().zip(&starts).map(|(rank, start)| length.saturating_sub(start.saturating_add(*rank))).collect();
    Path { rank, slack, length }
}

impl Path {
    /// The critical path: tasks without slack, each after the one before it.
    pub fn critical(&self, predecessors: &[Vec<usize>]) -> Vec<usize> {
        let successors = successors(predecessors);
        let longest = |places: &mut dyn Iterator<Item = usize>| {
            places.filter(|place| self.slack[*place] == 0).max_by_key(|place| (self.rank[*place], Reverse(*place)))
        };
        let mut path: Vec<usize> = Vec::new();
        let mut at = longest(&mut (0..self.rank.len()).filter(|place| predecessors[*place].is_empty()));
        while let Some(place) = at {
            path.push(place);
            at = longest(&mut successors[place].iter().copied());
        }
        path
    }
}

/// A task that has yet to end, for a simulation.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// The role, by its place among the roles.
    pub role: usize,
    /// How long it takes from now, in milliseconds.
    pub duration: u64,
    /// Whether it runs already.
    pub runs: bool,
}

/// Simulates who runs when and returns after how many milliseconds the last one ends: of those that can start, the one with
/// the highest rank does. `places` is how many of each role may run at the same time. A role without any ends nothing:
/// `None`.
#[must_use]
pub fn simulate(predecessors: &[Vec<usize>], work: &[Work], places: &[u32], rank: &[u64]) -> Option<u64> {
    simulate_within(predecessors, work, places, u32::MAX, rank)
}

/// The same where no more than `at_once` of all roles together may run at the same time.
#[must_use]
pub fn simulate_within(
    predecessors: &[Vec<usize>],
    work: &[Work],
    places: &[u32],
    at_once: u32,
    rank: &[u64],
) -> Option<u64> {
    let successors = successors(predecessors);
    let mut left: Vec<usize> = predecessors.iter().map(Vec::len).collect();
    let (mut free, mut left_in_all): (Vec<u32>, u32) = (places.to_vec(), at_once);
    let mut ready: BTreeMap<usize, BinaryHeap<(u64, Reverse<usize>)>> = BTreeMap::new();
    let mut ends: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    for place in 0..work.len() {
        if work[place].runs {
            let free = &mut free[work[place].role];
            *free = free.saturating_sub(1);
            left_in_all = left_in_all.saturating_sub(1);
            ends.push(Reverse((work[place].duration, place)));
        } else if left[place] == 0 {
            ready.entry(work[place].role).or_default().push((rank[place], Reverse(place)));
        }
    }
    let (mut now, mut done) = (0, 0);
    loop {
        while left_in_all > 0 {
            let may_start = ready.iter().filter(|(role, _)| free[**role] > 0);
            let Some((_, role)) = may_start.filter_map(|(role, queue)| Some((*queue.peek()?, *role))).max() else {
                break;
            };
            let Some((_, Reverse(place))) = ready.get_mut(&role).and_then(BinaryHeap::pop) else { break };
            (free[role], left_in_all) = (free[role] - 1, left_in_all - 1);
            ends.push(Reverse((now + work[place].duration, place)));
        }
        let Some(Reverse((at, place))) = ends.pop() else { break };
        (now, done) = (at, done + 1);
        free[work[place].role] += 1;
        left_in_all += 1;
        for one in &successors[place] {
            left[*one] = left[*one].saturating_sub(1);
            if left[*one] == 0 && !work[*one].runs {
                ready.entry(work[*one].role).or_default().push((rank[*one], Reverse(*one)));
            }
        }
    }
    (done == work.len()).then_some(now)
}

/// Durations of the past, in milliseconds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Durations(Vec<u64>);

impl Durations {
    /// Of these attempts, in any order.
    pub fn new(mut durations: Vec<u64>) -> Durations {
        durations.sort_unstable();
        Durations(durations)
    }

    /// The duration that this share of them stays below; `None` without any.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let last = self.0.len().checked_sub(1)?;
        self.0.get((share.clamp(0.0, 1.0) * last as f64).round() as usize).copied()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A sequence of numbers between 0 and 1 that is the same for the same seed.
#[derive(Debug, Clone)]
pub struct Draws(u64);

impl Draws {
    /// Begins with a seed.
    pub fn new(seed: u64) -> Draws {
        Draws(seed)
    }
}

impl Iterator for Draws {
    type Item = f64;
    /// The next one: SplitMix64.
    fn next(&mut self) -> Option<f64> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64)
    }
}

/// Compares by rank, the highest first; then by place.
pub fn by_rank(rank: &[u64], a: usize, b: usize) -> Ordering {
    rank[b].cmp(&rank[a]).then(a.cmp(&b))
}
