//! An edge between two tasks: which end of the first lets the second start, and what happens to the second otherwise.

use serde::{Deserialize, Serialize};

use super::{task::TaskState, words};

words! {
    /// Which end of the first task lets the second start.
    When: "condition of an edge" {
        /// It has succeeded.
        Succeeded = "succeeded",
        /// It has failed or was cancelled.
        Failed = "failed",
        /// It has ended, however.
        Ended = "ended",
        /// It has succeeded, or was not needed.
        Done = "done",
    }
}

words! {
    /// What becomes of the second task when the first, which should have succeeded, failed or was cancelled.
    OnFailure: "policy of an edge" {
        /// It is cancelled.
        Fail = "fail",
        /// It is skipped.
        Skip = "skip",
        /// It starts nevertheless.
        Run = "run",
    }
}

/// The terms of one edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Edge {
    /// Which end lets the second task start.
    pub when: When,
    /// What becomes of it when the first task should have succeeded and did not.
    pub on_failure: OnFailure,
}

impl Default for Edge {
    /// Returns the terms of an edge whose record says nothing.
    fn default() -> Edge {
        Edge { when: When::Succeeded, on_failure: OnFailure::Fail }
    }
}

/// What the state of the first task means for the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The first has not ended: the second waits for it.
    Open,
    /// The second does not wait for it any more.
    Met,
    /// The second is not needed, and is skipped.
    Skip,
    /// The second can't start, and is cancelled.
    Cancel,
}

impl Edge {
    /// Returns what the state of the first task means for the second. The Lua function `edge_outcome` implements the same
    /// table; a test compares them.
    #[must_use]
    pub fn outcome(self, first: TaskState) -> Outcome {
        use TaskState::{Cancelled, Failed, Skipped, Succeeded};
        if !first.is_terminal() {
            return Outcome::Open;
        }
        match (self.when, first, self.on_failure) {
            (When::Ended, ..) | (When::Succeeded, Succeeded, _) | (When::Failed, Failed | Cancelled, _) => Outcome::Met,
            (When::Done, Succeeded | Skipped, _) => Outcome::Met,
            (When::Done, ..) => Outcome::Cancel,
            (When::Failed, ..) => Outcome::Skip,
            (When::Succeeded, _, OnFailure::Run) => Outcome::Met,
            (When::Succeeded, Skipped, _) | (When::Succeeded, _, OnFailure::Skip) => Outcome::Skip,
            (When::Succeeded, _, OnFailure::Fail) => Outcome::Cancel,
        }
    }

    /// Every edge that there can be.
    pub fn all() -> impl Iterator<Item = Edge> {
        let pairs = When::ALL.iter().flat_map(|when| OnFailure::ALL.iter().map(move |policy| (*when, *policy)));
        pairs.map(|(when, on_failure)| Edge { when, on_failure })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_waits_exactly_as_long_as_its_first_task_is_open() {
        for edge in Edge::all() {
            for state in TaskState::ALL {
                assert_eq!(edge.outcome(*state) == Outcome::Open, !state.is_terminal(), "{edge:?} {state}");
            }
        }
    }

    #[test]
    fn a_failure_decides_by_the_policy_and_a_success_by_the_condition() {
        let edge = |when, on_failure| Edge { when, on_failure };
        let (fail, skip, run) = (OnFailure::Fail, OnFailure::Skip, OnFailure::Run);
        for state in [TaskState::Failed, TaskState::Cancelled] {
            assert_eq!(edge(When::Succeeded, fail).outcome(state), Outcome::Cancel);
            assert_eq!(edge(When::Succeeded, skip).outcome(state), Outcome::Skip);
            assert_eq!(edge(When::Succeeded, run).outcome(state), Outcome::Met);
            assert_eq!(edge(When::Failed, fail).outcome(state), Outcome::Met);
        }
        assert_eq!(edge(When::Failed, run).outcome(TaskState::Succeeded), Outcome::Skip);
        assert_eq!(edge(When::Succeeded, fail).outcome(TaskState::Skipped), Outcome::Skip);
        assert_eq!(edge(When::Ended, fail).outcome(TaskState::Skipped), Outcome::Met);
        assert_eq!(edge(When::Done, fail).outcome(TaskState::Skipped), Outcome::Met);
        assert_eq!(edge(When::Done, run).outcome(TaskState::Failed), Outcome::Cancel);
    }
}
