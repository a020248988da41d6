//! The typed calls about requests (what people ask for and the supervisor executes), recorded facts and events.

use std::{collections::HashMap, time::Duration};

use redis::Value;

use super::{Result, Store, decode, script, values::ms};
use crate::admission::Shortage;
use crate::model::{
    duration::human,
    event::{Event, EventKind},
    gate::GateCode,
    id::{Capability, TaskId},
    time::Timestamp,
};

/// A request that stands until it is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// End everything; with `drain`, let running tasks finish first.
    Stop {
        /// Let running tasks finish first.
        drain: bool,
    },
    /// Start nothing new: of this role, or of any.
    Pause(Option<String>),
    /// Accept nothing new.
    Drain,
    /// Read sessions.toml again. The text identifies the request.
    Reload(String),
    /// This many agents of a role, neither more nor fewer.
    Scale(String, u32),
    /// What was reported about Redis up to then needs no person any more.
    Dismiss(Timestamp),
}

/// Redis's clock was set back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockBack {
    /// By how much.
    pub by: Duration,
    /// When the clock was last read before the jump, by that clock.
    pub seen: Timestamp,
    /// One for each jump.
    pub token: String,
}

impl Request {
    fn field(&self) -> String {
        match self {
            Request::Stop { .. } => "stop".into(),
            Request::Pause(None) => "pause".into(),
            Request::Pause(Some(role)) => format!("pause:{role}"),
            Request::Drain => "drain".into(),
            Request::Reload(_) => "reload".into(),
            Request::Scale(role, _) => format!("scale:{role}"),
            Request::Dismiss(_) => "dismissed".into(),
        }
    }
    fn value(&self) -> String {
        match self {
            Request::Stop { drain } => if *drain { "drain" } else { "now" }.into(),
            Request::Scale(_, n) => n.to_string(),
            Request::Dismiss(until) => until.0.to_string(),
            Request::Reload(token) => token.clone(),
            Request::Pause(_) | Request::Drain => "1".into(),
        }
    }
}

impl Store {
    /// Writes a request (`lua/supervisor/request.lua`), and returns whether that changed anything.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn request(&self, request: &Request, kind: EventKind, reason: &str) -> Result<bool> {
        let args = [kind.as_str(), reason, &request.value() as &str, &request.field()];
        let changed: u64 = self.read(self.call(&script::WRITE_REQUEST, args).await?)?;
        Ok(changed > 0)
    }

    /// Removes requests, whatever their values are (`lua/supervisor/request.lua`), and returns whether that changed
    /// anything.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn withdraw(&self, requests: &[Request], kind: EventKind, reason: &str) -> Result<bool> {
        let mut args = vec![kind.to_string(), reason.to_owned(), String::new()];
        args.extend(requests.iter().map(Request::field));
        let changed: u64 = self.read(self.call(&script::WRITE_REQUEST, args).await?)?;
        Ok(changed > 0)
    }

    /// Asks for one more agent of a role; the same token is the same request (`lua/role/request_spawn.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn request_spawn(&self, role: &str, token: &str, reason: &str) -> Result<()> {
        self.call(&script::REQUEST_SPAWN, [role, token, reason]).await.map(drop)
    }

    /// Drops a request for one more agent that cannot be fulfilled, and records why (`lua/role/refuse_spawn.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn drop_request(&self, field: &str, role: &str, code: GateCode, reason: &str) -> Result<()> {
        self.call(&script::REFUSE_SPAWN, [field, role, reason, code.as_str()]).await.map(drop)
    }

    /// Returns all requests.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn requests(&self) -> Result<super::observe::Requests> {
        let fields: HashMap<String, String> =
            self.query(redis::cmd("HGETALL").arg(self.keys.plain("requests"))).await?;
        Ok(super::observe::Requests::from_fields(fields))
    }

    /// Closes a role's breaker after an agent of the role has proven to work (`lua/role/close_breaker.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn recovered(&self, role: &str, reason: &str) -> Result<()> {
        self.call(&script::CLOSE_BREAKER, [role, reason]).await.map(drop)
    }

    /// Renews the lease on this namespace for the supervisor of the state folder `home`, at `place`; zero releases it
    /// (`lua/supervisor/renew_leadership.lua`).
    ///
    /// # Errors
    /// `supervised`: another folder's has it. An unreachable Redis.
    pub async fn leadership(&self, home: &str, place: &str, lease: Duration) -> Result<()> {
        self.call(&script::RENEW_LEADERSHIP, [home, place, &ms(lease)]).await.map(drop)
    }

    /// Counts a start of a supervisor: agents that were started before it and fail open no breaker from now on.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn count_supervisor_start(&self) -> Result<()> {
        // Also with a memory over its limit.
        let count = "redis.call('DEL', KEYS[1]) redis.call('INCR', KEYS[2])";
        let (probe, starts) = (self.keys.plain("probe"), self.keys.plain("supervisor_starts"));
        self.query(redis::cmd("EVAL").arg(count).arg(2).arg(probe).arg(starts)).await
    }

    /// Returns where the supervisor of this namespace runs, in a Redis that several state folders can reach.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn reigning(&self) -> Result<Option<String>> {
        let mut pipe = redis::pipe();
        pipe.add_command(self.clock());
        pipe.cmd("HMGET").arg(self.keys.plain("supervisor")).arg("where").arg("until");
        let mut values = self.pipeline(&pipe).await?.into_iter();
        let now = self.time(values.next())?;
        let (place, until): (Option<String>, Option<u64>) = self.read(values.next().unwrap_or(Value::Nil))?;
        Ok(place.filter(|_| until.is_some_and(|until| until > now.0)))
    }

    /// Records a fact (`lua/supervisor/record_event.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn note(&self, kind: EventKind, reason: &str) -> Result<()> {
        self.call(&script::RECORD_EVENT, [kind.as_str(), reason, "", ""]).await.map(drop)
    }

    /// Records a fact together with its data (`lua/supervisor/record_event.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn note_with(&self, kind: EventKind, reason: &str, data: &serde_json::Value) -> Result<()> {
        self.call(&script::RECORD_EVENT, [kind.as_str(), reason, &data.to_string(), ""]).await.map(drop)
    }

    /// Records a fact about a task (`lua/supervisor/record_event.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn note_of_task(&self, task: &TaskId, kind: EventKind, reason: &str) -> Result<()> {
        self.call(&script::RECORD_EVENT, [kind.as_str(), reason, "", task.as_str()]).await.map(drop)
    }

    /// Redis's clock was set back: due times and the like follow it; the same jump is followed once
    /// (`lua/supervisor/clock_back.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn follow_clock_back(&self, jump: &ClockBack, roles: &[String]) -> Result<()> {
        let reason = format!("Redis's clock was set back by {}: due times follow it", human(jump.by));
        let mut args = vec![ms(jump.by), jump.seen.0.to_string(), jump.token.clone(), reason];
        args.extend_from_slice(roles);
        self.call(&script::CLOCK_BACK, args).await.map(drop)
    }

    /// Records the progress that an attempt's program reports (`lua/task/report_progress.lua`).
    ///
    /// # Errors
    /// `stale`.
    pub async fn progress(&self, who: &Capability, said: &str) -> Result<()> {
        let args = [who.task.as_str(), &who.fence.to_string(), &who.incarnation, said];
        self.call(&script::REPORT_PROGRESS, args).await.map(drop)
    }

    /// Records how many agents of each role may have a task at the same time, for `claim` (`lua/role/set_capacity.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn set_limits(&self, limits: &[(String, u32)]) -> Result<()> {
        for (role, max) in limits {
            self.call(&script::SET_CAPACITY, [role.as_str(), &max.to_string()]).await?;
        }
        Ok(())
    }

    /// Publishes which ready tasks lack a slot under `max_agents`, for `claim`, and how many agents each role keeps whatever
    /// happens; it holds for `lifetime` (`lua/role/set_shortage.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn set_shortage(&self, shortage: &Shortage, mins: &[(String, u32)], lifetime: Duration) -> Result<()> {
        let tasks: Vec<String> = shortage.tasks.iter().map(|task| format!("{} {}", task.role, task.place)).collect();
        let mut args = vec![tasks.join(" "), ms(lifetime), shortage.tolerance.to_string()];
        args.extend(mins.iter().flat_map(|(role, min)| [role.clone(), min.to_string()]));
        self.call(&script::SET_SHORTAGE, args).await.map(drop)
    }

    /// Returns the events after `after` (an id, or `-` for all), the oldest first.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn events_after(&self, after: &str, at_most: usize) -> Result<Vec<Event>> {
        let start = if after == "-" { "-".to_owned() } else { format!("({after}") };
        let value = self
            .query(redis::cmd("XRANGE").arg(self.keys.plain("events")).arg(start).arg("+").arg("COUNT").arg(at_most))
            .await?;
        self.read_events(value)
    }

    /// Returns the newest events, the oldest of them first.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn events_last(&self, n: usize) -> Result<Vec<Event>> {
        self.events_before(None, n).await
    }

    /// Returns the newest events before the one with this id, or of all, the oldest of them first.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn events_before(&self, before: Option<&str>, n: usize) -> Result<Vec<Event>> {
        let end = before.map_or_else(|| "+".to_owned(), |id| format!("({id}"));
        let cmd = &mut redis::cmd("XREVRANGE");
        cmd.arg(self.keys.plain("events")).arg(end).arg("-").arg("COUNT").arg(n);
        let mut events = self.read_events(self.query(cmd).await?)?;
        events.reverse();
        Ok(events)
    }

    /// Returns the newest 50 to 100 events about a task, the oldest of them first, and whether some of them were dropped from
    /// the stream; `None` for a task that an earlier release has accepted.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn events_of_task(&self, task: &TaskId) -> Result<Option<(Vec<Event>, bool)>> {
        let mut pipe = redis::pipe();
        pipe.cmd("LRANGE").arg(self.keys.of("trail", task.as_str())).arg(0).arg(-1);
        let list = self.pipeline_each(&pipe).await?.pop();
        let ids: Vec<String> = self.read_record(list, "trail").unwrap_or_default();
        if ids.is_empty() {
            return Ok(None);
        }
        let mut pipe = redis::pipe();
        for id in &ids {
            pipe.cmd("XRANGE").arg(self.keys.plain("events")).arg(id).arg(id);
        }
        let mut events = Vec::with_capacity(ids.len());
        for found in self.pipeline_each(&pipe).await? {
            events.extend(self.read_events(found?)?);
        }
        let are_dropped = events.len() < ids.len();
        Ok(Some((events, are_dropped)))
    }

    /// Makes a task one that an earlier release has accepted: its events are not listed.
    #[cfg(test)]
    pub(crate) async fn forget_trail(&self, task: &TaskId) {
        let () = self.query(redis::cmd("DEL").arg(self.keys.of("trail", task.as_str()))).await.unwrap();
    }

    pub(super) fn read_events(&self, value: Value) -> Result<Vec<Event>> {
        let rows: Vec<(String, HashMap<String, String>)> = self.read(value)?;
        Ok(rows.into_iter().map(|(id, fields)| decode::event(&id, fields)).collect())
    }
}
