//! Reads everything on which the supervisor bases its decisions, in two round trips.

mod snapshot;

use std::{collections::HashMap, io, time::Duration};

use redis::Value;

pub use self::snapshot::{Breaker, HEADS, Load, Overdue, Requests, Snapshot};
use super::{
    Result, Store, StoreError,
    agents::Record,
    checkpoint::LastKnown,
    decode::{self, Fields},
    epoch::Epoch,
};
use crate::{
    admission::{Needy, Shortage},
    model::{
        id::TaskId,
        task::{Task, TaskState},
        time::Timestamp,
    },
};

/// Which tasks of a state come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Those that entered it first.
    Oldest,
    /// Those that entered it last.
    Newest,
}

impl Store {
    /// Reads everything that the supervisor decides by.
    ///
    /// # Errors
    /// An unreachable Redis. A damaged record is reported in the snapshot and left out.
    pub async fn observe(&self, roles: &[String]) -> Result<Snapshot> {
        let k = &self.keys;
        let mut pipe = redis::pipe();
        pipe.add_command(self.clock());
        pipe.cmd("SMEMBERS").arg(k.plain("agents"));
        pipe.cmd("HGETALL").arg(k.plain("requests"));
        pipe.cmd("HGETALL").arg(k.plain("orphans"));
        pipe.cmd("HGETALL").arg(k.plain("epoch"));
        pipe.cmd("MGET").arg(k.plain("fence")).arg(k.plain("seq"));
        pipe.cmd("HGETALL").arg(k.plain("limits"));
        pipe.cmd("ZCARD").arg(k.of("state", "running"));
        pipe.cmd("ZRANGE").arg(k.of("state", "delayed")).arg(0).arg(0).arg("WITHSCORES");
        pipe.cmd("ZRANGE").arg(k.plain("deadlines")).arg(0).arg(0).arg("WITHSCORES");
        pipe.cmd("ZRANGE").arg(k.plain("lock_ends")).arg(0).arg(0).arg("WITHSCORES");
        pipe.cmd("EXISTS").arg(k.plain("lock_offers"));
        pipe.cmd("ZRANGE").arg(k.plain("approval_ends")).arg(0).arg(0).arg("WITHSCORES");
        pipe.cmd("ZRANGE").arg(k.of("state", "running")).arg(0).arg(199).arg("WITHSCORES");
        for role in roles {
            pipe.cmd("ZCARD").arg(k.of("ready", role));
            pipe.cmd("ZRANGE").arg(k.of("ready", role)).arg(0).arg(HEADS - 1).arg("WITHSCORES");
            pipe.cmd("SCARD").arg(k.of("running", role));
            pipe.cmd("ZRANGE").arg(k.of("waiting", role)).arg(0).arg(-1).arg("WITHSCORES");
            pipe.cmd("HGETALL").arg(k.of("breaker", role));
        }
        let mut values = self.pipeline(&pipe).await?.into_iter();
        let mut next = || values.next().unwrap_or(Value::Nil);
        let now = self.time(Some(next()))?;
        let ids: Vec<String> = self.read(next())?;
        let requests = Requests::from_fields(self.read(next())?);
        let orphans: HashMap<String, String> = self.read(next())?;
        let epoch = Epoch::from_fields(&Fields::new(k.plain("epoch"), self.read(next())?));
        let (fence, accepted): (Option<u64>, Option<u64>) = self.read(next())?;
        let (fence, accepted) = (fence.unwrap_or(0), accepted.unwrap_or(0));
        let limits = Fields::new(k.plain("limits"), self.read(next())?);
        let running = self.read(next())?;
        let mut snapshot = Snapshot { now, requests, epoch, fence, accepted, running, ..Snapshot::default() };
        snapshot.shortage = shortage(&limits)?;
        snapshot.shortage_until = limits.time("shortage_until")?;
        for role in roles {
            snapshot.mins.insert(role.clone(), limits.parse_or(&format!("min:{role}"), 0)?);
        }
        self.read_orphans(orphans, &mut snapshot);
        let due: Vec<(String, f64)> = self.read(next())?;
        snapshot.next_due = due.first().map(|(_, at)| Timestamp(*at as u64).since(now));
        let deadlines: Vec<(String, f64)> = self.read(next())?;
        snapshot.next_deadline = deadlines.first().map(|(_, at)| Timestamp(*at as u64).since(now));
        let lock_ends: Vec<(String, f64)> = self.read(next())?;
        snapshot.next_lock_end = lock_ends.first().map(|(_, at)| Timestamp(*at as u64).since(now));
        if self.read::<bool>(next())? {
            snapshot.next_lock_end = Some(Duration::ZERO);
        }
        let approval_ends: Vec<(String, f64)> = self.read(next())?;
        snapshot.next_approval_end = approval_ends.first().map(|(_, at)| Timestamp(*at as u64).since(now));
        let leases: Vec<(String, f64)> = self.read(next())?;
        let mut waiting_tasks = Vec::new();
        for role in roles {
            let ready = self.read(next())?;
            let heads: Vec<(String, f64)> = self.read(next())?;
            snapshot.heads.insert(role.clone(), heads.into_iter().map(|(_, place)| place as u64).collect());
            let running = self.read(next())?;
            let marks: Vec<(String, f64)> = self.read(next())?;
            let live: Vec<String> =
                marks.into_iter().filter(|(_, until)| *until > now.0 as f64).map(|(t, _)| t).collect();
            snapshot.load.insert(role.clone(), Load { ready, running, waiting: live.len() as u64 });
            waiting_tasks.extend(live);
            let breaker: HashMap<String, String> = self.read(next())?;
            let breaker = Fields::new(k.of("breaker", role), breaker);
            if let (Some(reason), Ok(failures), Ok(until)) =
                (breaker.text("reason"), breaker.parse("failures"), breaker.parse::<f64>("until"))
            {
                let breaker = Breaker { failures, until: Timestamp(until as u64), reason };
                snapshot.breakers.insert(role.clone(), breaker);
            }
        }
        self.read_agents(&ids, &waiting_tasks, &mut snapshot).await?;
        let overdue: Vec<String> =
            leases.into_iter().filter(|(_, end)| *end <= now.0 as f64).map(|(id, _)| id).collect();
        self.read_overdue(&overdue, &mut snapshot).await?;
        if !roles.is_empty() {
            let suspensions = self.suspensions(roles).await?;
            (snapshot.suspended, snapshot.rooms) = (suspensions.held, suspensions.rooms);
            snapshot.notices = suspensions.notices;
        }
        Ok(snapshot)
    }

    /// The living agents, as `orch status` shows them.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn agents(&self) -> Result<Vec<Record>> {
        Ok(self.observe(&[]).await?.agents)
    }

    async fn read_agents(&self, ids: &[String], waiting: &[String], snapshot: &mut Snapshot) -> Result<()> {
        let mut pipe = redis::pipe();
        for id in ids {
            pipe.cmd("HGETALL").arg(self.keys.of("agent", id));
        }
        for (id, answer) in ids.iter().zip(self.pipeline_each(&pipe).await?) {
            let key = self.keys.of("agent", id);
            let fields = self.read_record(Some(answer), &key).map(|fields| Fields::new(key, fields));
            match fields.and_then(|fields| decode::agent(id, &fields, snapshot.now)) {
                Ok(mut record) => {
                    record.agent.waiting =
                        record.agent.task.as_ref().is_some_and(|t| waiting.iter().any(|w| w == t.as_str()));
                    snapshot.agents.push(record);
                }
                Err(e) => snapshot.damaged.push(e.to_string()),
            }
        }
        snapshot.agents.sort_by_key(|a| natural(&a.agent.id));
        Ok(())
    }

    async fn read_overdue(&self, ids: &[String], snapshot: &mut Snapshot) -> Result<()> {
        let mut pipe = redis::pipe();
        for id in ids {
            pipe.cmd("HMGET").arg(self.keys.of("task", id)).arg("fence").arg("agent");
        }
        for (id, answer) in ids.iter().zip(self.pipeline_each(&pipe).await?) {
            let row = self.read_record(Some(answer), &self.keys.of("task", id)).unwrap_or_default();
            let row: (Option<String>, Option<String>) = row;
            match (id.parse(), row.0.and_then(|f| f.parse().ok())) {
                (Ok(task), Some(fence)) => {
                    snapshot.overdue.push(Overdue { task, fence, agent: row.1.unwrap_or_default() });
                }
                _ => {
                    snapshot.damaged.push(format!("the record {} has no fence", self.keys.of("task", id)));
                    snapshot.broken.push(id.clone());
                }
            }
        }
        Ok(())
    }

    fn read_orphans(&self, fields: HashMap<String, String>, snapshot: &mut Snapshot) {
        for (incarnation, text) in fields {
            match serde_json::from_str(&text) {
                Ok(orphans) => drop(snapshot.orphans.insert(incarnation, orphans)),
                Err(e) => {
                    let key = format!("{} {incarnation}", self.keys.plain("orphans"));
                    snapshot.damaged.push(StoreError::Damaged { key, why: e.to_string() }.to_string());
                }
            }
        }
    }

    /// The tasks in a state, at most `n`, those first that entered it first.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn first_tasks(&self, state: TaskState, n: usize) -> Result<Vec<Task>> {
        self.tasks(&self.first_ids(state, n).await?).await
    }

    /// Returns up to `n` tasks in that state with the time at which they entered it.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn tasks_since(&self, state: TaskState, order: Order, n: usize) -> Result<Vec<(Task, Timestamp)>> {
        let key = self.keys.of("state", state.as_str());
        let range = match order {
            Order::Oldest => "ZRANGE",
            Order::Newest => "ZREVRANGE",
        };
        let scored: Vec<(String, f64)> =
            self.query(redis::cmd(range).arg(key).arg(0).arg(n as i64 - 1).arg("WITHSCORES")).await?;
        let since: HashMap<TaskId, Timestamp> =
            scored.iter().filter_map(|(id, at)| Some((id.parse().ok()?, Timestamp(*at as u64)))).collect();
        let ids: Vec<TaskId> = scored.iter().filter_map(|(id, _)| id.parse().ok()).collect();
        let tasks = self.tasks(&ids).await?;
        Ok(tasks
            .into_iter()
            .filter_map(|task| Some((since.get(&task.id).copied()?, task)))
            .map(|(at, t)| (t, at))
            .collect())
    }

    /// The ids of these.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn first_ids(&self, state: TaskState, n: usize) -> Result<Vec<TaskId>> {
        let key = self.keys.of("state", state.as_str());
        let ids: Vec<String> = self.query(redis::cmd("ZRANGE").arg(key).arg(0).arg(n as i64 - 1)).await?;
        Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// Records the last known state in the checkpoint. If another process opens an epoch at this moment, the next call
    /// does it.
    ///
    /// # Errors
    /// What the system says.
    pub fn remember(&self, seen: &Snapshot) -> io::Result<()> {
        let Some(checkpoint) = &self.checkpoint else { return Ok(()) };
        let grown = |memory: LastKnown| LastKnown {
            reserved: memory.reserved.max(seen.epoch.number),
            epoch: memory.epoch.max(seen.epoch.number),
            fence: memory.fence.max(seen.fence),
            accepted: memory.accepted.max(seen.accepted),
        };
        let memory = checkpoint.recall().unwrap_or_default();
        if grown(memory) == memory {
            return Ok(());
        }
        match checkpoint.try_lock() {
            Some(_lock) => checkpoint.note(&grown(checkpoint.recall().unwrap_or_default()), false),
            None => Ok(()),
        }
    }
}

/// The published shortage.
fn shortage(limits: &Fields) -> Result<Shortage> {
    let published = limits.text("shortage").unwrap_or_default();
    let words: Vec<&str> = published.split_ascii_whitespace().collect();
    let needy = |pair: &[&str]| Some(Needy { role: pair[0].to_owned(), place: pair[1].parse().ok()? });
    let tolerance = limits.parse_or("shortage_tolerance", 0)?;
    Ok(Shortage { tasks: words.chunks_exact(2).filter_map(needy).collect(), tolerance })
}

/// `sonnet-2` before `sonnet-10`.
fn natural(id: &str) -> (String, u64) {
    match id.rsplit_once('-').map(|(stem, n)| (stem, n.parse())) {
        Some((stem, Ok(n))) => (stem.to_owned(), n),
        _ => (id.to_owned(), 0),
    }
}
