//! How a task that was delegated to `auto` found its role.

use serde::{Deserialize, Serialize};

use super::words;

/// The name that stands for a role that orch chooses.
pub const AUTO: &str = "auto";

words! {
    /// What decided which role a task went to.
    RoutedBy: "routing rule" {
        /// No other role could take it.
        Only = "only",
        /// The routes of no other role match its text, or no other role is for any text.
        Route = "route",
        /// It has the best record among those that fit equally well.
        Record = "record",
        /// The router chose it among equals.
        Router = "router",
        /// It is the first of equals: lower tiers go first, then other roles than the master's, then the alphabet decides.
        Order = "order",
    }
}

/// How the latest attempts of a role ended.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Record {
    /// Attempts that succeeded, or failed by their own fault.
    pub tries: u64,
    /// Those that succeeded.
    pub successes: u64,
    /// What one cost on average, where that is known.
    pub cost_usd: Option<f64>,
}

/// Which role a task was routed to, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Routing {
    /// The role that it was routed to first.
    pub role: String,
    /// What decided.
    pub by: RoutedBy,
    /// Each role that was considered, the best first, then those that were left out.
    pub scores: Vec<RoleScore>,
    /// Why the router did not choose, where it should have; `null`: it was not asked, or has answered.
    #[serde(default)]
    pub router_failed: Option<String>,
}

impl Routing {
    /// Returns what decided, as a sentence.
    pub fn sentence(&self) -> String {
        let why = match self.by {
            RoutedBy::Only => "no other role could take it",
            RoutedBy::Route => "it fits its text best",
            RoutedBy::Record => "it has the best record (successes for the cost) of those that fit equally well",
            RoutedBy::Router => "the router chose it among those that are equally good",
            RoutedBy::Order => "it is the first of those that are equally good",
        };
        let failed = self.router_failed.as_ref().map(|why| format!(" (the router gave no answer: {why})"));
        format!("It was delegated to {AUTO}, and role {} was chosen: {why}{}.", self.role, failed.unwrap_or_default())
    }
}

/// A role that was considered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoleScore {
    /// The role.
    pub role: String,
    /// Those of its `routes` that match the text.
    pub routes: Vec<String>,
    /// How many attempts of the role have ended by success or by their own fault, not long ago.
    pub tries: u64,
    /// How many of these succeeded.
    pub successes: u64,
    /// What an attempt cost on average; `null` where its program does not report it.
    pub cost_usd: Option<f64>,
    /// Successes for the cost: higher is better.
    pub score: f64,
    /// Why it was left out; `null`: it was not.
    pub left_out: Option<String>,
}
