//! Budgets: whose they are, and how a person changes them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::id::TaskId;

/// Whose budget it is. A task is named by the word that a person types, which is resolved later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// What all roles together may use in a day.
    Day,
    /// What a role may use in a day.
    Role(String),
    /// What all attempts of a task may use.
    Task(String),
    /// What all tasks of a plan may use, and what these delegate.
    Plan(String),
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Scope, String> {
        match text.split_once(':') {
            _ if text == "day" => Ok(Scope::Day),
            Some(("role", role)) if !role.is_empty() => Ok(Scope::Role(role.to_owned())),
            Some(("plan", plan)) if !plan.is_empty() => Ok(Scope::Plan(plan.to_owned())),
            Some(("task", task)) if !task.is_empty() => Ok(Scope::Task(task.to_owned())),
            None if !text.is_empty() => Ok(Scope::Task(text.to_owned())),
            _ => Err(format!("'{text}' names no budget: write a task's id, plan:ID, role:NAME, or day")),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Day => f.pad("day"),
            Scope::Role(role) => f.pad(&format!("role:{role}")),
            Scope::Task(task) => f.pad(task),
            Scope::Plan(plan) => f.pad(&format!("plan:{plan}")),
        }
    }
}

/// What becomes of a cap: of US dollars, or of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change<N> {
    /// The cap is this.
    To(N),
    /// The cap is higher by this.
    More(N),
    /// There is none.
    Unlimited,
}

impl<N> Change<N> {
    /// Changes the amount.
    pub fn map<M>(self, f: impl FnOnce(N) -> M) -> Change<M> {
        match self {
            Change::To(amount) => Change::To(f(amount)),
            Change::More(amount) => Change::More(f(amount)),
            Change::Unlimited => Change::Unlimited,
        }
    }
}

impl Change<f64> {
    /// Reads `5`, `+0.50` or `none`: US dollars.
    ///
    /// # Errors
    /// It is none of these.
    pub fn in_usd(text: &str) -> Result<Change<f64>, String> {
        read(text, usd)
    }
}

impl Change<u64> {
    /// Reads `20000`, `+5000` or `none`: tokens.
    ///
    /// # Errors
    /// It is none of these.
    pub fn in_tokens(text: &str) -> Result<Change<u64>, String> {
        read(text, tokens)
    }
}

fn read<N>(text: &str, amount: impl Fn(&str) -> Result<N, String>) -> Result<Change<N>, String> {
    match text.strip_prefix('+') {
        _ if text == "none" => Ok(Change::Unlimited),
        Some(more) => amount(more).map(Change::More),
        None => amount(text).map(Change::To),
    }
}

/// Returns the command with which a person allows a task as much again as it may use now; where that is not known, a dollar.
pub fn more_for_task(task: &TaskId, max_cost_usd: Option<f64>, max_tokens: Option<u64>) -> String {
    let usd = max_cost_usd.or_else(|| max_tokens.is_none().then_some(1.0)).map(|usd| format!(" --budget +{usd}"));
    let tokens = max_tokens.map(|tokens| format!(" --tokens +{tokens}"));
    format!("orch approve {task}{}{}", usd.unwrap_or_default(), tokens.unwrap_or_default())
}

/// Reads an amount in US dollars: more than nothing, and no more than one report of usage may say.
///
/// # Errors
/// It is no such amount.
pub fn usd(text: &str) -> Result<f64, String> {
    let amount = text.strip_prefix('$').unwrap_or(text).parse().ok();
    amount.filter(|usd: &f64| (LEAST_USD..=MOST_USD).contains(usd)).ok_or_else(|| {
        format!("'{text}' is not an amount from {LEAST_USD} to {MOST_USD} US dollars, such as 2 or 0.50")
    })
}

/// Reads a number of tokens.
///
/// # Errors
/// It is none.
pub fn tokens(text: &str) -> Result<u64, String> {
    let amount = text.parse().ok().filter(|tokens: &u64| (1..=MOST_TOKENS).contains(tokens));
    amount.ok_or_else(|| format!("'{text}' is not a number of tokens (1, 2, ... {MOST_TOKENS})"))
}

/// The smallest cap.
pub const LEAST_USD: f64 = 0.001;
/// The largest one.
pub const MOST_USD: f64 = 1e6;
const MOST_TOKENS: u64 = 1_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_and_changes_are_read_and_what_is_none_is_refused() {
        for (text, scope) in
            [("day", Scope::Day), ("role:sonnet", Scope::Role("sonnet".into())), ("t-7k", Scope::Task("t-7k".into()))]
        {
            assert_eq!((text.parse(), scope.to_string()), (Ok(scope.clone()), text.to_owned()));
        }
        assert_eq!("plan:checkout".parse(), Ok(Scope::Plan("checkout".into())));
        for bad in ["", "role:", "rolle:sonnet", "plan:"] {
            assert!(bad.parse::<Scope>().is_err(), "{bad}");
        }
        assert_eq!(Change::in_usd("+0.50"), Ok(Change::More(0.5)));
        assert_eq!(Change::in_usd("$5"), Ok(Change::To(5.0)));
        assert_eq!(Change::in_tokens("none"), Ok(Change::Unlimited));
        for bad in ["", "+", "-1", "0", "NaN", "inf", "1e9", "5 USD", "+none", "1,5"] {
            assert!(Change::in_usd(bad).is_err() && Change::in_tokens(bad).is_err(), "{bad}");
        }
    }
}
