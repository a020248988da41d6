//! What `orch budget` takes.

use clap::{Args, Subcommand};

use crate::model::budget::{Change, Scope};

/// `orch budget`
#[derive(Debug, Args)]
#[command(
    after_help = "Without a verb: every budget that is set, and what was used or is reserved under it. A role's budget and that of all \
roles together (day) are per day, which begins at midnight UTC; a task's is for all its attempts, and a plan's for all its \
tasks and what these delegate. An attempt reserves what it \
is expected to use when it starts, so that concurrent attempts do not exceed a budget together.

Examples:
  orch budget
  orch budget set day --cost 50
  orch budget set role:sonnet --cost +5
  orch budget set t-7k2m9qx4hz --cost 2 --tokens 500000
  orch budget set plan:checkout --cost +10
  orch budget set role:sonnet --default"
)]
pub struct Budget {
    /// What to do with budgets.
    #[command(subcommand)]
    pub verb: Option<BudgetVerb>,
}

/// The verbs of `orch budget`.
#[derive(Debug, Subcommand)]
pub enum BudgetVerb {
    /// Show what may be used, was used, and is reserved
    Show(BudgetShow),
    /// Set what may be used in a day, by a task or by a plan; it stays so until --default
    Set(BudgetSet),
}

/// `orch budget show`
#[derive(Debug, Args)]
pub struct BudgetShow {
    /// A task, plan:ID, role:NAME, or day [default: all of them]
    #[arg(value_name = "SCOPE", value_parser = str::parse::<Scope>)]
    pub scope: Option<Scope>,
}

/// `orch budget set`
#[derive(Debug, Args)]
pub struct BudgetSet {
    /// A task, plan:ID (or its name), role:NAME, or day
    #[arg(value_name = "SCOPE", value_parser = str::parse::<Scope>)]
    pub scope: Scope,
    /// US dollars: an amount, '+' and an amount to raise it, or 'none'
    #[arg(long, value_name = "USD", value_parser = Change::in_usd, allow_hyphen_values = true)]
    pub cost: Option<Change<f64>>,
    /// Tokens: a number, '+' and a number to raise it, or 'none'
    #[arg(long, value_name = "N", value_parser = Change::in_tokens, allow_hyphen_values = true)]
    pub tokens: Option<Change<u64>>,
    /// What sessions.toml says
    #[arg(long, conflicts_with_all = ["cost", "tokens"])]
    pub default: bool,
}
