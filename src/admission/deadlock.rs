//! Tasks that wait for each other: each holds a lock while it waits for a subtask that lacks the lock of another one. None of
//! them can go on until a person or a program cancels something.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{id::TaskId, lock::Pattern};

/// What an open task waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waits {
    /// Locks, each with the running task that has it: one of them is enough to keep it.
    Locks(Vec<(Pattern, TaskId)>),
    /// Its program waits for these subtasks, and may go on as soon as one of them does.
    Subtasks(Vec<TaskId>),
    /// It comes after these: one of them is enough to keep it.
    Tasks(Vec<TaskId>),
}

impl Waits {
    fn tasks(&self) -> impl Iterator<Item = &TaskId> {
        let (locks, tasks) = match self {
            Waits::Locks(locks) => (locks.as_slice(), [].as_slice()),
            Waits::Subtasks(tasks) | Waits::Tasks(tasks) => ([].as_slice(), tasks.as_slice()),
        };
        locks.iter().map(|(_, holder)| holder).chain(tasks)
    }

    /// Whether it lasts for ever, if all that these do.
    fn lasts(&self, stuck: &BTreeSet<&TaskId>) -> bool {
        let mut tasks = self.tasks();
        match self {
            Waits::Subtasks(all) => !all.is_empty() && tasks.all(|task| stuck.contains(task)),
            Waits::Locks(_) | Waits::Tasks(_) => tasks.any(|task| stuck.contains(task)),
        }
    }
}

/// Tasks of which each waits for the next one, and the last one for the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadlock {
    links: Vec<(TaskId, Waits)>,
}

impl Deadlock {
    /// Returns whether a task is one of them.
    pub fn has(&self, task: &TaskId) -> bool {
        self.links.iter().any(|(id, _)| id == task)
    }

    /// Returns what each waits for, as a sentence without its capital and its full stop.
    pub fn sentence(&self) -> String {
        let next = |at: usize| &self.links[(at + 1) % self.links.len()].0;
        let link = |(at, (id, waits)): (usize, &(TaskId, Waits))| match waits {
            Waits::Locks(locks) => {
                let holder = next(at);
                let lock = locks.iter().find(|(_, one)| one == holder);
                let pattern = lock.map(|(pattern, _)| format!(" of {pattern}")).unwrap_or_default();
                format!("{id} waits for the lock{pattern}, which {holder} has")
            }
            Waits::Subtasks(_) => format!("{id} waits for its subtask {}", next(at)),
            Waits::Tasks(_) => format!("{id} waits for {}", next(at)),
        };
        let links: Vec<String> = self.links.iter().enumerate().map(link).collect();
        format!("these tasks wait for each other: {}", links.join("; "))
    }

    /// Returns the commands that end it, any one of which is enough.
    pub fn commands(&self) -> Vec<String> {
        let parked = self.links.iter().filter(|(_, waits)| matches!(waits, Waits::Locks(_)));
        parked.map(|(id, _)| format!("orch cancel {id}")).collect()
    }
}

/// Returns the circles among tasks that wait. A task that is not among them can go on.
#[must_use]
pub fn deadlocks(waits: &BTreeMap<TaskId, Waits>) -> Vec<Deadlock> {
    let mut stuck: BTreeSet<&TaskId> = waits.keys().collect();
    loop {
        let still: BTreeSet<&TaskId> = stuck.iter().copied().filter(|id| waits[*id].lasts(&stuck)).collect();
        if still.len() == stuck.len() {
            break;
        }
        stuck = still;
    }
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    for first in &stuck {
        let (mut walk, mut at): (Vec<&TaskId>, &TaskId) = (Vec::new(), first);
        while seen.insert(at) {
            walk.push(at);
            let Some(next) = waits[at].tasks().find_map(|task| stuck.get(task)) else { break };
            at = next;
        }
        // One that leads into a circle which is known already has none of its own.
        if let Some(from) = walk.iter().position(|one| *one == at).filter(|_| !walk.is_empty()) {
            let links = walk[from..].iter().map(|id| ((*id).clone(), waits[*id].clone())).collect();
            found.push(Deadlock { links });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> TaskId {
        format!("t-aaaaaaaaa{n}").parse().unwrap()
    }

    fn ids(all: &[u32]) -> Vec<TaskId> {
        all.iter().map(|n| id(*n)).collect()
    }

    fn locks(all: &[u32]) -> Waits {
        Waits::Locks(all.iter().map(|n| (format!("f{n}").parse().unwrap(), id(*n))).collect())
    }

    fn found(all: Vec<(u32, Waits)>) -> Vec<Deadlock> {
        deadlocks(&all.into_iter().map(|(n, waits)| (id(n), waits)).collect())
    }

    #[test]
    fn two_parents_that_hold_what_the_others_subtask_needs_wait_for_each_other() {
        let circle = |more: Vec<(u32, Waits)>| {
            let all =
                [(2, Waits::Subtasks(ids(&[3]))), (3, locks(&[4])), (4, Waits::Subtasks(ids(&[5]))), (5, locks(&[2]))];
            found(all.into_iter().chain(more).collect())
        };
        let one = circle(vec![]);
        assert_eq!(one.len(), 1);
        assert_eq!(
            one[0].sentence(),
            "these tasks wait for each other: t-aaaaaaaaa2 waits for its subtask t-aaaaaaaaa3; t-aaaaaaaaa3 waits for the \
             lock of f4, which t-aaaaaaaaa4 has; t-aaaaaaaaa4 waits for its subtask t-aaaaaaaaa5; t-aaaaaaaaa5 waits for the \
             lock of f2, which t-aaaaaaaaa2 has"
        );
        assert_eq!(one[0].commands(), ["orch cancel t-aaaaaaaaa3", "orch cancel t-aaaaaaaaa5"]);
        assert!(one[0].has(&id(4)) && !one[0].has(&id(6)));
        // One that only waits for them is in no circle itself.
        assert_eq!(circle(vec![(6, locks(&[2])), (7, Waits::Tasks(ids(&[6])))]).len(), 1);
    }

    #[test]
    fn a_program_that_can_go_on_is_in_no_circle() {
        // Its other subtask, 9, runs.
        let all = vec![
            (2, Waits::Subtasks(ids(&[3, 9]))),
            (3, locks(&[4])),
            (4, Waits::Subtasks(ids(&[5]))),
            (5, locks(&[2])),
        ];
        assert_eq!(found(all), []);
        assert_eq!(found(vec![(2, locks(&[9])), (3, locks(&[9])), (4, Waits::Subtasks(vec![]))]), []);
        assert_eq!(found(vec![]), []);
    }

    #[test]
    fn a_circle_may_lead_through_tasks_that_come_after_each_other() {
        let all = vec![(2, Waits::Subtasks(ids(&[3]))), (3, Waits::Tasks(ids(&[9, 4]))), (4, locks(&[2]))];
        let one = found(all);
        assert_eq!(one.len(), 1);
        assert!(one[0].sentence().contains("t-aaaaaaaaa3 waits for t-aaaaaaaaa4;"), "{}", one[0].sentence());
    }
}
