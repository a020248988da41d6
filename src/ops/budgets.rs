//! `orch budget`, and the budget of a task that is delegated.

use super::{BudgetChanged, BudgetRow, Budgets, Caller, Delegate, Ops};
use crate::{
    config::{Budget, Config, Role},
    drivers::{Key, Mode},
    error::{Error, Result},
    launchers::preflight,
    model::{
        budget::{Change, Scope, more_for_task},
        id::TaskId,
        task::{Task, TaskState, Usage},
    },
    store::budgets::Budgeted,
};

impl Ops {
    /// What may be used, was used and is reserved: by all roles today, by each role that is limited or has used something today,
    /// and by tasks that run or are held.
    ///
    /// # Errors
    /// NotRunning: there is no Redis, and no supervisor that brings it back.
    pub async fn budgets(&self) -> Result<Budgets> {
        let roles: Vec<String> = self.config.roles.keys().cloned().collect();
        let found = self.ask(|s| s.budgets(&roles)).await?;
        let mut budgets: Vec<BudgetRow> = found.day.iter().map(|day| row(Scope::Day.to_string(), day)).collect();
        let roles = found.roles.iter().map(|(role, one)| row(Scope::Role(role.clone()).to_string(), one));
        budgets.extend(roles.filter(BudgetRow::says_something));
        budgets.extend(
            found
                .tasks
                .iter()
                .map(|(task, one)| BudgetRow { state: Some(task.state), ..row(task.id.to_string(), one) }),
        );
        let plans = self.ask(|s| s.budgets_of_plans(None)).await?;
        budgets.extend(plans.iter().map(|(plan, one)| row(Scope::Plan(plan.to_string()).to_string(), one)));
        let windows = self.ask(|s| s.windows()).await?;
        Ok(Budgets { budgets, windows })
    }

    /// What of that is limited by day: that of all roles together, and of each role.
    pub(super) async fn budgets_of_day(&self) -> crate::store::Result<Vec<BudgetRow>> {
        let roles: Vec<String> = self.config.roles.keys().cloned().collect();
        let found = self.store().budgets_of_day(&roles).await?;
        let day = found.day.iter().map(|day| row(Scope::Day.to_string(), day));
        let roles = found.roles.iter().map(|(role, one)| row(Scope::Role(role.clone()).to_string(), one));
        Ok(day.chain(roles).filter(BudgetRow::is_limited).collect())
    }

    /// Sets what may be used: `None` leaves dollars or tokens as they are, and `is_default` takes back what a person had set.
    /// A task that is held because it had used what it may goes on, if something is left.
    ///
    /// # Errors
    /// Usage: nothing is to be set; a day's budget is raised by an amount. NotFound: no such role or task. Failed: an agent
    /// calls; the program reports no such usage. Conflict: the task has ended, or has used more than that.
    pub async fn set_budget(
        &self,
        scope: Scope,
        usd: Option<Change<f64>>,
        tokens: Option<Change<u64>>,
        is_default: bool,
    ) -> Result<BudgetChanged> {
        let Caller::Person(person) = &self.caller else {
            return Err(Error::failed("orch budget set is for a person: no agent gives a budget")
                .hint("a person runs it in a terminal outside of orch's agents"));
        };
        if usd.is_none() && tokens.is_none() && !is_default {
            return Err(Error::usage("nothing is to be set").hint("name an amount: --cost USD, --tokens N, or none"));
        }
        let micro = usd.map(|change| change.map(|usd| Usage { cost_usd: usd, ..Usage::default() }.micro_usd()));
        let reason = format!("the budget of {scope} was set by {person}: {}", in_words(usd, tokens));
        let task = match &scope {
            Scope::Task(word) => {
                let id = self.find_task(word).await?;
                let task = self.existing(std::slice::from_ref(&id)).await?.remove(0);
                self.reports(self.config.role(&task.role)?, usd.is_some(), tokens.is_some())?;
                let (usd, tokens) = match is_default {
                    true => (Some(Change::Unlimited), Some(Change::Unlimited)),
                    false => (micro, tokens),
                };
                let states = self.ask(|s| s.set_cap_of_task(&id, usd, tokens, &reason)).await?;
                Some((id, states))
            }
            Scope::Plan(word) => return self.set_budget_of_plan(word, micro, tokens, is_default, &reason).await,
            Scope::Role(name) => {
                self.reports(self.config.role(name)?, usd.is_some(), tokens.is_some())?;
                None
            }
            Scope::Day => None,
        };
        let (scope, changed) = match &task {
            Some((id, _)) => (id.to_string(), true),
            None => {
                let role = if let Scope::Role(name) = &scope { Some(name.as_str()) } else { None };
                let usd = self.of_a_day(role, micro, |row| row.cap_usd.map(|usd| (usd * 1e6).round() as u64)).await?;
                let tokens = self.of_a_day(role, tokens, |row| row.cap_tokens).await?;
                let set = self.ask(|s| s.set_cap_of_day(role, usd, tokens, is_default, &reason)).await?;
                (scope.to_string(), set)
            }
        };
        let budget = self.budgets().await?.budgets.into_iter().find(|row| row.scope == scope);
        let (from, state) = task.map(|(_, states)| states).unzip();
        let goes_on = from == Some(TaskState::Held) && state == Some(TaskState::Ready);
        Ok(BudgetChanged { scope, changed, goes_on, from, state, budget })
    }

    /// Sets what a plan may use; its own file says nothing of that once it was submitted.
    async fn set_budget_of_plan(
        &self,
        word: &str,
        usd: Option<Change<u64>>,
        tokens: Option<Change<u64>>,
        is_default: bool,
        reason: &str,
    ) -> Result<BudgetChanged> {
        let plan = self.find_plan(word).await?;
        let scope = Scope::Plan(plan.to_string()).to_string();
        if is_default {
            return Err(Error::usage(format!(
                "{scope} has no default: its budget is what it was submitted with, or set to"
            ))
            .hint(format!("orch budget set {scope} --cost none")));
        }
        self.existing_plans(std::slice::from_ref(&plan)).await?;
        let ids: Vec<TaskId> = self.ask(|s| s.plan_tasks(&plan)).await?.into_values().collect();
        for task in self.ask(|s| s.tasks(&ids)).await? {
            let Some(role) = self.config.roles.get(&task.role) else { continue };
            self.reports(role, usd.is_some(), tokens.is_some())?;
        }
        let (from, to) = self.ask(|s| s.set_cap_of_plan(&plan, usd, tokens, reason)).await?;
        let found = self.ask(|s| s.budgets_of_plans(Some(&plan))).await?;
        let budget = found.first().map(|(_, one)| row(scope.clone(), one));
        Ok(BudgetChanged { scope, changed: true, goes_on: from != to, from: None, state: None, budget })
    }

    /// A day's cap that is to be higher by an amount, as the cap that it becomes.
    async fn of_a_day(
        &self,
        role: Option<&str>,
        change: Option<Change<u64>>,
        cap: impl Fn(&BudgetRow) -> Option<u64>,
    ) -> Result<Option<Change<u64>>> {
        let Some(Change::More(more)) = change else { return Ok(change) };
        let scope = role.map_or(Scope::Day, |role| Scope::Role(role.to_owned())).to_string();
        let row = self.budgets().await?.budgets.into_iter().find(|row| row.scope == scope);
        match row.as_ref().and_then(cap) {
            Some(is) => Ok(Some(Change::To(is.saturating_add(more)))),
            None => Err(Error::usage(format!("{scope} has no such budget that could be raised"))
                .hint(format!("set one: orch budget set {scope} --cost 20"))),
        }
    }

    /// What a new task may use, where its caller says so: an agent gives no more than its role allows a task.
    pub(super) fn caps_of_task(&self, role: &Role, asked: &Delegate) -> Result<(Option<f64>, Option<u64>)> {
        self.reports(role, asked.max_cost_usd.is_some(), asked.max_tokens.is_some())?;
        let (usd, tokens) = (asked.max_cost_usd, asked.max_tokens);
        if matches!(self.caller, Caller::Person(_)) {
            return Ok((usd, tokens));
        }
        let least = |asked: f64| role.task_budget.cost_usd.map_or(asked, |most| asked.min(most));
        Ok((usd.map(least), tokens.map(|asked| role.task_budget.tokens.map_or(asked, |most| asked.min(most)))))
    }

    /// Checks that a role's program reports money, or tokens: a limit that nothing enforces is not accepted.
    pub(super) fn reports(&self, role: &Role, money: bool, tokens: bool) -> Result<()> {
        let path = std::env::var_os("PATH");
        let kind = preflight::resolve(role.driver, &self.config.agents.order, path.as_deref());
        let refused = |what: &str, instead: &str| {
            let hint = format!("nothing would enforce that; {instead}");
            Err(Error::usage(format!("{kind}, the program of role {}, reports no {what}", role.name)).hint(hint))
        };
        if money && role.agent.mode == Mode::Interactive {
            let what = format!("role {} is interactive: on its own terminal a program reports no cost", role.name);
            return Err(Error::usage(what).hint("limit its tokens: --max-tokens N"));
        }
        if money && !kind.knows(Key::MaxTaskCostUsd) {
            return refused("money", "limit its tokens or its time instead: --max-tokens, --timeout");
        }
        if tokens && !kind.knows(Key::MaxTaskTokens) {
            return refused("tokens", "limit its time instead: --timeout");
        }
        Ok(())
    }
}

/// A budget is nearly used up at this part of it, as in lua/prelude/budgets.lua.
const NEARLY: f64 = 0.8;

/// The command with which a person allows a task more that has used what it may.
pub(super) fn more_for(config: &Config, task: &Task) -> String {
    let own = Budget { cost_usd: task.max_cost_usd, tokens: task.max_tokens };
    let caps = config.roles.get(&task.role).map_or(own, |role| role.caps_of_task(own.cost_usd, own.tokens));
    more_for_task(&task.id, caps.cost_usd, caps.tokens)
}

fn in_words(usd: Option<Change<f64>>, tokens: Option<Change<u64>>) -> String {
    let amount = |change: Change<String>| match change {
        Change::To(amount) => amount,
        Change::More(amount) => format!("{amount} more"),
        Change::Unlimited => "no limit".to_owned(),
    };
    let usd = usd.map(|change| amount(change.map(|usd| format!("{usd:.2} USD"))));
    let tokens = tokens.map(|change| amount(change.map(|tokens| format!("{tokens} tokens"))));
    match usd.into_iter().chain(tokens).collect::<Vec<_>>() {
        parts if parts.is_empty() => "as sessions.toml says".to_owned(),
        parts => parts.join(", "),
    }
}

fn row(scope: String, one: &Budgeted) -> BudgetRow {
    let (usd, of) = (Usage::of_micro_usd, |n: Option<u64>| n.map(Usage::of_micro_usd));
    BudgetRow {
        scope,
        state: None,
        cap_usd: of(one.cap.micro_usd),
        spent_usd: usd(one.spent.0),
        reserved_usd: usd(one.reserved.0),
        cap_tokens: one.cap.tokens,
        spent_tokens: one.spent.1,
        reserved_tokens: one.reserved.1,
        expected_usd: of(one.expected.micro_usd),
        expected_tokens: one.expected.tokens,
        is_set: one.is_set,
    }
}

impl BudgetRow {
    fn is_limited(&self) -> bool {
        self.cap_usd.is_some() || self.cap_tokens.is_some()
    }

    /// What of it is used and reserved, in words, where that is most of it.
    pub(super) fn nearly_used(&self) -> Option<String> {
        let is_most = |cap: Option<f64>, used: f64| cap.is_some_and(|cap| used >= NEARLY * cap);
        let tokens = self.cap_tokens.map(|tokens| tokens as f64);
        let amount = if is_most(self.cap_usd, self.spent_usd) {
            format!("{:.2} USD of {:.2}", self.spent_usd, self.cap_usd?)
        } else if is_most(tokens, self.spent_tokens as f64) {
            format!("{} tokens of {}", self.spent_tokens, self.cap_tokens?)
        } else {
            return None;
        };
        let whose = match self.scope.strip_prefix("role:") {
            Some(role) => format!("role {role}"),
            None => "all roles together".to_owned(),
        };
        Some(format!("{amount} that {whose} may use a day are used"))
    }

    /// Whether there is a limit, or something was used or reserved.
    fn says_something(&self) -> bool {
        self.is_limited() || self.spent_usd + self.reserved_usd > 0.0 || self.spent_tokens + self.reserved_tokens > 0
    }
}
