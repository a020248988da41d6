//! Locks.

use super::{
    View,
    table::{Cell, Column, Table},
};
use crate::{
    model::{
        duration::human,
        lock::{HolderKind, Lock, Pattern},
        text::count,
    },
    ops::types::{Locked, Locks, Unlocked},
};

/// What was locked.
pub fn locked(locked: &Locked) -> String {
    let id = locked.id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
    format!("locked {}{id}\n", named(&locked.patterns))
}

/// What was released.
pub fn unlocked(unlocked: &Unlocked) -> String {
    match unlocked.patterns.as_slice() {
        [] => "nothing was locked\n".to_owned(),
        patterns => format!("released {}\n", named(patterns)),
    }
}

fn named(patterns: &[Pattern]) -> String {
    patterns.iter().map(Pattern::as_str).collect::<Vec<_>>().join(", ")
}

/// One line per lock, and then per task that waits for one.
pub fn list(locks: &Locks, view: &View) -> String {
    if locks.locks.is_empty() && locks.waiting.is_empty() {
        return "nothing is locked\n".to_owned();
    }
    let mut table = Table::new([
        Column::new("PATTERN").at_least(12),
        Column::new("MODE"),
        Column::new("HOLDER").at_least(12),
        Column::new("FOR"),
        Column::new("ENDS IN"),
        Column::new("REASON").at_least(8),
    ]);
    for lock in &locks.locks {
        table.row([
            Cell::from(lock.pattern.as_str()),
            Cell::from(lock.mode.as_str()),
            Cell::from(holder(lock)),
            Cell::from(view.age(lock.since)),
            Cell::from(lock.until.map_or_else(|| "-".to_owned(), |until| human(until.since(view.now)))),
            Cell::from(lock.reason.clone().unwrap_or_else(|| "-".to_owned())),
        ]);
    }
    let mut page = if locks.locks.is_empty() { String::new() } else { table.render(view) };
    if locks.waiting_count > 0 {
        let waits = count(locks.waiting_count, "ready task waits", "ready tasks wait");
        page.push_str(&format!("\n{waits} for a lock:\n"));
        let mut table = Table::new([
            Column::new("TASK").at_least(12),
            Column::new("ROLE"),
            Column::new("LACKS").at_least(12),
            Column::new("FOR"),
            Column::new("AHEAD").right(),
        ]);
        for parked in &locks.waiting {
            table.row([
                Cell::from(parked.task.as_str()),
                Cell::from(&parked.role),
                Cell::from(parked.pattern.as_str()),
                Cell::from(view.age(parked.since)),
                Cell::from(parked.ahead.to_string()),
            ]);
        }
        page.push_str(&table.render(view));
        let more = locks.waiting_count.saturating_sub(locks.waiting.len() as u64);
        if more > 0 {
            page.push_str(&format!("and {more} more\n"));
        }
    }
    page
}

fn holder(lock: &Lock) -> String {
    match (lock.holder, &lock.id) {
        (HolderKind::Person, Some(id)) => format!("{} {id}", lock.holder()),
        (HolderKind::Reservation, _) => format!("{} waits for it", lock.holder()),
        _ => lock.holder(),
    }
}
