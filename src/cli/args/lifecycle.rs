//! The arguments of the verbs about the whole fleet.

use std::time::Duration;

use clap::Args;

use super::values;

/// `orch init`
#[derive(Debug, Args)]
pub struct Init {
    /// Overwrite an existing sessions.toml
    #[arg(long)]
    pub force: bool,
}

/// `orch start`
#[derive(Debug, Args)]
#[command(after_help = "Whatever runs already keeps running: it is safe to repeat.")]
pub struct Start {
    /// Attach to the master afterwards
    #[arg(long)]
    pub attach: bool,
    /// Take over the state of a project whose folder was moved here, or begin with another Redis
    #[arg(long)]
    pub adopt: bool,
    /// Start no tasks until 'orch resume'
    #[arg(long)]
    pub paused: bool,
}

/// `orch stop`
#[derive(Debug, Args)]
#[command(after_help = "Tasks are kept. Running tasks are run again after the next 'orch start'.

Examples:
  orch stop
  orch stop --drain --timeout 10m")]
pub struct Stop {
    /// Let running tasks finish first, and accept no further ones
    #[arg(long)]
    pub drain: bool,
    /// Wait for at most this long (90s, 5m, 2h); with --drain, tasks that still run then are stopped
    #[arg(long, value_name = "T", value_parser = values::duration)]
    pub timeout: Option<Duration>,
}

/// `orch reload`
#[derive(Debug, Args)]
#[command(after_help = "\
It shows what has changed, and applies all of it or nothing. No running attempt is disturbed: idle agents are replaced \
now, busy ones when their attempts have ended, and the master stays. Exit code 4: the file is wrong; 6: what has changed \
needs a restart.")]
pub struct Reload {
    /// Only show what would change
    #[arg(long)]
    pub dry_run: bool,
}

/// `orch status`
#[derive(Debug, Args)]
#[command(after_help = "Exit code 3: the supervisor is not running.")]
pub struct Status {
    /// Keep it on the screen and up to date; j, k and space scroll, q leaves
    #[arg(long)]
    pub watch: bool,
    /// Every project of yours on this machine, running or stopped
    #[arg(long, conflicts_with = "watch")]
    pub all: bool,
}

/// `orch attach`
#[derive(Debug, Args)]
#[command(
    after_help = "Ctrl-b d detaches from it; the agent continues. Within tmux, your client is switched to it, and Ctrl-b L switches back."
)]
pub struct Attach {
    /// The agent, or a task that one works on [default: the master]
    #[arg(value_name = "TASK|AGENT")]
    pub target: Option<String>,
}
