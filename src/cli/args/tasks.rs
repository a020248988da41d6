//! The arguments of the verbs about tasks and their output.

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

/// `orch delegate`
#[derive(Debug, Args)]
#[command(
    override_usage = "orch delegate [OPTIONS] TEXT",
    after_help = "Within an agent it creates a subtask of the agent's task. With --wait, exit code 1 means that the task \
failed or was cancelled.

With --each, each line of FILE is a task: a text, or a JSON object with text, role, priority, timeout_ms, deadline_ms, \
retries, after, context, artifacts, writes, reads, key, labels, cwd. Up to 1,000 tasks are accepted together, all or none.

Examples:
  orch delegate 'Write tests for src/parse.rs'
  orch delegate --role shell --timeout 2m 'cargo build'
  orch delegate --after t-7k2m9qx4hz --priority high 'Review what came of it'
  orch delegate --writes 'src/api/**' --reads 'docs/*.md' 'Add the endpoint of docs/cart.md'
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
    /// The tasks or plans; an agent stands for its task
    #[arg(value_name = "TASK|PLAN|AGENT", required = true)]
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
    /// The task or the plan; an agent stands for its task
    #[arg(value_name = "TASK|PLAN|AGENT")]
    pub task: String,
}

/// `orch cancel`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orch cancel t-7k2m9qx4hz
  orch cancel --label sprint=42
  orch cancel --plan checkout --label area=ui")]
pub struct Cancel {
    /// The tasks or plans; an agent stands for its task
    #[arg(value_name = "TASK|PLAN|AGENT", required_unless_present_any = ["label", "plan"])]
    pub tasks: Vec<String>,
    /// A plan with its open tasks; with --label, only its tasks that have it
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<String>,
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
  orch retry --all-failed --label sprint=42
  orch retry --all-failed --plan checkout")]
pub struct Retry {
    /// The tasks or plans; an agent stands for its task
    #[arg(value_name = "TASK|PLAN|AGENT", required_unless_present = "all_failed")]
    pub tasks: Vec<String>,
    /// Every failed task
    #[arg(long, conflicts_with = "tasks")]
    pub all_failed: bool,
    /// With --all-failed: only those with this label
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = values::label_filter, requires = "all_failed")]
    pub label: Vec<(String, Option<String>)>,
    /// With --all-failed: only those of this plan
    #[arg(long, value_name = "PLAN", requires = "all_failed")]
    pub plan: Option<String>,
}

/// A verb about a task, an agent or a plan.
#[derive(Debug, Args)]
pub struct OneTarget {
    /// A task (t-7k2m9qx4hz, t-7k, @last, checkout/api), an agent (sonnet-1) or a plan (p-3v8n1c5ydw, checkout)
    #[arg(value_name = "TASK|PLAN|AGENT")]
    pub target: String,
}

/// `orch tasks`
#[derive(Debug, Args)]
#[command(
    after_help = "The newest first, also with --json. 'waiting' lists running tasks that wait for their subtasks, 'asks' those \
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
    /// Only tasks of this plan
    #[arg(long, value_name = "PLAN", conflicts_with = "parent")]
    pub plan: Option<String>,
    /// At most this many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, value_parser = values::at_least_one, allow_negative_numbers = true)]
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
    /// Only lines of this task, agent or plan [default: of all]
    #[arg(value_name = "TASK|PLAN|AGENT")]
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
    after_help = "The supervisor does the same every hour: it forgets tasks after 'keep', and failed ones after 'keep_failed'. What an \
open task refers to, its parent or a task that it waits for, is kept. Sums of costs are kept as well.

Examples:
  orch prune --older 7d --dry-run
  orch prune --older 1h --state failed"
)]
pub struct Prune {
    /// Only tasks that ended longer ago than this (12h, 7d) [default: keep; of failed tasks, keep_failed]
    #[arg(long, value_name = "T", value_parser = values::duration)]
    pub older: Option<Duration>,
    /// Only tasks of this state [default: succeeded, cancelled and skipped]
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
    #[arg(long, value_name = "role|agent|day|task|plan", value_parser = values::costs_by(), default_value = "role")]
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
