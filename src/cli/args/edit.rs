//! What `orch edit` takes.

use std::time::Duration;

use clap::Args;

use super::values;
use crate::{
    model::task::Priority,
    ops::delegation::{number, priority},
};

/// `orch edit`
#[derive(Debug, Args)]
#[command(
    after_help = "What is not named stays as it is. A task that runs is not changed: orch send tells it something. A failed or cancelled \
task may be changed, and then retried. What the task may use: orch budget set.

Examples:
  orch edit t-7k2m9qx4hz --priority high --role opus
  orch edit t-7k2m9qx4hz --text 'Build it again, without the cache' && orch retry t-7k2m9qx4hz
  orch edit t-7k2m9qx4hz --label area=ui --label draft= --after t-3f8q"
)]
pub struct Edit {
    /// The task
    #[arg(value_name = "TASK")]
    pub task: String,
    /// What is to be done, as one argument; '-' reads it from standard input
    #[arg(long, value_name = "TEXT")]
    pub text: Option<String>,
    /// The role whose agents may run it
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// Its priority among ready tasks
    #[arg(long, value_name = "P", value_parser = priority())]
    pub priority: Option<Priority>,
    /// Start it only after this task has succeeded (repeatable); the tasks named replace those before
    #[arg(long, value_name = "TASK", conflicts_with = "after_nothing")]
    pub after: Vec<String>,
    /// Let it wait for no other task
    #[arg(long)]
    pub after_nothing: bool,
    /// Set a label, or take it away with K= (repeatable)
    #[arg(long, value_name = "K=V", value_parser = values::label)]
    pub label: Vec<(String, String)>,
    /// The longest duration of one attempt (90s, 5m, 2h)
    #[arg(long, value_name = "T", value_parser = values::duration)]
    pub timeout: Option<Duration>,
    /// End it as failed if it has not ended this long after it was submitted; 0s: no deadline
    #[arg(long, value_name = "T", value_parser = values::duration)]
    pub deadline: Option<Duration>,
    /// The number of retries after a failure
    #[arg(long, value_name = "N", value_parser = number::<u32>, allow_negative_numbers = true)]
    pub retries: Option<u32>,
}
