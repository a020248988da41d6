//! What the verbs about locks take.

use std::time::Duration;

use clap::Args;

use super::values;

/// `orch lock`
#[derive(Debug, Args)]
#[command(
    after_help = "No running task that writes or reads what you lock starts until you release it. Patterns are relative to the top folder \
of the repository: 'src/api/**', 'docs/*.md', '.' for everything. All of them are locked, or none. Exit code 6: one of them \
is not free. Within a task, the lock ends with its attempt.

Examples:
  orch lock 'src/db/**' --reason 'the migration' --ttl 2h
  orch lock . --reason 'checking out another branch'
  orch unlock 'src/db/**'"
)]
pub struct Lock {
    /// What to lock
    #[arg(value_name = "PATTERN", required = true)]
    pub patterns: Vec<String>,
    /// Let others read it
    #[arg(long)]
    pub read: bool,
    /// What for
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Release it automatically after this long (90s, 5m, 2h) [default: never]
    #[arg(long, value_name = "T", value_parser = values::duration, allow_hyphen_values = true)]
    pub ttl: Option<Duration>,
}

/// `orch unlock`
#[derive(Debug, Args)]
#[command(
    after_help = "A person releases the locks of persons. Those of a task end with its attempt; within it, they can be released earlier: \
without a name, all of them.

Examples:
  orch unlock 'src/db/**'
  orch unlock l-7k2m9qx4hz"
)]
pub struct Unlock {
    /// A pattern as it was locked, or the lock's id
    #[arg(value_name = "PATTERN|ID")]
    pub what: Vec<String>,
}
