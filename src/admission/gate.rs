//! One thing that keeps a task or a role from starting.

use super::{locks::Lacking, snapshot::Suspension};
use crate::model::{gate::GateCode, plan::ShortPlan, time::Timestamp};

/// One thing that keeps a task or a role from starting, with what there is to say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// `orch stop` was requested.
    Stopping,
    /// `orch stop --drain` was requested, and no running task waits for this one.
    Draining,
    /// No supervisor runs, so no agent starts.
    SupervisorDown,
    /// Redis has lost data: living agents report what they hold first.
    Recovery,
    /// Everything is paused.
    Paused,
    /// The role is paused.
    RolePaused,
    /// The configuration has no such role.
    UnknownRole,
    /// The role's agents, or the master, fail right after they start.
    BreakerOpen {
        /// Until when none starts.
        until: Timestamp,
        /// In words.
        reason: String,
        /// Whether it is the master's.
        of_master: bool,
    },
    /// A missing program, a rate limit, or a spent budget.
    Suspended(Suspension),
    /// The role was scaled to zero agents.
    ScaledToZero,
    /// Every slot of the role is taken.
    RoleSlots {
        /// How many there are.
        slots: u32,
    },
    /// More urgent tasks of another role lack a slot under `max_agents`: an agent of this role leaves instead of taking its
    /// next task.
    MoreUrgentRole {
        /// The role of the most urgent one.
        role: String,
        /// How many.
        tasks: u64,
    },
    /// As many agents live as may.
    MaxAgents {
        /// How many live.
        agents: u32,
        /// How many may.
        max: u32,
    },
    /// The machine has too little memory for another agent.
    Memory {
        /// In words.
        shortage: String,
    },
    /// The disk has too little free space for another agent.
    Disk {
        /// In words.
        shortage: String,
    },
    /// Other ready tasks of the role go first.
    BehindOthers {
        /// How many.
        ahead: u64,
    },
    /// The task lacks a lock.
    Lock(Box<Lacking>),
    /// As many tasks of its plan run as may.
    PlanSlots {
        /// How many.
        slots: u32,
    },
    /// The budget of the task's plan has no room for it.
    PlanBudget(Box<ShortPlan>),
    /// The task waits for another one.
    Dependency,
    /// The task is tried again at a later time.
    Delayed {
        /// When.
        until: Option<Timestamp>,
    },
    /// The task waits for a person.
    Held,
    /// The task runs, or has ended.
    NotReady,
}

impl Gate {
    /// Returns its code.
    pub fn code(&self) -> GateCode {
        match self {
            Gate::Stopping => GateCode::Stopping,
            Gate::Draining => GateCode::Draining,
            Gate::SupervisorDown => GateCode::SupervisorDown,
            Gate::Recovery => GateCode::Recovery,
            Gate::Paused => GateCode::Paused,
            Gate::RolePaused => GateCode::RolePaused,
            Gate::UnknownRole => GateCode::UnknownRole,
            Gate::BreakerOpen { .. } => GateCode::BreakerOpen,
            Gate::Suspended(suspension) => suspension.code,
            Gate::ScaledToZero => GateCode::ScaledToZero,
            Gate::RoleSlots { .. } => GateCode::RoleSlots,
            Gate::MoreUrgentRole { .. } => GateCode::MoreUrgentRole,
            Gate::MaxAgents { .. } => GateCode::MaxAgents,
            Gate::Memory { .. } => GateCode::Memory,
            Gate::Disk { .. } => GateCode::Disk,
            Gate::BehindOthers { .. } => GateCode::BehindOthers,
            Gate::Lock(_) => GateCode::Lock,
            Gate::PlanSlots { .. } => GateCode::PlanSlots,
            Gate::PlanBudget(_) => GateCode::BudgetPlan,
            Gate::Dependency => GateCode::Dependency,
            Gate::Delayed { .. } => GateCode::Delayed,
            Gate::Held => GateCode::HeldPerson,
            Gate::NotReady => GateCode::NotReady,
        }
    }

    /// Returns whether an idle agent of the role is refused the task. What goes first does not count: it is another task
    /// that is claimed then.
    pub fn blocks_claim(&self) -> bool {
        match self {
            Gate::Stopping
            | Gate::Draining
            | Gate::Recovery
            | Gate::Paused
            | Gate::RolePaused
            | Gate::Suspended(_)
            | Gate::ScaledToZero
            | Gate::RoleSlots { .. }
            | Gate::MoreUrgentRole { .. }
            | Gate::Lock(_)
            | Gate::PlanSlots { .. }
            | Gate::PlanBudget(_)
            | Gate::Dependency
            | Gate::Delayed { .. }
            | Gate::Held
            | Gate::NotReady => true,
            Gate::SupervisorDown
            | Gate::UnknownRole
            | Gate::BreakerOpen { .. }
            | Gate::MaxAgents { .. }
            | Gate::Memory { .. }
            | Gate::Disk { .. }
            | Gate::BehindOthers { .. } => false,
        }
    }

    /// Returns whether the supervisor starts no agent of the role for its ready tasks, and keeps none ready. How many it may
    /// start is another matter: slots, `max_agents` and memory bound that, and a person's `orch spawn` too, which no other
    /// gate does.
    pub fn suspends_role(&self) -> bool {
        matches!(
            self,
            Gate::Stopping
                | Gate::Recovery
                | Gate::Paused
                | Gate::RolePaused
                | Gate::BreakerOpen { .. }
                | Gate::Suspended(_)
        )
    }

    /// Returns whether a person should be notified: that a role is busy is expected.
    pub fn is_news(&self) -> bool {
        !matches!(self, Gate::Suspended(suspension) if suspension.code.is_of_account())
            && !matches!(
                self,
                Gate::RoleSlots { .. }
                    | Gate::MoreUrgentRole { .. }
                    | Gate::MaxAgents { .. }
                    | Gate::BehindOthers { .. }
                    | Gate::Lock(_)
                    | Gate::PlanSlots { .. }
                    | Gate::PlanBudget(_)
                    | Gate::Dependency
                    | Gate::Delayed { .. }
            )
    }
}
