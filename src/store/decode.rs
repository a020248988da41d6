//! Stored records → the types of `model`. An unreadable record is reported as damaged, with its key; decoding never
//! panics.

use std::{collections::HashMap, str::FromStr};

use serde::Deserialize;

use super::{Result, StoreError, spec};
use crate::model::{
    agent::Agent,
    cause::Cause,
    code::Code,
    event::{Event, EventKind},
    evidence::Evidence,
    id::{Process, TaskId},
    task::{Attempt, Task, TaskResult, Usage},
    time::Timestamp,
    wait::Retrying,
};

/// An agent's record with the fields that only the supervisor needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The agent.
    pub agent: Agent,
    /// When its program last showed a sign of progress.
    pub progress_at: Option<Timestamp>,
    /// When its attempt is over by the task's time limit.
    pub deadline: Option<Timestamp>,
    /// The task it had when it ended.
    pub last_task: Option<TaskId>,
}

/// A record's fields, with its key for complaints.
pub(super) struct Fields {
    key: String,
    fields: HashMap<String, String>,
}

impl Fields {
    pub fn new(key: impl Into<String>, fields: HashMap<String, String>) -> Self {
        Fields { key: key.into(), fields }
    }
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
    fn damaged(&self, why: impl std::fmt::Display) -> StoreError {
        StoreError::Damaged { key: self.key.clone(), why: why.to_string() }
    }
    pub fn text(&self, name: &str) -> Option<String> {
        self.fields.get(name).filter(|v| !v.is_empty()).cloned()
    }
    fn need(&self, name: &str) -> Result<&str> {
        self.fields.get(name).map(String::as_str).ok_or_else(|| self.damaged(format!("it has no {name}")))
    }
    pub fn parse<T: FromStr>(&self, name: &str) -> Result<T> {
        let text = self.need(name)?;
        text.parse().map_err(|_| self.damaged(format!("its {name} is '{}'", crate::model::text::one_line(text, 60))))
    }
    pub fn parse_opt<T: FromStr>(&self, name: &str) -> Result<Option<T>> {
        if self.text(name).is_none() { Ok(None) } else { self.parse(name).map(Some) }
    }
    pub fn parse_or<T: FromStr>(&self, name: &str, default: T) -> Result<T> {
        Ok(self.parse_opt(name)?.unwrap_or(default))
    }
    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>> {
        // Lua's numbers are floating point; a whole number of milliseconds reads back either way.
        Ok(self.parse_opt::<f64>(name)?.map(|ms| Timestamp(ms as u64)))
    }
    fn json<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Result<Option<T>> {
        match self.text(name) {
            None => Ok(None),
            Some(text) => serde_json::from_str(&text).map(Some).map_err(|e| self.damaged(format!("its {name}: {e}"))),
        }
    }
}

/// `task:<id>` and `children:<id>` → the task. `now` is Redis's clock.
pub(super) fn task(id: &TaskId, f: &Fields, children: Vec<String>, now: Timestamp) -> Result<Task> {
    let mut spec = spec::read(&f.fields).map_err(|why| f.damaged(why))?;
    // Those of subtasks that have none of their own are no caller's.
    spec.key = spec.key.filter(|key| !key.starts_with("auto:"));
    Ok(Task {
        id: id.clone(),
        spec,
        state: f.parse("state")?,
        waiting: f.time("waiting_until")?.is_some_and(|until| until > now) || f.text("awaits").is_some(),
        description: f.need("text")?.to_owned(),
        parent: f.parse_opt("parent")?,
        children: ids(f, children)?,
        context: f.json("context")?,
        depth: f.parse("depth")?,
        created_at: f.time("created_at")?.ok_or_else(|| f.damaged("it has no created_at"))?,
        ready_at: f.time("ready_at")?,
        parked_at: f.time("parked_at")?,
        due_at: f.time("due_at")?,
        deadline_at: f.time("deadline_at")?,
        ended_at: f.time("ended_at")?,
        started_at: None,
        running_ms: None,
        failures: f.parse_or("failures", 0)?,
        lost: f.parse_or("lost", 0)?,
        agent: f.text("agent"),
        cancelling: f.text("cancelling").is_some(),
        cause: f.parse_opt("cause")?,
        code: f.text("code").and_then(|code| code.parse().ok()),
        reason: f.text("reason"),
    })
}

/// Adds when the task's last attempt began, and how long it has taken. `attempt` is the last element of `attempts:<id>`; one
/// that does not read is no reason to lose the task.
pub(super) fn last_attempt(task: &mut Task, attempt: &str, now: Timestamp) {
    #[derive(Deserialize)]
    struct Times {
        started_at: f64,
        ended_at: Option<f64>,
    }
    if let Ok(times) = serde_json::from_str::<Times>(attempt) {
        let started = Timestamp(times.started_at as u64);
        task.started_at = Some(started);
        let ended = times.ended_at.map_or(now, |ms| Timestamp(ms as u64));
        task.running_ms = Some(ended.since(started).as_millis() as u64);
    }
}

fn ids(f: &Fields, list: Vec<String>) -> Result<Vec<TaskId>> {
    list.iter().map(|text| text.parse().map_err(|e| f.damaged(e))).collect()
}

/// The stored result of a task.
pub(super) fn result(f: &Fields) -> Result<Option<TaskResult>> {
    f.json("result")
}

/// What a task has used: `used` for the task alone, `tree` with all its subtasks.
pub(super) fn usage(f: &Fields, what: &str) -> Usage {
    let number = |name: &str| f.parse_or::<u64>(&format!("{what}_{name}"), 0).unwrap_or(0);
    Usage {
        input_tokens: number("input_tokens"),
        output_tokens: number("output_tokens"),
        cost_usd: Usage::of_micro_usd(number("micro_usd")),
        estimated_usd: Usage::of_micro_usd(number("estimated_micro_usd")),
        estimated_tokens: number("estimated_tokens"),
    }
}

/// An element of `attempts:<id>`. Times are milliseconds there.
#[derive(Deserialize)]
struct StoredAttempt {
    number: u32,
    agent: String,
    #[serde(deserialize_with = "exact")]
    fence: u64,
    started_at: f64,
    ended_at: Option<f64>,
    cause: Option<Cause>,
    code: Option<String>,
    reason: Option<String>,
    exit_code: Option<i32>,
    next_retry_at: Option<f64>,
    /// JSON within a text.
    usage: Option<String>,
    /// JSON within a text: Lua would give back an empty list as an object.
    evidence: Option<String>,
}

/// A fence: a number, or a text where it has more digits than cjson writes.
fn exact<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Fence {
        Number(u64),
        Text(String),
    }
    match Fence::deserialize(from)? {
        Fence::Number(fence) => Ok(fence),
        Fence::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

/// What explains an end is not worth losing its record for: what does not read is left out.
fn evidence(text: &str) -> Option<Box<Evidence>> {
    serde_json::from_str(text).ok()
}

pub(super) fn attempt(key: &str, text: &str) -> Result<Attempt> {
    let a: StoredAttempt =
        serde_json::from_str(text).map_err(|e| StoreError::Damaged { key: key.to_owned(), why: e.to_string() })?;
    let time = |ms: f64| Timestamp(ms as u64);
    Ok(Attempt {
        number: a.number,
        agent: a.agent,
        fence: a.fence,
        started_at: time(a.started_at),
        ended_at: a.ended_at.map(time),
        cause: a.cause,
        code: a.code.and_then(|code| code.parse().ok()),
        reason: a.reason,
        exit_code: a.exit_code,
        next_retry_at: a.next_retry_at.map(time),
        usage: a.usage.and_then(|text| super::values::read_usage(&text)),
        evidence: a.evidence.and_then(|text| evidence(&text)),
    })
}

/// `agent:<id>` → the agent, with what the supervisor alone wants to know.
pub(super) fn agent(id: &str, f: &Fields, now: Timestamp) -> Result<Record> {
    let heartbeat_at = f.time("heartbeat_at")?;
    let pid: u32 = f.parse_or("pid", 0)?;
    let agent = Agent {
        id: id.to_owned(),
        role: f.parse("role")?,
        state: f.parse("state")?,
        session: f.parse("session")?,
        incarnation: f.parse("incarnation")?,
        process: Process {
            host: f.text("host").unwrap_or_default(),
            boot_id: f.text("boot_id").unwrap_or_default(),
            pid,
            start_time: f.parse_or("start_time", 0)?,
        },
        pid: (pid != 0).then_some(pid),
        task: f.parse_opt("task")?,
        attempt: f.parse_opt("attempt")?,
        fence: f.parse_or("fence", 0)?,
        waiting: false,
        heartbeat_age_ms: heartbeat_at.map(|at| now.since(at).as_millis() as u64),
        heartbeat_at,
        started_at: f.time("started_at")?.ok_or_else(|| f.damaged("it has no started_at"))?,
        since: f.time("since")?.ok_or_else(|| f.damaged("it has no since"))?,
        tasks_done: f.parse_or("tasks_done", 0)?,
        restarts: f.parse_or("restarts", 0)?,
        needs: f.parse_opt("needs")?,
        needs_since: f.time("needs_since")?,
        needs_for: f.text("needs_for"),
        task_text: None,
        retrying: retrying(f)?,
        works_since: f.time("works")?,
        unread: 0,
        unread_since: None,
        progress_at: f.time("progress_at")?,
        rss_bytes: f.parse_opt("rss_bytes")?,
        reason: f.text("reason"),
        master: f.text("master").as_deref() == Some("1"),
        evidence: f.text("evidence").and_then(|text| evidence(&text)),
    };
    Ok(Record {
        agent,
        progress_at: f.time("progress_at")?,
        deadline: f.time("deadline")?,
        last_task: f.parse_opt("last_task")?,
    })
}

/// Returns what its program retries; `None` if it can't be decoded: the next retry reports it again.
fn retrying(f: &Fields) -> Result<Option<Retrying>> {
    let retry = f.text("retrying").and_then(|text| serde_json::from_str(&text).ok());
    Ok(retry.zip(f.time("retrying_since")?).map(|(retry, since)| Retrying { retry, since }))
}

/// An entry of the event stream.
pub(super) fn event(id: &str, fields: HashMap<String, String>) -> Event {
    let f = Fields::new("events", fields);
    let kind = f.parse("kind").unwrap_or(EventKind::Unknown);
    let ms = id.split('-').next().and_then(|ms| ms.parse().ok()).unwrap_or(0);
    Event {
        id: id.to_owned(),
        at: Timestamp(ms),
        kind,
        code: f.text("code").and_then(|code| Code::of_word(&code)).unwrap_or(kind.into()),
        task: f.text("task"),
        agent: f.text("agent"),
        from: f.text("from"),
        to: f.text("to"),
        reason: f.text("reason").unwrap_or_default(),
        data: f.text("data").and_then(|d| serde_json::from_str(&d).ok()),
    }
}
