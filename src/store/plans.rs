//! The typed calls about plans.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::json;

use super::{
    Result, Store, StoreError,
    decode::Fields,
    script,
    spend::Allowance,
    tasks::Delegation,
    values::{parse, to_json},
};
use crate::{
    model::{
        id::{Capability, PlanId, TaskId},
        json::Shallow,
        plan::{Counts, PlanState, PlanSummary},
        task::{TaskState, Usage},
    },
    os::failpoint,
};

pub use super::spec::NewTask;

/// How many tasks are staged in one call: Redis serves no other client meanwhile.
const STAGED_AT_ONCE: usize = 100;
/// Plans that are read in one round trip.
const BATCH: usize = 200;

/// What is to be accepted as a plan.
#[derive(Debug, Clone)]
pub struct NewPlan {
    /// Its id, fresh for each submission: the same submission sent again is the same plan.
    pub id: PlanId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub text: String,
    /// How many slots of a role it gets for each one of another plan.
    pub weight: Option<u32>,
    /// Its tasks with their keys, each after those that it comes after.
    pub tasks: Vec<(String, NewTask)>,
    /// The box in which its end is posted.
    pub notify: Option<String>,
    /// The attempt from within which it is submitted.
    pub parent: Option<Capability>,
    /// The caller in words, for events.
    pub who: String,
    /// What makes a repeated submission the same plan.
    pub key: Option<PlanKey>,
    /// What its tasks, and those that these delegate, may use together.
    pub cap: Allowance,
}

/// An idempotency key of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanKey {
    /// The key.
    pub key: String,
    /// The plan's content in short: the same key with another content is refused.
    pub digest: String,
    /// Whether it is not the caller's own key, but stands for the same call of an earlier attempt: it finds no plan that
    /// failed or was cancelled.
    pub repeats: bool,
}

/// A plan that was accepted, by this call or an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedPlan {
    /// Its id: that of an earlier plan where the key is known.
    pub id: PlanId,
    /// Its state.
    pub state: PlanState,
    /// Whether it was accepted by this call, or by a sending of it whose answer was lost.
    pub created: bool,
}

/// A task as it is staged.
#[derive(Serialize)]
struct Staged<'a> {
    id: &'a TaskId,
    key: &'a str,
    spec: Delegation<'a>,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
}

impl Store {
    /// Accepts a plan: all of its tasks or none (`lua/plan/stage.lua`, `lua/plan/submit.lua`). They become tasks some at a
    /// time; the supervisor continues where a caller ends early.
    ///
    /// # Errors
    /// A refusal that the script's header names, or an unreachable Redis.
    pub async fn submit_plan(&self, new: &NewPlan) -> Result<AcceptedPlan> {
        self.stage_plan(new).await?;
        failpoint!("plan.staged");
        let terms = terms(new);
        let answer = self.call(&script::SUBMIT_PLAN, [new.id.as_str(), &terms, &new.who]).await?;
        let (state, mut left, _, id): (String, u64, String, String) = self.read(answer)?;
        let id: PlanId = parse(&id, "id")?;
        failpoint!("plan.accepted");
        while left > 0 {
            left = self.grow_plan(Some(&id)).await?;
        }
        Ok(AcceptedPlan { created: id == new.id, state: parse(&state, "state")?, id })
    }

    /// Sends the tasks of a plan that is to be accepted (`lua/plan/stage.lua`).
    pub(super) async fn stage_plan(&self, new: &NewPlan) -> Result<()> {
        for (at, some) in new.tasks.chunks(STAGED_AT_ONCE).enumerate() {
            let mut args = vec![new.id.to_string(), (at * STAGED_AT_ONCE + 1).to_string()];
            for (key, task) in some {
                let context = task.context.as_ref().map(|c| to_json(&Shallow(c))).transpose()?;
                args.push(to_json(&Staged {
                    id: &task.id,
                    key,
                    spec: Delegation::of(task)?,
                    text: &task.text,
                    context,
                })?);
            }
            self.call(&script::STAGE_PLAN, args).await?;
        }
        Ok(())
    }

    /// Makes further tasks of an accepted plan, or of any that is not complete; returns how many of it are left
    /// (`lua/plan/grow.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn grow_plan(&self, plan: Option<&PlanId>) -> Result<u64> {
        self.read(self.call(&script::GROW_PLAN, [plan.map_or("", PlanId::as_str)]).await?)
    }

    /// Cancels a plan with its open tasks; its state afterwards: it is `running` until the agents of running tasks have
    /// ended them (`lua/plan/cancel.lua`).
    ///
    /// # Errors
    /// `unknown`.
    pub async fn cancel_plan(&self, plan: &PlanId, reason: &str) -> Result<PlanState> {
        loop {
            let answer = self.call(&script::CANCEL_PLAN, [plan.as_str(), reason]).await?;
            let (state, left): (String, u64) = self.read(answer)?;
            if left == 0 {
                return parse(&state, "state");
            }
        }
    }

    /// The newest plans, the newest first.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn newest_plans(&self, at_most: usize) -> Result<Vec<PlanId>> {
        let last = at_most.saturating_sub(1).to_string();
        let key = self.keys.plain("plans");
        let ids: Vec<String> = self.query(redis::cmd("ZREVRANGE").arg(key).arg(0).arg(last)).await?;
        Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// These plans, in this order; unknown ones are left out.
    ///
    /// # Errors
    /// An unreachable Redis, or a damaged record.
    pub async fn plans(&self, ids: &[PlanId]) -> Result<Vec<PlanSummary>> {
        let mut plans = Vec::with_capacity(ids.len());
        for batch in ids.chunks(BATCH) {
            let mut pipe = redis::pipe();
            for id in batch {
                pipe.cmd("HGETALL").arg(self.keys.of("plan", id.as_str()));
            }
            for (id, value) in batch.iter().zip(self.pipeline(&pipe).await?) {
                let fields: HashMap<String, String> = self.read(value)?;
                let fields = Fields::new(self.keys.of("plan", id.as_str()), fields);
                if !fields.is_empty() {
                    plans.push(summary(id, &fields)?);
                }
            }
        }
        Ok(plans)
    }

    /// Those of these tasks that have not ended.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn open_among(&self, ids: &[TaskId]) -> Result<Vec<TaskId>> {
        let mut pipe = redis::pipe();
        for id in ids {
            pipe.cmd("HGET").arg(self.keys.of("task", id.as_str())).arg("state");
        }
        let mut open = Vec::new();
        for (id, state) in ids.iter().zip(self.pipeline_each(&pipe).await?) {
            let state: Option<String> = self.read_record(Some(state), id.as_str()).unwrap_or_default();
            let state: Option<TaskState> = state.and_then(|state| state.parse().ok());
            open.extend(state.is_some_and(|state| !state.is_terminal()).then(|| id.clone()));
        }
        Ok(open)
    }

    /// The tasks of a plan by their keys.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn plan_tasks(&self, plan: &PlanId) -> Result<BTreeMap<String, TaskId>> {
        let key = self.keys.of("plan_tasks", plan.as_str());
        let tasks: BTreeMap<String, String> = self.query(redis::cmd("HGETALL").arg(key)).await?;
        Ok(tasks.into_iter().filter_map(|(key, id)| Some((key, id.parse().ok()?))).collect())
    }
}

fn summary(id: &PlanId, f: &Fields) -> Result<PlanSummary> {
    let damaged = |name: &str| StoreError::Damaged { key: format!("plan:{id}"), why: format!("it has no {name}") };
    let counts: Counts = TaskState::ALL
        .iter()
        .map(|state| Ok((*state, f.parse_or::<u64>(&format!("n:{state}"), 0)?)))
        .collect::<Result<_>>()?;
    Ok(PlanSummary {
        id: id.clone(),
        name: f.text("name").unwrap_or_default(),
        text: f.text("text").unwrap_or_default(),
        state: f.parse("state")?,
        since: f.time("since")?.ok_or_else(|| damaged("since"))?,
        created_at: f.time("created_at")?.ok_or_else(|| damaged("created_at"))?,
        ended_at: f.time("ended_at")?,
        total: f.parse_or("total", 0)?,
        counts: counts.into_iter().filter(|(_, n)| *n > 0).collect(),
        max_cost_usd: f.parse_opt("cap_micro_usd")?.map(Usage::of_micro_usd),
        max_tokens: f.parse_opt("cap_tokens")?,
        short: f.text("short_why"),
    })
}

/// What a plan is besides its tasks, as the scripts read it.
pub(super) fn terms(new: &NewPlan) -> String {
    let first = new.tasks.first().map(|(_, task)| task);
    let terms = json!({
        "name": new.name, "text": new.text, "total": new.tasks.len(), "notify": new.notify, "weight": new.weight,
        "max_queued": first.map(|task| task.max_queued), "max_depth": first.map(|task| task.max_depth),
        "max_children": first.map(|task| task.max_children),
        "max_cost_micro_usd": new.cap.micro_usd, "max_tokens": new.cap.tokens,
        "parent": new.parent.as_ref().map(|parent| &parent.task),
        "attempt_fence": new.parent.as_ref().map(|parent| parent.fence.to_string()),
        "incarnation": new.parent.as_ref().map(|parent| &parent.incarnation),
        "key": new.key.as_ref().map(|key| &key.key), "digest": new.key.as_ref().map(|key| &key.digest),
        "repeats": new.key.as_ref().filter(|key| key.repeats).map(|_| true),
    });
    without_nulls(terms).to_string()
}

fn without_nulls(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(fields) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        other => other,
    }
}
