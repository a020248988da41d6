//! The typed calls about tokens, money and rate limits.

use std::collections::{BTreeMap, HashMap};

use redis::Value;

use super::{
    Result, Store, script,
    values::{parse, usage_to_json},
};
use crate::model::{
    gate::GateCode,
    id::{PlanId, TaskId},
    pace::Pace,
    task::Usage,
    time::Timestamp,
};

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;
/// For how many days sums are kept.
pub const DAYS_KEPT: u64 = 90;
/// What may be used: in millionths of a dollar, and in tokens; `None`: any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowance {
    /// Millionths of a dollar.
    pub micro_usd: Option<u64>,
    /// Tokens, read and written.
    pub tokens: Option<u64>,
}

/// What a role may use.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Budget {
    /// The role; empty: all of them together.
    pub role: String,
    /// Roles of one account share its rate limits.
    pub account: String,
    /// In a day, which begins at midnight UTC.
    pub day: Allowance,
    /// For one task, all its attempts together.
    pub task: Allowance,
    /// What the first attempt is expected to use, before anything is known of the role.
    pub expected: Allowance,
    /// How many attempts of its account may run at once, and the roles of that account.
    pub slots: Option<(u32, Vec<String>)>,
    /// How many attempts of its account may start in a time.
    pub pace: Option<Pace>,
    /// Whether its attempts use a service: a few of them try first whether it answers (`lua/prelude/trial.lua`).
    pub is_tried: bool,
    /// How much of a window of its account may be used before nothing more is started, from 0 to 1.
    pub window_use: Option<f64>,
    /// Whether its program is known to report what it has cost, and the tokens that it has used.
    pub reports: (bool, bool),
    /// Why nothing of it can be started at all, if that is so.
    pub unavailable: Option<String>,
}

/// Why nothing of a role is started, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspended {
    /// What kind of a reason it is.
    pub code: GateCode,
    /// Until when; `None`: until a person fixes it.
    pub until: Option<Timestamp>,
    /// In words.
    pub reason: String,
    /// Whose rate limit it is; `None`: what may be used in a day is used, or it can't be started.
    pub account: Option<String>,
}

/// What keeps roles from starting any attempt, or more than some.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suspensions {
    /// Those that start nothing.
    pub held: BTreeMap<String, Suspended>,
    /// How many attempts of each other role may start now, where that is limited.
    pub rooms: BTreeMap<String, u64>,
    /// How many notices wait.
    pub notices: u64,
}

/// What was used by one role, agent, or all, on one day.
#[derive(Debug, Clone, PartialEq)]
pub struct Spent {
    /// Days since 1970, UTC.
    pub day: u64,
    /// `all`, `role` or `agent`.
    pub kind: String,
    /// Of `role` and `agent`: which.
    pub name: String,
    /// How much.
    pub usage: Usage,
}

/// What was used by one task.
#[derive(Debug, Clone, PartialEq)]
pub struct SpentByTask {
    /// The task.
    pub id: TaskId,
    /// Since when it is in its state.
    pub at: Timestamp,
    /// How much.
    pub usage: Usage,
    /// The plan that it is part of.
    pub plan: Option<PlanId>,
}

/// Adds to what is summed by name.
fn add(usage: &mut Usage, field: &str, amount: u64) {
    match field {
        "input_tokens" => usage.input_tokens += amount,
        "output_tokens" => usage.output_tokens += amount,
        "micro_usd" => usage.cost_usd += amount as f64 / 1e6,
        "estimated_micro_usd" => usage.estimated_usd += amount as f64 / 1e6,
        "estimated_tokens" => usage.estimated_tokens += amount,
        _ => {}
    }
}

impl Store {
    /// What a role may use, for `claim` and `finish` (`lua/role/set_budgets.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn set_budget(&self, budget: &Budget) -> Result<()> {
        let text = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
        let (day, task) = (budget.day, budget.task);
        let amounts = [day, task, budget.expected].map(|allowed| [text(allowed.micro_usd), text(allowed.tokens)]);
        let [day, task, expected] = &amounts;
        let unavailable = budget.unavailable.as_deref().unwrap_or_default();
        let (role, account) = (budget.role.as_str(), budget.account.as_str());
        let slots =
            budget.slots.as_ref().map(|(most, roles)| format!("{most} {}", roles.join(" "))).unwrap_or_default();
        let pace = budget.pace.map(|pace| format!("{} {}", pace.starts, pace.per.as_millis())).unwrap_or_default();
        let [day_usd, day_tokens, task_usd, task_tokens] = [&day[0], &day[1], &task[0], &task[1]];
        let [usd, tokens] = [&expected[0], &expected[1]];
        let tried = if budget.is_tried { "1" } else { "" };
        let reports = match budget.reports {
            (false, false) => "",
            (true, false) => "money",
            (false, true) => "tokens",
            (true, true) => "money tokens",
        };
        let window_use = budget.window_use.map(|used| used.to_string()).unwrap_or_default();
        let args = [
            role,
            account,
            day_usd,
            day_tokens,
            task_usd,
            task_tokens,
            unavailable,
            usd,
            tokens,
            &slots,
            &pace,
            tried,
            reports,
            &window_use,
        ];
        self.call(&script::SET_BUDGETS, args).await.map(drop)
    }

    /// Returns which of these roles are suspended, and how many notices wait (`lua/role/suspended.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn suspended(&self, roles: &[String]) -> Result<(BTreeMap<String, Suspended>, u64)> {
        let Suspensions { held, notices, .. } = self.suspensions(roles).await?;
        Ok((held, notices))
    }

    /// Returns which of these roles are suspended or may start only some attempts, and how many notices wait
    /// (`lua/role/suspended.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn suspensions(&self, roles: &[String]) -> Result<Suspensions> {
        let answer: Vec<Value> = self.read(self.call(&script::SUSPENDED, roles.to_vec()).await?)?;
        let notices = self.read(answer.first().cloned().unwrap_or(Value::Int(0)))?;
        let (mut held, mut rooms) = (BTreeMap::new(), BTreeMap::new());
        for entry in answer.get(1..).unwrap_or_default().chunks_exact(5) {
            let (role, until): (String, u64) = (self.read(entry[0].clone())?, self.read(entry[1].clone())?);
            let (reason, account): (String, String) = (self.read(entry[2].clone())?, self.read(entry[3].clone())?);
            let account = Some(account).filter(|account| !account.is_empty());
            let until = Some(Timestamp(until)).filter(|until| until.0 > 0);
            let code: String = self.read(entry[4].clone())?;
            if code.is_empty() {
                rooms.insert(role, self.read(entry[1].clone())?);
                continue;
            }
            held.insert(role, Suspended { code: parse(&code, "code")?, until, reason, account });
        }
        Ok(Suspensions { held, rooms, notices })
    }

    /// Lifts the rate limit of a role's account, whose delayed tasks are ready then (`lua/role/lift_rate_limit.lua`). Whether there was
    /// one.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn lift_limit(&self, role: &str, by: &str) -> Result<bool> {
        let lifted: String = self.read(self.call(&script::LIFT_RATE_LIMIT, [role, by]).await?)?;
        Ok(lifted == "1")
    }

    /// Wakes the idle agents of a role that is no longer suspended (`lua/role/wake.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn released(&self, role: &str) -> Result<()> {
        let reason = format!("role {role} is not held back any more");
        self.call(&script::WAKE_ROLE, [role, &reason]).await.map(drop)
    }

    /// What was used in a conversation that belongs to no task: in all, from its beginning, and since this agent took it up.
    /// What was not reported before is added to today's (`lua/agent/record_usage.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn meter(
        &self,
        agent: &str,
        role: &str,
        conversation: &str,
        total: &Usage,
        since_taken_up: &Usage,
    ) -> Result<()> {
        let args = [agent, role, conversation, &usage_to_json(total), &usage_to_json(since_taken_up)];
        self.call(&script::RECORD_USAGE, args).await.map(drop)
    }

    /// Returns what was used in the last `days` days, including today; the oldest first.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn spent(&self, days: u64) -> Result<Vec<Spent>> {
        let now = self.time(Some(self.query(&self.clock()).await?))?;
        let today = now.0 / DAY_MS;
        let first = (today + 1).saturating_sub(days.clamp(1, DAYS_KEPT + 1));
        let mut pipe = redis::pipe();
        for day in first..=today {
            pipe.cmd("HGETALL").arg(self.keys.of("usage", &day.to_string()));
        }
        let mut sums: BTreeMap<(u64, String, String), Usage> = BTreeMap::new();
        for (day, value) in (first..=today).zip(self.pipeline(&pipe).await?) {
            let fields: HashMap<String, String> = self.read(value)?;
            for (field, amount) in fields {
                let (Some((of, what)), Ok(amount)) = (field.rsplit_once(':'), amount.parse()) else { continue };
                let (kind, name) = of.split_once(':').unwrap_or((of, ""));
                add(sums.entry((day, kind.to_owned(), name.to_owned())).or_default(), what, amount);
            }
        }
        Ok(sums.into_iter().map(|((day, kind, name), usage)| Spent { day, kind, name, usage }).collect())
    }

    /// Returns the days of the last `days` whose sums an earlier release began: it counted what a conversation had used again
    /// each time that the conversation was resumed.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn overcounted_days(&self, days: u64) -> Result<Vec<u64>> {
        let now = self.time(Some(self.query(&self.clock()).await?))?;
        let today = now.0 / DAY_MS;
        let first = (today + 1).saturating_sub(days.clamp(1, DAYS_KEPT + 1));
        let mut pipe = redis::pipe();
        for day in first..=today {
            pipe.cmd("HMGET").arg(self.keys.of("usage", &day.to_string()));
            pipe.arg("counts_resumes_once").arg("all:input_tokens").arg("all:micro_usd");
        }
        let mut overcounted = Vec::new();
        for (day, value) in (first..=today).zip(self.pipeline(&pipe).await?) {
            let fields: Vec<Option<String>> = self.read(value)?;
            if fields[0].is_none() && fields[1..].iter().any(Option::is_some) {
                overcounted.push(day);
            }
        }
        Ok(overcounted)
    }

    /// Returns what each task has used itself, the newest first; tasks without usage are left out.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn spent_by_tasks(&self) -> Result<Vec<SpentByTask>> {
        let ids = self.task_ids(None).await?;
        Ok(self.used_by(&ids).await?.into_iter().filter(|spent| !spent.usage.is_nothing()).collect())
    }

    /// Returns what each of these tasks has used itself, in their order.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn used(&self, ids: &[TaskId]) -> Result<Vec<Usage>> {
        Ok(self.used_by(ids).await?.into_iter().map(|spent| spent.usage).collect())
    }

    async fn used_by(&self, ids: &[TaskId]) -> Result<Vec<SpentByTask>> {
        const USED: usize = 5;
        const FIELDS: [&str; 7] =
            ["input_tokens", "output_tokens", "micro_usd", "estimated_micro_usd", "estimated_tokens", "since", "plan"];
        let mut spent = Vec::with_capacity(ids.len());
        for some in ids.chunks(1000) {
            let mut pipe = redis::pipe();
            for id in some {
                let cmd = pipe.cmd("HMGET").arg(self.keys.of("task", id.as_str()));
                for field in &FIELDS[..USED] {
                    cmd.arg(format!("used_{field}"));
                }
                cmd.arg(&FIELDS[USED..]);
            }
            for (id, answer) in some.iter().zip(self.pipeline_each(&pipe).await?) {
                let row: Vec<Option<String>> = self.read_record(Some(answer), id.as_str()).unwrap_or_default();
                let text = |i: usize| row.get(i).cloned().flatten();
                let number = |i: usize| text(i).and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
                let mut usage = Usage::default();
                FIELDS[..USED].iter().enumerate().for_each(|(i, field)| add(&mut usage, field, number(i) as u64));
                let plan = text(USED + 1).and_then(|plan| plan.parse().ok());
                spent.push(SpentByTask { id: id.clone(), at: Timestamp(number(USED) as u64), usage, plan });
            }
        }
        Ok(spent)
    }
}
