//! What each verb takes.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::values;
use crate::{
    model::{
        id::TaskId,
        task::{Priority, TaskState},
    },
    ops::types::CostsBy,
};

/// `orch init`
#[derive(Debug, Args)]
pub struct Init {
    /// Replace the sessions.toml that is here
    #[arg(long)]
    pub force: bool,
}

/// `orch start`
#[derive(Debug, Args)]
#[command(after_help = "What runs already is left as it is: starting twice does no harm.")]
pub struct Start {
    /// Then show the master's terminal
    #[arg(long)]
    pub attach: bool,
}

/// `orch stop`
#[derive(Debug, Args)]
#[command(after_help = "Tasks are kept: what was running is taken up again by the next 'orch start'.

Examples:
  orch stop
  orch stop --drain --timeout 10m")]
pub struct Stop {
    /// Let running tasks finish first; accept nothing new meanwhile
    #[arg(long)]
    pub drain: bool,
    /// Wait so long at most (90s, 5m, 2h); with --drain, what still runs then is stopped
    #[arg(long, value_name = "T", value_parser = values::duration)]
    pub timeout: Option<Duration>,
}

/// `orch status`
#[derive(Debug, Args)]
#[command(after_help = "Exit code 3 says that the supervisor is stopped.")]
pub struct Status {
    /// Keep it on the screen, up to date; q leaves
    #[arg(long)]
    pub watch: bool,
}

/// `orch attach`
#[derive(Debug, Args)]
#[command(after_help = "Leave it with Ctrl-b d: the agent goes on.")]
pub struct Attach {
    /// Whose terminal [default: the master's]
    #[arg(value_name = "AGENT")]
    pub agent: Option<String>,
}

/// `orch delegate`
#[derive(Debug, Args)]
#[command(
    override_usage = "orch delegate [OPTIONS] TEXT",
    after_help = "Within an agent's task it makes a subtask of that task. Exit code with --wait: 1 where the task has
failed or was cancelled.

Examples:
  orch delegate 'Write tests for src/parse.rs'
  orch delegate --role shell --timeout 2m 'cargo build'
  orch delegate --after t-7k2m9qx4hz --priority high 'Review what came of it'
  git diff | orch delegate --wait - > review.txt"
)]
pub struct Delegate {
    /// What is to be done, in one argument; '-' reads it from standard input
    #[arg(value_name = "TEXT", required = true)]
    pub text: Vec<String>,
    /// Which kind of agent does it [default: the default role of sessions.toml]
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// How urgent it is: of the ready tasks the more urgent go first [default: normal]
    #[arg(long, value_name = "P", value_parser = values::priority())]
    pub priority: Option<Priority>,
    /// How long one attempt may take (90s, 5m, 2h) [default: the role's]
    #[arg(long, value_name = "T", value_parser = values::duration)]
    pub timeout: Option<Duration>,
    /// How many failures are forgiven [default: the role's]
    #[arg(long, value_name = "N", value_parser = values::number::<u32>, allow_negative_numbers = true)]
    pub retries: Option<u32>,
    /// Not before this task has succeeded (repeatable)
    #[arg(long, value_name = "TASK")]
    pub after: Vec<TaskId>,
    /// Data for the agent: JSON, or @FILE that holds it
    #[arg(long, value_name = "JSON|@FILE")]
    pub context: Option<String>,
    /// A path that the task is about (repeatable)
    #[arg(long, value_name = "PATH")]
    pub artifact: Vec<String>,
    /// The same key gives the same task: safe to send again
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// A label, for people and programs that look at it with 'orch show' (repeatable)
    #[arg(long, value_name = "K=V", value_parser = values::label)]
    pub label: Vec<(String, String)>,
    /// The folder to work in [default: the role's]
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// Wait for the end and print the result instead of the id
    #[arg(long)]
    pub wait: bool,
}

/// `orch wait`
#[derive(Debug, Args)]
#[command(after_help = "Exit code 1: one has failed or was cancelled. 5: the time is over.

Examples:
  orch wait t-7k2m9qx4hz --timeout 10m
  orch wait --any t-7k2m9qx4hz t-3v8n1c5ydw")]
pub struct Wait {
    /// Which tasks
    #[arg(value_name = "TASK", required = true)]
    pub tasks: Vec<TaskId>,
    /// Until one of them has ended, not all
    #[arg(long)]
    pub any: bool,
    /// For how long at most (90s, 5m, 2h)
    #[arg(long, value_name = "T", value_parser = values::duration)]
    pub timeout: Option<Duration>,
}

/// A verb about one task.
#[derive(Debug, Args)]
pub struct OneTask {
    /// Which task
    #[arg(value_name = "TASK")]
    pub task: TaskId,
}

/// A verb about several tasks.
#[derive(Debug, Args)]
pub struct SomeTasks {
    /// Which tasks
    #[arg(value_name = "TASK", required = true)]
    pub tasks: Vec<TaskId>,
}

/// A verb about a task or an agent.
#[derive(Debug, Args)]
pub struct OneTarget {
    /// A task (t-7k2m9qx4hz) or an agent (sonnet-1)
    #[arg(value_name = "TASK|AGENT")]
    pub target: String,
}

/// `orch tasks`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orch tasks --state failed
  orch tasks --parent t-7k2m9qx4hz --tree")]
pub struct Tasks {
    /// In this state
    #[arg(long, value_name = "S", value_parser = values::task_state())]
    pub state: Option<TaskState>,
    /// Of this role
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// Delegated from within this task
    #[arg(long, value_name = "TASK")]
    pub parent: Option<TaskId>,
    /// Subtasks under their parents; with --parent, those of any depth
    #[arg(long)]
    pub tree: bool,
}

/// `orch logs`
#[derive(Debug, Args)]
#[command(after_help = "After an agent's name | stands before standard output, and ! before standard error.

Examples:
  orch logs sonnet-1 -f
  orch logs --task t-7k2m9qx4hz -n 200 --grep 'error|warning'")]
pub struct Logs {
    /// Of this agent [default: of all]
    #[arg(value_name = "AGENT")]
    pub agent: Option<String>,
    /// Of this task
    #[arg(long, value_name = "TASK")]
    pub task: Option<TaskId>,
    /// The last so many lines
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, value_parser = values::number::<usize>, allow_negative_numbers = true)]
    pub lines: usize,
    /// Print further lines as they come
    #[arg(short, long)]
    pub follow: bool,
    /// Only lines that match this regular expression
    #[arg(long, value_name = "RE")]
    pub grep: Option<String>,
}

/// `orch costs`
#[derive(Debug, Args)]
#[command(after_help = "Days begin at midnight UTC; sums are kept 90 days, those of tasks as long as the tasks.

Examples:
  orch costs
  orch costs --by day --since 30d")]
pub struct Costs {
    /// What each line is about
    #[arg(long, value_name = "role|agent|day|task", value_parser = values::costs_by(), default_value = "role")]
    pub by: CostsBy,
    /// How far back (12h, 7d) [default: 7d]
    #[arg(long, value_name = "T", value_parser = values::duration)]
    pub since: Option<Duration>,
}

/// `orch events`
#[derive(Debug, Args)]
pub struct Events {
    /// The last so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = values::number::<usize>, allow_negative_numbers = true)]
    pub lines: usize,
    /// Print further ones as they come
    #[arg(short, long)]
    pub follow: bool,
}

/// `orch spawn`
#[derive(Debug, Args)]
#[command(after_help = "A role that is paused because its agents end at once is tried again by it.")]
pub struct Spawn {
    /// Of which role
    #[arg(value_name = "ROLE")]
    pub role: String,
}

/// `orch kill`
#[derive(Debug, Args)]
#[command(after_help = "That is counted as lost, not as a failure. The master is started anew.")]
pub struct Kill {
    /// Which agent
    #[arg(value_name = "AGENT")]
    pub agent: String,
}

/// `orch scale`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orch scale sonnet 3
  orch scale sonnet auto")]
pub struct Scale {
    /// Which role
    #[arg(value_name = "ROLE")]
    pub role: String,
    /// How many agents; 'auto' goes back to what sessions.toml says
    #[arg(value_name = "N|auto", value_parser = values::scale, allow_negative_numbers = true)]
    pub n: Scaled,
}

/// How many agents; `None` for what sessions.toml says. (A name of its own: clap reads a bare `Option` as "may be
/// left out".)
pub type Scaled = std::option::Option<u32>;

/// A verb about one role, or everything.
#[derive(Debug, Args)]
pub struct OneRole {
    /// Only this role [default: everything]
    #[arg(value_name = "ROLE")]
    pub role: Option<String>,
}

/// `orch drill`
#[derive(Debug, Args)]
#[command(
    after_help = "It runs beside your own work and never touches it: its Redis, its tmux server and its state lie in
a temporary folder. The same seed gives the same tasks and faults. Exit code 1: a promise was broken.

Examples:
  orch drill
  orch drill --faults kill,redis --duration 60s --tasks 200
  orch drill --seed 8371 --keep"
)]
pub struct Drill {
    /// Where all chance comes from [default: another one each time]
    #[arg(long, value_name = "N", value_parser = values::number::<u64>, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// What may be broken: names and groups, with commas; see --list
    #[arg(long, value_name = "F,...", value_delimiter = ',', default_value = "all")]
    pub faults: Vec<String>,
    /// How many tasks are delegated
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = values::within(1, 100_000), allow_negative_numbers = true)]
    pub tasks: u64,
    /// How many agents may work at once
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = values::within(1, 200), allow_negative_numbers = true)]
    pub agents: u64,
    /// For how long tasks and faults come (3s, 20s, 5m)
    #[arg(long, value_name = "T", default_value = "20s", value_parser = values::duration)]
    pub duration: Duration,
    /// List the faults, and do nothing
    #[arg(long)]
    pub list: bool,
    /// Keep the world's folder in any case
    #[arg(long)]
    pub keep: bool,
    /// So many tasks a second at an even pace, in place of --tasks, and watch what grows
    #[arg(long, value_name = "N", hide = true, conflicts_with = "tasks")]
    pub rate: Option<f64>,
}

/// `orch completions`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orch completions bash > ~/.local/share/bash-completion/completions/orch
  orch completions fish > ~/.config/fish/completions/orch.fish
  orch completions zsh > \"${fpath[1]}/_orch\"")]
pub struct Completions {
    /// Which shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: clap_complete::Shell,
}

/// `orch man`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orch man | man -l -
  orch man ~/.local/share/man/man1")]
pub struct Man {
    /// Write orch.1 and one orch-VERB.1 per verb to this folder
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

/// `orch supervise`
#[derive(Debug, Args)]
pub struct Supervise {
    /// As `orch start` starts it: no terminal, everything to supervisor.log
    #[arg(long)]
    pub daemon: bool,
    /// Only end what a crash has left; `orch stop` does this by itself
    #[arg(long)]
    pub to_stop: bool,
}

/// `orch run-agent`
#[derive(Debug, Args)]
pub struct RunAgent {
    /// How the agent is to be started, as the supervisor wrote it
    #[arg(value_name = "LAUNCH_FILE")]
    pub launch: PathBuf,
}

/// `orch hook`.
#[derive(Debug, clap::Args)]
pub struct Hook {
    /// The agent program that calls
    #[arg(value_name = "PROGRAM")]
    pub program: crate::config::DriverKind,
    /// What it passes, where that is not on standard input
    #[arg(value_name = "JSON")]
    pub call: Option<String>,
}
