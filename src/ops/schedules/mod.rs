//! `orch schedule`: what runs at certain times.

mod keep;

use std::collections::BTreeMap;

use super::{Ops, ScheduleInfo, ScheduleRequested, ScheduleWhy, WATCHED};
use crate::{
    config::{Config, Schedule},
    error::{Error, Kind, Result},
    model::{
        duration::human,
        event::EventKind,
        id::new_incarnation,
        schedule::{RunId, ScheduleRecord},
        suggest::{nearest, printable},
        time::Timestamp,
    },
    schedule::Rule,
};

/// Occurrences that `why` shows.
const SHOWN: usize = 20;

impl Ops {
    /// The schedules of sessions.toml with what is recorded of them.
    ///
    /// # Errors
    /// NotRunning: there is no Redis.
    pub async fn schedules(&self) -> Result<Vec<ScheduleInfo>> {
        let names: Vec<String> = self.config.schedules.keys().cloned().collect();
        let (now, records) = self.ask(|s| s.schedules(&names)).await?;
        Ok(self.config.schedules.values().map(|schedule| info(schedule, &records[&schedule.name], now)).collect())
    }

    /// Why a schedule does not run now, and what became of its last occurrences.
    ///
    /// # Errors
    /// NotFound: there is no such schedule. NotRunning: there is no Redis.
    pub async fn explain_schedule(&self, name: &str) -> Result<ScheduleWhy> {
        let schedule = self.schedule(name)?;
        let (now, records) = self.ask(|s| s.schedules(std::slice::from_ref(&schedule.name))).await?;
        let recent = self.ask(|s| s.schedule_log(name, SHOWN)).await?;
        let info = info(schedule, &records[name], now);
        let because = self.because(schedule, &info, now);
        Ok(ScheduleWhy { schedule: info, because, recent })
    }

    /// Asks for a run of a schedule now, and returns what it runs as once the supervisor has accepted it.
    ///
    /// # Errors
    /// NotFound: there is no such schedule. Conflict: its overlap policy is `skip`, and a run is not over. Failed: the caller
    /// is in an attempt, or it cannot run. NotRunning: there is no Redis.
    pub async fn run_schedule(&self, name: &str) -> Result<ScheduleRequested> {
        self.caller.must_not_be_in_an_attempt("schedule run")?;
        let schedule = self.schedule(name)?;
        let before = self.last_event().await?;
        let (who, token) = (self.caller.in_words(), new_incarnation());
        let at = self.ask(|s| s.request_run(name, schedule.overlap, &who, &token)).await;
        let at = at.map_err(|e| self.unknown_to_supervisor(name, e))?;
        let mut answer = ScheduleRequested { name: name.to_owned(), at, run: None, waits_for: None };
        let (_, records) = self.ask(|s| s.schedules(std::slice::from_ref(&schedule.name))).await?;
        let record = &records[name];
        if !self.is_supervised() {
            answer.waits_for = Some("no supervisor runs: orch start".to_owned());
        } else if let Some(run) = record.last.as_ref().filter(|_| record.is_open && record.last_at != Some(at)) {
            answer.waits_for = Some(format!("the run before, {run}, is not over"));
        } else {
            let decided = [EventKind::ScheduleRun, EventKind::ScheduleFailed];
            let is_it = |event: &crate::model::event::Event| {
                let data = event.data.as_ref();
                decided.contains(&event.kind) && data.is_some_and(|data| data["schedule"] == name && data["at"] == at.0)
            };
            match self.event_within(before, WATCHED, is_it).await? {
                Some(event) if event.kind == EventKind::ScheduleFailed => {
                    return Err(Error::failed(event.reason).hint(format!("orch schedule why {name}")));
                }
                Some(event) => answer.run = run_of(&event),
                None => {
                    let (_, records) = self.ask(|s| s.schedules(std::slice::from_ref(&schedule.name))).await?;
                    let obstacle = records[name].obstacle.clone();
                    answer.waits_for =
                        Some(obstacle.unwrap_or_else(|| "the supervisor has not accepted it yet".into()));
                }
            }
        }
        Ok(answer)
    }

    /// Pauses a schedule: its occurrences are skipped until it is resumed. Returns whether that changed anything.
    ///
    /// # Errors
    /// NotFound: there is no such schedule. Failed: the caller is in an attempt. NotRunning: there is no Redis.
    pub async fn pause_schedule(&self, name: &str) -> Result<bool> {
        self.set_schedule_paused("pause", name, true).await
    }

    /// Lets a paused schedule go on. Returns whether that changed anything.
    ///
    /// # Errors
    /// As [`Ops::pause_schedule`].
    pub async fn resume_schedule(&self, name: &str) -> Result<bool> {
        self.set_schedule_paused("resume", name, false).await
    }

    async fn set_schedule_paused(&self, verb: &str, name: &str, pause: bool) -> Result<bool> {
        self.caller.must_not_be_in_an_attempt(&format!("schedule {verb}"))?;
        self.schedule(name)?;
        let who = self.caller.in_words();
        let changed = self.ask(|s| s.pause_schedule(name, &who, pause)).await;
        changed.map_err(|e| self.unknown_to_supervisor(name, e))
    }

    fn schedule(&self, name: &str) -> Result<&Schedule> {
        self.config.schedules.get(name).ok_or_else(|| {
            let names = || self.config.schedules.keys().map(String::as_str);
            let hint = match (nearest(name, names()), names().count()) {
                (Some(near), _) => format!("did you mean {near}? orch schedule list lists them"),
                (None, 0) => "sessions.toml has none; the page \"Schedules\" of the documentation shows one".to_owned(),
                (None, _) => "list them with: orch schedule list".to_owned(),
            };
            Error::not_found(format!("there is no schedule {}", printable(name))).hint(hint)
        })
    }

    /// A schedule that sessions.toml has and Redis does not.
    fn unknown_to_supervisor(&self, name: &str, error: Error) -> Error {
        match error.kind {
            Kind::NotFound => Error::failed(format!("the supervisor has not read schedule {name} yet"))
                .hint("orch reload, or where nothing runs: orch start"),
            _ => error,
        }
    }

    /// What a schedule waits for.
    fn because(&self, schedule: &Schedule, info: &ScheduleInfo, now: Timestamp) -> Vec<String> {
        let mut because = Vec::new();
        if !self.is_supervised() {
            because.push("no supervisor runs, so nothing occurs: orch start".to_owned());
        } else if info.state == "unknown" {
            because.push("the supervisor has not read it yet: orch reload".to_owned());
        }
        if let Some(by) = &info.paused_by {
            because.push(format!("it was paused by {by}: orch schedule resume {}", schedule.name));
        }
        if let Some(first) = info.waiting.first() {
            let obstacle = info.obstacle.as_deref().unwrap_or("the supervisor accepts it in a moment");
            let more = info.waiting.len() - 1;
            let more = if more > 0 { format!(" ({more} more wait behind it)") } else { String::new() };
            because.push(format!("the occurrence of {} waits{more}: {obstacle}", clock(schedule, *first)));
        }
        if let Some(failure) = &info.failure {
            because.push(format!("the last occurrence could not run: {failure}"));
        }
        match info.next_run_at {
            Some(at) if info.paused_by.is_some() => because.push(format!(
                "the occurrence at {} is skipped unless the schedule is resumed before",
                clock(schedule, at.max(now))
            )),
            Some(at) if at > now => {
                because.push(format!(
                    "the next occurrence is due in {}, at {}",
                    human(at.since(now)),
                    clock(schedule, at)
                ));
            }
            Some(_) => because.push("the next occurrence is due now".to_owned()),
            None if info.state != "unknown" => because.push("its cron line has no further occurrence".to_owned()),
            None => {}
        }
        because
    }
}

fn run_of(event: &crate::model::event::Event) -> Option<RunId> {
    event.data.as_ref()?["run"].as_str()?.parse().ok()
}

fn clock(schedule: &Schedule, at: Timestamp) -> String {
    schedule.rule().map_or_else(|_| at.to_string(), |rule| rule.cron.clock(at))
}

/// The schedules as they are shown, where they are recorded.
pub(super) fn infos(config: &Config, records: &BTreeMap<String, ScheduleRecord>, now: Timestamp) -> Vec<ScheduleInfo> {
    let shown = |schedule: &Schedule| Some(info(schedule, records.get(&schedule.name)?, now));
    config.schedules.values().filter_map(shown).collect()
}

fn info(schedule: &Schedule, record: &ScheduleRecord, now: Timestamp) -> ScheduleInfo {
    let rule = schedule.rule().ok();
    // What no supervisor has read yet occurs from when one does.
    let next =
        |rule: &Rule| rule.next(&ScheduleRecord { mark: record.mark.or(Some(now)), ..ScheduleRecord::default() });
    let next = rule.as_ref().and_then(next);
    let paused = record.pause.as_ref().filter(|pause| pause.until.is_none());
    ScheduleInfo {
        name: schedule.name.clone(),
        cron: schedule.cron.clone(),
        timezone: schedule.timezone.clone(),
        work: schedule.work.clone(),
        overlap: schedule.overlap,
        missed: schedule.missed,
        jitter_ms: u64::try_from(schedule.jitter.as_millis()).unwrap_or(u64::MAX),
        state: match (record.mark, paused) {
            (None, _) => "unknown",
            (_, Some(_)) => "paused",
            _ => "active",
        }
        .to_owned(),
        paused_by: paused.map(|pause| pause.by.clone()),
        next,
        next_run_at: next.zip(rule).map(|(at, rule)| rule.due_at(at)),
        waiting: record.waiting.iter().map(|one| Timestamp(one.at)).collect(),
        obstacle: record.obstacle.clone().filter(|_| !record.waiting.is_empty()),
        last_run: record.last.clone(),
        last_at: record.last_at,
        last_state: record.last_state.clone(),
        failure: record.failure.clone(),
    }
}
