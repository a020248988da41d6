//! The typed calls about locks.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use serde::Deserialize;

use super::{
    Result, Store, script,
    values::{ms, parse, to_json},
};
use crate::model::{
    id::{Capability, TaskId},
    lock::{HolderKind, Lock, LockMode, Parked, Pattern},
    time::Timestamp,
};

/// Locks and waiting tasks that one call reads.
const LISTED: usize = 10_000;
/// Queues of waiting tasks that are compared with the locks of persons.
const COMPARED: usize = 1_000;

/// What takes and releases locks.
#[derive(Debug, Clone)]
pub enum Holder {
    /// A running task, by its attempt.
    Attempt(Capability),
    /// A person's lock, by its id.
    Person(String),
}

/// Locks that are asked for.
#[derive(Debug, Clone)]
pub struct NewLocks {
    /// Whose they are to be.
    pub holder: Holder,
    /// What its holder may do.
    pub mode: LockMode,
    /// What they cover.
    pub patterns: Vec<Pattern>,
    /// What for.
    pub reason: Option<String>,
    /// When a person's end by themselves.
    pub ttl: Option<Duration>,
    /// The caller in words.
    pub who: String,
    /// The same as the lock names its owner.
    pub owner: String,
}

/// A person's lock that keeps ready tasks from an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeping {
    /// What it covers, one entry per pattern.
    pub locks: Vec<Lock>,
    /// How many ready tasks wait for one of these.
    pub waiting: u64,
}

/// A lock that is in the way of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InTheWay {
    /// What was asked for.
    pub wanted: Pattern,
    /// The lock, if it is still known.
    pub lock: Option<Lock>,
}

/// Why and since when a lock is held.
#[derive(Debug, Default, Deserialize)]
struct Note {
    #[serde(default)]
    at: u64,
    reason: Option<String>,
}

impl Holder {
    fn args(&self) -> [String; 3] {
        match self {
            Holder::Attempt(attempt) => {
                [attempt.task.to_string(), attempt.incarnation.clone(), attempt.fence.to_string()]
            }
            Holder::Person(id) => [id.clone(), String::new(), String::new()],
        }
    }
}

/// The character between the parts of an entry.
const BETWEEN: char = '\u{1}';

/// The mode, the pattern, and what follows in an entry of `locks` or `wants`.
fn read_entry(entry: &str) -> Option<(LockMode, Pattern, &str)> {
    let mut parts = entry.splitn(3, BETWEEN).skip(1);
    let (what, rest) = (parts.next()?, parts.next()?);
    let mode = match what.chars().next()? {
        'w' => LockMode::Write,
        'r' => LockMode::Read,
        _ => return None,
    };
    Some((mode, what[1..].parse().ok()?, rest))
}

impl Store {
    /// Takes locks, all of them or none; what is in the way where they are not free (`lua/lock/take.lua`).
    ///
    /// # Errors
    /// `stale`.
    pub async fn take_locks(&self, new: &NewLocks) -> Result<Option<InTheWay>> {
        let mode = if new.mode == LockMode::Write { "w" } else { "r" };
        let mut args = new.holder.args().to_vec();
        args.extend([
            mode.to_owned(),
            to_json(&new.patterns)?,
            new.reason.clone().unwrap_or_default(),
            new.ttl.map(ms).unwrap_or_default(),
            new.who.clone(),
            new.owner.clone(),
        ]);
        let answer: Vec<String> = self.read(self.call(&script::TAKE_LOCKS, args).await?)?;
        let [wanted, entry] = answer.as_slice() else { return Ok(None) };
        let lock = self.locks_of(std::slice::from_ref(entry)).await?.pop();
        Ok(Some(InTheWay { wanted: parse(wanted, "pattern")?, lock }))
    }

    /// Releases these locks of a holder, all that it has where none are given; the patterns that were released
    /// (`lua/lock/release.lua`).
    ///
    /// # Errors
    /// `stale`.
    pub async fn release_locks(&self, holder: &Holder, patterns: &[Pattern], who: &str) -> Result<Vec<Pattern>> {
        let mut args = holder.args().to_vec();
        args.push(who.to_owned());
        args.extend(patterns.iter().map(|pattern| pattern.as_str().to_owned()));
        let released: Vec<String> = self.read(self.call(&script::RELEASE_LOCKS, args).await?)?;
        released.iter().map(|pattern| parse(pattern, "pattern")).collect()
    }

    /// Which of these files others have locked, each with the lock that is found first (`lua/lock/look.lua`). `task` is the
    /// task whose program edits them, `who` the caller as its own locks name their owner.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn locked_by_others(
        &self,
        task: Option<&TaskId>,
        who: &str,
        files: &[Pattern],
    ) -> Result<Vec<(Pattern, Lock)>> {
        let mut args = vec![task.map(TaskId::to_string).unwrap_or_default(), who.to_owned()];
        args.extend(files.iter().map(Pattern::to_string));
        let found: Vec<String> = self.read(self.call(&script::LOOK_AT_LOCKS, args).await?)?;
        let mut locked = Vec::new();
        for [file, entry] in found.as_chunks::<2>().0 {
            let lock = self.locks_of(std::slice::from_ref(entry)).await?.pop();
            if let Some((file, lock)) = files.iter().find(|one| one.as_str() == file).zip(lock) {
                locked.push((file.clone(), lock));
            }
        }
        Ok(locked)
    }

    /// Ends what has expired, and offers what has become free (`lua/lock/expire.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn end_locks(&self) -> Result<()> {
        self.call(&script::EXPIRE_LOCKS, Vec::<String>::new()).await.map(drop)
    }

    /// All locks and reservations, in the order of their paths.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn locks(&self) -> Result<Vec<Lock>> {
        let last = (LISTED - 1).to_string();
        let entries: Vec<String> =
            self.query(redis::cmd("ZRANGE").arg(self.keys.plain("locks")).arg(0).arg(last)).await?;
        self.locks_of(&entries).await
    }

    async fn locks_of(&self, entries: &[String]) -> Result<Vec<Lock>> {
        let read: Vec<_> = entries.iter().filter_map(|entry| Some((entry, read_entry(entry)?))).collect();
        let holders: BTreeSet<&str> = read.iter().map(|(_, (_, _, holder))| *holder).collect();
        let mut pipe = redis::pipe();
        for holder in &holders {
            let record = match holder.starts_with('l') {
                true => self.keys.of("lock", holder),
                false => self.keys.of("task", holder.trim_start_matches('~')),
            };
            pipe.cmd("HMGET").arg(record).arg(&["agent", "place", "reserved_until", "by", "reason", "until"]);
            pipe.cmd("HGETALL").arg(self.keys.of("held", holder));
        }
        let mut values = self.pipeline(&pipe).await?.into_iter();
        let mut known = HashMap::new();
        for holder in holders {
            let fields: Vec<Option<String>> = self.read(values.next().unwrap_or(redis::Value::Nil))?;
            let notes: HashMap<String, String> = self.read(values.next().unwrap_or(redis::Value::Nil))?;
            known.insert(holder, (fields, notes));
        }
        let lock = |(entry, (mode, pattern, holder)): (&String, (LockMode, Pattern, &str))| {
            let (fields, notes) = known.get(holder)?;
            let field = |at: usize| fields.get(at).cloned().flatten().filter(|text| !text.is_empty());
            let time = |at: usize| field(at).and_then(|text| text.parse::<f64>().ok()).map(|at| Timestamp(at as u64));
            let note: Note = notes.get(entry.as_str()).and_then(|n| serde_json::from_str(n).ok()).unwrap_or_default();
            let kind = match holder.chars().next()? {
                'l' => HolderKind::Person,
                '~' => HolderKind::Reservation,
                _ => HolderKind::Task,
            };
            Some(Lock {
                pattern,
                mode,
                holder: kind,
                id: (kind == HolderKind::Person).then(|| holder.to_owned()),
                task: holder.trim_start_matches('~').parse().ok(),
                agent: field(0),
                by: field(3),
                reason: if kind == HolderKind::Person { field(4) } else { note.reason },
                since: Timestamp(note.at),
                until: if kind == HolderKind::Reservation { time(2) } else { time(5) },
                place: time(1).map_or(0, |at| at.0),
            })
        };
        Ok(read.into_iter().filter_map(lock).collect())
    }

    /// The locks of persons that keep ready tasks from an agent, as far as an agent has looked at these; the oldest first.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn persons_locks_that_keep_tasks(&self) -> Result<Vec<Keeping>> {
        let wants = self.keys.plain("wants");
        let mut pipe = redis::pipe();
        pipe.cmd("SMEMBERS").arg(self.keys.plain("person_locks"));
        pipe.cmd("ZRANGE").arg(&wants).arg(0).arg(COMPARED - 1);
        let mut values = self.pipeline(&pipe).await?.into_iter();
        let ids: Vec<String> = self.read(values.next().unwrap_or(redis::Value::Nil))?;
        let queues: Vec<String> = self.read(values.next().unwrap_or(redis::Value::Nil))?;
        if ids.is_empty() || queues.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for queue in &queues {
            let (_, name) = queue.split_once(BETWEEN).unwrap_or_default();
            pipe.cmd("ZCARD").arg(self.keys.of("parked", name));
        }
        for id in &ids {
            pipe.cmd("HKEYS").arg(self.keys.of("held", id));
        }
        let mut values = self.pipeline(&pipe).await?.into_iter();
        let mut lengths = Vec::new();
        for queue in &queues {
            let length: u64 = self.read(values.next().unwrap_or(redis::Value::Nil))?;
            lengths.extend(read_entry(queue).map(|(mode, pattern, _)| (mode, pattern, length)));
        }
        let mut found = Vec::new();
        for value in values {
            let entries: Vec<String> = self.read(value)?;
            let locks = self.locks_of(&entries).await?;
            let lacked = lengths.iter().filter(|(mode, pattern, _)| locks.iter().any(|l| l.excludes(*mode, pattern)));
            let waiting = lacked.map(|(.., length)| length).sum();
            if waiting > 0 {
                found.push(Keeping { locks, waiting });
            }
        }
        found.sort_by_key(|keeping| keeping.locks.first().map(|lock| lock.since));
        Ok(found)
    }

    /// The ready tasks that wait for locks, those first that have waited longest, and how many there are.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn parked(&self, at_most: usize) -> Result<(Vec<Parked>, u64)> {
        let key = self.keys.plain("parked");
        let mut pipe = redis::pipe();
        pipe.cmd("ZRANGE").arg(&key).arg(0).arg(at_most.saturating_sub(1).to_string());
        pipe.cmd("ZCARD").arg(&key);
        let mut values = self.pipeline(&pipe).await?.into_iter();
        let ids: Vec<String> = self.read(values.next().unwrap_or(redis::Value::Nil))?;
        let count = self.read(values.next().unwrap_or(redis::Value::Nil))?;
        let ids: Vec<TaskId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        Ok((self.parked_of(&ids).await?, count))
    }

    /// Those of these tasks that wait for a lock.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn parked_of(&self, ids: &[TaskId]) -> Result<Vec<Parked>> {
        let mut pipe = redis::pipe();
        for id in ids {
            let key = self.keys.of("task", id.as_str());
            pipe.cmd("HMGET").arg(key).arg(&["role", "parked", "parked_at"]);
        }
        let mut found = Vec::new();
        for (id, value) in ids.iter().zip(self.pipeline(&pipe).await?) {
            let fields: Vec<Option<String>> = self.read(value)?;
            let [Some(role), Some(queue), Some(since)] = fields.as_slice() else { continue };
            let (Some((mode, pattern, _)), Ok(since)) = (read_entry(queue), since.parse::<f64>()) else { continue };
            let queue = queue.split_once(BETWEEN).map_or("", |(_, rest)| rest).to_owned();
            let parked = Parked {
                task: id.clone(),
                role: role.clone(),
                pattern,
                mode,
                since: Timestamp(since as u64),
                ahead: 0,
            };
            found.push((parked, queue));
        }
        let mut pipe = redis::pipe();
        for (parked, queue) in &found {
            pipe.cmd("ZRANK").arg(self.keys.of("parked", queue)).arg(parked.task.as_str());
        }
        let ranks = self.pipeline(&pipe).await?;
        let ranked = found.into_iter().zip(ranks).map(|((parked, _), rank)| {
            let ahead: Option<u64> = self.read(rank)?;
            Ok(Parked { ahead: ahead.unwrap_or(0), ..parked })
        });
        ranked.collect()
    }

    /// Redis's clock.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn now(&self) -> Result<Timestamp> {
        let mut pipe = redis::pipe();
        pipe.add_command(self.clock());
        let answer = self.pipeline(&pipe).await?.into_iter().next();
        self.time(answer)
    }

    /// The place of a task among the ready ones, and the tasks above it.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn place_and_family(&self, id: &TaskId) -> Result<(u64, Vec<TaskId>)> {
        let fields = async |id: &TaskId| -> Result<(Option<f64>, Option<String>)> {
            let record = self.keys.of("task", id.as_str());
            self.query(redis::cmd("HMGET").arg(record).arg("place").arg("parent")).await
        };
        let (place, mut parent) = fields(id).await?;
        let mut above: Vec<TaskId> = Vec::new();
        while let Some(id) = parent.and_then(|id| id.parse().ok()).filter(|id| !above.contains(id)) {
            parent = fields(&id).await?.1;
            above.push(id);
        }
        Ok((place.unwrap_or(0.0) as u64, above))
    }
}
