//! The states of an agent, and their one table of transitions.

use super::words;

words! {
    /// The state of an agent.
    AgentState: "agent state" {
        /// Its session is being opened; its runner has not registered yet.
        Starting = "starting",
        /// Waits for a task.
        Idle = "idle",
        /// Works on a task.
        Busy = "busy",
        /// Was asked to end.
        Stopping = "stopping",
        /// Has ended on request.
        Stopped = "stopped",
        /// Has ended in another way; the reason explains it.
        Failed = "failed",
    }
}

/// The table of an agent's transitions: from, to.
pub const TRANSITIONS: &[(AgentState, AgentState)] = {
    use AgentState::*;
    &[
        (Starting, Idle),
        (Starting, Stopping),
        (Starting, Failed),
        (Idle, Busy),
        (Idle, Stopping),
        (Idle, Failed),
        (Busy, Idle),
        (Busy, Stopping),
        (Busy, Failed),
        (Stopping, Stopped),
        (Stopping, Failed),
    ]
};

impl AgentState {
    /// Returns whether its runner may still act.
    pub fn is_live(self) -> bool {
        !matches!(self, AgentState::Stopped | AgentState::Failed)
    }
    /// Returns whether the table has this transition.
    pub fn may_become(self, to: AgentState) -> bool {
        TRANSITIONS.contains(&(self, to))
    }
}
