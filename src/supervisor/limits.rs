//! The settings that the store needs: how many agents of a role may run, and what they may use.

use std::{
    ffi::OsStr,
    time::{Duration, Instant},
};

use super::{Supervisor, background::on_a_thread, environment};
use crate::{
    config::{Budget as Configured, Config, Role},
    drivers::{Key, Mode},
    launchers::preflight,
    model::{pace::Pace, task::Usage},
    store::{
        StoreError,
        observe::{Requests, Snapshot},
        spend::{Allowance, Budget},
    },
};

/// Programs are looked for this often. Each of some places for each role: more than all else that a pass does.
const LOOK_FOR_PROGRAMS: Duration = Duration::from_secs(1);

/// What was last written to the store.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// In which epoch: a Redis that lost something may have lost this.
    epoch: u64,
    limits: Vec<(String, u32)>,
    budgets: Vec<Budget>,
    looked_for_programs: Option<Instant>,
}

impl Told {
    /// Tells all of it again, and looks for programs at once.
    pub fn forget(&mut self) {
        *self = Told { epoch: self.epoch, ..Told::default() };
    }
}

impl Supervisor {
    /// Tells the store how many agents of each role may run at once, what they may use, and which can't be started, when that
    /// has changed. Whether one of the latter two has.
    pub(super) async fn tell_limits(&mut self, snapshot: &Snapshot) -> Result<bool, StoreError> {
        if self.told.epoch != snapshot.epoch.number {
            self.told = Told { epoch: snapshot.epoch.number, ..Told::default() };
        }
        let limits = limits(&self.config.roles, &snapshot.requests);
        if limits != self.told.limits {
            self.store.set_limits(&limits).await?;
            self.told.limits = limits;
        }
        let Some(budgets) = self.look_for_programs().await else { return Ok(false) };
        let has_changed = budgets != self.told.budgets;
        if has_changed {
            for budget in &budgets {
                self.store.set_budget(budget).await?;
            }
            self.told.budgets = budgets;
        }
        Ok(has_changed)
    }

    /// What each role may use, and whether its program is there, where that was looked at since the last call. A folder on
    /// PATH may be slow.
    async fn look_for_programs(&mut self) -> Option<Vec<Budget>> {
        let found = self.programs.take().await;
        let is_due = self.told.looked_for_programs.is_none_or(|at| at.elapsed() >= LOOK_FOR_PROGRAMS);
        if found.is_some() || self.programs.is_running() || !is_due {
            return found;
        }
        self.told.looked_for_programs = Some(Instant::now());
        let (config, path) = (self.config.clone(), environment::search_path(&self.environment).to_owned());
        self.programs.begin(on_a_thread(async move { budgets(&config, Some(OsStr::new(&path))) }));
        self.programs.take().await
    }

    /// Wakes the agents of roles that are no longer suspended. A supervisor that started later does not know of the suspension
    /// and wakes none: idle agents look for tasks periodically.
    pub(super) async fn release(&mut self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let released: Vec<String> =
            self.suspended.iter().filter(|role| !snapshot.suspended.contains_key(*role)).cloned().collect();
        for role in released {
            self.store.released(&role).await?;
            self.suspended.remove(&role);
        }
        self.suspended.extend(snapshot.suspended.keys().cloned());
        Ok(())
    }
}

/// What each role may use, and what all together (the empty name).
fn budgets(config: &Config, path: Option<&OsStr>) -> Vec<Budget> {
    let order = &config.agents.order;
    let allowance = |budget: &Configured| Allowance {
        micro_usd: budget.cost_usd.map(|usd| Usage { cost_usd: usd, ..Usage::default() }.micro_usd()),
        tokens: budget.tokens,
    };
    // A script may report its usage, and most report none.
    let reports = |role: &Role| {
        let kind = preflight::resolve(role.driver, order, path);
        let is_agent = kind.program().is_some();
        let is_headless = role.agent.mode == Mode::Headless;
        (is_agent && is_headless && kind.knows(Key::MaxTaskCostUsd), is_agent && kind.knows(Key::MaxTaskTokens))
    };
    let account_of = |role: &Role| role.account(preflight::resolve(role.driver, order, path));
    // What one role of an account says counts for all of them; of several, the least.
    let together = |account: &str| {
        let roles: Vec<&Role> = config.roles.values().filter(|role| account_of(role) == account).collect();
        let names = roles.iter().map(|role| role.name.clone()).collect();
        let most = roles.iter().filter_map(|role| role.max_concurrent).min();
        let pace = roles.iter().filter_map(|role| role.rate_limit).max_by_key(Pace::interval);
        let window = roles.iter().filter_map(|role| role.max_window_use).reduce(f64::min);
        (most.map(|most| (most, names)), pace, window)
    };
    let of_role = |role: &Role| Budget {
        role: role.name.clone(),
        slots: together(&account_of(role)).0,
        pace: together(&account_of(role)).1,
        is_tried: preflight::resolve(role.driver, order, path).program().is_some(),
        window_use: together(&account_of(role)).2,
        account: account_of(role),
        day: allowance(&role.day_budget),
        task: allowance(&role.task_budget),
        expected: allowance(&role.expected()),
        reports: reports(role),
        unavailable: preflight::check(role, order, path).err().map(|unavailable| unavailable.to_string()),
    };
    let all = Budget { day: allowance(&config.day_budget), ..Budget::default() };
    std::iter::once(all).chain(config.roles.values().map(of_role)).collect()
}

fn limits(roles: &std::collections::BTreeMap<String, Role>, requests: &Requests) -> Vec<(String, u32)> {
    roles.values().map(|r| (r.name.clone(), requests.scale.get(&r.name).copied().unwrap_or(r.max))).collect()
}
