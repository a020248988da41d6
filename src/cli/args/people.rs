//! What the verbs about questions and messages take.

use std::time::Duration;

use clap::Args;

use super::values;
use crate::model::id::TaskId;

/// `orch ask`
#[derive(Debug, Args)]
#[command(
    after_help = "It prints the answer. Exit code 1: denied, or answered with 'no'. 5: nobody has answered in time; the
question stays, and a program that then ends with code 77 is held until somebody answers.

Examples:
  orch ask 'Which database is it?'
  orch ask 'May I push to main?' && git push
  orch ask 'Which one?' --options postgres,sqlite --timeout 10m"
)]
pub struct Ask {
    /// The question, in one argument; '-' reads it from standard input
    #[arg(value_name = "TEXT")]
    pub text: String,
    /// The answers to choose from, with commas between
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub options: Vec<String>,
    /// For how long at most (90s, 5m, 2h)
    #[arg(long, value_name = "T", value_parser = values::duration, conflicts_with = "no_wait")]
    pub timeout: Option<Duration>,
    /// Wait for the answer; the default
    #[arg(long, conflicts_with = "no_wait")]
    pub wait: bool,
    /// Only ask; the next attempt finds the answer in ORCH_CONTEXT
    #[arg(long)]
    pub no_wait: bool,
}

/// `orch answer`
#[derive(Debug, Args)]
#[command(after_help = "Of several open questions it answers the first one.

Example:
  orch answer t-7k2m9qx4hz 'the one in the cellar'")]
pub struct Answer {
    /// Whose question
    #[arg(value_name = "TASK")]
    pub task: TaskId,
    /// The answer, in one argument; '-' reads it from standard input
    #[arg(value_name = "TEXT")]
    pub text: String,
}

/// `orch approve`, `orch deny`
#[derive(Debug, Args)]
pub struct Approve {
    /// Whose question
    #[arg(value_name = "TASK")]
    pub task: TaskId,
    /// More to say, in one argument; '-' reads it from standard input
    #[arg(value_name = "TEXT")]
    pub text: Option<String>,
}

/// `orch send`
#[derive(Debug, Args)]
#[command(
    after_help = "A message to an agent goes to the task it is at, and to that task's next attempt where this one is lost.

Examples:
  orch send t-7k2m9qx4hz 'leave the tests alone'
  orch send master 'the schema is in docs/schema.md'"
)]
pub struct Send {
    /// A task, an agent at work, or 'master'
    #[arg(value_name = "TASK|AGENT")]
    pub to: String,
    /// The message, in one argument; '-' reads it from standard input
    #[arg(value_name = "TEXT")]
    pub text: String,
}

/// `orch inbox`
#[derive(Debug, Args)]
#[command(
    after_help = "Within an agent's task these are that task's, else the master's. Each is shown once to each reader."
)]
pub struct Inbox {
    /// Wait until there is one
    #[arg(long)]
    pub wait: bool,
    /// For how long at most (90s, 5m, 2h)
    #[arg(long, value_name = "T", value_parser = values::duration, requires = "wait")]
    pub timeout: Option<Duration>,
}
