//! The typed calls about budgets: what may be used, what was used, and what running attempts have reserved.

use std::collections::HashMap;

use redis::Value;

use super::{Result, Store, script, spend::Allowance, values::parse};
use crate::model::{
    budget::Change,
    id::TaskId,
    task::{Task, TaskState, Usage},
};

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;
/// How many tasks with a budget of their own are returned at most, of each state.
const TASKS_SHOWN: usize = 100;

/// One budget.
#[derive(Debug, Clone, PartialEq)]
pub struct Budgeted {
    /// The most that may be used.
    pub cap: Allowance,
    /// What was used: in millionths of a dollar, and in tokens.
    pub spent: (u64, u64),
    /// What running attempts have reserved.
    pub reserved: (u64, u64),
    /// What its next attempt is expected to use, where that is known: of a role.
    pub expected: Allowance,
    /// Whether a person has set it, other than in sessions.toml.
    pub is_set: bool,
}

/// The budgets of a day, and of tasks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Budgets {
    /// That of all roles together.
    pub day: Option<Budgeted>,
    /// That of each role that was asked for, in their order.
    pub roles: Vec<(String, Budgeted)>,
    /// Running and held tasks that have one, or have reserved something.
    pub tasks: Vec<(Task, Budgeted)>,
}

/// The fields of a hash whose names begin so.
struct Sums<'a>(&'a HashMap<String, String>);

impl Sums<'_> {
    fn number(&self, field: &str) -> Option<u64> {
        self.0.get(field).and_then(|text| text.parse().ok())
    }

    fn cap(&self, set: &str, written: &str) -> Option<u64> {
        match self.0.get(set) {
            Some(text) => text.parse().ok(),
            None => self.number(written),
        }
    }
}

impl Store {
    /// Returns the budgets of the day, of these roles, and of running and held tasks.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn budgets(&self, roles: &[String]) -> Result<Budgets> {
        let (found, budgets) = self.read_budgets(roles).await?;
        Ok(Budgets { tasks: self.budgets_of_tasks(&Sums(&budgets)).await?, ..found })
    }

    /// Returns the budgets of the day and of these roles.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn budgets_of_day(&self, roles: &[String]) -> Result<Budgets> {
        Ok(self.read_budgets(roles).await?.0)
    }

    async fn read_budgets(&self, roles: &[String]) -> Result<(Budgets, HashMap<String, String>)> {
        let today = self.time(Some(self.query(&self.clock()).await?))?.0 / DAY_MS;
        let mut pipe = redis::pipe();
        for key in ["budgets", "reserved"] {
            pipe.cmd("HGETALL").arg(self.keys.plain(key));
        }
        pipe.cmd("HGETALL").arg(self.keys.of("usage", &today.to_string()));
        let mut values = self.pipeline(&pipe).await?.into_iter();
        let mut next = || self.read::<HashMap<String, String>>(values.next().unwrap_or(Value::Nil));
        let (all, reserved, used) = (next()?, next()?, next()?);
        let (budgets, reserved, used) = (Sums(&all), Sums(&reserved), Sums(&used));
        let of_day = |role: &str, of: &str| {
            let number = |what: &str| used.number(&format!("{of}:{what}")).unwrap_or(0);
            let held = |what: &str| reserved.number(&format!("{of}:{what}")).unwrap_or(0);
            let cap = |unit: &str| budgets.cap(&format!("set_{unit}:{role}"), &format!("day_{unit}:{role}"));
            let expected =
                |unit: &str| budgets.cap(&format!("learned_{unit}:{role}"), &format!("expected_{unit}:{role}"));
            Budgeted {
                cap: Allowance { micro_usd: cap("usd"), tokens: cap("tokens") },
                spent: (number("micro_usd"), number("input_tokens") + number("output_tokens")),
                reserved: (held("micro_usd"), held("tokens")),
                expected: Allowance { micro_usd: expected("usd"), tokens: expected("tokens") },
                is_set: ["usd", "tokens"].iter().any(|unit| budgets.0.contains_key(&format!("set_{unit}:{role}"))),
            }
        };
        let found = Budgets {
            day: Some(of_day("", "all")),
            roles: roles.iter().map(|role| (role.clone(), of_day(role, &format!("role:{role}")))).collect(),
            tasks: Vec::new(),
        };
        Ok((found, all))
    }

    async fn budgets_of_tasks(&self, budgets: &Sums<'_>) -> Result<Vec<(Task, Budgeted)>> {
        let mut ids = Vec::new();
        for state in [TaskState::Held, TaskState::Running] {
            ids.extend(self.task_ids(Some(state)).await?.into_iter().take(TASKS_SHOWN));
        }
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for id in &ids {
            pipe.cmd("HMGET").arg(self.keys.of("task", id.as_str())).arg("reserves");
            for field in ["used_micro_usd", "used_input_tokens", "used_output_tokens", "allowed_usd", "allowed_tokens"]
            {
                pipe.arg(field);
            }
        }
        let rows = self.pipeline_each(&pipe).await?;
        let fields: HashMap<TaskId, Vec<Option<String>>> = ids
            .iter()
            .zip(rows)
            .map(|(id, row)| (id.clone(), self.read_record(Some(row), id.as_str()).unwrap_or_default()))
            .collect();
        let mut found = Vec::new();
        for task in self.tasks(&ids).await? {
            let Some(row) = fields.get(&task.id) else { continue };
            let text = |at: usize| row.get(at).and_then(Option::as_deref).unwrap_or_default();
            let number = |at: usize| text(at).parse::<u64>().unwrap_or(0);
            let mut reserved = text(0).split(' ').map(|amount| amount.parse().unwrap_or(0));
            let of_role = |unit: &str| budgets.number(&format!("task_{unit}:{}", task.role));
            let own = task.max_cost_usd.map(|usd| Usage { cost_usd: usd, ..Usage::default() }.micro_usd());
            let budgeted = Budgeted {
                cap: Allowance {
                    micro_usd: own.or_else(|| of_role("usd")),
                    tokens: task.max_tokens.or_else(|| of_role("tokens")),
                },
                spent: (number(1).saturating_sub(number(4)), (number(2) + number(3)).saturating_sub(number(5))),
                reserved: (reserved.next().unwrap_or(0), reserved.next().unwrap_or(0)),
                expected: Allowance::default(),
                is_set: task.max_cost_usd.is_some() || task.max_tokens.is_some(),
            };
            if budgeted.cap != Allowance::default() || budgeted.reserved != (0, 0) {
                found.push((task, budgeted));
            }
        }
        Ok(found)
    }

    /// Sets what a role may use in a day, or all together (`None`). `is_default`: as sessions.toml says, where `usd` and `tokens`
    /// say nothing. Whether that changed anything (`lua/role/set_cap.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn set_cap_of_day(
        &self,
        role: Option<&str>,
        usd: Option<Change<u64>>,
        tokens: Option<Change<u64>>,
        is_default: bool,
        reason: &str,
    ) -> Result<bool> {
        let word = |change: Option<Change<u64>>| match change {
            None if is_default => "default".to_owned(),
            other => word_of(other),
        };
        let args = [role.unwrap_or_default(), &word(usd), &word(tokens), reason];
        let changed: String = self.read(self.call(&script::SET_CAP_OF_DAY, args).await?)?;
        Ok(changed == "1")
    }

    /// Sets what all attempts of a task may use. Returns its state before and afterwards: one that is held because it had used
    /// what it may goes on (`lua/task/set_cap.lua`).
    ///
    /// # Errors
    /// `unknown`, `damaged`, `ended`, `over_budget`.
    pub async fn set_cap_of_task(
        &self,
        id: &TaskId,
        usd: Option<Change<u64>>,
        tokens: Option<Change<u64>>,
        reason: &str,
    ) -> Result<(TaskState, TaskState)> {
        let args = [id.as_str(), &word_of(usd), &word_of(tokens), reason];
        let (from, to): (String, String) = self.read(self.call(&script::SET_CAP_OF_TASK, args).await?)?;
        Ok((parse(&from, "state")?, parse(&to, "state")?))
    }

    /// What is reserved under a cap and is not what running attempts have reserved: a sentence for each.
    pub(super) async fn misreserved(&self) -> Result<Vec<String>> {
        let differs: Vec<String> = self.read(self.call(&script::RESERVED, Vec::<String>::new()).await?)?;
        let sentence =
            |one: &[String]| format!("{} is reserved as {}, and running attempts have {}", one[0], one[1], one[2]);
        Ok(differs.chunks_exact(3).map(sentence).collect())
    }

    /// Days whose sum is not that of all roles, or not that of all agents: a sentence for each.
    pub(super) async fn miscounted_days(&self) -> Result<Vec<String>> {
        let mut sums: HashMap<(u64, String), (u64, u64, u64)> = HashMap::new();
        for one in self.spent(super::spend::DAYS_KEPT).await? {
            let sum = sums.entry((one.day, one.kind)).or_default();
            sum.0 += one.usage.input_tokens;
            sum.1 += one.usage.output_tokens;
            sum.2 += one.usage.micro_usd();
        }
        let mut found = Vec::new();
        for ((day, kind), sum) in &sums {
            let all = sums.get(&(*day, "all".to_owned())).copied().unwrap_or_default();
            if ["role", "agent"].contains(&kind.as_str()) && *sum != all {
                found.push(format!("on day {day}, all {kind}s together have used {sum:?}, and {all:?} is counted"));
            }
        }
        found.sort();
        Ok(found)
    }
}

pub(super) fn word_of(change: Option<Change<u64>>) -> String {
    match change {
        None => String::new(),
        Some(Change::To(amount)) => amount.to_string(),
        Some(Change::More(amount)) => format!("+{amount}"),
        Some(Change::Unlimited) => "none".to_owned(),
    }
}
