//! Reads everything that the supervisor decides by, in two round trips.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    time::Duration,
};

use redis::Value;

use super::{
    Result, Store, StoreError,
    agents::{Orphans, Record},
    checkpoint::LastKnown,
    decode::{self, Fields},
    epoch::Epoch,
    spend::Suspended,
};
use crate::{
    admission::{self, Needy, RoleState, Shortage, Stop},
    model::{
        agent::AgentState,
        id::TaskId,
        task::{Task, TaskState},
        time::Timestamp,
    },
};

/// Of how many ready tasks of a role the places are read: no more agents are started in one pass.
pub const HEADS: usize = 32;

/// Which tasks of a state come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Those that entered it first.
    Oldest,
    /// Those that entered it last.
    Newest,
}

/// What people asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests {
    /// `Some(true)`: end everything once running tasks have finished; `Some(false)`: now.
    pub stop: Option<bool>,
    /// Start nothing new.
    pub pause: bool,
    /// Start nothing new of these roles.
    pub paused_roles: Vec<String>,
    /// Accept nothing new.
    pub drain: bool,
    /// sessions.toml is to be read again: the text of the request.
    pub reload: Option<String>,
    /// Requested numbers of agents.
    pub scale: BTreeMap<String, u32>,
    /// Requests for one more agent: the role, and the field that is removed when the request is fulfilled.
    pub spawn: Vec<(String, String)>,
}

impl Requests {
    pub(super) fn from_fields(fields: HashMap<String, String>) -> Self {
        let mut requests = Requests::default();
        for (field, value) in fields {
            match field.split_once(':') {
                None if field == "stop" => requests.stop = Some(value == "drain"),
                None if field == "pause" => requests.pause = true,
                None if field == "drain" => requests.drain = true,
                None if field == "reload" => requests.reload = Some(value),
                Some(("pause", role)) => requests.paused_roles.push(role.to_owned()),
                Some(("scale", role)) => {
                    if let Ok(n) = value.parse() {
                        requests.scale.insert(role.to_owned(), n);
                    }
                }
                Some(("spawn", rest)) => {
                    let role = rest.split(':').next().unwrap_or(rest);
                    requests.spawn.push((role.to_owned(), field.clone()));
                }
                _ => {}
            }
        }
        requests.paused_roles.sort();
        requests.spawn.sort();
        requests
    }
    /// Whether tasks of this role may start.
    pub fn may_start(&self, role: &str) -> bool {
        !self.pause && !self.paused_roles.iter().any(|r| r == role)
    }
}

/// The open breaker of a role: its agents fail right after they start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    /// How often in a row.
    pub failures: u32,
    /// Until when none is started.
    pub until: Timestamp,
    /// In words.
    pub reason: String,
}

/// The load of one role.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Tasks that wait for an agent.
    pub ready: u64,
    /// Tasks that agents have, the waiting ones among them.
    pub running: u64,
    /// Running tasks that wait for their own subtasks.
    pub waiting: u64,
}

/// A running task whose lease has expired.
#[derive(Debug, Clone, PartialEq)]
pub struct Overdue {
    /// The task.
    pub task: TaskId,
    /// The fence of that lease.
    pub fence: u64,
    /// The agent that held the lease.
    pub agent: String,
}

/// What is stored, at one moment of Redis's clock.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Redis's clock.
    pub now: Timestamp,
    /// The living agents.
    pub agents: Vec<Record>,
    /// The load of each role that was asked for.
    pub load: BTreeMap<String, Load>,
    /// The places of the first ready tasks of each role, in their order, at most [`HEADS`] (`place_of` in
    /// `lua/prelude/moves.lua`: the lower one goes first, also between roles).
    pub heads: BTreeMap<String, Vec<u64>>,
    /// Ready tasks that lack a slot, as they were published last.
    pub shortage: Shortage,
    /// Until when that holds; `None`: nothing is published.
    pub shortage_until: Option<Timestamp>,
    /// The published `min` of each role.
    pub mins: BTreeMap<String, u32>,
    /// Tasks of all roles that run.
    pub running: u64,
    /// When the next delayed task is due.
    pub next_due: Option<Duration>,
    /// When the deadline of the next task passes.
    pub next_deadline: Option<Duration>,
    /// Running tasks whose lease has expired.
    pub overdue: Vec<Overdue>,
    /// What people asked for.
    pub requests: Requests,
    /// Roles of which nothing is started until some time: rate limited, or beyond what they may use a day.
    pub suspended: BTreeMap<String, Suspended>,
    /// How many notices wait for the supervisor.
    pub notices: u64,
    /// The open breakers, by role.
    pub breakers: BTreeMap<String, Breaker>,
    /// What may be left of ended agents, by incarnation.
    pub orphans: BTreeMap<String, Orphans>,
    /// Which server these records are used with, and what was lost before it.
    pub epoch: Epoch,
    /// The last fence that was given.
    pub fence: u64,
    /// How many tasks were accepted so far.
    pub accepted: u64,
    /// Records that do not read, with why.
    pub damaged: Vec<String>,
    /// Running tasks whose lease has expired and whose records name no holder: they are to be quarantined.
    pub broken: Vec<String>,
}

impl Snapshot {
    /// What is recorded of what keeps tasks and roles from starting, but for agents that are `given_up` (incarnations). The
    /// caller adds what is configured. `master` is the session by which the master's breaker goes.
    pub fn admission(&self, master: &str, given_up: &BTreeSet<String>) -> admission::Snapshot {
        let breaker = |role: &str| {
            let breaker = self.breakers.get(role)?;
            Some(admission::Breaker { until: breaker.until, reason: breaker.reason.clone() })
        };
        let mut seen = admission::Snapshot {
            now: self.now,
            stop: self.requests.stop.map(|drain| if drain { Stop::Drain } else { Stop::Now }),
            paused: self.requests.pause,
            recovering: self.epoch.is_settling(self.now),
            masters_breaker: breaker(master),
            shortage: self
                .shortage_until
                .filter(|until| *until > self.now)
                .map(|_| self.shortage.clone())
                .unwrap_or_default(),
            ..admission::Snapshot::default()
        };
        let requests = &self.requests;
        let named = self.load.keys().chain(self.suspended.keys()).chain(self.breakers.keys());
        let named = named.chain(&requests.paused_roles).chain(requests.scale.keys());
        for role in named.filter(|role| *role != master) {
            let load = self.load.get(role).copied().unwrap_or_default();
            let suspension = self.suspended.get(role).map(|held| admission::Suspension {
                code: held.code,
                until: held.until,
                reason: held.reason.clone(),
                account: held.account.clone(),
            });
            let scale = requests.scale.get(role).copied();
            let state = RoleState {
                configured: false,
                paused: requests.paused_roles.contains(role),
                slots: scale,
                scaled_to_zero: scale == Some(0),
                taken: u32::try_from(load.running.saturating_sub(load.waiting)).unwrap_or(u32::MAX),
                ready: load.ready,
                head: self.heads.get(role).and_then(|heads| heads.first().copied()),
                min: self.mins.get(role).copied().unwrap_or(0),
                breaker: breaker(role),
                suspension,
                ..RoleState::default()
            };
            seen.roles.insert(role.clone(), state);
        }
        let live = self.agents.iter().map(|record| &record.agent);
        for agent in live.filter(|a| !a.master && !a.waiting && !given_up.contains(&a.incarnation)) {
            let role = seen.roles.entry(agent.role.clone()).or_default();
            role.agents += 1;
            role.idle += u32::from(agent.state == AgentState::Idle);
        }
        seen
    }
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
            (snapshot.suspended, snapshot.notices) = self.suspended(roles).await?;
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
