//! The arguments of the verbs about agents and roles.

use clap::Args;

use super::values;

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
