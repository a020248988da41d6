//! The typed calls about what plans may use.

use redis::Value;

use super::{
    Result, Store,
    budgets::{Budgeted, word_of},
    script,
    spend::Allowance,
    values::parse,
};
use crate::model::{
    budget::Change,
    id::{PlanId, TaskId},
    plan::{PlanState, ShortPlan},
};

/// Plans with a budget that are listed at most.
const SHOWN: usize = 100;

impl Store {
    /// Sets what a plan may use. Returns its state before and afterwards: tasks that waited for that start
    /// (`lua/plan/set_cap.lua`).
    ///
    /// # Errors
    /// `unknown`, `no_budget`.
    pub async fn set_cap_of_plan(
        &self,
        plan: &PlanId,
        usd: Option<Change<u64>>,
        tokens: Option<Change<u64>>,
        reason: &str,
    ) -> Result<(PlanState, PlanState)> {
        let args = [plan.as_str(), &word_of(usd), &word_of(tokens), reason];
        let (from, to): (String, String) = self.read(self.call(&script::SET_CAP_OF_PLAN, args).await?)?;
        Ok((parse(&from, "state")?, parse(&to, "state")?))
    }

    /// Offers the tasks that their plans had no room for, as far as there is room by now (`lua/plan/offer.lua`). Returns how
    /// many plans still have such tasks.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn offer_short(&self) -> Result<u64> {
        self.read(self.call(&script::OFFER_SHORT, Vec::<String>::new()).await?)
    }

    /// Plans with a budget, or of which something is reserved: the newest ones that have not ended, and those that are named.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn budgets_of_plans(&self, named: Option<&PlanId>) -> Result<Vec<(PlanId, Budgeted)>> {
        let mut ids = match named {
            Some(plan) => vec![plan.clone()],
            None => self.newest_plans(SHOWN).await?,
        };
        ids.dedup();
        let mut pipe = redis::pipe();
        for id in &ids {
            pipe.cmd("HMGET").arg(self.keys.of("plan", id.as_str())).arg(&[
                "state",
                "cap_micro_usd",
                "cap_tokens",
                "used_micro_usd",
                "used_input_tokens",
                "used_output_tokens",
            ]);
            let field = |measure: &str| format!("plan:{id}:{measure}");
            pipe.cmd("HMGET").arg(self.keys.plain("reserved")).arg(&[field("micro_usd"), field("tokens")]);
        }
        let mut values = self.pipeline(&pipe).await?.into_iter();
        let mut next = || self.read::<Vec<Option<String>>>(values.next().unwrap_or(Value::Nil));
        let mut found = Vec::new();
        for id in ids {
            let (record, reserved) = (next()?, next()?);
            let number = |row: &[Option<String>], at: usize| row.get(at)?.as_deref()?.parse::<u64>().ok();
            let amount = |at: usize| number(&record, at).unwrap_or(0);
            let state = record.first().and_then(Option::as_deref).and_then(|state| state.parse::<PlanState>().ok());
            let cap = Allowance { micro_usd: number(&record, 1), tokens: number(&record, 2) };
            let held = (number(&reserved, 0).unwrap_or(0), number(&reserved, 1).unwrap_or(0));
            let is_shown = named.is_some() || state.is_some_and(|state| !state.is_terminal());
            if is_shown && state.is_some() && (cap != Allowance::default() || held != (0, 0)) {
                let spent = (amount(3), amount(4) + amount(5));
                let is_set = cap != Allowance::default();
                found.push((id, Budgeted { cap, spent, reserved: held, expected: Allowance::default(), is_set }));
            }
        }
        Ok(found)
    }

    /// Plans that have no room for their next tasks.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn short_plans(&self) -> Result<Vec<ShortPlan>> {
        let ids: Vec<String> = self.query(redis::cmd("SMEMBERS").arg(self.keys.plain("short_plans"))).await?;
        let mut plans: Vec<PlanId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        plans.sort();
        self.short_among(&plans).await
    }

    /// The plan that has no room for this ready task, where it waits for that.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn short_of(&self, task: &TaskId) -> Result<Option<ShortPlan>> {
        let plan: Option<String> =
            self.query(redis::cmd("HGET").arg(self.keys.of("task", task.as_str())).arg("short")).await?;
        let plans: Vec<PlanId> = plan.iter().filter_map(|plan| plan.parse().ok()).collect();
        Ok(self.short_among(&plans).await?.pop())
    }

    async fn short_among(&self, plans: &[PlanId]) -> Result<Vec<ShortPlan>> {
        if plans.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for plan in plans {
            pipe.cmd("HMGET").arg(self.keys.of("plan", plan.as_str())).arg(&[
                "name",
                "short",
                "short_why",
                "cap_micro_usd",
                "cap_tokens",
            ]);
            pipe.cmd("ZCARD").arg(self.keys.of("short", plan.as_str()));
        }
        let mut values = self.pipeline(&pipe).await?.into_iter();
        let mut short = Vec::new();
        for plan in plans {
            let record: Vec<Option<String>> = self.read(values.next().unwrap_or(Value::Nil))?;
            let tasks: u64 = self.read(values.next().unwrap_or(Value::Nil))?;
            let text = |at: usize| record.get(at).cloned().flatten();
            if let (Some(short_is), Some(reason)) = (text(1), text(2)) {
                let is_reserved = short_is == "reserved";
                let amount = |at: usize| text(at).and_then(|amount| amount.parse::<u64>().ok());
                short.push(ShortPlan {
                    id: plan.clone(),
                    name: text(0).unwrap_or_default(),
                    max_micro_usd: amount(3),
                    max_tokens: amount(4),
                    is_reserved,
                    reason,
                    tasks,
                });
            }
        }
        Ok(short)
    }
}
