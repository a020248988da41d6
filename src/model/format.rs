//! The number of the layout in which state is stored, in Redis and in the state folder.
//!
//! A release reads and writes one format. State of a newer one is refused and left as it is; state of an older one is
//! migrated by the supervisor when it starts (`store::format`, `home::format`). State without a number is of format 1.

/// The format of this release. It is raised by one whenever a stored name or shape changes, together with a step in the
/// table of migrations.
pub const FORMAT: u32 = 2;

/// The format of state that has no number, as the first releases left it.
pub const UNNUMBERED: u32 = 1;
