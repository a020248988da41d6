//! The typed calls about tasks.

use std::{collections::HashMap, time::Duration};

use redis::Value;
use serde::{Deserialize, Serialize};

use super::{
    Result, Store, StoreError,
    decode::{self, Fields},
    people, script, spec,
    values::{ms, parse, to_json},
};
use crate::model::{
    escalation::Escalation,
    id::{Capability, TaskId},
    json,
    refusal::Refusal,
    task::{Task, TaskDetail, TaskState},
    time::Timestamp,
};

pub use super::{
    attempts::{Claimed, Metered, Report},
    spec::NewTask,
};

/// What `delegate` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegated {
    /// The task.
    pub id: TaskId,
    /// Where it stands.
    pub state: TaskState,
    /// Whether this call made it; false where the key was known.
    pub created: bool,
    /// Whether the task that has the key has another text, role, folder or context.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub differs: bool,
    /// The rights for which a person has to approve it: those of its role that the delegating role lacks.
    pub needs_approval: Vec<String>,
    /// Whether the running supervisor does not know its role: it waits for `orch reload`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits_for_reload: bool,
    /// Whether it was delegated as detached where nothing would wait for it anyway.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detached_already: bool,
    /// The role that was chosen for it, where it was delegated to `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routed_to: Option<String>,
    /// What the caller may not expect of how it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// On which terms a task is retried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Again {
    /// Whether it runs again also if it has succeeded, because it is named.
    pub even_succeeded: bool,
    /// Whether an agent asks: it lifts no budget, and decides nothing that a person has to.
    pub by_agent: bool,
    /// The tools that a person has allowed it; none: what was allowed before stays.
    pub allowed_tools: Vec<String>,
}

/// What `retry` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retried {
    /// The task's state before.
    pub from: TaskState,
    /// Its state afterwards.
    pub to: TaskState,
    /// What had been cancelled because of it, and is retried as well.
    pub others: Vec<TaskId>,
}

/// The specification of a task as `lua/task/delegate.lua` reads it.
#[derive(Serialize)]
pub(super) struct Delegation<'a> {
    #[serde(flatten)]
    spec: serde_json::Map<String, serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<&'a TaskId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt_fence: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incarnation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    escalation: Option<&'a Escalation>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    inherits: bool,
    max_depth: u32,
    max_children: u32,
    max_queued: u32,
    max_wait_ms: u64,
}

impl<'a> Delegation<'a> {
    pub(super) fn of(new: &'a NewTask) -> Result<Self> {
        Ok(Delegation {
            spec: spec::stored(&new.spec)?,
            parent: new.parent.as_ref().map(|p| &p.task),
            attempt_fence: new.parent.as_ref().map(|p| p.fence.to_string()),
            incarnation: new.parent.as_ref().map(|p| p.incarnation.as_str()),
            fingerprint: new.fingerprint.as_deref(),
            escalation: new.escalation.as_ref(),
            max_depth: new.max_depth,
            max_children: new.max_children,
            max_queued: new.max_queued,
            max_wait_ms: u64::try_from(new.max_wait.as_millis()).unwrap_or(u64::MAX),
            inherits: new.inherits_priority,
        })
    }
}

/// How many records are read in one round trip: a 1 MiB text in each must not stall the others for long.
const BATCH: usize = 200;
/// Records that one call removes: a longer call would block all other clients of Redis.
const PRUNE_AT_ONCE: usize = 500;

impl Store {
    /// Accepts a task (`lua/task/delegate.lua`).
    ///
    /// # Errors
    /// A refusal that the script's header names, or an unreachable Redis.
    pub async fn delegate(&self, new: &NewTask) -> Result<Delegated> {
        let accepted = self.delegate_all(std::slice::from_ref(new)).await?;
        accepted.into_iter().next().ok_or_else(|| StoreError::Other("nothing was accepted".into()))
    }

    /// Accepts tasks that the same caller asks for, all of them or none, in one call. Redis serves no other client
    /// meanwhile, for about 50 µs per task.
    ///
    /// # Errors
    /// As [`Store::delegate`].
    pub async fn delegate_all(&self, new: &[NewTask]) -> Result<Vec<Delegated>> {
        let ids = new.iter().map(|new| new.id.clone()).collect::<Vec<_>>();
        match self.delegate_as(&ids, new).await {
            Err(e) if e.refusal() == Some(Refusal::IdTaken) => {
                let others: Vec<TaskId> = new.iter().map(|_| TaskId::random()).collect();
                self.delegate_as(&others, new).await
            }
            answer => answer,
        }
    }

    async fn delegate_as(&self, ids: &[TaskId], new: &[NewTask]) -> Result<Vec<Delegated>> {
        let Some(first) = new.first() else { return Ok(Vec::new()) };
        let mut args = Vec::with_capacity(4 * new.len() + 1);
        for (at, (id, new)) in ids.iter().zip(new).enumerate() {
            let context = new.context.as_ref().map(|c| to_json(&json::Shallow(c))).transpose()?.unwrap_or_default();
            args.extend([id.to_string(), to_json(&Delegation::of(new)?)?, new.text.clone(), context]);
            if at == 0 {
                args.push(first.who.clone());
            }
        }
        let answer: Vec<String> = self.read(self.call_at_once(&script::DELEGATE, args).await?)?;
        let accepted = answer.chunks_exact(3).map(|words| {
            let (id, state) = (parse(&words[0], "id")?, parse(&words[1], "state")?);
            let (created, differs) = (words[2] == "1", words[2] == "other");
            Ok(Delegated {
                id,
                state,
                created,
                differs,
                needs_approval: Vec::new(),
                waits_for_reload: false,
                detached_already: false,
                routed_to: None,
                note: None,
            })
        });
        accepted.collect()
    }

    /// Makes the delayed tasks ready that are due; returns how many, and when the next one is due
    /// (`lua/task/release_due.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn release_due(&self) -> Result<(u64, Option<Duration>)> {
        let answer = self.call(&script::RELEASE_DUE, ["1000"]).await?;
        let (count, next, damaged): (u64, String, Vec<String>) = self.read(answer)?;
        for id in damaged {
            self.quarantine(&id, "", "it can't be made ready").await?;
        }
        Ok((count, next.parse::<f64>().ok().map(|ms| Duration::from_millis(ms as u64))))
    }

    /// Ends the tasks whose deadline has passed; returns how many (`lua/task/end_late.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn end_late(&self) -> Result<u64> {
        let (count, damaged): (u64, Vec<String>) = self.read(self.call(&script::END_LATE, ["1000"]).await?)?;
        for id in damaged {
            self.quarantine(&id, "", "its deadline has passed, and it can't be ended").await?;
        }
        Ok(count)
    }

    /// Cancels tasks and their subtasks, and removes dead letters; each one's state afterwards, `None` for an unknown one
    /// (`lua/task/cancel.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn cancel(&self, ids: &[TaskId], reason: &str) -> Result<Vec<Option<TaskState>>> {
        let args: Vec<String> = std::iter::once(reason.to_owned()).chain(ids.iter().map(TaskId::to_string)).collect();
        let states: Vec<String> = self.read(self.call(&script::CANCEL, args).await?)?;
        Ok(states.iter().map(|s| s.parse().ok()).collect())
    }

    /// Retries a failed, cancelled, held or delayed task, and what was cancelled because of it; returns its state before and
    /// afterwards, and the others (`lua/task/retry.lua`).
    ///
    /// # Errors
    /// `unknown`, `dependency_ended`, `not_approved`.
    pub async fn retry(&self, id: &TaskId, reason: &str) -> Result<Retried> {
        self.retry_as(id, reason, &Again::default()).await
    }

    /// The same on these terms.
    ///
    /// # Errors
    /// Those of [`Store::retry`]; of an agent, `for_person`.
    pub async fn retry_as(&self, id: &TaskId, reason: &str, terms: &Again) -> Result<Retried> {
        let Again { even_succeeded, by_agent, allowed_tools } = terms;
        let tools = if allowed_tools.is_empty() { String::new() } else { serde_json::json!(allowed_tools).to_string() };
        let flag = |is_set: bool| if is_set { "1" } else { "" };
        let args = [id.as_str(), reason, &tools, flag(*even_succeeded), flag(*by_agent)];
        let words: Vec<String> = self.read(self.call(&script::RETRY, args).await?)?;
        let word = |at: usize| words.get(at).map_or("", String::as_str);
        let others = words.iter().skip(2).map(|id| parse(id, "id")).collect::<Result<_>>()?;
        Ok(Retried { from: parse(word(0), "state")?, to: parse(word(1), "state")?, others })
    }

    /// Marks the caller's own task as waiting for others, for at most `for_`; zero ends it (`lua/task/mark_waiting.lua`).
    ///
    /// # Errors
    /// `stale`, `ancestor`.
    pub async fn mark_waiting(&self, who: &Capability, what: &[TaskId], for_: Duration) -> Result<()> {
        let mut args = vec![who.task.to_string(), who.fence.to_string(), who.incarnation.clone(), ms(for_)];
        args.extend(what.iter().map(TaskId::to_string));
        self.call(&script::MARK_WAITING, args).await.map(drop)
    }

    /// Forgets succeeded, cancelled and skipped tasks that ended longer ago than `keep`; their ids. Dead letters stay.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn prune(&self, keep: Duration, at_most: usize) -> Result<Vec<TaskId>> {
        let mut gone = Vec::new();
        for state in [TaskState::Succeeded, TaskState::Cancelled, TaskState::Skipped] {
            gone.extend(self.prune_state(state, keep, at_most - gone.len(), false).await?);
        }
        Ok(gone)
    }

    /// Forgets tasks of an ended state that ended longer ago than `keep`; their ids. In a trial, they stay. Each call of
    /// Redis is short, however many tasks must stay (`lua/task/prune.lua`).
    ///
    /// # Errors
    /// An unreachable Redis, or a state that is not an ended one.
    pub async fn prune_state(
        &self,
        state: TaskState,
        keep: Duration,
        at_most: usize,
        is_trial: bool,
    ) -> Result<Vec<TaskId>> {
        let (mut gone, mut from) = (Vec::new(), "0".to_owned());
        while !from.is_empty() && gone.len() < at_most {
            let rest = (at_most - gone.len()).min(PRUNE_AT_ONCE).to_string();
            let trial = if is_trial { "1" } else { "" };
            let args = [&ms(keep), &rest, state.as_str(), &from, trial];
            let (next, ids): (String, Vec<String>) = self.read(self.call(&script::PRUNE, args).await?)?;
            for id in &ids {
                gone.push(parse(id, "id")?);
            }
            from = next;
        }
        Ok(gone)
    }

    /// The ids of all tasks, or of those in one state; the newest first.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn task_ids(&self, state: Option<TaskState>) -> Result<Vec<TaskId>> {
        let key = state.map_or_else(|| self.keys.plain("tasks"), |s| self.keys.of("state", s.as_str()));
        let ids: Vec<String> = self.query(redis::cmd("ZREVRANGE").arg(key).arg(0).arg(-1)).await?;
        // What is no id names no task.
        Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
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

    /// These tasks, in this order; unknown ones are left out, and so are those whose records are damaged.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn tasks(&self, ids: &[TaskId]) -> Result<Vec<Task>> {
        Ok(self.tasks_and_damaged(ids).await?.0)
    }

    /// The same, with those that are damaged: the task, and what is wrong with its record.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn tasks_and_damaged(&self, ids: &[TaskId]) -> Result<(Vec<Task>, Vec<(TaskId, StoreError)>)> {
        let (mut tasks, mut damaged) = (Vec::with_capacity(ids.len()), Vec::new());
        for batch in ids.chunks(BATCH) {
            let mut pipe = redis::pipe();
            pipe.add_command(self.clock());
            for id in batch {
                pipe.cmd("HGETALL").arg(self.keys.of("task", id.as_str()));
                pipe.cmd("LRANGE").arg(self.keys.of("children", id.as_str())).arg(0).arg(-1);
                pipe.cmd("LINDEX").arg(self.keys.of("attempts", id.as_str())).arg(-1);
            }
            let mut values = self.pipeline_each(&pipe).await?.into_iter();
            let now = self.time(values.next().transpose()?)?;
            for id in batch {
                let (record, children, attempt) = (values.next(), values.next(), values.next());
                match self.task_of(id, record, children, now) {
                    Ok(None) => {}
                    Ok(Some((mut task, _))) => {
                        let attempt: Option<String> = self.read_record(attempt, "attempts").unwrap_or_default();
                        decode::last_attempt(&mut task, &attempt.unwrap_or_default(), now);
                        tasks.push(task);
                    }
                    Err(e) => damaged.push((id.clone(), e)),
                }
            }
        }
        Ok((tasks, damaged))
    }

    /// A task, with its record's fields, from the answers about it; `None` where there is no record.
    fn task_of(
        &self,
        id: &TaskId,
        record: Option<Result<Value>>,
        children: Option<Result<Value>>,
        now: Timestamp,
    ) -> Result<Option<(Task, Fields)>> {
        let key = self.keys.of("task", id.as_str());
        let fields: HashMap<String, String> = self.read_record(record, &key)?;
        let children: Vec<String> = self.read_record(children, &self.keys.of("children", id.as_str()))?;
        let fields = Fields::new(key, fields);
        if fields.is_empty() {
            return Ok(None);
        }
        Ok(Some((decode::task(id, &fields, children, now)?, fields)))
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
        for list in ["attempts", "questions", "messages"] {
            pipe.cmd("LRANGE").arg(self.keys.of(list, id.as_str())).arg(0).arg(-1);
        }
        pipe.cmd("HGET").arg(self.keys.of("marks", id.as_str())).arg("read:task");
        let mut values = self.pipeline_each(&pipe).await?.into_iter();
        let now = self.time(values.next().transpose()?)?;
        let (record, children) = (values.next(), values.next());
        let Some((mut task, fields)) = self.task_of(id, record, children, now)? else { return Ok(None) };
        let key = self.keys.of("attempts", id.as_str());
        let attempts: Vec<String> = self.read_record(values.next(), &key)?;
        decode::last_attempt(&mut task, attempts.last().map_or("", String::as_str), now);
        // Questions and messages that can't be decoded must not hide the record.
        let mut list = |what| self.read_record::<Vec<String>>(values.next(), what).unwrap_or_default();
        let (questions, messages) = (list("questions"), list("messages"));
        let read: Option<u64> = self.read_record(values.next(), "marks").unwrap_or_default();
        Ok(Some(TaskDetail {
            task,
            attempts: attempts.iter().map(|a| decode::attempt(&key, a)).collect::<Result<_>>()?,
            result: decode::result(&fields)?,
            questions: people::questions(&questions),
            messages: people::messages(&messages, read.unwrap_or(0)),
            usage: decode::usage(&fields, "used"),
            tree_usage: decode::usage(&fields, "tree"),
        }))
    }
}
