//! The only module that speaks Redis: connections, the layout of the keys, and one typed call per transition.
//!
//! It decides nothing. Callers report what has happened or what is requested; the Lua transitions under `lua/` decide by
//! their tables whether that is allowed, atomically and by Redis's own clock.
//!
//! Every transition is idempotent, so a call whose answer was lost on a broken connection is sent again until the store's
//! retry deadline.

pub mod agents;
pub mod attempts;
pub mod audit;
pub mod budgets;
mod call;
pub mod checkpoint;
mod clock;
#[cfg(test)]
mod commands;
mod connect;
pub mod decode;
pub mod disturb;
pub mod durations;
pub mod edit;
pub mod epoch;
pub mod error;
mod format;
#[cfg(test)]
mod fuzz;
pub mod guard;
pub mod inputs;
pub mod keys;
pub mod listing;
pub mod locks;
pub mod observe;
pub mod passes;
pub mod people;
mod plan_budgets;
pub mod plans;
mod quarantine;
pub mod records;
pub mod requests;
pub mod schedules;
mod script;
pub mod shares;
mod spec;
pub mod spend;
pub mod tasks;
pub mod unread;
mod values;
pub mod wake;
mod windows;

use std::{
    sync::atomic::AtomicU64,
    time::{Duration, Instant},
};

use redis::{Value, aio::MultiplexedConnection};
use tokio::sync::Mutex;

use self::{
    call::{Args, Call},
    connect::Server,
    keys::Keys,
    script::Script,
};
pub use self::{connect::Tls, error::StoreError};

/// The store's own result.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// How long one answer may take. A busy disk under `appendfsync always` can hold one back for a second or two.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// One namespace in one Redis.
#[derive(Debug)]
pub struct Store {
    keys: Keys,
    server: Server,
    retry_for: Duration,
    connection: Mutex<Option<MultiplexedConnection>>,
    /// Calls that wait for events keep their connection here between two waits.
    listening: Mutex<Option<MultiplexedConnection>>,
    /// Set for processes that grant or hold leases.
    checkpoint: Option<checkpoint::Checkpoint>,
    /// Whether it may connect to an older format, in order to migrate it.
    accepts_older: bool,
    /// The epoch of `connection`, where there is a checkpoint.
    epoch: AtomicU64,
}

impl Store {
    fn on(server: Server, namespace: &str, retry_for: Duration) -> Self {
        Store {
            keys: Keys::new(namespace),
            server,
            retry_for,
            connection: Mutex::new(None),
            listening: Mutex::new(None),
            checkpoint: None,
            accepts_older: false,
            epoch: AtomicU64::new(0),
        }
    }

    /// Returns the names of this namespace's keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Returns the address of the Redis, without its password.
    pub fn address(&self) -> &str {
        &self.server.address
    }

    /// Returns the answer of Redis to `INFO`, which it also gives while it loads what it has stored.
    ///
    /// # Errors
    /// Redis does not answer, or refuses the credentials.
    pub async fn info(&self) -> Result<String> {
        let info = &redis::cmd("INFO");
        let send = |mut connection| async move { call::send(&mut connection, info).await.map_err(|e| self.error(&e)) };
        self.read(self.retrying_on(true, send).await?)
    }

    /// Returns how much of its stored data a starting server has loaded and the total, in bytes; `None` if it is not loading
    /// or does not answer.
    pub async fn loading(&self) -> Option<(u64, u64)> {
        crate::redis_server::loading(&self.info().await.ok()?)
    }

    /// Checks that Redis accepts writes. One that is short of memory, or has become a replica, still answers reads.
    ///
    /// # Errors
    /// `CannotWrite`, or an unreachable Redis.
    pub async fn can_write(&self) -> Result<()> {
        // A memory over its limit refuses only what is new ([`script`]).
        let write = "redis.call('DEL', KEYS[1]) redis.call('SET', KEYS[1], '', 'PX', 60000)";
        self.query(redis::cmd("EVAL").arg(write).arg(1).arg(self.keys.plain("probe"))).await
    }

    /// A connection for one command after another; each caller gets a handle on the same one. While Redis loads what it has
    /// stored, its epoch cannot be confirmed: `may_load` says whether the caller asks for nothing that depends on it. Anything
    /// else must wait, also if Redis has loaded by the time at which it would be sent.
    async fn connection(&self, may_load: bool) -> Result<MultiplexedConnection> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = slot.as_ref() {
            return Ok(connection.clone());
        }
        let (mut fresh, log_in) = self.open(RESPONSE_TIMEOUT).await?;
        let is_confirmed = self.confirm_format(&mut fresh, log_in).await?;
        if is_confirmed {
            self.confirm_epoch(&mut fresh).await?;
            *slot = Some(fresh.clone());
        } else if !may_load {
            let why = "it is loading the dataset".to_owned();
            return Err(StoreError::Unreachable { address: self.server.address.clone(), why });
        }
        Ok(fresh)
    }

    async fn forget_connection(&self) {
        *self.connection.lock().await = None;
    }

    /// Calls a transition, and retries on a new connection until the retry deadline while Redis does not answer.
    async fn call<A: Args>(&self, script: &'static Script, args: A) -> Result<Value> {
        let call = Call::new(script, self.keys.prefix(), &args);
        self.retrying(|mut connection| {
            let call = &call;
            async move { call.send(&mut connection).await.map_err(|e| self.error(&e)) }
        })
        .await
    }

    /// Calls a transition as [`Store::call`] does. On a new connection it goes with the commands that log in and look at the
    /// format, in one round trip: so it must refuse an older format itself.
    async fn call_at_once<A: Args>(&self, script: &'static Script, args: A) -> Result<Value> {
        let mut slot = self.connection.lock().await;
        if slot.is_none()
            && self.checkpoint.is_none()
            && let Ok((mut fresh, log_in)) = self.open(RESPONSE_TIMEOUT).await
        {
            let (call, mut same) = (Call::new(script, self.keys.prefix(), &args), fresh.clone());
            // Sent in this order.
            let both = futures_util::future::join(self.confirm_format(&mut fresh, log_in), call.send(&mut same));
            match both.await {
                (Ok(true), answer) => match answer.map_err(|e| self.error(&e)) {
                    Err(e) if e.is_unreachable() => {}
                    answer => {
                        *slot = Some(fresh);
                        return answer;
                    }
                },
                (Err(e), _) if !e.is_unreachable() => return Err(e),
                _ => {}
            }
        }
        drop(slot);
        self.call(script, args).await
    }

    /// Calls two transitions in one round trip: Redis runs the second right after the first.
    async fn call_two<A: Args, B: Args>(
        &self,
        first: (&'static Script, A),
        second: (&'static Script, B),
    ) -> Result<(Result<Value>, Result<Value>)> {
        let first = Call::new(first.0, self.keys.prefix(), &first.1);
        let second = Call::new(second.0, self.keys.prefix(), &second.1);
        self.retrying(|connection| {
            let (first, second) = (&first, &second);
            async move {
                let (x, y) = call::send_two(&connection, first, second).await;
                match (x.map_err(|e| self.error(&e)), y.map_err(|e| self.error(&e))) {
                    (Err(e), _) | (_, Err(e)) if e.is_unreachable() => Err(e),
                    answers => Ok(answers),
                }
            }
        })
        .await
    }

    /// One plain command, read into what the caller expects.
    async fn query<T: redis::FromRedisValue>(&self, cmd: &redis::Cmd) -> Result<T> {
        let value = self
            .retrying(
                |mut connection| async move { call::send(&mut connection, cmd).await.map_err(|e| self.error(&e)) },
            )
            .await?;
        self.read(value)
    }

    /// Several plain reads in one round trip.
    async fn pipeline(&self, pipe: &redis::Pipeline) -> Result<Vec<Value>> {
        if pipe.is_empty() {
            return Ok(Vec::new());
        }
        self.retrying(|mut connection| async move {
            call::send_all(&mut connection, pipe).await.map_err(|e| self.error(&e))
        })
        .await
    }

    /// The same, with an answer for each read: a record that is damaged does not hide the others.
    async fn pipeline_each(&self, pipe: &redis::Pipeline) -> Result<Vec<Result<Value>>> {
        if pipe.is_empty() {
            return Ok(Vec::new());
        }
        self.retrying(|mut connection| async move {
            let answers = call::send_each(&mut connection, pipe).await.map_err(|e| self.error(&e))?;
            let answers: Vec<_> = answers.into_iter().map(|a| a.map_err(|e| self.error(&e))).collect();
            // The first error that does not concern a single record stands for all.
            match answers.iter().find_map(|a| a.as_ref().err().filter(|e| !e.concerns_one_record())) {
                Some(e) => Err(e.clone()),
                None => Ok(answers),
            }
        })
        .await
    }

    /// One answer of [`Store::pipeline_each`], which is a record's or part of one.
    fn read_record<T: redis::FromRedisValue>(&self, answer: Option<Result<Value>>, key: &str) -> Result<T> {
        let value = answer.unwrap_or(Ok(Value::Nil)).map_err(|e| e.of_record(key))?;
        self.read(value).map_err(|e| e.of_record(key))
    }

    fn read<T: redis::FromRedisValue>(&self, value: Value) -> Result<T> {
        redis::from_redis_value(value).map_err(|e| StoreError::Other(e.to_string()))
    }

    fn error(&self, e: &redis::RedisError) -> StoreError {
        StoreError::from_redis(e, &self.server.address)
    }

    async fn retrying<T, F, Fut>(&self, attempt: F) -> Result<T>
    where
        F: FnMut(MultiplexedConnection) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        self.retrying_on(false, attempt).await
    }

    async fn retrying_on<T, F, Fut>(&self, may_load: bool, mut attempt: F) -> Result<T>
    where
        F: FnMut(MultiplexedConnection) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let began = Instant::now();
        let mut pause = Duration::from_millis(5);
        loop {
            let answer = match self.connection(may_load).await {
                Ok(connection) => attempt(connection).await,
                Err(e) => Err(e),
            };
            let error = match answer {
                Err(e) if e.is_unreachable() => e,
                answer => return answer,
            };
            self.forget_connection().await;
            if began.elapsed() + pause > self.retry_for {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }
}

/// Returns every transition by its name, with the text that is sent to Redis. For tests of the transitions themselves.
pub fn transitions() -> impl Iterator<Item = (&'static str, String)> {
    script::ALL.iter().map(|script| (script.name, script.text()))
}
