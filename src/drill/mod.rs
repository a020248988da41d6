//! Proving on a running system that what is promised holds, whatever is broken meanwhile.
//!
//! `orch drill` is an instrument that looks at orch from outside. It makes a [`world`] of its own (folder, Redis, tmux
//! server, all of it private), starts the same program in it, feeds it tasks by the real command line ([`workload`]),
//! breaks things at times drawn from a seed ([`plan`], [`faults`], [`inject`]), waits until all is quiet, and then holds
//! what happened against what is promised: [`history`] compares what everybody wrote down, [`after`] looks for what
//! `orch stop` has left, [`bystanders`] have to be as they were. [`measure`] says how long each recovery took.
//!
//! The same seed is the same schedule of tasks and faults; what each fault hits depends on who is there by then, and that
//! on the machine.
//!
//! Not here: any knowledge of how orch works that a person at the command line could not have, but for two doors: where
//! the records are read (`store`), and where processes are found (`os`).

mod after;
mod bystanders;
pub mod faults;
mod gather;
pub mod history;
mod inject;
mod measure;
mod plan;
pub mod report;
mod rng;
mod run;
mod scene;
pub mod steady;
mod workload;
mod world;

use std::time::Duration;

pub use self::{
    faults::{FAULTS, Fault},
    report::Report,
};
use crate::error::Result;

/// What a drill is to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where all chance comes from.
    pub seed: u64,
    /// What may be broken.
    pub faults: Vec<&'static Fault>,
    /// How many tasks are delegated, subtasks not counted.
    pub tasks: usize,
    /// So many agents may work at once.
    pub agents: u32,
    /// For how long tasks and faults come.
    pub duration: Duration,
    /// Tasks a second at an even pace, in place of `tasks`, and a look at what grows.
    pub rate: Option<f64>,
    /// The world's folder stays in any case.
    pub keep: bool,
    /// What does the same again.
    pub replay: String,
}

/// Does a drill. Leaves nothing behind, unless a promise was broken: then the folder is kept.
///
/// # Errors
/// What keeps the world from starting: no tmux, no Redis, no folder; or a signal, after the world was ended.
pub async fn run(options: &Options) -> Result<Report> {
    run::run(options).await
}
