//! Fair shares of the slots of a role: the rule of `lua/prelude/shares.lua`, for those who explain it. A property test holds a
//! claim to it.
//!
//! Every task belongs to a *share*: that of its topmost task, if it is a subtask; else its plan; else the one that all other
//! tasks have together. Of the tasks of one priority, a free slot goes to the share whose running tasks occupy the fewest slots
//! for its weight; among equals, to the one that has used less. A share with nothing that waits leaves its slots to the others.

use std::cmp::Ordering;

use crate::model::{id::TaskId, task::Priority, text::count};

/// The share of tasks that are part of no plan and no subtasks.
pub const ALONE: &str = "-";

/// How many shares are named.
const NAMED: usize = 3;
/// How many claims [`Turns::ahead`] plays through.
const PLAYED: u64 = 100_000;

/// A share of the slots of a role.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// The plan or the task that it is named after, or [`ALONE`].
    pub id: String,
    /// How many slots its running tasks occupy.
    pub busy: u64,
    /// For how long they have occupied slots, in milliseconds divided by its weight.
    pub used: f64,
    /// How many slots it gets for each one of a share with weight 1.
    pub weight: u64,
    /// The priority of the task that it started last.
    pub last: Option<Priority>,
}

/// The ready tasks of one priority and one share.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// Their priority.
    pub priority: Priority,
    /// Their share, by its place in [`Turns::shares`].
    pub share: usize,
    /// How many there are.
    pub ready: u64,
    /// The first of them, and its place in the order of all ready tasks.
    pub first: (TaskId, u64),
}

/// The ready tasks of a role and the shares of its slots, at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Turns {
    /// The place of a task of high priority that is accepted now.
    pub now: u64,
    /// The priority and the place of the task with the lowest place.
    pub oldest: Option<(Priority, u64)>,
    /// Shares with ready tasks, and that of the task that was asked about.
    pub shares: Vec<Share>,
    /// Those of their tasks that are ready.
    pub queues: Vec<Queue>,
    /// Where the task that was asked about stands: its queue, and how many of that go first.
    pub own: Option<(usize, u64)>,
}

impl Share {
    /// Compares whose turn it is.
    fn turn(&self, other: &Share) -> Ordering {
        (self.busy * other.weight).cmp(&(other.busy * self.weight)).then(self.used.total_cmp(&other.used))
    }

    /// Returns what it is, in words.
    pub fn in_words(&self) -> String {
        match self.id.as_str() {
            ALONE => "tasks of no plan".to_owned(),
            plan if plan.starts_with("p-") => format!("plan {plan}"),
            task => format!("subtasks of {task}"),
        }
    }
}

impl Turns {
    /// Returns the queue whose first task starts next.
    #[must_use]
    pub fn next(&self) -> Option<&Queue> {
        let mut next: Option<&Queue> = None;
        for priority in Priority::ALL.iter().rev() {
            let of = self.queues.iter().filter(|queue| queue.priority == *priority);
            let by_turn = |a: &&Queue, b: &&Queue| {
                let (one, other) = (&self.shares[a.share], &self.shares[b.share]);
                one.turn(other).then_with(|| one.id.cmp(&other.id))
            };
            let Some(queue) = of.min_by(by_turn) else { continue };
            let is_aged = queue.first.1 <= self.now
                || self.oldest.is_some_and(|(its, place)| its == *priority && place <= self.now);
            next = match next {
                None => Some(queue),
                Some(first) if is_aged => {
                    let turn = self.shares[queue.share].turn(&self.shares[first.share]);
                    let goes_first = turn.then(queue.first.1.cmp(&first.first.1)) == Ordering::Less;
                    // Of two starts of a share, one is of the lower priority.
                    let is_its_turn =
                        queue.share == first.share && self.shares[first.share].last == Some(first.priority);
                    Some(if goes_first || is_its_turn { queue } else { first })
                }
                first => first,
            };
        }
        next
    }

    /// Returns how many ready tasks of the role start before the one that was asked about, if what runs now goes on running:
    /// those of a higher priority, and those of its own that come before its turn.
    #[must_use]
    pub fn ahead(&self) -> u64 {
        let Some((own, before)) = self.own else { return 0 };
        let queue = &self.queues[own];
        if before == 0 && self.next() == Some(queue) {
            return 0;
        }
        let higher: u64 = self.queues.iter().filter(|one| one.priority > queue.priority).map(|one| one.ready).sum();
        let mut rivals: Vec<(Share, u64, bool)> = (self.queues.iter().enumerate())
            .filter(|(_, one)| one.priority == queue.priority)
            .map(|(at, one)| (self.shares[one.share].clone(), one.ready, at == own))
            .collect();
        let (mut ahead, mut left) = (0, before);
        while ahead < PLAYED {
            let turn = rivals.iter_mut().filter(|(_, ready, _)| *ready > 0).min_by(|a, b| a.0.turn(&b.0));
            let Some((share, ready, is_own)) = turn else { break };
            if *is_own && left == 0 {
                break;
            }
            left -= u64::from(*is_own);
            share.busy += 1;
            *ready -= 1;
            ahead += 1;
        }
        (higher + ahead).max(1)
    }

    /// Returns how the slots of the role are shared, as a sentence; `None` where one share has them all.
    #[must_use]
    pub fn sentence(&self, role: &str) -> Option<String> {
        let own = &self.shares[self.queues[self.own?.0].share];
        let mut others: Vec<&Share> = self.shares.iter().filter(|share| share.id != own.id).collect();
        others.sort_by(|a, b| b.busy.cmp(&a.busy).then_with(|| a.id.cmp(&b.id)));
        if others.is_empty() {
            return None;
        }
        let of = |share: &Share| {
            let weight = if share.weight == 1 { String::new() } else { format!(", weight {}", share.weight) };
            format!("{} ({}{weight})", share.in_words(), count(share.busy, "slot", "slots"))
        };
        let more = others.len().saturating_sub(NAMED);
        let mut named: Vec<String> = others.iter().take(NAMED).map(|share| of(share)).collect();
        if more > 0 {
            named.push(format!("{more} more"));
        }
        Some(format!("The slots of role {role} are shared between {} and {}.", of(own), named.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn share(id: &str, busy: u64, weight: u64) -> Share {
        Share { id: id.to_owned(), busy, used: 0.0, weight, last: None }
    }

    /// So many ready tasks of a priority and a share, of which the first has that place.
    fn queue(priority: Priority, share: usize, ready: u64, place: u64) -> Queue {
        Queue { priority, share, ready, first: (TaskId::random(), place) }
    }

    fn turns(shares: Vec<Share>, queues: Vec<Queue>) -> Turns {
        let oldest = queues.iter().map(|queue| (queue.first.1, queue.priority)).min().map(|(at, of)| (of, at));
        Turns { now: NOW, oldest, shares, queues, own: None }
    }

    /// Which share each of the next slots goes to, if nothing ends meanwhile.
    fn played(mut turns: Turns, slots: usize) -> Vec<usize> {
        let mut given = Vec::new();
        for _ in 0..slots {
            let share = turns.next().unwrap().share;
            turns.shares[share].busy += 1;
            given.push(share);
        }
        given
    }

    fn slots_of(given: &[usize], share: usize) -> usize {
        given.iter().filter(|one| **one == share).count()
    }

    #[test]
    fn shares_of_equal_weight_get_equally_many_slots_however_many_tasks_wait() {
        let shares = vec![share("p-1", 0, 1), share("p-2", 0, 1)];
        let later = NOW + 1;
        let queues = vec![queue(Priority::Normal, 0, 10_000, 1), queue(Priority::Normal, 1, 100, later)];
        let given = played(turns(shares, queues), 10);
        assert_eq!((slots_of(&given, 0), slots_of(&given, 1)), (5, 5));
    }

    #[test]
    fn a_weight_is_how_many_slots_a_share_gets_for_one_of_another() {
        let shares = vec![share("p-1", 0, 3), share("p-2", 0, 1)];
        let queues = vec![queue(Priority::Normal, 0, 99, 1), queue(Priority::Normal, 1, 99, 2)];
        assert_eq!(slots_of(&played(turns(shares, queues), 12), 0), 9);
    }

    #[test]
    fn a_higher_priority_goes_first_whatever_its_share_has() {
        let shares = vec![share("p-1", 9, 1), share("p-2", 0, 1)];
        let queues = vec![queue(Priority::High, 0, 9, NOW), queue(Priority::Normal, 1, 9, NOW + 1)];
        assert_eq!(played(turns(shares, queues), 3), [0, 0, 0]);
    }

    #[test]
    fn what_has_waited_for_long_shares_with_what_is_more_important() {
        let shares = vec![share("p-1", 0, 1), share("p-2", 0, 1)];
        let queues = vec![queue(Priority::High, 0, 9, NOW), queue(Priority::Low, 1, 9, NOW - 1)];
        assert_eq!(played(turns(shares, queues), 4), [1, 0, 1, 0]);
    }

    #[test]
    fn within_one_share_no_task_is_overtaken_by_what_was_accepted_much_later() {
        let queues = |low| vec![queue(Priority::High, 0, 9, NOW), queue(Priority::Low, 0, 9, low)];
        let next = |low| turns(vec![share(ALONE, 2, 1)], queues(low)).next().unwrap().priority;
        assert_eq!((next(NOW + 1), next(NOW - 1)), (Priority::High, Priority::Low));
    }

    #[test]
    fn of_two_starts_of_a_share_one_is_of_the_lower_priority_that_has_waited_for_long() {
        let queues = vec![queue(Priority::High, 0, 9, NOW - 9), queue(Priority::Low, 0, 9, NOW - 1)];
        let next = |last| turns(vec![Share { last, ..share(ALONE, 2, 1) }], queues.clone()).next().unwrap().priority;
        assert_eq!((next(Some(Priority::Low)), next(Some(Priority::High))), (Priority::High, Priority::Low));
    }

    #[test]
    fn one_slot_goes_to_the_share_that_has_used_less() {
        let shares = vec![Share { used: 10.0, ..share("p-1", 0, 1) }, Share { used: 9.0, ..share("p-2", 0, 1) }];
        let queues = vec![queue(Priority::Normal, 0, 9, 1), queue(Priority::Normal, 1, 9, 2)];
        assert_eq!(played(turns(shares, queues), 1), [1]);
    }

    #[test]
    fn what_goes_first_is_what_is_more_important_and_what_comes_before_its_turn() {
        let shares = vec![share("p-1", 2, 1), share("p-2", 0, 1), share("t-1", 0, 1)];
        let queues = vec![
            queue(Priority::Normal, 0, 9, NOW + 1),
            queue(Priority::Normal, 1, 100, NOW + 2),
            queue(Priority::High, 2, 7, NOW + 3),
        ];
        let of = |own| Turns { own: Some(own), ..turns(shares.clone(), queues.clone()) };
        assert_eq!(of((2, 0)).ahead(), 0);
        assert_eq!(of((1, 0)).ahead(), 7);
        assert_eq!(of((0, 0)).ahead(), 7 + 2, "the other plan has two slots less");
        let sentence = of((0, 0)).sentence("shell").unwrap();
        assert_eq!(
            sentence,
            "The slots of role shell are shared between plan p-1 (2 slots) and plan p-2 (0 slots), subtasks of t-1 (0 slots)."
        );
    }
}
