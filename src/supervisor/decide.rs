//! Decides, and does nothing: a pure function of what was observed. Each action has a reason.
//!
//! The order is that of the table below: dead and hung agents are reaped first, so that their slots and tasks are free
//! for what follows. While agents that Redis has forgotten may still report, nothing else is done.

mod evidence;
mod health;
mod orphans;
pub(super) mod scale;
mod settle;
mod stop;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::world::World;
use crate::{
    admission::Shortage,
    model::{agent::AgentState, evidence::Evidence, id::TaskId},
    store::agents::Orphans,
};

/// Something to do, and why.
#[must_use]
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// Make delayed tasks ready whose time has come.
    ReleaseDue,
    /// End the tasks whose deadline has passed.
    EndLate,
    /// End the locks and reservations whose time has passed, and offer what has become free.
    EndLocks,
    /// Decide the approvals whose time limit has passed.
    ExpireApprovals,
    /// Record that an agent has ended, and with it its attempt; then end what is left of it.
    Reap {
        /// The agent's id.
        agent: String,
        /// Which run of it.
        incarnation: String,
        /// `Failed`, or `Stopped` if it was asked to stop.
        to: AgentState,
        /// Why, in words, for the agent and for its attempt.
        reason: String,
        /// The rule that decided, and what was seen.
        evidence: Box<Evidence>,
    },
    /// End the attempt of an agent that is not there any more.
    Expire {
        /// The task.
        task: TaskId,
        /// The fence of its lease.
        fence: u64,
        /// Why.
        reason: String,
    },
    /// End what is left of an ended agent: its processes, its session.
    EndOrphans {
        /// Which run of it.
        incarnation: String,
        /// Where to look.
        orphans: Orphans,
    },
    /// Close a session of ours that belongs to no living agent.
    CloseSession {
        /// Its name.
        session: String,
        /// The agent it was made for.
        agent: String,
        /// Which run of it.
        incarnation: String,
        /// The pane's process, if there is one.
        pid: Option<u32>,
    },
    /// Tell an agent to leave.
    Stop {
        /// The agent's id.
        agent: String,
        /// Which run of it.
        incarnation: String,
        /// Only if it has nothing to do at that moment.
        only_idle: bool,
        /// Why.
        reason: String,
    },
    /// Start an agent.
    Spawn {
        /// Its id.
        agent: String,
        /// Its role.
        role: String,
        /// Whether it is the master.
        master: bool,
        /// The request that this fulfils.
        request: Option<String>,
        /// How long it runs before it takes its first task.
        probation: Duration,
        /// Why.
        reason: String,
    },
    /// Take back a request that cannot be fulfilled.
    DropRequest {
        /// The field of `requests`.
        field: String,
        /// Its role.
        role: String,
        /// Why.
        reason: String,
    },
    /// Publish which ready tasks lack a slot under `max_agents`: agents of less urgent roles make room.
    PublishShortage {
        /// These; none where nothing lacks a slot any more.
        shortage: Shortage,
        /// How many agents each role keeps whatever happens.
        mins: Vec<(String, u32)>,
    },
    /// Ends the recovery after a loss of data: no further agent is waited for.
    Settle {
        /// Why.
        reason: String,
    },
    /// An agent of a role has proven well: close the role's breaker.
    Recovered {
        /// The role; the master's session for the master.
        role: String,
        /// Why.
        reason: String,
    },
    /// Everything has ended as a person requested: end Redis and the supervisor.
    ShutDown,
}

/// What is to be done now.
pub(super) fn decide(world: &World) -> Vec<Action> {
    let mut actions = Vec::new();
    if world.store.next_due == Some(Duration::ZERO) {
        actions.push(Action::ReleaseDue);
    }
    if world.store.next_deadline == Some(Duration::ZERO) {
        actions.push(Action::EndLate);
    }
    if world.store.next_lock_end == Some(Duration::ZERO) {
        actions.push(Action::EndLocks);
    }
    if world.store.next_approval_end == Some(Duration::ZERO) {
        actions.push(Action::ExpireApprovals);
    }
    let given_up = health::check(world, &mut actions);
    health::expire(world, &given_up, &mut actions);
    if settle::wait(world, &mut actions) {
        return actions;
    }
    orphans::clean_up(world, &given_up, &mut actions);
    if stop::proceed(world, &given_up, &mut actions) {
        return actions;
    }
    scale::fit(world, &given_up, &mut actions);
    actions
}
