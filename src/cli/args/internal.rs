//! The arguments of the verbs for shells, drills and programs, and of those that only orch itself calls.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::values;
use crate::ops::delegation::number;

/// `orch drill`
#[derive(Debug, Args)]
#[command(
    after_help = "It never touches your own work: its Redis, its tmux server and its state are in a temporary folder. \
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
    /// Begin with what another Redis has; `orch start --adopt` does this by itself
    #[arg(long)]
    pub adopt: bool,
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
