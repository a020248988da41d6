//! Wishes (what people asked for and the supervisor makes so), the facts it records, and the event stream.

use std::{collections::HashMap, time::Duration};

use redis::Value;

use super::{Result, Store, decode, script, values::ms};
use crate::model::{duration::human, event::Event, id::Capability, time::Timestamp};

/// A wish that stands until it is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// End everything; with `drain`, let running tasks finish first.
    Stop {
        /// Let running tasks finish first.
        drain: bool,
    },
    /// Start nothing new: of this role, or of any.
    Pause(Option<String>),
    /// Accept nothing new.
    Drain,
    /// This many agents of a role, neither more nor fewer.
    Scale(String, u32),
}

/// Redis's clock was set back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockBack {
    /// By how much.
    pub by: Duration,
    /// When it was last seen before, by itself.
    pub seen: Timestamp,
    /// One for each jump.
    pub token: String,
}

impl Wish {
    fn field(&self) -> String {
        match self {
            Wish::Stop { .. } => "stop".into(),
            Wish::Pause(None) => "pause".into(),
            Wish::Pause(Some(role)) => format!("pause:{role}"),
            Wish::Drain => "drain".into(),
            Wish::Scale(role, _) => format!("scale:{role}"),
        }
    }
    fn value(&self) -> String {
        match self {
            Wish::Stop { drain } => if *drain { "drain" } else { "now" }.into(),
            Wish::Scale(_, n) => n.to_string(),
            Wish::Pause(_) | Wish::Drain => "1".into(),
        }
    }
}

impl Store {
    /// Writes a wish (`lua/intend.lua`). Whether that changed anything.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn wish(&self, wish: &Wish, kind: &str, reason: &str) -> Result<bool> {
        let args = [kind, reason, &wish.value() as &str, &wish.field()];
        let changed: u64 = self.read(self.call(&script::INTEND, args).await?)?;
        Ok(changed > 0)
    }

    /// Takes wishes back, whatever their values are (`lua/intend.lua`). Whether that changed anything.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn unwish(&self, wishes: &[Wish], kind: &str, reason: &str) -> Result<bool> {
        let mut args = vec![kind.to_owned(), reason.to_owned(), String::new()];
        args.extend(wishes.iter().map(Wish::field));
        let changed: u64 = self.read(self.call(&script::INTEND, args).await?)?;
        Ok(changed > 0)
    }

    /// Asks for one more agent of a role; the same token is the same wish (`lua/wish_spawn.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn wish_spawn(&self, role: &str, token: &str, reason: &str) -> Result<()> {
        self.call(&script::WISH_SPAWN, [role, token, reason]).await.map(drop)
    }

    /// Takes back a wish for one more agent that cannot be fulfilled; why is recorded.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn drop_wish(&self, field: &str, role: &str, reason: &str) -> Result<()> {
        let reason = format!("no further agent of role {role}: {reason}");
        self.call(&script::INTEND, ["role.spawn", &reason as &str, "", field]).await.map(drop)
    }

    /// All wishes as they stand.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn wishes(&self) -> Result<super::observe::Intents> {
        let fields: HashMap<String, String> = self.query(redis::cmd("HGETALL").arg(self.keys.plain("intent"))).await?;
        Ok(super::observe::Intents::from_fields(fields))
    }

    /// Closes a role's breaker: an agent of it has proven well (`lua/recovered.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn recovered(&self, role: &str, reason: &str) -> Result<()> {
        self.call(&script::RECOVERED, [role, reason]).await.map(drop)
    }

    /// The supervisor of this state folder of this machine, at `place`, has this namespace for so long; zero gives it up
    /// (`lua/reign.lua`).
    ///
    /// # Errors
    /// `supervised`: another folder's has it. An unreachable Redis.
    pub async fn reign(&self, home: &str, place: &str, lease: Duration) -> Result<()> {
        self.call(&script::REIGN, [home, place, &ms(lease)]).await.map(drop)
    }

    /// Where the supervisor is that has this namespace, where several could meet.
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

    /// Records a fact (`lua/note.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn note(&self, kind: &str, reason: &str) -> Result<()> {
        self.call(&script::NOTE, [kind, reason, ""]).await.map(drop)
    }

    /// Redis's clock was set back: due times and the like follow it; the same jump is followed once
    /// (`lua/clock_back.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn follow_clock_back(&self, jump: &ClockBack, roles: &[String]) -> Result<()> {
        let reason = format!("Redis's clock was set back by {}: due times follow it", human(jump.by));
        let mut args = vec![ms(jump.by), jump.seen.0.to_string(), jump.token.clone(), reason];
        args.extend_from_slice(roles);
        self.call(&script::CLOCK_BACK, args).await.map(drop)
    }

    /// Records what an attempt's program says of its progress (`lua/progress.lua`).
    ///
    /// # Errors
    /// `stale`.
    pub async fn progress(&self, who: &Capability, said: &str) -> Result<()> {
        let args = [who.task.as_str(), &who.fence.to_string(), &who.incarnation, said];
        self.call(&script::PROGRESS, args).await.map(drop)
    }

    /// How many agents of each role may have a task at once, for `claim` (`lua/limits.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn set_limits(&self, limits: &[(String, u32)]) -> Result<()> {
        for (role, max) in limits {
            self.call(&script::LIMITS, [role.as_str(), &max.to_string()]).await?;
        }
        Ok(())
    }

    /// Events after `after` (an id, or `-` for all), the oldest first.
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

    /// The newest events, the oldest of them first.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn events_last(&self, n: usize) -> Result<Vec<Event>> {
        let cmd = &mut redis::cmd("XREVRANGE");
        cmd.arg(self.keys.plain("events")).arg("+").arg("-").arg("COUNT").arg(n);
        let mut events = self.read_events(self.query(cmd).await?)?;
        events.reverse();
        Ok(events)
    }

    pub(super) fn read_events(&self, value: Value) -> Result<Vec<Event>> {
        let rows: Vec<(String, HashMap<String, String>)> = self.read(value)?;
        Ok(rows.into_iter().map(|(id, fields)| decode::event(&id, fields)).collect())
    }
}
