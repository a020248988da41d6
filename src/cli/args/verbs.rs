//! What each verb takes.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::values;
use crate::{
    model::task::TaskState,
    ops::{
        delegation::number,
        types::{CostsBy, Delegate as Task, StateFilter},
    },
};

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
    /// Take over the state of this project, whose folder was moved here
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
It shows what has changed, and applies all of it or nothing. No running attempt is disturbed: idle agents are replaced
now, busy ones when their attempts have ended, and the master stays. Exit code 4: the file is wrong; 6: what has changed
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

/// `orch delegate`
#[derive(Debug, Args)]
#[command(
    override_usage = "orch delegate [OPTIONS] TEXT",
    after_help = "Within an agent it creates a subtask of the agent's task. With --wait, exit code 1 means that the task
failed or was cancelled.

With --each, each line of FILE is a task: a text, or a JSON object with text, role, priority, timeout_ms, deadline_ms,
retries, after, context, artifacts, key, labels, cwd. Up to 1,000 tasks are accepted together, all or none.

Examples:
  orch delegate 'Write tests for src/parse.rs'
  orch delegate --role shell --timeout 2m 'cargo build'
  orch delegate --after t-7k2m9qx4hz --priority high 'Review what came of it'
  git diff | orch delegate --wait - > review.txt
  git ls-files '*.rs' | orch delegate --each - 'Review {}'"
)]
pub struct Delegate {
    /// The task's text, as one argument; '-' reads it from standard input
    #[arg(value_name = "TEXT", required_unless_present = "each")]
    pub text: Vec<String>,
    /// Create a task per line; {} in TEXT stands for the line
    #[arg(long, value_name = "FILE|-", conflicts_with_all = ["wait", "key"])]
    pub each: Option<PathBuf>,
    /// What else it says of the task
    #[command(flatten)]
    pub task: Task,
    /// A label, which 'orch show' prints (repeatable)
    #[arg(long, value_name = "K=V", value_parser = values::label)]
    pub label: Vec<(String, String)>,
    /// Wait for the end, and print the result instead of the id
    #[arg(long)]
    pub wait: bool,
}

/// `orch wait`
#[derive(Debug, Args)]
#[command(after_help = "Exit code 1: a task failed or was cancelled. 5: the time is over.

Examples:
  orch wait t-7k2m9qx4hz --timeout 10m
  orch wait --any t-7k2m9qx4hz t-3v8n1c5ydw")]
pub struct Wait {
    /// The tasks; an agent stands for its task
    #[arg(value_name = "TASK|AGENT", required = true)]
    pub tasks: Vec<String>,
    /// Wait until one of them has ended, instead of all
    #[arg(long)]
    pub any: bool,
    /// Wait for at most this long (90s, 5m, 2h)
    #[arg(long, value_name = "T", value_parser = values::duration)]
    pub timeout: Option<Duration>,
}

/// A verb about one task.
#[derive(Debug, Args)]
pub struct OneTask {
    /// The task; an agent stands for its task
    #[arg(value_name = "TASK|AGENT")]
    pub task: String,
}

/// `orch cancel`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orch cancel t-7k2m9qx4hz
  orch cancel --label sprint=42")]
pub struct Cancel {
    /// The tasks; an agent stands for its task
    #[arg(value_name = "TASK|AGENT", required_unless_present = "label")]
    pub tasks: Vec<String>,
    /// Every open task with this label; repeat it for tasks that have all of them
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = values::label_filter)]
    pub label: Vec<(String, Option<String>)>,
}

/// `orch retry`
#[derive(Debug, Args)]
#[command(after_help = "\
What was cancelled because a task had failed or was cancelled is retried with it.
Examples:
  orch retry t-7k2m9qx4hz
  orch retry --all-failed --label sprint=42")]
pub struct Retry {
    /// The tasks; an agent stands for its task
    #[arg(value_name = "TASK|AGENT", required_unless_present = "all_failed")]
    pub tasks: Vec<String>,
    /// Every failed task
    #[arg(long, conflicts_with = "tasks")]
    pub all_failed: bool,
    /// With --all-failed: only those with this label
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = values::label_filter, requires = "all_failed")]
    pub label: Vec<(String, Option<String>)>,
}

/// A verb about a task or an agent.
#[derive(Debug, Args)]
pub struct OneTarget {
    /// A task (t-7k2m9qx4hz, t-7k, @last) or an agent (sonnet-1)
    #[arg(value_name = "TASK|AGENT")]
    pub target: String,
}

/// `orch tasks`
#[derive(Debug, Args)]
#[command(
    after_help = "The newest first, also with --json. 'waiting' lists running tasks that wait for their subtasks, 'asks' those
with an open question. --label and --state may be repeated: every label, and one of the states.

Examples:
  orch tasks --state failed,held
  orch tasks --label plan=checkout --since 2h
  orch tasks --grep 'parse|lexer' --all
  orch tasks --parent t-7k2m9qx4hz --tree"
)]
pub struct Tasks {
    /// Only tasks in one of these states (repeatable)
    #[arg(long, value_name = "S,...", value_parser = values::state_filter(), value_delimiter = ',')]
    pub state: Vec<StateFilter>,
    /// Only tasks of this role
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// Only tasks with this label (repeatable)
    #[arg(long, value_name = "K[=V]", value_parser = values::label_filter)]
    pub label: Vec<(String, Option<String>)>,
    /// Only tasks whose text matches this regular expression
    #[arg(long, value_name = "RE")]
    pub grep: Option<String>,
    /// Only tasks that were delegated within this time (90s, 2h, 7d)
    #[arg(long, value_name = "T", value_parser = values::duration)]
    pub since: Option<Duration>,
    /// Only subtasks of this task
    #[arg(long, value_name = "TASK")]
    pub parent: Option<String>,
    /// At most this many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, value_parser = number::<usize>, allow_negative_numbers = true)]
    pub last: usize,
    /// All of them, however many
    #[arg(long, conflicts_with = "last")]
    pub all: bool,
    /// Print subtasks below their parents; with --parent, at any depth
    #[arg(long)]
    pub tree: bool,
}

/// `orch logs`
#[derive(Debug, Args)]
#[command(
    after_help = "A line begins with its agent's name, followed by | for standard output or ! for standard error.

Examples:
  orch logs sonnet-1 -f
  orch logs t-7k2m9qx4hz -n 200 --grep 'error|warning'"
)]
pub struct Logs {
    /// Only lines of this task or agent [default: of all]
    #[arg(value_name = "TASK|AGENT")]
    pub target: Option<String>,
    /// Only lines of this task
    #[arg(long, value_name = "TASK")]
    pub task: Option<String>,
    /// Print this many of the last lines
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, value_parser = number::<usize>, allow_negative_numbers = true)]
    pub lines: usize,
    /// Print further lines as they appear
    #[arg(short, long)]
    pub follow: bool,
    /// Only lines that match this regular expression
    #[arg(long, value_name = "RE")]
    pub grep: Option<String>,
}

/// `orch prune`
#[derive(Debug, Args)]
#[command(
    after_help = "The supervisor does the same every hour: it forgets tasks after 'keep', and failed ones after 'keep_failed'. What an
open task refers to, its parent or a task that it waits for, is kept. Sums of costs are kept as well.

Examples:
  orch prune --older 7d --dry-run
  orch prune --older 1h --state failed"
)]
pub struct Prune {
    /// Only tasks that ended longer ago than this (12h, 7d) [default: keep; of failed tasks, keep_failed]
    #[arg(long, value_name = "T", value_parser = values::duration)]
    pub older: Option<Duration>,
    /// Only tasks of this state [default: succeeded and cancelled]
    #[arg(long, value_name = "S", value_parser = values::ended_state())]
    pub state: Option<TaskState>,
    /// Forget nothing, and print the tasks that would be forgotten
    #[arg(long)]
    pub dry_run: bool,
}

/// `orch costs`
#[derive(Debug, Args)]
#[command(
    after_help = "Days begin at midnight UTC. Sums are kept for 90 days; those of tasks, for as long as the tasks.

Examples:
  orch costs
  orch costs --by day --since 30d"
)]
pub struct Costs {
    /// Sum up by this
    #[arg(long, value_name = "role|agent|day|task", value_parser = values::costs_by(), default_value = "role")]
    pub by: CostsBy,
    /// Go back this far (12h, 7d) [default: 7d]
    #[arg(long, value_name = "T", value_parser = values::duration)]
    pub since: Option<Duration>,
}

/// `orch events`
#[derive(Debug, Args)]
pub struct Events {
    /// Print this many of the last events
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = number::<usize>, allow_negative_numbers = true)]
    pub lines: usize,
    /// Print further events as they occur
    #[arg(short, long)]
    pub follow: bool,
}

/// `orch spawn`
#[derive(Debug, Args)]
#[command(after_help = "It also starts an agent of a role that waits because its agents end as soon as they start.")]
pub struct Spawn {
    /// The role
    #[arg(value_name = "ROLE")]
    pub role: String,
}

/// `orch kill`
#[derive(Debug, Args)]
#[command(after_help = "The attempt counts as lost, not as a failure. The master is started again.")]
pub struct Kill {
    /// The agent, or the task that it works on
    #[arg(value_name = "TASK|AGENT")]
    pub target: String,
}

/// `orch scale`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orch scale sonnet 3
  orch scale sonnet auto")]
pub struct Scale {
    /// The role
    #[arg(value_name = "ROLE")]
    pub role: String,
    /// The number of agents; 'auto' returns to the bounds of sessions.toml
    #[arg(value_name = "N|auto", value_parser = values::scale, allow_negative_numbers = true)]
    pub n: Scaled,
}

/// How many agents; `None` for what sessions.toml says. (A name of its own: clap reads a bare `Option` as "may be
/// left out".)
pub type Scaled = std::option::Option<u32>;

/// A verb about one role, or everything.
#[derive(Debug, Args)]
pub struct OneRole {
    /// Only this role [default: all roles]
    #[arg(value_name = "ROLE")]
    pub role: Option<String>,
}

/// `orch drill`
#[derive(Debug, Args)]
#[command(
    after_help = "It never touches your own work: its Redis, its tmux server and its state are in a temporary folder.
The same seed gives the same tasks and faults. Exit code 1: a guarantee was violated.

Examples:
  orch drill
  orch drill --faults kill,redis --duration 60s --tasks 200
  orch drill --seed 8371 --keep"
)]
pub struct Drill {
    /// The seed of all random choices [default: a new one]
    #[arg(long, value_name = "N", value_parser = number::<u64>, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// The faults to inject: names and groups, separated by commas; see --list
    #[arg(long, value_name = "F,...", value_delimiter = ',', default_value = "all")]
    pub faults: Vec<String>,
    /// The number of tasks
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = values::within(1, 100_000), allow_negative_numbers = true)]
    pub tasks: u64,
    /// The number of agents at the same time
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = values::within(1, 200), allow_negative_numbers = true)]
    pub agents: u64,
    /// How long tasks are delegated and faults injected (3s, 20s, 5m)
    #[arg(long, value_name = "T", default_value = "20s", value_parser = values::duration)]
    pub duration: Duration,
    /// List the faults, and do nothing else
    #[arg(long)]
    pub list: bool,
    /// Keep the temporary folder
    #[arg(long)]
    pub keep: bool,
    /// Delegate this many tasks per second instead of --tasks, and measure growth
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
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: clap_complete::Shell,
}

/// `orch complete`
#[derive(Debug, Args)]
pub struct Complete {
    /// The words of the command line, up to the one that is being typed
    #[arg(last = true, allow_hyphen_values = true, value_name = "WORD")]
    pub words: Vec<String>,
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
    /// The state folder, for others to see: ORCH_HOME decides
    #[arg(long, value_name = "FOLDER")]
    pub state: Option<PathBuf>,
    /// Start no tasks until 'orch resume'
    #[arg(long)]
    pub paused: bool,
}

/// `orch run-agent`
#[derive(Debug, Args)]
pub struct RunAgent {
    /// How the agent is to be started, as the supervisor wrote it
    #[arg(value_name = "LAUNCH_FILE")]
    pub launch: PathBuf,
}

/// `orch run-sandboxed`
#[derive(Debug, Args)]
pub struct RunSandboxed {
    /// The descriptor of the file for its report
    #[arg(long, value_name = "FD")]
    pub report: i32,
    /// The program shares the pane's terminal
    #[arg(long)]
    pub on_a_terminal: bool,
    /// The socket of the proxy
    #[arg(long, value_name = "SOCKET")]
    pub proxy: Option<PathBuf>,
    /// A destination of the role on this machine
    #[arg(long, value_name = "HOST:PORT")]
    pub local: Vec<String>,
    /// Mounts that must last
    #[arg(long, value_name = "PATH")]
    pub guard: Vec<PathBuf>,
    /// The program's name, its file, and its arguments
    #[arg(last = true, required = true, value_name = "NAME FILE ARGUMENT")]
    pub program: Vec<std::ffi::OsString>,
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
