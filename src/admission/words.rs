//! The sentence and the hint of each gate, the same wherever they are shown.

use super::Gate;
use crate::model::{
    duration::human,
    gate::GateCode,
    text::{count, one_line},
    time::Timestamp,
};

/// What to do where no agent starts for want of memory.
pub const FREE_MEMORY: &str = "end what uses it, or set min_free_memory under [supervisor] lower";
/// What to do where no agent starts for want of disk space.
pub const FREE_DISK: &str =
    "free space on that disk, or set min_free_disk under [supervisor] lower; orch doctor names it";
/// The supervisor has the PATH of `orch start`; the PATH of a caller may have changed since.
pub const FIX_ROLE: &str = "orch doctor; after a change of sessions.toml: orch reload; of PATH: orch restart";

/// A recorded reason, in a sentence of ours.
const REASON: usize = 200;

impl Gate {
    /// Returns what is so, as a sentence without its capital and its full stop. `roles` are those that it concerns, one as a
    /// rule.
    pub fn sentence(&self, roles: &[&str], now: Timestamp) -> String {
        let (who, is_one) = (named(roles), roles.len() == 1);
        match self {
            Gate::Stopping => "orch is being stopped: nothing new starts".to_owned(),
            Gate::Draining => "orch is being stopped: only what running tasks wait for starts".to_owned(),
            Gate::SupervisorDown => "the supervisor is not running: no agent starts".to_owned(),
            Gate::Recovery => "Redis has lost data: nothing starts until the living agents have reported".to_owned(),
            Gate::Paused => "everything is paused: nothing new starts".to_owned(),
            Gate::RolePaused => format!("{who} is paused: none of its tasks starts"),
            Gate::UnknownRole => format!("there is no {who} any more"),
            Gate::BreakerOpen { until, reason, of_master: true } => {
                let (rest, why) = (human(until.since(now)), one_line(reason, REASON));
                format!("the master does not stay up ({why}); the next try is in {rest}")
            }
            Gate::BreakerOpen { until, reason, .. } => {
                let (rest, why) = (human(until.since(now)), one_line(reason, REASON));
                format!("agents of {who} fail right after they start ({why}); the next one starts in {rest}")
            }
            Gate::Suspended(suspension) => {
                let why = one_line(suspension.reason.trim_end_matches('.'), REASON);
                match suspension.until {
                    Some(until) => {
                        let start = if is_one { "starts" } else { "start" };
                        format!("{who} {start} nothing for {}, until {until}: {why}", human(until.since(now)))
                    }
                    None if suspension.code == GateCode::LoginNeeded => {
                        let start = if is_one { "starts" } else { "start" };
                        format!("{who} {start} nothing until its program is logged in: {why}")
                    }
                    None if suspension.code == GateCode::BudgetReserved
                        || suspension.code == GateCode::AccountSlots =>
                    {
                        let start = if is_one { "starts" } else { "start" };
                        format!("{who} {start} nothing until a running attempt ends: {why}")
                    }
                    None => format!("{who} can't be started: {why}"),
                }
            }
            Gate::ScaledToZero => format!("{who} was scaled to 0"),
            Gate::RoleSlots { slots: 1 } => format!("the one slot of {who} is taken"),
            Gate::RoleSlots { slots } => format!("all {slots} slots of {who} are taken"),
            Gate::MoreUrgentRole { role, tasks } => {
                let waits = count(*tasks, "more urgent task waits", "more urgent tasks wait");
                format!("{who} makes room for role {role}: {waits} for a slot (max_agents)")
            }
            Gate::MaxAgents { agents, max } => {
                let live = count(u64::from(*agents), "agent runs", "agents run");
                format!("{live}, and max_agents under [supervisor] allows {max} over all roles")
            }
            Gate::Memory { shortage } | Gate::Disk { shortage } => format!("no new agent is started: {shortage}"),
            Gate::BehindOthers { ahead } => {
                format!("{} first", count(*ahead, "ready task of its role goes", "ready tasks of its role go"))
            }
            Gate::Lock(lacking) => lacking.sentence(now),
            Gate::PlanSlots { slots } => {
                let run = count(u64::from(*slots), "task of its plan runs", "tasks of its plan run");
                format!("{run}, as many as max_parallel of the plan allows")
            }
            Gate::PlanBudget(plan) => {
                let until = if plan.is_reserved { "until one of them ends" } else { "until a person allows it more" };
                format!("the budget of its plan {} has no room for it {until}: {}", plan.name, plan.reason)
            }
            Gate::Dependency => "it waits for another task".to_owned(),
            Gate::Delayed { until: Some(until) } if *until > now => {
                format!("it is retried in {}, at {until}", human(until.since(now)))
            }
            Gate::Delayed { .. } => "it is tried again now".to_owned(),
            Gate::Held => "it waits for a person".to_owned(),
            Gate::NotReady => "it runs, or has ended".to_owned(),
        }
    }

    /// Returns the commands of the hint.
    pub fn commands(&self, roles: &[&str]) -> Vec<String> {
        let role = roles.first().copied().unwrap_or_default();
        let command = match self {
            Gate::Suspended(suspension) => match (suspension.until, &suspension.account) {
                (None, _) if suspension.code == GateCode::BudgetReserved => "orch budget".to_owned(),
                (_, None) if suspension.code.is_of_account() => "orch tasks --state running".to_owned(),
                (None, _) => return Vec::new(),
                (Some(_), Some(_)) => format!("orch resume {role}"),
                (Some(_), None) => "orch budget".to_owned(),
            },
            Gate::UnknownRole | Gate::Memory { .. } | Gate::Disk { .. } => return Vec::new(),
            _ => return self.hint(roles).into_iter().collect(),
        };
        vec![command]
    }

    /// Returns what to type or to change, where there is something.
    pub fn hint(&self, roles: &[&str]) -> Option<String> {
        let role = roles.first().copied().unwrap_or_default();
        Some(match self {
            Gate::Stopping | Gate::Draining | Gate::SupervisorDown => "orch start".to_owned(),
            Gate::Paused => "orch resume".to_owned(),
            Gate::RolePaused => format!("orch resume {role}"),
            Gate::UnknownRole => format!("write [roles.{role}] into sessions.toml, then: orch reload"),
            Gate::BreakerOpen { of_master: true, .. } => "orch doctor".to_owned(),
            Gate::BreakerOpen { .. } => format!("orch spawn {role}"),
            Gate::Suspended(suspension) => match (suspension.until, &suspension.account) {
                _ if suspension.code == GateCode::AccountWindow => {
                    "wait: it ends with the window; or raise max_window_use in sessions.toml, then: orch reload"
                        .to_owned()
                }
                (None, _) if suspension.code == GateCode::LoginNeeded => format!("log in, then: orch resume {role}"),
                (_, None) if suspension.code.is_of_account() => {
                    "wait: it ends by itself; or raise max_concurrent or rate_limit in sessions.toml, then: orch reload"
                        .to_owned()
                }
                (None, _) if suspension.code == GateCode::BudgetReserved => {
                    "wait: it ends by itself; or raise the budget: orch budget".to_owned()
                }
                (None, _) => FIX_ROLE.to_owned(),
                (Some(_), Some(_)) => format!("wait: it ends automatically; or lift it: orch resume {role}"),
                (Some(_), None) => {
                    "wait: it ends by itself; orch costs --by role; or raise the budget: orch budget set".to_owned()
                }
            },
            Gate::ScaledToZero => format!("orch scale {role} 1"),
            Gate::RoleSlots { .. } => format!("orch tasks --state running --role {role}"),
            Gate::Lock(_) => "orch locks".to_owned(),
            Gate::PlanBudget(plan) => plan.more(),
            Gate::MaxAgents { .. } | Gate::MoreUrgentRole { .. } => "orch agents".to_owned(),
            Gate::Memory { .. } => FREE_MEMORY.to_owned(),
            Gate::Disk { .. } => FREE_DISK.to_owned(),
            Gate::Recovery
            | Gate::BehindOthers { .. }
            | Gate::PlanSlots { .. }
            | Gate::Dependency
            | Gate::Delayed { .. }
            | Gate::Held
            | Gate::NotReady => return None,
        })
    }
}

fn named(roles: &[&str]) -> String {
    const NAMED: usize = 3;
    match roles {
        [role] => format!("role {role}"),
        _ if roles.len() <= NAMED => format!("roles {}", roles.join(", ")),
        _ => format!("roles {} and {} more", roles[..NAMED].join(", "), roles.len() - NAMED),
    }
}
