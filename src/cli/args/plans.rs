//! The arguments of `orch plan`.

use clap::{Args, Subcommand};

use super::values;
use crate::{model::budget, ops::delegation::number};

/// `orch plan`
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "A plan is a TOML or JSON file of tasks, each with what it comes after. 'orch plan FILE' submits it: all of it, or, \
if there is a mistake, nothing. PLAN is an id, the beginning of one, or the name of the newest plan that is meant.

Examples:
  orch plan check checkout.toml
  orch plan checkout.toml --var api=v2
  orch plan --template release 'Release version 2' --var branch=main
  orch plan --from 'Build the cart' --role opus --wait
  orch plan show checkout
  orch plan retry checkout"
)]
pub struct Plan {
    /// What to do with a plan.
    #[command(subcommand)]
    pub verb: Option<PlanVerb>,
    /// The plan to submit.
    #[command(flatten)]
    pub source: Source,
    /// Let an agent draft a plan for this; it is submitted once you have approved it
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["file", "template", "var", "text"])]
    pub from: Option<String>,
    /// With --from: the role that drafts it [default: the one that takes tasks]
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// With --from: wait for the draft and print it
    #[arg(long)]
    pub wait: bool,
}

/// The verbs of `orch plan`.
#[derive(Debug, Subcommand)]
pub enum PlanVerb {
    /// Report every mistake of a plan, and submit nothing
    Check(Source),
    /// Submit a plan, and print its id
    Submit(Source),
    /// List plans, newest first
    List(PlanList),
    /// Show a plan's tasks, its critical path, and when it may end
    Show(PlanShow),
    /// Cancel a plan with its open tasks
    Cancel(OnePlan),
    /// Retry the failed and cancelled tasks of a plan, and those that depend on them
    Retry(PlanRetry),
}

/// Where a plan is, and what is put into it.
#[derive(Debug, Args)]
pub struct Source {
    /// The plan's file, '-' for standard input; with --template, what the plan is for
    #[arg(value_name = "FILE|-")]
    pub file: Option<String>,
    /// What follows by mistake: a mistyped verb takes the place of the file.
    #[arg(hide = true)]
    pub rest: Vec<String>,
    /// Use a template: plans/NAME.toml beside sessions.toml, or [plans.NAME] in it
    #[arg(long, value_name = "NAME")]
    pub template: Option<String>,
    /// The value of a variable of the plan (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = values::variable)]
    pub var: Vec<(String, String)>,
    /// What the plan is for, instead of its own text
    #[arg(long, value_name = "TEXT")]
    pub text: Option<String>,
    /// Idempotency key: the same key returns the same plan
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// The most that all its tasks, and what these delegate, may cost, instead of what it says: US dollars
    #[arg(long = "max-cost", value_name = "USD", value_parser = budget::usd, allow_negative_numbers = true)]
    pub max_cost_usd: Option<f64>,
}

/// `orch plan list`
#[derive(Debug, Args)]
pub struct PlanList {
    /// At most this many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = number::<usize>, allow_negative_numbers = true)]
    pub last: usize,
}

/// `orch plan show`
#[derive(Debug, Args)]
#[command(after_help = "A * marks the critical path: the tasks that decide how long the plan takes.")]
pub struct PlanShow {
    /// The plan
    #[arg(value_name = "PLAN")]
    pub plan: String,
    /// Print the graph for Graphviz
    #[arg(long, conflicts_with = "mermaid")]
    pub dot: bool,
    /// Print the graph for Mermaid
    #[arg(long)]
    pub mermaid: bool,
}

/// A verb about one plan.
#[derive(Debug, Args)]
pub struct OnePlan {
    /// The plan
    #[arg(value_name = "PLAN")]
    pub plan: String,
}

/// `orch plan retry`
#[derive(Debug, Args)]
#[command(after_help = "What has succeeded does not run again unless it is named with --only or --downstream.

Examples:
  orch plan retry checkout
  orch plan retry checkout --downstream api")]
pub struct PlanRetry {
    /// The plan
    #[arg(value_name = "PLAN")]
    pub plan: String,
    /// Only this task, by its key or id, even if it has succeeded
    #[arg(long, value_name = "KEY", conflicts_with = "downstream")]
    pub only: Option<String>,
    /// This task and everything after it, even if it has succeeded
    #[arg(long, value_name = "KEY")]
    pub downstream: Option<String>,
}
