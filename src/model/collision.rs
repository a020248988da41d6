//! What happens when a program edits a file that another task or a person has locked.

use super::words;

words! {
    /// What happens at a program's edit of a file that another task or a person has locked.
    CollisionRule: "rule of collisions" {
        /// The edit happens, and the model reads which lock it collides with.
        Warn = "warn",
        /// The edit is refused, and the model reads why.
        Deny = "deny",
        /// Nothing.
        Off = "off",
    }
}

impl Default for CollisionRule {
    /// Returns the rule of a role that names none.
    fn default() -> CollisionRule {
        CollisionRule::Warn
    }
}
