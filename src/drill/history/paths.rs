//! What the events say one after another.

use super::{Finding, facts::Facts};

/// Events without a reason.
pub(super) fn without_reason(facts: &Facts<'_>) -> Vec<Finding> {
    let silent = facts.history.events.iter().filter(|e| e.reason.trim().is_empty());
    silent.map(|e| (format!("event {}", e.id), format!("{} has no reason", e.kind))).collect()
}
