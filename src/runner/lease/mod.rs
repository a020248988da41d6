//! The lease of an attempt: registration with the store, the heartbeat that renews it, what the program is blocked on,
//! wake-ups, and the report that ends it.

pub(in crate::runner) mod blocked_on;
pub(in crate::runner) mod heartbeat;
pub(in crate::runner) mod idling;
pub(in crate::runner) mod registration;
pub(in crate::runner) mod report;
pub(in crate::runner) mod wakeups;
