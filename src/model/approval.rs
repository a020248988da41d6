//! Whether a person approves each task of a role.

use super::words;

words! {
    /// When a person is asked about a task, whoever delegated it.
    ApprovalRule: "rule of approval" {
        /// Never, but for rights that the delegating role lacks.
        None = "none",
        /// Before it runs for the first time.
        Before = "before",
        /// When its program has succeeded, before its result counts.
        After = "after",
    }
}

impl Default for ApprovalRule {
    /// Returns the rule of a role that names none.
    fn default() -> ApprovalRule {
        ApprovalRule::None
    }
}
