//! Messages that were not read: those that wait for a program, and those whose task ended first.

use redis::Value;
use serde::Deserialize;

use super::{Result, Store};
use crate::model::{id::TaskId, time::Timestamp};

/// A box of messages that a program reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mailbox {
    /// A task's.
    Task(TaskId),
    /// That of the master, which is this agent.
    Master(String),
}

/// The unread messages of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unread {
    /// How many there are.
    pub count: u64,
    /// When the oldest one was sent.
    pub since: Option<Timestamp>,
}

/// A message of a person that was not read before its task ended.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Unheard {
    /// The task that it was sent to.
    pub task: TaskId,
    /// The beginning of its text.
    pub text: String,
    /// Why it was not read.
    pub reason: String,
    /// When the task ended, in milliseconds.
    at: f64,
}

impl Unheard {
    /// Returns when the task ended.
    pub fn at(&self) -> Timestamp {
        Timestamp(self.at as u64)
    }
}

impl Store {
    /// Returns how many messages of each of these boxes its program has not read.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn unread_of(&self, boxes: &[Mailbox]) -> Result<Vec<Unread>> {
        let named = |mailbox: &Mailbox| match mailbox {
            Mailbox::Task(task) => (task.to_string(), "read:task"),
            Mailbox::Master(agent) => (agent.clone(), "read:master"),
        };
        let boxes: Vec<(String, &str)> = boxes.iter().map(named).collect();
        let mut pipe = redis::pipe();
        for (of, mark) in &boxes {
            pipe.cmd("HMGET").arg(self.keys.of("marks", of)).arg("count").arg(*mark);
            pipe.cmd("LLEN").arg(self.keys.of("messages", of));
        }
        let mut values = self.pipeline_each(&pipe).await?.into_iter();
        let mut unread = Vec::with_capacity(boxes.len());
        let mut oldest = redis::pipe();
        for (of, _) in &boxes {
            let (count, read): (Option<u64>, Option<u64>) = self.read_record(values.next(), "marks")?;
            let kept: u64 = self.read_record(values.next(), "messages")?;
            let count = count.unwrap_or(0).saturating_sub(read.unwrap_or(0)).min(kept);
            if count > 0 {
                oldest.cmd("LINDEX").arg(self.keys.of("messages", of)).arg(-i64::try_from(count).unwrap_or(1));
            }
            unread.push(Unread { count, since: None });
        }
        let mut oldest = self.pipeline_each(&oldest).await?.into_iter();
        for unread in unread.iter_mut().filter(|unread| unread.count > 0) {
            let text: Option<String> = self.read_record(oldest.next(), "messages").unwrap_or_default();
            unread.since = text.and_then(|text| sent_at(&text));
        }
        Ok(unread)
    }

    /// Returns the messages of people that were not read before their task ended, the oldest first; those of the last hour.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn unheard(&self, now: Timestamp) -> Result<Vec<Unheard>> {
        let answer: Value = self.query(redis::cmd("LRANGE").arg(self.keys.plain("unheard")).arg(0).arg(-1)).await?;
        let texts: Vec<String> = self.read(answer)?;
        let all = texts.iter().filter_map(|text| serde_json::from_str::<Unheard>(text).ok());
        Ok(all.filter(|one| now.since(one.at()) < NEWS).collect())
    }
}

/// How long an unread message is reported; the Lua script keeps the key for the same time.
const NEWS: std::time::Duration = std::time::Duration::from_secs(3600);

fn sent_at(message: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Sent {
        at: f64,
    }
    serde_json::from_str::<Sent>(message).ok().map(|sent| Timestamp(sent.at as u64))
}
