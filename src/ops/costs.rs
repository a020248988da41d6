//! `orch costs`: what was used, as far as the agents' programs reported it.

use std::{collections::BTreeMap, time::Duration};

use super::{CostRow, Costs, CostsBy, Ops};
use crate::{
    error::Result,
    model::{id::PlanId, task::Usage, time::Timestamp},
    store::spend::{DAYS_KEPT, Spent},
};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// The default period.
const SINCE: Duration = Duration::from_secs(7 * 24 * 3600);

impl Ops {
    /// What was used by each role, agent, task or day in the last `since` (whole days, UTC, 90 at most), the most first;
    /// days in their order.
    ///
    /// # Errors
    /// NotRunning: there is no Redis, and no supervisor that brings it back.
    pub async fn costs(&self, by: CostsBy, since: Option<Duration>) -> Result<Costs> {
        let since = since.unwrap_or(SINCE);
        let days = since.as_secs().div_ceil(DAY.as_secs()).clamp(1, DAYS_KEPT);
        let spent = self.ask(|s| s.spent(days)).await?;
        let overcounted = self.ask(|s| s.overcounted_days(days)).await?.into_iter().map(date).collect();
        let total = sum(spent.iter().filter(|s| s.kind == "all").map(|s| &s.usage));
        let mut rows = match by {
            CostsBy::Role => by_name(&spent, "role", |s| s.name.clone()),
            CostsBy::Agent => by_name(&spent, "agent", |s| s.name.clone()),
            CostsBy::Day => by_name(&spent, "all", |s| date(s.day)),
            CostsBy::Task => {
                let from = Timestamp(Timestamp::now().0.saturating_sub(since.as_millis() as u64));
                let tasks = self.ask(|s| s.spent_by_tasks()).await?;
                let recent = tasks.into_iter().filter(|spent| spent.at >= from);
                recent.map(|spent| CostRow::new(spent.id.to_string(), spent.usage)).collect()
            }
            CostsBy::Plan => self.costs_of_plans(since).await?,
        };
        if by != CostsBy::Day {
            rows.sort_by(|a, b| worth(b).partial_cmp(&worth(a)).unwrap_or(std::cmp::Ordering::Equal));
        }
        Ok(Costs { by, days, rows, total, overcounted })
    }

    /// What the tasks of each plan have used.
    async fn costs_of_plans(&self, since: Duration) -> Result<Vec<CostRow>> {
        let from = Timestamp(Timestamp::now().0.saturating_sub(since.as_millis() as u64));
        let mut sums: BTreeMap<PlanId, Usage> = BTreeMap::new();
        for spent in self.ask(|s| s.spent_by_tasks()).await?.into_iter().filter(|spent| spent.at >= from) {
            if let Some(plan) = spent.plan {
                let sum = sums.entry(plan).or_default();
                *sum = sum.and(&spent.usage);
            }
        }
        let ids: Vec<PlanId> = sums.keys().cloned().collect();
        let plans = self.ask(|s| s.plans(&ids)).await?;
        let row = |(id, usage): (PlanId, Usage)| {
            let title = plans.iter().find(|plan| plan.id == id).map(|plan| plan.name.clone());
            CostRow { title, ..CostRow::new(id.to_string(), usage) }
        };
        Ok(sums.into_iter().map(row).collect())
    }

    /// What was used today.
    pub(super) async fn used_today(&self) -> crate::store::Result<Usage> {
        let spent = self.store().spent(1).await?;
        Ok(sum(spent.iter().filter(|s| s.kind == "all").map(|s| &s.usage)))
    }
}

fn worth(row: &CostRow) -> (f64, u64) {
    (row.usage.cost_usd, row.usage.tokens())
}

fn by_name(spent: &[Spent], kind: &str, name: impl Fn(&Spent) -> String) -> Vec<CostRow> {
    let mut sums: BTreeMap<String, Vec<&Usage>> = BTreeMap::new();
    for one in spent.iter().filter(|s| s.kind == kind) {
        sums.entry(name(one)).or_default().push(&one.usage);
    }
    sums.into_iter().map(|(name, usages)| CostRow::new(name, sum(usages))).collect()
}

fn sum<'a>(usages: impl IntoIterator<Item = &'a Usage>) -> Usage {
    usages.into_iter().fold(Usage::default(), |sum, usage| sum.and(usage))
}

/// `2026-11-20` of a day since 1970.
fn date(day: u64) -> String {
    Timestamp(day * DAY.as_millis() as u64).to_string().chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_go_over_the_days_and_by_one_kind() {
        let one = |day, kind: &str, name: &str, tokens| Spent {
            day,
            kind: kind.into(),
            name: name.into(),
            usage: Usage { input_tokens: tokens, output_tokens: 1, cost_usd: 0.5, ..Usage::default() },
        };
        let spent =
            [one(1, "role", "a", 10), one(2, "role", "a", 20), one(2, "role", "b", 5), one(2, "agent", "a-1", 20)];
        let rows = by_name(&spent, "role", |s| s.name.clone());
        let rows: Vec<_> = rows.iter().map(|r| (r.name.as_str(), r.usage.input_tokens, r.usage.cost_usd)).collect();
        assert_eq!(rows, [("a", 30, 1.0), ("b", 5, 0.5)]);
        assert_eq!(date(20_777), "2026-11-20");
    }
}
