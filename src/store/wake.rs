//! Sleeping until there may be something to do: blocking pops and subscriptions, each on a connection of its own.
//!
//! A wake-up only means "look again". A lost one costs the caller its own timeout, a duplicate one an unnecessary
//! read.

use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;

use super::{Result, Store, call::send};
use crate::model::{
    event::Event,
    id::{PlanId, TaskId},
};

/// Waits for markers on some lists.
pub struct Waker<'a> {
    store: &'a Store,
    lists: Vec<String>,
    connection: Option<MultiplexedConnection>,
}

impl Store {
    /// Wakes the supervisor.
    pub fn supervisor_waker(&self) -> Waker<'_> {
        Waker { store: self, lists: vec![self.keys.of("wake", "supervisor")], connection: None }
    }
    /// Wakes the loop of the schedules.
    pub fn schedules_waker(&self) -> Waker<'_> {
        Waker { store: self, lists: vec![self.keys.of("wake", "schedules")], connection: None }
    }
    /// Wakes one agent: it is asked to stop or to end its attempt.
    pub fn agent_waker(&self, agent: &str) -> Waker<'_> {
        Waker { store: self, lists: vec![self.keys.of("wake:agent", agent)], connection: None }
    }
    /// Wakes one idle agent of a role: a task is ready.
    pub fn role_waker(&self, role: &str) -> Waker<'_> {
        Waker { store: self, lists: vec![self.keys.of("wake:role", role)], connection: None }
    }

    /// Subscribes to what a waiter has to know of these tasks: that one has ended, is held or delayed, or asks a person. Read
    /// their states after this call: what happened earlier is not published again.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn watch_work(&self, ids: &[TaskId], plans: &[PlanId]) -> Result<News> {
        let of = |id: &TaskId| ["ended", "news"].map(|kind| self.keys.of(kind, id.as_str()));
        let plans = plans.iter().map(|id| self.keys.of("news", id.as_str()));
        let channels: Vec<String> = ids.iter().flat_map(of).chain(plans).collect();
        self.subscribe(&channels).await
    }

    pub(super) async fn subscribe(&self, channels: &[String]) -> Result<News> {
        let fail = |e: redis::RedisError| self.error(&e);
        let mut pubsub = self.connect_pubsub().await?;
        pubsub.subscribe(channels).await.map_err(fail)?;
        Ok(News { stream: Box::pin(pubsub.into_on_message().map(drop)) })
    }

    /// The first events after `after`, waiting for at most `timeout` for one to come.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn next_events(&self, after: &str, timeout: Duration) -> Result<Vec<Event>> {
        let mut cmd = redis::cmd("XREAD");
        cmd.arg("COUNT").arg(500).arg("BLOCK").arg(timeout.as_millis() as u64);
        cmd.arg("STREAMS").arg(self.keys.plain("events")).arg(after);
        // A connection for each event of a busy fleet would cost Redis more than the events do. A caller that waits
        // concurrently finds none, and makes its own.
        let kept = self.listening.lock().await.take();
        let answer = match kept {
            Some(connection) => self.listen(connection, &cmd).await.ok(),
            None => None,
        };
        let value = match answer {
            Some(value) => value,
            // There was none, or it has died since.
            None => self.listen(self.connect(None).await?, &cmd).await?,
        };
        let streams: Option<Vec<(String, redis::Value)>> = self.read(value)?;
        match streams.into_iter().flatten().next() {
            Some((_, rows)) => self.read_events(rows),
            None => Ok(Vec::new()),
        }
    }

    /// Sends what blocks, and keeps the connection for the next time.
    async fn listen(&self, mut connection: MultiplexedConnection, cmd: &redis::Cmd) -> Result<redis::Value> {
        let value = send(&mut connection, cmd).await.map_err(|e| self.error(&e))?;
        *self.listening.lock().await = Some(connection);
        Ok(value)
    }
}

/// A subscription: that a task has ended, that there is something to read. Each says only "look again".
pub struct News {
    stream: std::pin::Pin<Box<dyn futures_util::Stream<Item = ()> + Send>>,
}

impl News {
    /// The next one; `false` when the connection broke.
    pub async fn next(&mut self) -> bool {
        self.stream.next().await.is_some()
    }
}

impl Waker<'_> {
    /// Waits for a marker, for at most `timeout`. Whether one came.
    ///
    /// # Errors
    /// An unreachable Redis; the next call connects again.
    pub async fn wait(&mut self, timeout: Duration) -> Result<bool> {
        let mut connection = match self.connection.take() {
            Some(c) => c,
            None => self.store.connect(None).await?,
        };
        let mut cmd = redis::cmd("BLPOP");
        for list in &self.lists {
            cmd.arg(list);
        }
        // Redis reads seconds; 0 would mean for ever, and a connection that died unseen would sleep with it.
        cmd.arg(format!("{:.3}", timeout.as_secs_f64().max(0.001)));
        let value = send(&mut connection, &cmd).await.map_err(|e| self.store.error(&e))?;
        self.connection = Some(connection);
        Ok(value != redis::Value::Nil)
    }
}
