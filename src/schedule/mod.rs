//! Schedules: when a cron line occurs, and what becomes of each occurrence. Everything here is pure.
//!
//! A schedule has a *mark*: every occurrence up to it is decided. [`Rule::decide`] says what becomes of those between the mark
//! and now: an occurrence runs, or is skipped for a reason. The store records both together with the new mark, in one step,
//! so that no occurrence is decided twice and none is left out, however many supervisors there were, and whenever one was
//! killed. What is to run waits in the record until it is accepted as a task or a plan: the fleet may be draining, or
//! the run before is not over.

mod cron;
mod due;
#[cfg(test)]
mod tests;

pub use self::{
    cron::{Cron, zone},
    due::{MOST_WAITING, Rule},
};
