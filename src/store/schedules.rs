//! The typed calls about schedules.

use std::collections::{BTreeMap, HashMap};

use redis::Value;
use serde::Deserialize;

use super::{
    Result, Store, StoreError,
    decode::Fields,
    plans::{self, NewPlan},
    script,
    spec::NewTask,
    tasks::Delegation,
    values::{parse, to_json},
};
use crate::model::{
    plan::PlanState,
    schedule::{Decided, Outcome, Overlap, Pause, RunId, ScheduleRecord, Step, Waiting},
    task::TaskState,
    time::Timestamp,
};

/// What an occurrence is to run as.
#[derive(Debug, Clone, Copy)]
pub enum Work<'a> {
    /// A task.
    Task(&'a NewTask),
    /// A plan.
    Plan(&'a NewPlan),
    /// It cannot run, for this reason.
    Failed(&'a str),
}

/// An entry of a schedule's log as it is stored.
#[derive(Deserialize)]
struct Logged {
    at: f64,
    to: f64,
    count: u64,
    decided_at: f64,
    outcome: Outcome,
    run: Option<RunId>,
    reason: String,
}

impl Store {
    /// Makes known which schedules there are, each with a text that differs where its times do
    /// (`lua/schedule/define.lua`); returns how many have changed.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn define_schedules(&self, schedules: &[(String, String)]) -> Result<u64> {
        let args: Vec<String> = schedules.iter().flat_map(|(name, times)| [name.clone(), times.clone()]).collect();
        self.read(self.call(&script::DEFINE_SCHEDULES, args).await?)
    }

    /// What is recorded of these schedules, and what time it is.
    ///
    /// # Errors
    /// An unreachable Redis, or a damaged record.
    pub async fn schedules(&self, names: &[String]) -> Result<(Timestamp, BTreeMap<String, ScheduleRecord>)> {
        let mut pipe = redis::pipe();
        pipe.add_command(self.clock());
        for name in names {
            pipe.cmd("HGETALL").arg(self.keys.of("schedule", name));
            pipe.cmd("LRANGE").arg(self.keys.of("schedule_waiting", name)).arg(0).arg(-1);
        }
        let mut answers = self.pipeline(&pipe).await?.into_iter();
        let now = self.time(answers.next())?;
        let mut records = BTreeMap::new();
        for name in names {
            let key = self.keys.of("schedule", name);
            let fields: HashMap<String, String> = self.read(answers.next().unwrap_or(Value::Nil))?;
            let waiting: Vec<String> = self.read(answers.next().unwrap_or(Value::Nil))?;
            records.insert(name.clone(), record(&Fields::new(key, fields), &waiting)?);
        }
        self.add_states(&mut records).await?;
        Ok((now, records))
    }

    /// Adds the states of the last runs.
    async fn add_states(&self, records: &mut BTreeMap<String, ScheduleRecord>) -> Result<()> {
        let mut pipe = redis::pipe();
        let mut with_run: Vec<&mut ScheduleRecord> = Vec::new();
        for record in records.values_mut() {
            let key = match &record.last {
                Some(RunId::Task(id)) => self.keys.of("task", id.as_str()),
                Some(RunId::Plan(id)) => self.keys.of("plan", id.as_str()),
                None => continue,
            };
            pipe.cmd("HGET").arg(key).arg("state");
            with_run.push(record);
        }
        if with_run.is_empty() {
            return Ok(());
        }
        for (record, answer) in with_run.into_iter().zip(self.pipeline(&pipe).await?) {
            let state: Option<String> = self.read(answer)?;
            record.is_open = match (&record.last, state.as_deref()) {
                (Some(RunId::Task(_)), Some(state)) => state.parse().is_ok_and(|state: TaskState| !state.is_terminal()),
                (Some(RunId::Plan(_)), Some(state)) => state.parse().is_ok_and(|state: PlanState| !state.is_terminal()),
                _ => false,
            };
            record.last_state = state;
        }
        Ok(())
    }

    /// Records what was decided about the occurrences since `from` (`lua/schedule/advance.lua`).
    ///
    /// # Errors
    /// `stale`: another call has decided them. An unreachable Redis.
    pub async fn advance_schedule(&self, name: &str, from: Timestamp, step: &Step) -> Result<()> {
        let args = [name, &from.0.to_string(), &step.mark.0.to_string(), &to_json(step)?];
        self.call(&script::ADVANCE_SCHEDULE, args).await.map(drop)
    }

    /// Accepts the first occurrence that waits, `when` in words; `None` if it cannot run (`lua/schedule/run.lua`).
    ///
    /// # Errors
    /// A refusal that the script's header names, or an unreachable Redis.
    pub async fn run_schedule(
        &self,
        name: &str,
        occurrence: &Waiting,
        when: &str,
        work: Work<'_>,
    ) -> Result<Option<RunId>> {
        let at = occurrence.at.to_string();
        let answer = match work {
            Work::Failed(why) => self.call(&script::RUN_SCHEDULE, [name, &at, "failed", why, "", "", ""]).await?,
            Work::Task(new) => {
                let terms = to_json(&Delegation::of(new)?)?;
                let args = [name, &at, "task", when, new.id.as_str(), &terms, &new.text];
                self.call(&script::RUN_SCHEDULE, args).await?
            }
            Work::Plan(new) => {
                self.stage_plan(new).await?;
                let terms = plans::terms(new);
                self.call(&script::RUN_SCHEDULE, [name, &at, "plan", when, new.id.as_str(), &terms, ""]).await?
            }
        };
        let id: String = self.read(answer)?;
        if let Work::Plan(new) = work {
            while self.grow_plan(Some(&new.id)).await? > 0 {}
        }
        if id.is_empty() { Ok(None) } else { parse(&id, "id of a run").map(Some) }
    }

    /// Records why the first occurrence that waits does not run yet (`lua/schedule/hinder.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn hinder_schedule(&self, name: &str, occurrence: &Waiting, why: &str) -> Result<()> {
        self.call(&script::HINDER_SCHEDULE, [name, &occurrence.at.to_string(), why]).await.map(drop)
    }

    /// Asks for a run now; returns when it was asked for, which stands for its occurrence (`lua/schedule/request.lua`).
    ///
    /// # Errors
    /// A refusal that the script's header names, or an unreachable Redis.
    pub async fn request_run(&self, name: &str, overlap: Overlap, who: &str, token: &str) -> Result<Timestamp> {
        let at: String = self.read(self.call(&script::REQUEST_RUN, [name, overlap.as_str(), who, token]).await?)?;
        parse(&at, "time").map(Timestamp)
    }

    /// Pauses a schedule, or lets it go on; returns whether that changed anything (`lua/schedule/pause.lua`).
    ///
    /// # Errors
    /// `unknown`, or an unreachable Redis.
    pub async fn pause_schedule(&self, name: &str, who: &str, pause: bool) -> Result<bool> {
        let changed: String =
            self.read(self.call(&script::PAUSE_SCHEDULE, [name, who, if pause { "1" } else { "" }]).await?)?;
        Ok(changed == "1")
    }

    /// What became of the last occurrences, the newest first.
    ///
    /// # Errors
    /// An unreachable Redis, or a damaged record.
    pub async fn schedule_log(&self, name: &str, last: usize) -> Result<Vec<Decided>> {
        let key = self.keys.of("schedule_log", name);
        let from = format!("-{}", last.max(1));
        let entries: Vec<String> = self.query(redis::cmd("LRANGE").arg(&key).arg(from).arg(-1)).await?;
        let read = |text: &String| {
            let one: Logged =
                serde_json::from_str(text).map_err(|e| StoreError::Damaged { key: key.clone(), why: e.to_string() })?;
            let time = |ms: f64| Timestamp(ms as u64);
            Ok(Decided {
                at: time(one.at),
                to: time(one.to),
                count: one.count,
                decided_at: time(one.decided_at),
                outcome: one.outcome,
                run: one.run,
                reason: one.reason,
            })
        };
        entries.iter().rev().map(read).collect()
    }
}

fn record(f: &Fields, waiting: &[String]) -> Result<ScheduleRecord> {
    let read = |text: &String| {
        serde_json::from_str(text)
            .map_err(|e| StoreError::Damaged { key: "schedule_waiting".to_owned(), why: e.to_string() })
    };
    let pause = match f.time("paused_at")? {
        Some(from) => Some(Pause { from, until: f.time("resumed_at")?, by: f.text("paused_by").unwrap_or_default() }),
        None => None,
    };
    Ok(ScheduleRecord {
        mark: f.time("mark")?,
        pause,
        waiting: waiting.iter().map(read).collect::<Result<_>>()?,
        obstacle: f.text("obstacle"),
        failure: f.text("failure"),
        last: f.parse_opt("last")?,
        last_at: f.time("last_at")?,
        last_state: None,
        is_open: false,
    })
}
