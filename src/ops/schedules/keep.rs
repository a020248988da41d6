//! Decides and runs what is due. The supervisor's loop of the schedules calls it.

use std::{collections::BTreeMap, path::Path, time::Duration};

use crate::{
    config::{Schedule, Work},
    error::{Error, Kind, Result},
    home::files,
    model::{
        id::PlanId,
        refusal::Refusal,
        schedule::{RunId, ScheduleRecord, Waiting},
        time::Timestamp,
    },
    ops::{Delegate, Ops, PlanSource},
    schedule::Rule,
    store::{self, StoreError, schedules},
};

/// Look again after this long, whatever is due: a machine may sleep meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// The same while an occurrence waits for something.
const WAITS: Duration = Duration::from_secs(1);
/// Largest file of a plan.
const LARGEST: u64 = 64 << 20;

impl Ops {
    /// Makes the schedules of the configuration known. Those that are new, or have other times, occur from now on.
    ///
    /// # Errors
    /// NotRunning: there is no Redis.
    pub async fn define_schedules(&self) -> Result<()> {
        let times = |schedule: &Schedule| (schedule.name.clone(), schedule.when());
        let all: Vec<(String, String)> = self.config.schedules.values().map(times).collect();
        self.ask(|s| s.define_schedules(&all)).await.map(drop)
    }

    /// Returns when the schedules of the configuration occur, for [`Ops::keep_schedules`].
    pub fn schedule_rules(&self) -> BTreeMap<String, Rule> {
        let rule = |schedule: &Schedule| match schedule.rule() {
            Ok(rule) => Some((schedule.name.clone(), rule)),
            Err(why) => {
                tracing::warn!("schedule {} does not occur: {why}", schedule.name);
                None
            }
        };
        self.config.schedules.values().filter_map(rule).collect()
    }

    /// Decides about what is due, and runs what waits and can run; returns how long nothing else is to be done.
    ///
    /// # Errors
    /// NotRunning: there is no Redis.
    pub async fn keep_schedules(&self, rules: &BTreeMap<String, Rule>) -> Result<Duration> {
        let names: Vec<String> = rules.keys().cloned().collect();
        let (now, records) = self.ask(|s| s.schedules(&names)).await?;
        let mut rest = LOOK_AGAIN;
        for (name, rule) in rules {
            let (Some(schedule), Some(record)) = (self.config.schedules.get(name), records.get(name)) else { continue };
            let kept = self.keep_schedule(schedule, rule, record, now).await;
            match kept {
                Ok(wait) => rest = rest.min(wait),
                Err(e) if e.kind == Kind::NotRunning => return Err(e),
                Err(e) => tracing::warn!("schedule {}: {e}", schedule.name),
            }
        }
        Ok(rest)
    }

    async fn keep_schedule(
        &self,
        schedule: &Schedule,
        rule: &Rule,
        record: &ScheduleRecord,
        now: Timestamp,
    ) -> Result<Duration> {
        let name = &schedule.name;
        let mut record = record.clone();
        while let (Some(step), Some(mark)) = (rule.decide(&record, now), record.mark) {
            match self.store().advance_schedule(name, mark, &step).await {
                // Another call has: it is looked at again.
                Err(e) if e.is_stale() => return Ok(Duration::ZERO),
                decided => decided?,
            }
            if step.drops.is_some() {
                record.waiting.clear();
            }
            record.waiting.extend(step.waiting);
            record.mark = Some(step.mark);
        }
        let until_next = rule.next(&record).map_or(LOOK_AGAIN, |next| rule.due_at(next).since(now));
        let Some(first) = record.waiting.first() else { return Ok(until_next) };
        let obstacle = match self.obstacle(&record, first).await? {
            Some(obstacle) => obstacle,
            None => match self.run_waiting(schedule, rule, first).await {
                Ok(()) if record.waiting.len() == 1 => return Ok(until_next),
                Ok(()) => return Ok(Duration::ZERO),
                Err(e) if e.is_stale() => return Ok(Duration::ZERO),
                Err(StoreError::Refused { code, detail }) => match code {
                    // They are made anew.
                    Refusal::IdTaken | Refusal::Unknown => return Ok(Duration::ZERO),
                    _ => Error::from(StoreError::Refused { code, detail }).message,
                },
                Err(e) => return Err(e.into()),
            },
        };
        if record.obstacle.as_ref() != Some(&obstacle) {
            self.ask(|s| s.hinder_schedule(name, first, &obstacle)).await?;
        }
        Ok(until_next.min(WAITS))
    }

    /// Why the first occurrence that waits does not run yet. A run that it replaces is cancelled.
    async fn obstacle(&self, record: &ScheduleRecord, first: &Waiting) -> Result<Option<String>> {
        let is_paused = record.pause.as_ref().is_some_and(|pause| pause.until.is_none());
        if is_paused && first.by.is_none() {
            return Ok(Some("the schedule is paused".to_owned()));
        }
        let Some(run) = record.last.as_ref().filter(|_| record.is_open) else { return Ok(None) };
        if !first.replaces {
            return Ok(Some(format!("the run before, {run}, is not over")));
        }
        let reason = "the next run of its schedule replaces it";
        let is_over = match run {
            RunId::Task(id) => {
                let states = self.ask(|s| s.cancel(std::slice::from_ref(id), reason)).await?;
                states.iter().flatten().all(|state| state.is_terminal())
            }
            RunId::Plan(id) => self.ask(|s| s.cancel_plan(id, reason)).await?.is_terminal(),
        };
        Ok((!is_over).then(|| format!("the run before, {run}, is being cancelled")))
    }

    /// Why the plan of a schedule cannot be submitted; `None`: it can, or it runs a task.
    pub(in crate::ops) async fn scheduled_plan_is_wrong(&self, schedule: &Schedule) -> Option<String> {
        let Work::Plan { file, vars } = &schedule.work else { return None };
        let checked = match source(schedule, file, vars) {
            Ok(source) => self.check_plan(&source).await,
            Err(e) => Err(e),
        };
        match checked {
            Ok(checked) => checked.mistakes.first().map(|first| format!("{}:{first}", file.display())),
            Err(e) => Some(e.message),
        }
    }

    /// Runs an occurrence, or records why it cannot.
    async fn run_waiting(&self, schedule: &Schedule, rule: &Rule, first: &Waiting) -> store::Result<()> {
        let (name, when) = (&schedule.name, rule.cron.clock(Timestamp(first.at)));
        let run = async |work| self.store().run_schedule(name, first, &when, work).await.map(drop);
        let key = key(schedule, first);
        let labels = || [("schedule".to_owned(), name.clone())].into();
        let why = match &schedule.work {
            Work::Task { text, role, priority } => {
                let asked = Delegate {
                    text: text.clone(),
                    role: role.clone(),
                    priority: Some(*priority),
                    labels: labels(),
                    max_cost_usd: schedule.budget.cost_usd,
                    max_tokens: schedule.budget.tokens,
                    ..Delegate::default()
                };
                match self.prepare(asked).await {
                    Ok(mut new) => {
                        new.spec.key = Some(key);
                        return run(schedules::Work::Task(&new)).await;
                    }
                    Err(e) => e,
                }
            }
            Work::Plan { file, vars } => {
                let prepared = match source(schedule, file, vars) {
                    Ok(source) => self.prepare_plan_as(PlanId::of(&key), &source).await,
                    Err(e) => Err(e),
                };
                match prepared {
                    Ok((mut new, _)) => {
                        for (_, task) in &mut new.tasks {
                            task.spec.labels.entry("schedule".to_owned()).or_insert_with(|| name.clone());
                        }
                        return run(schedules::Work::Plan(&new)).await;
                    }
                    Err(e) => e,
                }
            }
        };
        match why.kind {
            // It is tried again.
            Kind::NotRunning => Err(StoreError::Unreachable { address: String::new(), why: why.message }),
            _ => run(schedules::Work::Failed(&why.message)).await,
        }
    }
}

fn source(schedule: &Schedule, file: &Path, vars: &BTreeMap<String, String>) -> Result<PlanSource> {
    let document =
        files::read_text(file, LARGEST).map_err(|e| Error::usage(format!("{} can't be read: {e}", file.display())))?;
    let vars = vars.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let (max_cost_usd, max_tokens) = (schedule.budget.cost_usd, schedule.budget.tokens);
    Ok(PlanSource { document, vars, max_cost_usd, max_tokens, ..PlanSource::default() })
}

/// The idempotency key of an occurrence.
fn key(schedule: &Schedule, occurrence: &Waiting) -> String {
    let asked = if occurrence.by.is_some() { ":asked" } else { "" };
    format!("schedule:{}:{}{asked}", schedule.name, Timestamp(occurrence.at))
}
