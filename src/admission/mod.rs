//! Computes why a task or a role may not start now. No other Rust code decides this.
//!
//! [`gates`] is a pure function of a [`Snapshot`]. The supervisor calls it before it starts an agent; `orch why`,
//! `orch status` and `orch delegate` show its result ([`Gate::sentence`], [`Gate::hint`]). `task/claim.lua` has to
//! apply the same rules within its own atomic step. A test compares the two: a claim takes the first ready task
//! exactly when no gate blocks it ([`Gate::blocks_claim`]).
//!
//! Gates block one or both of:
//!
//! - *a claim*: an idle agent of the role asks for a task. A pause, a stop, a suspension, a recovery, taken slots, and a more
//!   urgent task of another role that lacks a slot block it.
//! - *a start*: the supervisor starts another agent of the role. All of these block it as well, and so do an open breaker,
//!   `max_agents`, too little memory or disk space, a missing role, and a supervisor that does not run.

pub mod deadlock;
mod gate;
pub mod locks;
pub mod shares;
mod snapshot;
#[cfg(test)]
mod tests;
mod words;

pub use gate::Gate;
pub use snapshot::{Breaker, Needy, RoleState, Shortage, Snapshot, Stop, Suspension};
pub use words::{FIX_ROLE, FREE_DISK, FREE_MEMORY};

use crate::model::{
    plan::ShortPlan,
    task::{Task, TaskState},
};

/// A task, and how many ready tasks of its role go first.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The task.
    pub task: &'a Task,
    /// Ready tasks of its role that an agent takes before it.
    pub ahead: u64,
    /// The first lock that it lacks ([`locks::lacking`]).
    pub lacks: Option<&'a locks::Lacking>,
    /// How many tasks of its plan run, where no more may (`max_parallel`).
    pub plan_slots: Option<u32>,
    /// The plan whose budget has no room for it.
    pub short: Option<&'a ShortPlan>,
}

/// Returns everything that keeps the task from starting, or without one every further task of the role: what concerns
/// everything first, then the role, then the task. Empty where nothing does.
pub fn gates(task: Option<Candidate>, role: &str, now: &Snapshot) -> Vec<Gate> {
    let state = now.role(role);
    let mut gates = Vec::new();
    match now.stop {
        Some(Stop::Now) => gates.push(Gate::Stopping),
        // What running tasks wait for still starts.
        Some(Stop::Drain) if task.is_none_or(|task| task.task.depth == 0) => gates.push(Gate::Draining),
        _ => {}
    }
    if !now.supervised {
        gates.push(Gate::SupervisorDown);
    }
    if now.recovering {
        gates.push(Gate::Recovery);
    }
    if now.paused {
        gates.push(Gate::Paused);
    }
    if state.paused {
        gates.push(Gate::RolePaused);
    }
    if !state.configured {
        gates.push(Gate::UnknownRole);
    }
    if let Some(breaker) = state.breaker.as_ref().filter(|breaker| breaker.until > now.now) {
        gates.push(Gate::BreakerOpen { until: breaker.until, reason: breaker.reason.clone(), of_master: false });
    }
    gates.extend(state.suspension.clone().map(Gate::Suspended));
    match (state.slots, state.taken) {
        (Some(0), _) if state.scaled_to_zero => gates.push(Gate::ScaledToZero),
        (Some(slots), taken) if taken >= slots => gates.push(Gate::RoleSlots { slots }),
        _ => {}
    }
    gates.extend(more_urgent_role(role, &state, now));
    let agents = now.agents_that_count();
    if agents >= now.max_agents {
        gates.push(Gate::MaxAgents { agents, max: now.max_agents });
    }
    gates.extend(now.short_of_memory.clone().map(|shortage| Gate::Memory { shortage }));
    gates.extend(now.short_of_disk.clone().map(|shortage| Gate::Disk { shortage }));
    if let Some(candidate) = task {
        gates.extend(task_gates(candidate));
    }
    gates
}

/// Returns those of the [`gates`] that hold it up as things are: with an idle agent of the role, nothing that only keeps
/// another one from starting.
pub fn held_up_by(task: Option<Candidate>, role: &str, now: &Snapshot) -> Vec<Gate> {
    let mut gates = gates(task, role, now);
    let state = now.role(role);
    if state.idle > 0 && state.configured {
        gates.retain(|gate| gate.blocks_claim() || matches!(gate, Gate::BehindOthers { .. }));
    }
    gates
}

/// Whether the role's next free agent makes room for a more urgent task of another role, and leaves. As many agents do so as
/// there are such tasks; those that are idle already count, and the role keeps its `min`.
fn more_urgent_role(role: &str, state: &RoleState, now: &Snapshot) -> Option<Gate> {
    let before: Vec<_> = now.shortage.before(role, state.head?).collect();
    let leaving = state.idle.saturating_sub(1) as usize;
    let is_spare = state.idle + state.taken > state.min;
    let first = before.first().filter(|_| before.len() > leaving && is_spare)?;
    Some(Gate::MoreUrgentRole { role: first.role.clone(), tasks: before.len() as u64 })
}

/// What keeps this one task from starting.
fn task_gates(Candidate { task, ahead, lacks, plan_slots, short }: Candidate) -> Option<Gate> {
    match task.state {
        TaskState::Ready if lacks.is_some() => lacks.cloned().map(Box::new).map(Gate::Lock),
        TaskState::Ready if plan_slots.is_some() => plan_slots.map(|slots| Gate::PlanSlots { slots }),
        TaskState::Ready if short.is_some() => short.cloned().map(Box::new).map(Gate::PlanBudget),
        TaskState::Ready if ahead > 0 => Some(Gate::BehindOthers { ahead }),
        TaskState::Ready => None,
        TaskState::Blocked => Some(Gate::Dependency),
        TaskState::Delayed => Some(Gate::Delayed { until: task.due_at }),
        TaskState::Held => Some(Gate::Held),
        TaskState::Running | TaskState::Succeeded | TaskState::Failed | TaskState::Cancelled | TaskState::Skipped => {
            Some(Gate::NotReady)
        }
    }
}

/// Returns what keeps the master from starting again after its end.
pub fn master_gates(now: &Snapshot) -> Vec<Gate> {
    let open = now.masters_breaker.as_ref().filter(|breaker| breaker.until > now.now);
    let gate = |b: &Breaker| Gate::BreakerOpen { until: b.until, reason: b.reason.clone(), of_master: true };
    open.map(gate).into_iter().collect()
}
