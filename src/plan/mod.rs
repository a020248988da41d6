//! Plans: tasks with dependencies that are submitted as one. Everything here is pure.
//!
//! [`read()`] turns a document into a [`Plan`] and reports every mistake with its place; [`rank`] computes the critical path,
//! how long a plan takes and what would shorten it; [`graph`] writes it for other programs; [`draft`] is about plans that an
//! agent writes; [`insert_results`] puts results into texts.

mod check;
pub mod draft;
pub mod graph;
mod insert;
mod locks;
mod mistake;
mod node;
pub mod rank;
mod read;
#[cfg(test)]
mod tests;

pub use self::{
    insert::{insert_results, results_in},
    mistake::{Located, Mistake},
    read::{Place, Reading, Terms, no_pattern, read},
};
use crate::model::{edge::Edge, id::TaskId};

/// Tasks of one plan.
pub const MOST_TASKS: usize = 10_000;
/// The highest weight of a plan.
pub const MOST_WEIGHT: u32 = 100;

/// A plan that can be submitted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub text: String,
    /// How many slots of a role it gets for each one of another plan; `None`: one.
    pub weight: Option<u32>,
    /// How many of its tasks may run at the same time; `None`: as many as their roles allow.
    pub max_parallel: Option<u32>,
    /// What its tasks, and those that these delegate, may use together, in US dollars.
    pub max_cost_usd: Option<f64>,
    /// The same in tokens.
    pub max_tokens: Option<u64>,
    /// Its tasks, in the order of the document.
    pub tasks: Vec<Task>,
}

/// A task of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its key in the plan.
    pub key: String,
    /// The byte of the document at which it stands.
    pub at: usize,
    /// Its role; `None`: the default one.
    pub role: Option<String>,
    text: insert::Inserted,
    /// The tasks that it comes after, by their places in the plan, with the terms of the edges.
    pub after: Vec<(usize, Edge)>,
    /// What it says besides.
    pub terms: Terms,
}

/// A text of a document, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placed {
    /// The byte at which it begins.
    pub at: usize,
    /// The text.
    pub text: String,
}

impl Task {
    /// Whether its text names a result.
    pub fn names_results(&self) -> bool {
        !self.text.results.is_empty()
    }

    /// Its text, with the ids of the tasks whose results stand in it.
    pub fn text(&self, id: impl Fn(&str) -> Option<TaskId>) -> String {
        self.text.with_ids(id)
    }
}

impl Plan {
    /// For each task the places of those that it comes after.
    pub fn predecessors(&self) -> Vec<Vec<usize>> {
        self.tasks.iter().map(|task| task.after.iter().map(|(first, _)| *first).collect()).collect()
    }
}
