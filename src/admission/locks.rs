//! What a ready task lacks among its locks: the rule of `lua/prelude/locks.lua`, for those who explain it.

use crate::model::{
    duration::human,
    id::TaskId,
    lock::{HolderKind, Lock, LockMode, Parked, Pattern},
    task::Task,
    text::{count, one_line},
    time::Timestamp,
};

/// A lock that a task needs, and the one that is in its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// What it needs.
    pub pattern: Pattern,
    /// What is in its way.
    pub lock: Lock,
    /// Since when it has waited for locks, and how many tasks go first; `None`: no agent has looked at it yet.
    pub parked: Option<Parked>,
}

/// Returns the first lock that a ready task lacks. `above` are the tasks above it, whose locks do not keep it out; `place` is
/// its place among the ready tasks.
#[must_use]
pub fn lacking<'a>(
    task: &Task,
    above: &[TaskId],
    place: u64,
    locks: &'a [Lock],
    now: Timestamp,
) -> Option<(Pattern, &'a Lock)> {
    let keeps_out = |lock: &&Lock| match (lock.holder, &lock.task) {
        (HolderKind::Task, Some(holder)) => *holder != task.id && !above.contains(holder),
        (HolderKind::Reservation, Some(holder)) => {
            *holder != task.id && lock.until.is_some_and(|until| until > now) && lock.place < place
        }
        _ => lock.until.is_none_or(|until| until > now),
    };
    wants(task).find_map(|(mode, pattern)| {
        let lock = locks.iter().filter(|lock| lock.excludes(mode, pattern)).find(keeps_out)?;
        Some((pattern.clone(), lock))
    })
}

/// Returns what a task locks, each with its mode.
pub fn wants(task: &Task) -> impl Iterator<Item = (LockMode, &Pattern)> {
    let writes = task.writes.iter().map(|pattern| (LockMode::Write, pattern));
    writes.chain(task.reads.iter().map(|pattern| (LockMode::Read, pattern)))
}

/// Returns the running tasks that have a lock which a ready task lacks, each with what is locked. `above` are the tasks above
/// it, whose locks do not keep it out.
pub fn kept_by_tasks<'a>(
    task: &'a Task,
    above: &'a [TaskId],
    locks: &'a [Lock],
) -> impl Iterator<Item = (Pattern, &'a TaskId)> {
    let keeps_out = |lock: &&Lock| {
        lock.holder == HolderKind::Task && wants(task).any(|(mode, pattern)| lock.excludes(mode, pattern))
    };
    let kept = locks.iter().filter(keeps_out).filter_map(|lock| Some((lock.pattern.clone(), lock.task.as_ref()?)));
    kept.filter(|(_, holder)| **holder != task.id && !above.contains(holder))
}

impl Lacking {
    /// Returns what is so, as a sentence without its capital and its full stop.
    pub fn sentence(&self, now: Timestamp) -> String {
        let Lacking { pattern, lock, parked } = self;
        let for_ = human(now.since(lock.since));
        let has = match lock.holder {
            HolderKind::Reservation => format!(
                "{} has reserved {}, because it has waited longer and was overtaken",
                lock.holder(),
                lock.pattern
            ),
            _ => format!("{} has had the lock of {} for {for_}", lock.holder(), lock.pattern),
        };
        let why = lock.reason.as_ref().map(|why| format!(" ({})", one_line(why, 100))).unwrap_or_default();
        let ahead = parked.as_ref().map_or(0, |parked| parked.ahead);
        let behind = match ahead {
            0 => String::new(),
            n => {
                format!("; {} first", count(n, "task that waits for the same goes", "tasks that wait for the same go"))
            }
        };
        format!("it waits for the lock of {pattern}: {has}{why}{behind}")
    }
}
