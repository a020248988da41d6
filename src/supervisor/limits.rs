//! What the store has to know of the configuration: how many agents of a role may run, and what they may use.

use super::Supervisor;
use crate::{
    config::{Budget as Configured, Config, DriverKind, Role},
    drivers,
    model::task::Usage,
    store::{
        StoreError,
        observe::{Intents, Snapshot},
        spend::{Allowance, Budget},
    },
};

impl Supervisor {
    /// Tells the store how many agents of each role may run at once, when that has changed.
    pub(super) async fn tell_limits(&mut self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let limits = limits(&self.config.roles, &snapshot.intents);
        if limits != self.limits_told {
            self.store.set_limits(&limits).await?;
            self.limits_told = limits;
        }
        let path = self.environment.get("PATH").map(std::ffi::OsStr::new);
        let budgets = budgets(&self.config, |kind| drivers::settle(kind, &self.config.agents.order, path));
        if budgets != self.budgets_told {
            for budget in &budgets {
                self.store.set_budget(budget).await?;
            }
            self.budgets_told = budgets;
        }
        Ok(())
    }

    /// Wakes the agents of roles that are held back no more. A supervisor that was not there when that began has nobody to
    /// wake: idle agents look by themselves now and then.
    pub(super) async fn release(&mut self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let released: Vec<String> =
            self.held_back.iter().filter(|role| !snapshot.held_back.contains_key(*role)).cloned().collect();
        for role in released {
            self.store.released(&role).await?;
            self.held_back.remove(&role);
        }
        self.held_back.extend(snapshot.held_back.keys().cloned());
        Ok(())
    }
}

/// What each role may use, and what all together (the empty name).
fn budgets(config: &Config, settle: impl Fn(DriverKind) -> DriverKind) -> Vec<Budget> {
    let allowance = |budget: &Configured| Allowance {
        micro_usd: budget.cost_usd.map(|usd| Usage { cost_usd: usd, ..Usage::default() }.micro_usd()),
        tokens: budget.tokens,
    };
    let of_role = |role: &Role| Budget {
        role: role.name.clone(),
        account: role.account(settle(role.driver)),
        day: allowance(&role.day_budget),
        task: allowance(&role.task_budget),
    };
    let all = Budget { day: allowance(&config.day_budget), ..Budget::default() };
    std::iter::once(all).chain(config.roles.values().map(of_role)).collect()
}

fn limits(roles: &std::collections::BTreeMap<String, Role>, intents: &Intents) -> Vec<(String, u32)> {
    roles.values().map(|r| (r.name.clone(), intents.scale.get(&r.name).copied().unwrap_or(r.max))).collect()
}
