//! The typed calls about attempts: claiming a task and reporting how the attempt ended.

use std::{collections::HashMap, time::Duration};

use redis::Value;
use serde::Serialize;

use super::{
    Result, Store, StoreError,
    decode::{self, Fields},
    people, script,
    spend::Allowance,
    values::{metered_to_json, ms, parse, read_counted, to_json, usage_to_json},
};
use crate::model::{
    cause::Cause,
    end_code::EndCode,
    evidence::Evidence,
    id::TaskId,
    question::Question,
    refusal::Refusal,
    secret::Redactor,
    task::{Counted, Task, TaskState, Usage},
    time::Timestamp,
};

/// A task that an agent has claimed.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The task as recorded.
    pub task: Task,
    /// Which attempt this is.
    pub attempt: u32,
    /// The fence of its lease.
    pub fence: u64,
    /// How long it may take at most, because the task has a deadline.
    pub time_left: Option<Duration>,
    /// What its programs have asked persons so far.
    pub questions: Vec<Question>,
    /// What was counted of the conversation of its earlier attempts, if their program reports totals.
    pub counted: Option<Counted>,
    /// Whether there are messages to it that it has not read.
    pub has_mail: bool,
    /// What all its attempts together may still use.
    pub left: Allowance,
}

impl Claimed {
    /// Returns it with every text that a person or a program has written changed.
    #[must_use]
    pub fn redacted(mut self, redactor: &Redactor) -> Self {
        let text = |text: &mut String| *text = redactor.text(std::mem::take(text));
        text(&mut self.task.description);
        self.task.reason.iter_mut().for_each(text);
        self.task.artifacts.iter_mut().for_each(text);
        self.task.key.iter_mut().for_each(text);
        self.task.context = self.task.context.take().map(|context| redactor.data(context));
        let labels = std::mem::take(&mut self.task.labels);
        self.task.labels =
            labels.into_iter().map(|(name, value)| (redactor.text(name), redactor.text(value))).collect();
        for question in &mut self.questions {
            text(&mut question.question);
            question.options.iter_mut().chain(&mut question.answer).for_each(text);
        }
        self
    }
}

/// The end of an attempt, as its holder reports it. It also lies on the disk until Redis has acknowledged it.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
pub struct Report {
    /// The task.
    pub task: TaskId,
    /// The attempt's number.
    pub attempt: u32,
    /// The agent that reports.
    pub agent: String,
    /// Which run of that agent.
    pub incarnation: String,
    /// The fence of its lease.
    pub fence: u64,
    /// Why it ended.
    pub cause: Cause,
    /// Why, more exactly.
    #[serde(default)]
    pub code: EndCode,
    /// The same in words.
    pub reason: String,
    /// The program's exit code.
    pub exit_code: Option<i32>,
    /// What it answered.
    pub result: Option<crate::model::task::TaskResult>,
    /// When the program asked to be tried again; otherwise the task's own delays decide (`model::retry`).
    #[serde(default, alias = "delay_ms")]
    pub retry_after_ms: Option<u64>,
    /// Whether that time is kept even where rate limits repeat: the program is the user's own.
    #[serde(default)]
    pub is_exact: bool,
    /// Of a rate-limited end: whose account it was. Nothing of that account is started until the delay is over.
    #[serde(default)]
    pub account: Option<String>,
    /// Of a lost attempt: what its holder knows of the end.
    #[serde(default)]
    pub evidence: Option<Box<Evidence>>,
    /// Whether a success with open subtasks is not the end: another attempt gets their results.
    #[serde(default)]
    pub awaits: bool,
    /// Whether a success with unread messages is not the end: another attempt continues its conversation with them.
    #[serde(default)]
    pub continues: bool,
    /// The totals of a conversation that its usage was computed from.
    #[serde(default)]
    pub metered: Option<Metered>,
}

/// The totals that a program has reported of its conversation.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
pub struct Metered {
    /// The conversation's id.
    pub conversation: String,
    /// What had been counted of it when the task was claimed.
    pub before: Usage,
    /// What it has used in all.
    pub total: Usage,
}

/// How many damaged tasks one call to claim quarantines before it returns without a task.
const SET_ASIDE_AT_ONCE: usize = 100;

/// What `claim` gave.
enum Taken {
    Nothing,
    Task(Box<Claimed>),
    /// It can't be worked with.
    Damaged {
        id: String,
        role: String,
        why: String,
    },
}

impl Store {
    /// The first ready task of an idle agent's role (`lua/task/claim.lua`).
    ///
    /// # Errors
    /// `stale` if the agent was declared dead.
    pub async fn claim(&self, agent: &str, incarnation: &str, lease: Duration) -> Result<Option<Claimed>> {
        let args = [agent, incarnation, &ms(lease)];
        for _ in 0..SET_ASIDE_AT_ONCE {
            let taken = self.taken(self.call(&script::CLAIM, args).await)?;
            if let Some(claimed) = self.claimed(taken).await? {
                return Ok(claimed);
            }
        }
        Ok(None)
    }

    /// Reports the end of an attempt (`lua/task/finish.lua`).
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
        let (agent, incarnation) = (&report.agent, &report.incarnation);
        let claim = vec![agent.clone(), incarnation.clone(), ms(lease)];
        let (finish, claim) = self.call_two((&script::FINISH, finish_args(report)?), (&script::CLAIM, claim)).await?;
        let claimed = match self.taken(claim) {
            Ok(taken) => match self.claimed(taken).await {
                Ok(Some(claimed)) => Ok(claimed),
                // One was quarantined: there may be another behind it.
                Ok(None) => self.claim(agent, incarnation, lease).await,
                Err(e) => Err(e),
            },
            Err(e) => Err(e),
        };
        Ok((finish.and_then(|v| self.finished(v)), claimed))
    }

    fn finished(&self, value: Value) -> Result<TaskState> {
        let (state, _first): (String, String) = self.read(value)?;
        parse(&state, "state")
    }

    /// What `claim` gave.
    fn taken(&self, answer: Result<Value>) -> Result<Taken> {
        let value = match answer {
            Err(StoreError::Refused { code: Refusal::Damaged, detail }) => {
                let (id, role) = detail.rsplit_once(' ').unwrap_or((&detail, ""));
                let why = "the first ready task of its role is none that can be started".to_owned();
                return Ok(Taken::Damaged { id: id.to_owned(), role: role.to_owned(), why });
            }
            answer => answer?,
        };
        let flat: Vec<Value> = self.read(value)?;
        let [id, number, fence, fields @ ..] = flat.as_slice() else { return Ok(Taken::Nothing) };
        let text = |value: &Value| self.read::<String>(value.clone());
        let (id, number, fence) = (text(id)?, text(number)?, text(fence)?);
        let decoded = || {
            let task: TaskId = parse(&id, "id")?;
            let fields: HashMap<String, String> = self.read(Value::Array(fields.to_vec()))?;
            let fields = Fields::new(self.keys.of("task", &id), fields);
            let task = decode::task(&task, &fields, Vec::new(), Timestamp::default())?;
            let questions = people::questions_of(&fields);
            let time_left = fields.parse_opt::<u64>("time_left")?.map(Duration::from_millis);
            let (attempt, fence) = (parse(&number, "attempt")?, parse(&fence, "fence")?);
            let counted = fields.text("counted").and_then(|text| read_counted(&text));
            let has_mail = fields.text("has_mail").is_some();
            let left =
                Allowance { micro_usd: fields.parse_opt("left_micro_usd")?, tokens: fields.parse_opt("left_tokens")? };
            Ok(Claimed { task, attempt, fence, time_left, questions, counted, has_mail, left })
        };
        Ok(match decoded() {
            Ok(claimed) => Taken::Task(Box::new(claimed)),
            Err(e) => Taken::Damaged { id: id.clone(), role: String::new(), why: StoreError::to_string(&e) },
        })
    }

    /// Returns the claimed task, or that there is none; `None` if one was quarantined and the caller should claim again.
    async fn claimed(&self, taken: Taken) -> Result<Option<Option<Claimed>>> {
        match taken {
            Taken::Nothing => Ok(Some(None)),
            Taken::Task(claimed) => Ok(Some(Some(*claimed))),
            Taken::Damaged { id, role, why } => {
                self.quarantine(&id, &role, &why).await?;
                Ok(None)
            }
        }
    }

    /// Ends the attempt of an agent that is not there any more (`lua/task/expire.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn expire(&self, task: &TaskId, fence: u64, reason: &str) -> Result<()> {
        let args = [task.as_str(), &fence.to_string(), reason];
        self.call(&script::EXPIRE, args).await.map(drop)
    }

    /// When the lease of a running attempt ends; `None` where it is another's by now.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn lease_end(&self, id: &TaskId, fence: u64) -> Result<Option<Timestamp>> {
        let mut pipe = redis::pipe();
        pipe.cmd("HGET").arg(self.keys.of("task", id.as_str())).arg("fence");
        pipe.cmd("ZSCORE").arg(self.keys.of("state", TaskState::Running.as_str())).arg(id.as_str());
        let mut values = self.pipeline(&pipe).await?.into_iter();
        let mut next = || values.next().unwrap_or(Value::Nil);
        let (holder, end): (Option<String>, Option<f64>) = (self.read(next())?, self.read(next())?);
        Ok(end.filter(|_| holder == Some(fence.to_string())).map(|ms| Timestamp(ms as u64)))
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
        r.retry_after_ms.map(|ms| ms.to_string()).unwrap_or_default(),
        r.evidence.as_ref().map(to_json).transpose()?.unwrap_or_default(),
        r.result.as_ref().and_then(|result| result.usage.as_ref()).map(usage_to_json).unwrap_or_default(),
        r.account.clone().unwrap_or_default(),
        if r.is_exact { "1" } else { "" }.to_owned(),
        r.code.to_string(),
        if r.awaits { "1" } else { "" }.to_owned(),
        r.metered.as_ref().map(metered_to_json).unwrap_or_default(),
        if r.continues { "1" } else { "" }.to_owned(),
    ])
}
