//! The typed calls about agents.

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};

pub use super::decode::Record;
use super::{
    Result, Store,
    decode::{self, Fields},
    script,
    tasks::Metered,
    values::{live_to_json, ms, parse},
};
use crate::model::{
    agent::AgentState,
    cause::Cause,
    end_code::EndCode,
    evidence::Evidence,
    id::{Process, TaskId},
    task::{TaskState, Usage},
    wait::Wait,
};

/// Where to look for what may be left of an agent that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphans {
    /// The agent's id.
    pub agent: String,
    /// Its tmux session.
    pub session: String,
    /// Its runner's process, which was the leader of the pane's terminal session.
    pub process: Process,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directive {
    /// Continue.
    Go,
    /// Continue; the program waits for a person's answer to this question (`orch ask`).
    Asks(String),
    /// Stop the agent; the reason.
    Stop(String),
    /// End the attempt; the reason.
    Cancel(String),
    /// End the attempt: its task has used what it may; how much.
    OverBudget(String),
}

/// What the program of an attempt has reported to have used so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Used {
    /// By this attempt.
    pub usage: Usage,
    /// The totals of its conversation that this was computed from.
    pub metered: Option<Metered>,
}

/// What a runner reports with each heartbeat.
#[derive(Debug, Clone, Default)]
pub struct Pulse {
    /// The task it has and the fence of its lease.
    pub lease: Option<(TaskId, u64)>,
    /// Memory of its process tree.
    pub rss_bytes: Option<u64>,
    /// How long ago its program last showed a sign of progress.
    pub progress_age: Option<Duration>,
    /// What its program waits for.
    pub wait: Option<Wait>,
    /// Whether its program is in a turn. Only of a master, which has no task that says so.
    pub works: bool,
    /// What its program has used of its task's budget so far.
    pub used: Option<Used>,
}

/// How an agent's end is recorded.
#[derive(Debug, Clone)]
pub struct Ending<'a> {
    /// `Stopped` or `Failed`.
    pub to: AgentState,
    /// Why the agent ended.
    pub reason: &'a str,
    /// Why its attempt ended, if it had one.
    pub cause: Cause,
    /// Why the agent ended, and its attempt with it.
    pub code: EndCode,
    /// The same in words.
    pub attempt_reason: &'a str,
    /// What may be left of it.
    pub orphans: Option<&'a Orphans>,
    /// What was known, and the rule that decided.
    pub evidence: Option<&'a Evidence>,
}

impl Store {
    /// Records an agent that is about to be started (`lua/agent/spawn.lua`). `request` is the field of `requests` it fulfils.
    ///
    /// # Errors
    /// `taken` where an agent of this id lives.
    #[expect(clippy::too_many_arguments, reason = "each is one fact of the record")]
    pub async fn spawn_agent(
        &self,
        id: &str,
        role: &str,
        session: &str,
        incarnation: &str,
        master: bool,
        reason: &str,
        request: Option<&str>,
    ) -> Result<()> {
        let master = if master { "1" } else { "0" };
        self.call(&script::SPAWN, [id, role, session, incarnation, master, reason, request.unwrap_or("")])
            .await
            .map(drop)
    }

    /// Records the process of an agent's pane (`lua/agent/record_pane.lua`).
    ///
    /// # Errors
    /// `stale`.
    pub async fn place_agent(&self, id: &str, incarnation: &str, process: &Process) -> Result<()> {
        let (pid, start) = (process.pid.to_string(), process.start_time.to_string());
        self.call(&script::RECORD_PANE, [id, incarnation, &process.host, &process.boot_id, &pid, &start])
            .await
            .map(drop)
    }

    /// Registers a runner (`lua/agent/register.lua`).
    ///
    /// # Errors
    /// `stale` if the agent was declared dead meanwhile: the runner must exit.
    pub async fn hello(&self, id: &str, incarnation: &str, process: &Process) -> Result<AgentState> {
        let (pid, start) = (process.pid.to_string(), process.start_time.to_string());
        let args = [id, incarnation, &process.host, &process.boot_id, &pid, &start];
        let state: String = self.read(self.call(&script::REGISTER_AGENT, args).await?)?;
        parse(&state, "state")
    }

    /// An agent says that it lives; its lease is renewed (`lua/agent/heartbeat.lua`).
    ///
    /// # Errors
    /// `stale` if the agent was declared dead or its lease has expired.
    pub async fn heartbeat(&self, id: &str, incarnation: &str, lease: Duration, pulse: &Pulse) -> Result<Directive> {
        let (task, fence) = pulse.lease.as_ref().map(|(t, f)| (t.to_string(), f.to_string())).unwrap_or_default();
        let rss = pulse.rss_bytes.map(|b| b.to_string()).unwrap_or_default();
        let progress = pulse.progress_age.map(ms).unwrap_or_default();
        let (needs, of, retrying) = match &pulse.wait {
            Some(Wait::Person(asked)) => (asked.what.as_str(), asked.of.as_str(), String::new()),
            Some(Wait::Service(retry)) => ("", "", serde_json::to_string(retry).unwrap_or_default()),
            None => ("", "", String::new()),
        };
        let works = if pulse.works { "1" } else { "" };
        let used = pulse.used.as_ref().map(|used| live_to_json(&used.usage, used.metered.as_ref())).unwrap_or_default();
        let args = [id, incarnation, &ms(lease), &task, &fence, &rss, &progress, needs, of, &retrying, works, &used];
        let answer: String = self.read(self.call(&script::HEARTBEAT, args).await?)?;
        Ok(match answer.split_once(' ') {
            Some(("asks", question)) => Directive::Asks(question.to_owned()),
            Some(("cancel", reason)) => Directive::Cancel(reason.to_owned()),
            Some(("stop", reason)) => Directive::Stop(reason.to_owned()),
            Some(("over", reason)) => Directive::OverBudget(reason.to_owned()),
            _ => Directive::Go,
        })
    }

    /// Asks an agent to stop; with `only_idle`, only if it has no task at this moment (`lua/agent/stop.lua`).
    ///
    /// # Errors
    /// `stale`.
    pub async fn stop_agent(&self, id: &str, incarnation: &str, only_idle: bool, reason: &str) -> Result<AgentState> {
        let which = if only_idle { "idle" } else { "any" };
        let state: String = self.read(self.call(&script::STOP_AGENT, [id, incarnation, which, reason]).await?)?;
        parse(&state, "state")
    }

    /// Records an agent's end, and with it that of its attempt; the task it had and that task's state now
    /// (`lua/agent/end.lua`).
    ///
    /// # Errors
    /// `stale`.
    pub async fn end_agent(&self, id: &str, incarnation: &str, e: &Ending<'_>) -> Result<Option<(TaskId, TaskState)>> {
        let orphans = e.orphans.map(|r| serde_json::to_string(r).unwrap_or_default()).unwrap_or_default();
        let evidence = e.evidence.map(|e| serde_json::to_string(e).unwrap_or_default()).unwrap_or_default();
        let (to, cause, code) = (e.to.as_str(), e.cause.as_str(), e.code.as_str());
        let args = [id, incarnation, to, e.reason, cause, e.attempt_reason, &orphans, &evidence, code];
        let (_, task, state): (String, String, String) = self.read(self.call(&script::END_AGENT, args).await?)?;
        if task.is_empty() { Ok(None) } else { Ok(Some((parse(&task, "id")?, parse(&state, "state")?))) }
    }

    /// Removes the orphans of an incarnation of which no process is left.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn forget_orphans(&self, incarnation: &str) -> Result<()> {
        self.query(redis::cmd("HDEL").arg(self.keys.plain("orphans")).arg(incarnation)).await
    }

    /// An agent's record, also after its end (for a week).
    ///
    /// # Errors
    /// An unreachable Redis, or a damaged record.
    pub async fn agent(&self, id: &str) -> Result<Option<Record>> {
        let mut pipe = redis::pipe();
        pipe.add_command(self.clock());
        pipe.cmd("HGETALL").arg(self.keys.of("agent", id));
        let mut values = self.pipeline_each(&pipe).await?.into_iter();
        let now = self.time(values.next().transpose()?)?;
        let key = self.keys.of("agent", id);
        let fields: HashMap<String, String> = self.read_record(values.next(), &key)?;
        let fields = Fields::new(key, fields);
        if fields.is_empty() { Ok(None) } else { decode::agent(id, &fields, now).map(Some) }
    }

    /// Passes a wake-up on that reached a busy agent (`lua/agent/forward_wakeup.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn pass_on(&self, role: &str) -> Result<()> {
        self.call(&script::FORWARD_WAKEUP, [role]).await.map(drop)
    }
}
