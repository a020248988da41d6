//! The command line as typed: every verb and option, with their help.
//!
//! Not here: what a verb does (`src/cli/`), and checks that need more than the words themselves.

mod agents;
mod budgets;
mod edit;
mod internal;
mod lifecycle;
mod listing;
mod locks;
mod people;
mod plans;
mod schedules;
mod tasks;
#[cfg(test)]
mod tests;
mod values;

use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use agents::*;
pub use budgets::*;
pub use edit::*;
pub use internal::*;
pub use lifecycle::*;
pub use locks::*;
pub use people::*;
pub use plans::*;
pub use schedules::*;
pub use tasks::*;

/// Where the options that every verb has stand in its help: below its own.
const AFTER_ITS_OWN: usize = 900;

const MCP: &str = "\
Add the command 'orch mcp' to an agent program's configuration, as an MCP server on standard input and output. \
The caller is identified by its socket and its process tree, not by its environment.

Example:
  claude mcp add orch -- orch mcp";

const QUESTIONS: &str = "\
What tasks ask, delegations that wait for approval, and what agents' programs ask in their terminals, the oldest first. \
With --json, the same objects as in 'attention' of orch status --json.

Example:
  orch questions --json | jq -r '.[].commands[0]'";

const APPROVALS: &str = "\
Each task with what would be done: its text, its role, what that may do, and what an attempt is expected to cost. 'orch approve' \
lets it run, or accepts its result; 'orch deny' cancels it, or lets it run again, and passes the reason on.

Example:
  orch approvals";

/// A supervisor for coding agents: tasks through Redis, agents in tmux, nothing lost, nothing left behind.
#[derive(Debug, Parser)]
#[command(name = "orch", version = crate::model::build::IN_WORDS, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// The sessions.toml to use [default: $ORCH_CONFIG, else the one in this folder or above it]
    #[arg(long, global = true, value_name = "FILE", display_order = AFTER_ITS_OWN)]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true, display_order = AFTER_ITS_OWN)]
    pub json: bool,
    /// Show times in UTC instead of local time
    #[arg(long, global = true, display_order = AFTER_ITS_OWN)]
    pub utc: bool,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Every verb of the command line.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Write a sessions.toml for the installed agent programs
    Init(Init),
    /// Start Redis, the supervisor and the master
    Start(Start),
    /// Stop all agents, Redis and the supervisor; tasks are kept
    Stop(Stop),
    /// Replace the supervisor; agents and Redis continue
    Restart,
    /// Show the agents, the number of tasks, and what needs you
    #[command(alias = "top")]
    Status(Status),
    /// Attach to an agent's tmux session [default: the master's]
    Attach(Attach),
    /// Submit a task, and print its id
    Delegate(Box<Delegate>),
    /// Wait until tasks or plans have ended
    Wait(Wait),
    /// Print a task's answer, and nothing else
    Result(OneTask),
    /// List tasks, newest first
    #[command(aliases = ["ls", "list"])]
    Tasks(Tasks),
    /// Show everything that is recorded about a task, an agent or a plan
    Show(OneTarget),
    /// Explain the state of a task, an agent or a plan
    Why(OneTarget),
    /// Change a task that does not run: its text, role, priority and more
    Edit(Box<Edit>),
    /// Cancel tasks and their subtasks; remove failed ones
    Cancel(Cancel),
    /// Run failed, cancelled or held tasks again
    Retry(Retry),
    /// Submit tasks with dependencies as one, and follow them
    Plan(Box<Plan>),
    /// Lock paths, so that no task writes them meanwhile
    Lock(Lock),
    /// Release locks
    Unlock(Unlock),
    /// List locks, and the tasks that wait for one
    Locks,
    /// Show what runs at certain times; run, pause or resume it
    Schedule(Schedule),
    /// Forget tasks that have ended
    Prune(Prune),
    /// Within an agent, ask a person and wait for the answer
    Ask(Ask),
    /// List the open questions, each with what to type
    #[command(after_help = QUESTIONS)]
    Questions,
    /// List what waits for approval: tasks before they run, and results
    #[command(after_help = APPROVALS)]
    Approvals,
    /// Answer a task's question
    Answer(Answer),
    /// Answer a task's question with yes
    Approve(Approve),
    /// Answer a task's question with no
    Deny(Deny),
    /// Send a message to a task, an agent or the master
    Send(Send),
    /// Read your messages
    Inbox(Inbox),
    /// Print the output of agents
    #[command(alias = "log")]
    Logs(Logs),
    /// Show the tokens and the money that were used, as reported
    Costs(Costs),
    /// Show and set what may be used, in money and tokens
    Budget(Budget),
    /// Print events, each with its reason
    Events(Events),
    /// List the agents
    #[command(alias = "ps")]
    Agents,
    /// Start one more agent of a role
    Spawn(Spawn),
    /// End an agent; another one continues its task
    Kill(Kill),
    /// Set the number of agents of a role
    Scale(Scale),
    /// Start no further tasks; tasks are still accepted
    Pause(OneRole),
    /// Accept no further tasks, and finish the existing ones
    Drain,
    /// Undo pause and drain; for a role, also end its rate limit
    Resume(OneRole),
    /// Hide past losses of data and changes of Redis's configuration
    #[command(
        after_help = "It concerns what has happened so far; orch events keeps it, and what happens later is shown again."
    )]
    Dismiss,
    /// Apply a changed sessions.toml to everything that starts from now on
    Reload(Reload),
    /// Check tmux, Redis, agent programs and limits, and suggest fixes
    #[command(after_help = "It changes nothing. Exit code 4: orch or a role cannot work.")]
    Doctor,
    /// Inject faults into an isolated fleet, and check every guarantee
    Drill(Drill),
    /// Print a shell's completion script
    Completions(Completions),
    /// Called by a shell's completion script
    #[command(hide = true)]
    Complete(Complete),
    /// Print the manual page, or write all manual pages to a folder
    Man(Man),
    /// The supervisor in the foreground, for systemd
    #[command(hide = true)]
    Supervise(Supervise),
    /// What runs in a pane
    #[command(hide = true)]
    RunAgent(RunAgent),
    /// The first process of a sandbox
    #[command(hide = true)]
    RunSandboxed(RunSandboxed),
    /// The built-in master's prompt
    #[command(hide = true)]
    Console,
    /// Called by an agent's program at the turns of its work
    #[command(hide = true)]
    Hook(Hook),
    /// Offer orch's verbs as MCP tools, on standard input and output
    #[command(after_help = MCP)]
    Mcp,
}

/// The whole command line, with its verbs in groups for a terminal of that width.
pub fn command(width: usize) -> clap::Command {
    listing::add(Cli::command(), width)
}

/// The visible verbs in groups, each group with its title, in the order in which the help lists them.
pub fn groups() -> &'static [(&'static str, &'static [&'static str])] {
    listing::GROUPS
}

/// The command line without what people do not type: for completions, which show hidden verbs too, and for manual pages.
pub fn everyday() -> clap::Command {
    let all = Cli::command();
    let verbs: Vec<clap::Command> = all.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned().collect();
    let about = all.get_about().cloned().unwrap_or_default();
    let everyday = clap::Command::new("orch").version(env!("CARGO_PKG_VERSION")).about(about);
    everyday.args(all.get_arguments().cloned()).subcommands(verbs)
}

/// Reads the words of a command line.
///
/// # Errors
/// Clap's own. A request for help or the version is one of them.
pub fn parse(words: &[std::ffi::OsString], width: usize) -> Result<Cli, clap::Error> {
    // The grouped list is only needed for a help page or an error, and takes longer to make than a valid command line to
    // parse.
    let matches = match Cli::command().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(_) => command(width).try_get_matches_from(words)?,
    };
    Cli::from_arg_matches(&matches)
}
