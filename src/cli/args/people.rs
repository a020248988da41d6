//! The arguments of the verbs about questions and messages.

use std::time::Duration;

use clap::Args;

use super::values;
use crate::model::budget::Change;

/// `orch ask`
#[derive(Debug, Args)]
#[command(
    after_help = "It prints the answer. Exit code 1: denied, or answered with 'no'. 5: not answered in time; the question \
stays open, and if the program then ends with exit code 77, its task is held until the question is answered.

Examples:
  orch ask 'Which database is it?'
  orch ask 'May I push to main?' && git push
  orch ask 'Which one?' --options postgres,sqlite --timeout 10m"
)]
pub struct Ask {
    /// The question, as one argument; '-' reads it from standard input
    #[arg(value_name = "TEXT")]
    pub text: String,
    /// The possible answers, separated by commas
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub options: Vec<String>,
    /// Wait for at most this long (90s, 5m, 2h)
    #[arg(long, value_name = "T", value_parser = values::duration, conflicts_with = "no_wait")]
    pub timeout: Option<Duration>,
    /// Wait for the answer; the default
    #[arg(long, conflicts_with = "no_wait")]
    pub wait: bool,
    /// Do not wait; the next attempt finds the answer in ORCH_CONTEXT
    #[arg(long)]
    pub no_wait: bool,
}

/// `orch answer`
#[derive(Debug, Args)]
#[command(
    after_help = "orch questions prints each open question with its name, such as t-7k2m9qx4hz#2. The task alone is enough while it \
has asked only one question.

Example:
  orch answer t-7k2m9qx4hz#1 'the one on port 5433'"
)]
pub struct Answer {
    /// The question, or the task that asks
    #[arg(value_name = "TASK[#N]")]
    pub question: String,
    /// The answer, as one argument; '-' reads it from standard input
    #[arg(value_name = "TEXT")]
    pub text: String,
}

/// `orch approve`
#[derive(Debug, Args)]
#[command(
    after_help = "With --allow: for a task whose program was refused a tool. The tools are named as its program names them (claude: \
'Bash(npm test:*)', Edit; gemini, qwen: 'run_shell_command(git)'; copilot: 'shell(git)', write), and the task is retried. \
They are allowed to this task alone, or with --role to all tasks of its role: then they are added to sessions.toml, and the \
supervisor reads it again.

With --budget: for a task that is held because it has used what it may. It goes on if something is left then.

Examples:
  orch approve t-7k2m9qx4hz#1
  orch approve t-7k2m9qx4hz --budget +5
  orch approve t-7k2m9qx4hz --allow 'Bash(npm test:*)'
  orch approve t-7k2m9qx4hz --allow 'Bash(npm test:*)' --allow Edit --role"
)]
pub struct Approve {
    /// The question, or the task that asks; with --allow or --budget, the task
    #[arg(value_name = "TASK[#N]")]
    pub question: String,
    /// A remark, as one argument; '-' reads it from standard input
    #[arg(value_name = "TEXT", conflicts_with_all = ["allow", "budget", "tokens"])]
    pub text: Option<String>,
    /// Let the task use this much: US dollars, or '+' and how much more
    #[arg(long, value_name = "USD", value_parser = Change::in_usd, allow_hyphen_values = true, conflicts_with = "allow")]
    pub budget: Option<Change<f64>>,
    /// The same in tokens
    #[arg(long, value_name = "N", value_parser = Change::in_tokens, allow_hyphen_values = true, conflicts_with = "allow")]
    pub tokens: Option<Change<u64>>,
    /// Allow the task a tool that its program was refused, and retry it
    #[arg(long, value_name = "TOOL")]
    pub allow: Vec<String>,
    /// Allow it to all tasks of the role, in sessions.toml
    #[arg(long, requires = "allow")]
    pub role: bool,
}

/// `orch deny`
#[derive(Debug, Args)]
#[command(
    after_help = "For yes-or-no questions (without choices, or with 'yes,no'), and for a task that a role with fewer rights has \
delegated: approved, it runs; denied, it is cancelled, and the task that delegated it gets TEXT as a message. orch questions \
prints each open question with its name. The task alone is enough while it has asked only one question.

Example:
  orch deny t-7k2m9qx4hz#1 'use the staging database'"
)]
pub struct Deny {
    /// The question, or the task that asks
    #[arg(value_name = "TASK[#N]")]
    pub question: String,
    /// A remark, as one argument; '-' reads it from standard input
    #[arg(value_name = "TEXT")]
    pub text: Option<String>,
}

/// `orch send`
#[derive(Debug, Args)]
#[command(
    after_help = "A message to an agent goes to the task that it works on, and to that task's next attempt if this one is lost.

Examples:
  orch send t-7k2m9qx4hz 'leave the tests alone'
  orch send master 'the schema is in docs/schema.md'"
)]
pub struct Send {
    /// A task, a busy agent, or 'master'
    #[arg(value_name = "TASK|AGENT")]
    pub to: String,
    /// The message, as one argument; '-' reads it from standard input
    #[arg(value_name = "TEXT")]
    pub text: String,
}

/// `orch inbox`
#[derive(Debug, Args)]
#[command(
    after_help = "Within an agent, these are the messages to its task, otherwise those to the master. Each reader sees a message once."
)]
pub struct Inbox {
    /// Wait until there is a message
    #[arg(long)]
    pub wait: bool,
    /// Wait for at most this long (90s, 5m, 2h)
    #[arg(long, value_name = "T", value_parser = values::duration, requires = "wait")]
    pub timeout: Option<Duration>,
}
