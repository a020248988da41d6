//! Raises the epoch, and with it the fences, whenever a Redis server comes up, and handles a server that has come up
//! with less data than it had.
//!
//! Redis is the authority, but it may lose what it acknowledged: its folder is restored from an older copy, its file
//! is truncated, a user's own server starts empty or fails over to a replica that is behind. Three things must still
//! hold:
//!
//! *Fences grow.* A restarted server has another run id than the recorded one. Before any agent claims a task there,
//! the epoch is raised, and fences continue at `epoch * 1e9`. The epoch is also on disk ([`Checkpoint`]), so that an
//! empty Redis does not start at 1 again. Each process that grants or holds leases (supervisor, runners) checks each
//! new connection, because a server can only be replaced between two connections.
//!
//! *Loss is noticed.* The checkpoint records how many tasks were accepted and fences given; a Redis that knows of
//! fewer has lost some. The loss is recorded (`redis.lost_data`), and shown by `orch status`.
//!
//! *Living agents report what they know.* A runner whose heartbeat, claim or report is refused in a newer epoch than
//! the one in which it was last known reports its identity and its attempt (`lua/supervisor/reinstate.lua`), and goes
//! on. Until all of them have done so (at most a lease) nothing is claimed, started or closed.

use std::{sync::atomic::Ordering, time::Duration};

use redis::{Value, aio::MultiplexedConnection};
use serde::Serialize;

use super::{
    Result, Store, StoreError,
    call::{Call, send_all},
    checkpoint::{Checkpoint, LastKnown},
    decode::Fields,
    script, spec,
    values::{ms, to_json},
};
use crate::{
    model::{
        id::{Process, TaskId},
        json,
        task::Task,
        time::Timestamp,
    },
    os::failpoint,
};

pub use super::script::FENCES_PER_EPOCH;

/// The epoch in which a fence was given.
pub fn epoch_of(fence: u64) -> u64 {
    fence / FENCES_PER_EPOCH
}

/// The epoch as recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Epoch {
    /// Its number, 0 from the beginning.
    pub number: u64,
    /// Whether it is there at all; it is gone where Redis was emptied.
    pub is_known: bool,
    /// When Redis was last seen to have lost data.
    pub lost_at: Option<Timestamp>,
    /// What it lost, in words.
    pub loss: Option<String>,
    /// Until then living agents may say what they know, and nothing is claimed.
    pub settling_until: Option<Timestamp>,
}

impl Epoch {
    pub(super) fn from_fields(f: &Fields) -> Self {
        let time = |name| f.parse::<f64>(name).ok().map(|ms| Timestamp(ms as u64));
        Epoch {
            number: f.parse_or("number", 0).unwrap_or(0),
            is_known: f.text("number").is_some(),
            lost_at: time("lost_at"),
            loss: f.text("loss"),
            settling_until: time("settling_until"),
        }
    }

    /// Whether living agents are still saying what they know.
    pub fn is_settling(&self, now: Timestamp) -> bool {
        self.settling_until.is_some_and(|until| until > now)
    }
}

/// A living agent, as it describes itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Living {
    /// Its role.
    pub role: String,
    /// Its tmux session.
    pub session: String,
    /// Whether it is the master.
    pub master: bool,
    /// When it was started (ms since 1970).
    pub started_at: u64,
    /// Tasks it has ended.
    pub tasks_done: u64,
    /// Its runner's process.
    #[serde(flatten)]
    pub process: Process,
}

/// An attempt that Redis may have forgotten.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The task as it was claimed.
    pub task: &'a Task,
    /// The attempt's number.
    pub attempt: u32,
    /// The fence of its lease; `None` where the attempt is over, and only the task is to be known again.
    pub fence: Option<u64>,
}

/// The agent that a report is about.
#[derive(Debug, Clone, Copy)]
pub struct Speaker<'a> {
    /// The agent's id.
    pub agent: &'a str,
    /// Which run of it.
    pub incarnation: &'a str,
    /// The epoch in which Redis last knew it.
    pub epoch: u64,
    /// What it reports of itself; `None` if it is dead and another process reports for it.
    pub living: Option<&'a Living>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reinstated {
    /// Redis knows the agent, and its attempt.
    Done,
    /// Redis knows the agent with an attempt that it has ended: its end is to be reported first.
    Busy {
        /// The task.
        task: TaskId,
        /// The attempt's number.
        attempt: u32,
        /// The fence of its lease.
        fence: u64,
    },
}

impl Store {
    /// Returns the same store for a process that grants or holds leases: it ensures that fences grow.
    #[must_use]
    pub fn with_checkpoint(self, checkpoint: Checkpoint) -> Self {
        Store { checkpoint: Some(checkpoint), ..self }
    }

    /// The epoch of the connection in use.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Checks the epoch again: a running server may have been emptied.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn look_at_epoch(&self) -> Result<u64> {
        self.forget_connection().await;
        self.query::<String>(redis::cmd("PING").arg("epoch")).await?;
        Ok(self.epoch())
    }

    /// Makes sure, on a connection that was just made, that the epoch is that of this server (`lua/supervisor/open_epoch.lua`).
    pub(super) async fn confirm_epoch(&self, connection: &mut MultiplexedConnection) -> Result<()> {
        let Some(checkpoint) = &self.checkpoint else { return Ok(()) };
        let (run_id, confirmed) = self.ask_epoch(connection, checkpoint.recall()).await?;
        let epoch = match confirmed {
            Some(epoch) => epoch,
            None => self.raise_epoch(connection, checkpoint, &run_id).await?,
        };
        self.epoch.store(epoch, Ordering::Relaxed);
        Ok(())
    }

    /// The server's run id, and the epoch where it is the server's already.
    async fn ask_epoch(
        &self,
        c: &mut MultiplexedConnection,
        memory: Option<LastKnown>,
    ) -> Result<(String, Option<u64>)> {
        let mut pipe = redis::pipe();
        pipe.cmd("INFO").arg("server");
        pipe.cmd("HMGET").arg(self.keys.plain("epoch")).arg("number").arg("run_id");
        let mut values = send_all(c, &pipe).await.map_err(|e| self.error(&e))?.into_iter();
        let mut next = || values.next().unwrap_or(Value::Nil);
        let info: String = self.read(next())?;
        let run_id = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default().trim().to_owned();
        let (number, known): (Option<String>, Option<String>) = self.read(next())?;
        let number = number.and_then(|n| n.parse().ok());
        let confirmed = number.filter(|n| known == Some(run_id.clone()) && memory.is_some_and(|m| *n >= m.epoch));
        Ok((run_id, confirmed))
    }

    async fn raise_epoch(&self, c: &mut MultiplexedConnection, checkpoint: &Checkpoint, run_id: &str) -> Result<u64> {
        let _lock = checkpoint.lock().await;
        let memory = checkpoint.recall();
        if let (_, Some(epoch)) = self.ask_epoch(c, memory).await? {
            return Ok(epoch);
        }
        let lowest = checkpoint.reserve(memory);
        failpoint!("epoch.reserved");
        let last = memory.unwrap_or_default();
        let args = [
            run_id,
            &lowest.to_string(),
            &memory.map(|m| m.epoch.to_string()).unwrap_or_default(),
            &last.fence.to_string(),
            &last.accepted.to_string(),
            &ms(checkpoint.settle),
        ];
        let call = Call::new(&script::OPEN_EPOCH, self.keys.prefix(), &args);
        let answer: String = self.read(call.send(c).await.map_err(|e| self.error(&e))?)?;
        let epoch = answer.parse().map_err(|_| StoreError::Other(format!("the epoch is '{answer}'")))?;
        failpoint!("epoch.raised");
        let memory = LastKnown { reserved: last.reserved.max(lowest).max(epoch), epoch, ..last };
        if let Err(e) = checkpoint.note(&memory, false) {
            tracing::error!("{} can't be written: {e}", checkpoint.path.display());
        }
        Ok(epoch)
    }

    /// Reports a living agent and its attempt, or what a dead one has left, after Redis has lost it
    /// (`lua/supervisor/reinstate.lua`).
    ///
    /// # Errors
    /// `stale`, `taken`; an unreachable Redis.
    pub async fn reinstate(&self, who: Speaker<'_>, known: Option<Known<'_>>) -> Result<Reinstated> {
        let mut args = vec![who.agent.to_owned(), who.incarnation.to_owned(), who.epoch.to_string()];
        args.push(who.living.map_or(Ok(String::new()), to_json)?);
        match known {
            Some(Known { task, attempt, fence }) => {
                args.extend([task.id.to_string(), attempt.to_string()]);
                args.push(fence.map(|f| f.to_string()).unwrap_or_default());
                // A whole lease cannot be known here; the next heartbeat says it.
                args.push(ms(self.checkpoint.as_ref().map_or(Duration::ZERO, |w| w.settle)));
                let context = task.context.as_ref().map(|c| to_json(&json::Shallow(c))).transpose()?;
                args.extend([to_json(&Lost::of(task)?)?, task.description.clone(), context.unwrap_or_default()]);
            }
            None => args.extend(std::iter::repeat_n(String::new(), 7)),
        }
        let answer: Vec<String> = self.read(self.call(&script::REINSTATE, args).await?)?;
        let damaged =
            || StoreError::Damaged { key: self.keys.of("agent", who.agent), why: format!("its attempt is {answer:?}") };
        match answer.as_slice() {
            [_, task, attempt, fence] => Ok(Reinstated::Busy {
                task: task.parse().map_err(|_| damaged())?,
                attempt: attempt.parse().map_err(|_| damaged())?,
                fence: fence.parse().map_err(|_| damaged())?,
            }),
            _ => Ok(Reinstated::Done),
        }
    }

    /// Those of these tasks that are not stored.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn unknown(&self, ids: &[TaskId]) -> Result<Vec<TaskId>> {
        let mut pipe = redis::pipe();
        for id in ids {
            pipe.cmd("EXISTS").arg(self.keys.of("task", id.as_str()));
        }
        let known = self.pipeline(&pipe).await?;
        let missing = |(id, known)| self.read::<bool>(known).map(|known| (!known).then_some(id));
        let missing: Vec<Option<&TaskId>> = ids.iter().zip(known).map(missing).collect::<Result<_>>()?;
        Ok(missing.into_iter().flatten().cloned().collect())
    }

    /// Whether Redis has lost data, and what agents and the disk know of it is still being collected: a record that is
    /// missing may come back.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn is_recovering(&self) -> Result<bool> {
        let mut get = redis::cmd("HGET");
        get.arg(self.keys.plain("epoch")).arg("settling_until");
        Ok(self.query::<Option<String>>(&get).await?.is_some())
    }

    /// Ends the recovery after a loss of data (`lua/supervisor/end_recovery.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn settled(&self, reason: &str) -> Result<()> {
        self.call(&script::END_RECOVERY, [reason]).await.map(drop)
    }
}

/// A task as `lua/supervisor/reinstate.lua` writes it down again.
#[derive(Serialize)]
struct Lost<'a> {
    #[serde(flatten)]
    spec: serde_json::Map<String, serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<&'a TaskId>,
    depth: u32,
    created_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_at: Option<u64>,
    failures: u32,
    lost: u32,
}

impl<'a> Lost<'a> {
    fn of(task: &'a Task) -> Result<Self> {
        Ok(Lost {
            spec: spec::stored(&task.spec)?,
            parent: task.parent.as_ref(),
            depth: task.depth,
            created_at: task.created_at.0,
            deadline_at: task.deadline_at.map(|at| at.0),
            failures: task.failures,
            lost: task.lost,
        })
    }
}
