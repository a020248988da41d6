//! Chaos tests: checks on a running system that orch keeps its promises under faults.
//!
//! `orch drill` tests orch from outside. It creates a private [`world`] (folder, Redis, tmux server), starts the same
//! program in it, delegates tasks with the real command line ([`workload`]), injects faults at times drawn from a seed
//! ([`plan`], [`faults`], [`inject`]), waits until all tasks have ended, and then checks the promises: [`history`]
//! compares all records, [`after`] checks what `orch stop` has left, and the [`bystanders`] must be unchanged.
//! [`measure`] computes how long each recovery took.
//!
//! The same seed gives the same schedule of tasks and faults. The target of each fault also depends on the processes
//! that exist at that time, and so on the machine.
//!
//! The drill uses only what a person at the command line could know, with two exceptions: it reads the records
//! (`store`), and it finds processes (`os`).

mod after;
mod bystanders;
mod disk;
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

/// The options of a drill.
#[derive(Debug, Clone)]
pub struct Options {
    /// The seed of all random choices.
    pub seed: u64,
    /// The faults to inject.
    pub faults: Vec<&'static Fault>,
    /// The number of tasks to delegate, without subtasks.
    pub tasks: usize,
    /// The maximum number of concurrent agents.
    pub agents: u32,
    /// How long tasks are delegated and faults injected.
    pub duration: Duration,
    /// Tasks per second at a constant rate, instead of `tasks`; resource usage is checked for growth.
    pub rate: Option<f64>,
    /// Keep the world's folder in any case.
    pub keep: bool,
    /// The command that repeats the drill.
    pub replay: String,
}

/// Runs a drill. It leaves nothing behind, unless an invariant is violated: then the folder is kept.
///
/// # Errors
/// Returns an error if the world cannot be started (no tmux, Redis or folder), or on a signal after the world has
/// ended.
pub async fn run(options: &Options) -> Result<Report> {
    run::run(options).await
}
