//! Locks of persons that keep tasks from starting, and tasks that wait for each other.

use crate::{
    admission::deadlock::Deadlock,
    model::{
        attention::{Attention, AttentionKind},
        duration::human,
        text::{count, one_line},
        time::Timestamp,
    },
    store::locks::Keeping,
};

/// Patterns that are named.
const NAMED: usize = 3;

/// `a person on pts/3 has had the lock of src/db for 3h05m (the migration): 2 ready tasks wait for it`
pub(super) fn attention(keeping: &Keeping, now: Timestamp) -> Option<Attention> {
    let lock = keeping.locks.first()?;
    let id = lock.id.as_ref()?;
    let mut patterns: Vec<String> = keeping.locks.iter().take(NAMED).map(|lock| lock.pattern.to_string()).collect();
    if keeping.locks.len() > NAMED {
        patterns.push(format!("{} more", keeping.locks.len() - NAMED));
    }
    let reason = lock.reason.as_ref().map(|reason| format!(" ({})", one_line(reason, 100))).unwrap_or_default();
    let ends = lock.until.map(|until| format!("; it ends in {}", human(until.since(now)))).unwrap_or_default();
    let what = format!(
        "{} has had the lock of {} for {}{reason}: {} for it{ends}",
        lock.holder(),
        patterns.join(", "),
        human(now.since(lock.since)),
        count(keeping.waiting, "ready task waits", "ready tasks wait")
    );
    let attention = Attention::by(AttentionKind::Lock, what, format!("orch unlock {id}"));
    Some(Attention { since: Some(lock.since), text: lock.reason.clone(), ..attention })
}

/// Tasks that wait for each other.
pub(super) fn of_deadlock(deadlock: &Deadlock) -> Attention {
    let commands = deadlock.commands();
    let do_ = format!("one of them has to end: {}", commands.join(", or: "));
    Attention { commands, ..Attention::new(AttentionKind::Deadlock, deadlock.sentence(), do_) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::lock::{HolderKind, Lock, LockMode};

    #[test]
    fn a_persons_lock_that_keeps_tasks_is_said_with_the_command_that_releases_it() {
        let lock = |pattern: &str| Lock {
            pattern: pattern.parse().unwrap(),
            mode: LockMode::Write,
            holder: HolderKind::Person,
            id: Some("l-7k2m9qx4hz".into()),
            task: None,
            agent: None,
            by: Some("a person on pts/3".into()),
            reason: Some("the migration".into()),
            since: Timestamp(0),
            until: Some(Timestamp(200_000)),
            place: 0,
        };
        let keeping = Keeping { locks: ["a", "b", "c", "d"].map(lock).into(), waiting: 2 };
        let said = attention(&keeping, Timestamp(80_000)).unwrap();
        assert_eq!(
            said.what,
            "a person on pts/3 has had the lock of a, b, c, 1 more for 1m20s (the migration): 2 ready tasks wait for it; \
             it ends in 2m00s"
        );
        assert_eq!(said.commands, ["orch unlock l-7k2m9qx4hz"]);
        assert_eq!(attention(&Keeping { locks: vec![], waiting: 1 }, Timestamp(0)), None);
    }
}
