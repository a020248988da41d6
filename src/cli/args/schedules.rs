//! What `orch schedule` takes.

use clap::{Args, Subcommand};

/// `orch schedule`
#[derive(Debug, Args)]
#[command(
    after_help = "Schedules are tables [schedules.NAME] of sessions.toml: a cron line, and a text or a plan. Without a verb, they are listed.

Examples:
  orch schedule
  orch schedule why nightly
  orch schedule run nightly"
)]
pub struct Schedule {
    /// What to do.
    #[command(subcommand)]
    pub verb: Option<ScheduleVerb>,
}

/// The verbs of `orch schedule`.
#[derive(Debug, Subcommand)]
pub enum ScheduleVerb {
    /// List the schedules, with their next and last runs
    List,
    /// Run a schedule now, besides its occurrences
    Run(OneSchedule),
    /// Skip the occurrences of a schedule until it is resumed
    Pause(OneSchedule),
    /// Let a paused schedule go on
    Resume(OneSchedule),
    /// Explain what a schedule waits for, and what became of its last occurrences
    Why(OneSchedule),
}

/// A verb about one schedule.
#[derive(Debug, Args)]
pub struct OneSchedule {
    /// The schedule
    #[arg(value_name = "SCHEDULE")]
    pub name: String,
}
