//! The typed calls about tasks.

use std::{collections::HashMap, time::Duration};

use redis::Value;
use serde::Serialize;

use super::{
    Result, Store, StoreError,
    decode::{self, Fields},
    script,
};
use crate::model::{
    cause::Cause,
    id::{Capability, TaskId},
    json,
    task::{Priority, Task, TaskDetail, TaskState},
    time::Timestamp,
};

/// What is to be accepted as a task.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// Its id, fresh for each request: the same request sent again is the same task.
    pub id: TaskId,
    /// The role that does it.
    pub role: String,
    /// What is to be done.
    pub text: String,
    /// Structured data for the agent, as JSON.
    pub context: Option<serde_json::Value>,
    /// Which goes first.
    pub priority: Priority,
    /// What must have succeeded before.
    pub after: Vec<TaskId>,
    /// For people and filters.
    pub labels: std::collections::BTreeMap<String, String>,
    /// Paths it is about.
    pub artifacts: Vec<String>,
    /// Its working folder, if not its role's.
    pub cwd: Option<String>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How many failures of its own it is forgiven.
    pub retries: u32,
    /// How many lost attempts it is forgiven.
    pub lost_max: u32,
    /// The caller's idempotency key.
    pub key: Option<String>,
    /// The attempt from within which it is delegated.
    pub parent: Option<Capability>,
    /// A hash of its content, by which a retried parent finds its subtasks again.
    pub fingerprint: Option<String>,
    /// The bounds of the namespace.
    pub max_depth: u32,
    /// Open subtasks that one task may have.
    pub max_children: u32,
    /// Who asks, in words, for the event.
    pub who: String,
}

/// What `delegate` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delegated {
    /// The task.
    pub id: TaskId,
    /// Where it stands.
    pub state: TaskState,
    /// Whether this call made it; false where the key was known.
    pub created: bool,
}

/// A task that an agent has claimed.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The task as recorded.
    pub task: Task,
    /// Which attempt this is.
    pub attempt: u32,
    /// The fence of its lease.
    pub fence: u64,
}

/// The end of an attempt, as its holder reports it. It is also what lies on disk until Redis has heard it.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
pub struct Report {
    /// The task.
    pub task: TaskId,
    /// The attempt's number.
    pub attempt: u32,
    /// Who reports.
    pub agent: String,
    /// Which run of that agent.
    pub incarnation: String,
    /// The fence of its lease.
    pub fence: u64,
    /// Why it ended.
    pub cause: Cause,
    /// The same in words.
    pub reason: String,
    /// The program's exit code.
    pub exit_code: Option<i32>,
    /// What it answered.
    pub result: Option<crate::model::task::TaskResult>,
    /// If it is tried again: after how long.
    pub delay_ms: u64,
}

/// How many records are read in one round trip: a 1 MiB text in each must not stall the others for long.
const BATCH: usize = 200;

impl Store {
    /// Accepts a task (`lua/delegate.lua`).
    ///
    /// # Errors
    /// A refusal that the script's header names, or an unreachable Redis.
    pub async fn delegate(&self, new: &NewTask) -> Result<Delegated> {
        match self.delegate_as(&new.id, new).await {
            Err(e) if e.refusal() == Some("id_taken") => self.delegate_as(&TaskId::random(), new).await,
            answer => answer,
        }
    }

    async fn delegate_as(&self, id: &TaskId, new: &NewTask) -> Result<Delegated> {
        #[derive(Serialize)]
        struct Spec<'a> {
            role: &'a str,
            priority: Priority,
            after: &'a [TaskId],
            labels: &'a std::collections::BTreeMap<String, String>,
            artifacts: &'a [String],
            #[serde(skip_serializing_if = "Option::is_none")]
            cwd: Option<&'a str>,
            timeout_ms: String, // Lua's numbers are floating point
            retries: u32,
            lost_max: u32,
            #[serde(skip_serializing_if = "Option::is_none")]
            key: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            parent: Option<&'a TaskId>,
            #[serde(skip_serializing_if = "Option::is_none")]
            attempt_fence: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            incarnation: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            fingerprint: Option<&'a str>,
            max_depth: u32,
            max_children: u32,
        }
        let spec = Spec {
            role: &new.role,
            priority: new.priority,
            after: &new.after,
            labels: &new.labels,
            artifacts: &new.artifacts,
            cwd: new.cwd.as_deref(),
            timeout_ms: u64::try_from(new.timeout.as_millis()).unwrap_or(u64::MAX).to_string(),
            retries: new.retries,
            lost_max: new.lost_max,
            key: new.key.as_deref(),
            parent: new.parent.as_ref().map(|p| &p.task),
            attempt_fence: new.parent.as_ref().map(|p| p.fence.to_string()),
            incarnation: new.parent.as_ref().map(|p| p.incarnation.as_str()),
            fingerprint: new.fingerprint.as_deref(),
            max_depth: new.max_depth,
            max_children: new.max_children,
        };
        let spec = to_json(&spec)?;
        let context = new.context.as_ref().map(|c| to_json(&json::Shallow(c))).transpose()?.unwrap_or_default();
        let args = [id.as_str(), &spec, &new.text, &context, &new.who];
        let (id, state, created): (String, String, String) = self.read(self.call(&script::DELEGATE, args).await?)?;
        Ok(Delegated { id: parse(&id, "id")?, state: parse(&state, "state")?, created: created == "1" })
    }

    /// The first ready task of an idle agent's role (`lua/claim.lua`).
    ///
    /// # Errors
    /// `stale` where the agent was given up.
    pub async fn claim(&self, agent: &str, incarnation: &str, lease: Duration) -> Result<Option<Claimed>> {
        let lease = ms(lease);
        self.claimed(self.call(&script::CLAIM, [agent, incarnation, &lease]).await?)
    }

    /// Reports the end of an attempt (`lua/finish.lua`).
    ///
    /// # Errors
    /// `stale` where the lease was given to another, or the supervisor ended the attempt.
    pub async fn finish(&self, report: &Report) -> Result<TaskState> {
        self.finished(self.call(&script::FINISH, finish_args(report)?).await?)
    }

    /// Reports the end of an attempt and claims the next task, in one round trip.
    ///
    /// # Errors
    /// Each of the two has its own; the outer one is an unreachable Redis.
    pub async fn finish_and_claim(
        &self,
        report: &Report,
        lease: Duration,
    ) -> Result<(Result<TaskState>, Result<Option<Claimed>>)> {
        let claim = vec![report.agent.clone(), report.incarnation.clone(), ms(lease)];
        let (finish, claim) = self.call_two((&script::FINISH, finish_args(report)?), (&script::CLAIM, claim)).await?;
        Ok((finish.and_then(|v| self.finished(v)), claim.and_then(|v| self.claimed(v))))
    }

    fn finished(&self, value: Value) -> Result<TaskState> {
        let (state, _first): (String, String) = self.read(value)?;
        parse(&state, "state")
    }

    fn claimed(&self, value: Value) -> Result<Option<Claimed>> {
        let flat: Vec<String> = self.read(value)?;
        let [id, number, fence, fields @ ..] = flat.as_slice() else {
            return Ok(None);
        };
        let id: TaskId = parse(id, "id")?;
        let (pairs, _) = fields.as_chunks::<2>();
        let fields = pairs.iter().map(|[k, v]| (k.clone(), v.clone())).collect();
        let fields = Fields::new(self.keys.of("task", id.as_str()), fields);
        Ok(Some(Claimed {
            task: decode::task(&id, &fields, Vec::new(), Timestamp::default())?,
            attempt: parse(number, "attempt")?,
            fence: parse(fence, "fence")?,
        }))
    }

    /// Ends the attempt of an agent that is not there any more (`lua/expire.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn expire(&self, task: &TaskId, fence: u64, reason: &str, delay: Duration) -> Result<()> {
        let args = [task.as_str(), &fence.to_string(), reason, &ms(delay)];
        self.call(&script::EXPIRE, args).await.map(drop)
    }

    /// Makes delayed tasks ready whose time has come; how many, and when the next one is due (`lua/due.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn release_due(&self) -> Result<(u64, Option<Duration>)> {
        let (count, next): (u64, String) = self.read(self.call(&script::DUE, ["1000"]).await?)?;
        Ok((count, next.parse::<f64>().ok().map(|ms| Duration::from_millis(ms as u64))))
    }

    /// Cancels tasks and their subtasks; each one's state afterwards, `None` for an unknown one (`lua/cancel.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn cancel(&self, ids: &[TaskId], reason: &str) -> Result<Vec<Option<TaskState>>> {
        let args: Vec<String> = std::iter::once(reason.to_owned()).chain(ids.iter().map(TaskId::to_string)).collect();
        let states: Vec<String> = self.read(self.call(&script::CANCEL, args).await?)?;
        Ok(states.iter().map(|s| s.parse().ok()).collect())
    }

    /// Starts a failed, cancelled, held or delayed task anew; its state before and afterwards (`lua/retry.lua`).
    ///
    /// # Errors
    /// `unknown`, `dependency_ended`.
    pub async fn retry(&self, id: &TaskId, reason: &str) -> Result<(TaskState, TaskState)> {
        let (from, to): (String, String) = self.read(self.call(&script::RETRY, [id.as_str(), reason]).await?)?;
        Ok((parse(&from, "state")?, parse(&to, "state")?))
    }

    /// Marks the caller's own task as waiting for others, for at most `for_`; zero ends it (`lua/waiting.lua`).
    ///
    /// # Errors
    /// `stale`, `ancestor`.
    pub async fn mark_waiting(&self, who: &Capability, what: &[TaskId], for_: Duration) -> Result<()> {
        let mut args = vec![who.task.to_string(), who.fence.to_string(), who.incarnation.clone(), ms(for_)];
        args.extend(what.iter().map(TaskId::to_string));
        self.call(&script::WAITING, args).await.map(drop)
    }

    /// Forgets tasks that ended longer ago than `keep`; their ids (`lua/prune.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn prune(&self, keep: Duration, at_most: u32) -> Result<Vec<TaskId>> {
        let ids: Vec<String> =
            self.read(self.call(&script::PRUNE, [&ms(keep) as &str, &at_most.to_string()]).await?)?;
        ids.iter().map(|id| parse(id, "id")).collect()
    }

    /// The ids of all tasks, or of those in one state; the newest first.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn task_ids(&self, state: Option<TaskState>) -> Result<Vec<TaskId>> {
        let key = state.map_or_else(|| self.keys.plain("tasks"), |s| self.keys.of("state", s.as_str()));
        let ids: Vec<String> = self.query(redis::cmd("ZREVRANGE").arg(key).arg(0).arg(-1)).await?;
        ids.iter().map(|id| parse(id, "id")).collect()
    }

    /// How many tasks are in each state.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn task_counts(&self) -> Result<Vec<(TaskState, u64)>> {
        let mut pipe = redis::pipe();
        for state in TaskState::ALL {
            pipe.cmd("ZCARD").arg(self.keys.of("state", state.as_str()));
        }
        let counts = self.pipeline(&pipe).await?;
        TaskState::ALL.iter().zip(counts).map(|(s, v)| Ok((*s, self.read(v)?))).collect()
    }

    /// How many ready tasks of the role go before this one; `None` where it is not ready.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn ready_before(&self, role: &str, id: &TaskId) -> Result<Option<u64>> {
        self.query(redis::cmd("ZRANK").arg(self.keys.of("ready", role)).arg(id.as_str())).await
    }

    /// These tasks, in this order; unknown ones are left out.
    ///
    /// # Errors
    /// An unreachable Redis, or a damaged record.
    pub async fn tasks(&self, ids: &[TaskId]) -> Result<Vec<Task>> {
        let mut tasks = Vec::with_capacity(ids.len());
        for batch in ids.chunks(BATCH) {
            let mut pipe = redis::pipe();
            pipe.add_command(self.clock());
            for id in batch {
                pipe.cmd("HGETALL").arg(self.keys.of("task", id.as_str()));
                pipe.cmd("LRANGE").arg(self.keys.of("children", id.as_str())).arg(0).arg(-1);
            }
            let mut values = self.pipeline(&pipe).await?.into_iter();
            let now = self.time(values.next())?;
            for id in batch {
                let fields: HashMap<String, String> = self.read(values.next().unwrap_or(Value::Nil))?;
                let children: Vec<String> = self.read(values.next().unwrap_or(Value::Nil))?;
                let fields = Fields::new(self.keys.of("task", id.as_str()), fields);
                if !fields.is_empty() {
                    tasks.push(decode::task(id, &fields, children, now)?);
                }
            }
        }
        Ok(tasks)
    }

    /// Everything recorded about a task.
    ///
    /// # Errors
    /// An unreachable Redis, or a damaged record.
    pub async fn task(&self, id: &TaskId) -> Result<Option<TaskDetail>> {
        let mut pipe = redis::pipe();
        pipe.add_command(self.clock());
        pipe.cmd("HGETALL").arg(self.keys.of("task", id.as_str()));
        pipe.cmd("LRANGE").arg(self.keys.of("children", id.as_str())).arg(0).arg(-1);
        pipe.cmd("LRANGE").arg(self.keys.of("attempts", id.as_str())).arg(0).arg(-1);
        let mut values = self.pipeline(&pipe).await?.into_iter();
        let now = self.time(values.next())?;
        let mut next = || values.next().unwrap_or(Value::Nil);
        let fields: HashMap<String, String> = self.read(next())?;
        let children: Vec<String> = self.read(next())?;
        let attempts: Vec<String> = self.read(next())?;
        let fields = Fields::new(self.keys.of("task", id.as_str()), fields);
        if fields.is_empty() {
            return Ok(None);
        }
        let key = self.keys.of("attempts", id.as_str());
        Ok(Some(TaskDetail {
            task: decode::task(id, &fields, children, now)?,
            attempts: attempts.iter().map(|a| decode::attempt(&key, a)).collect::<Result<_>>()?,
            result: decode::result(&fields)?,
        }))
    }
}

fn finish_args(r: &Report) -> Result<Vec<String>> {
    Ok(vec![
        r.task.to_string(),
        r.agent.clone(),
        r.incarnation.clone(),
        r.fence.to_string(),
        r.cause.to_string(),
        r.reason.clone(),
        r.exit_code.map(|c| c.to_string()).unwrap_or_default(),
        r.result.as_ref().map(to_json).transpose()?.unwrap_or_default(),
        r.delay_ms.to_string(),
    ])
}

pub(super) fn ms(d: Duration) -> String {
    d.as_millis().to_string()
}

pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| StoreError::Other(e.to_string()))
}

pub(super) fn parse<T: std::str::FromStr>(text: &str, what: &str) -> Result<T> {
    text.parse().map_err(|_| StoreError::Other(format!("'{text}' is not a {what}")))
}
