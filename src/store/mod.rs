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
mod call;
pub mod checkpoint;
mod clock;
pub mod decode;
pub mod disturb;
pub mod epoch;
pub mod error;
mod format;
#[cfg(test)]
mod fuzz;
pub mod keys;
pub mod observe;
pub mod passes;
pub mod people;
mod quarantine;
pub mod requests;
mod script;
mod spec;
pub mod spend;
pub mod tasks;
mod values;
pub mod wake;

use std::{
    path::Path,
    sync::atomic::AtomicU64,
    time::{Duration, Instant},
};

use redis::{AsyncConnectionConfig, Client, Value, aio::MultiplexedConnection};
use tokio::sync::Mutex;

pub use self::error::StoreError;
use self::{
    call::{Args, Call},
    keys::Keys,
    script::Script,
};

/// The store's own result.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// How long one answer may take. A busy disk under `appendfsync always` can hold one back for a second or two.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// One namespace in one Redis.
#[derive(Debug)]
pub struct Store {
    keys: Keys,
    client: Client,
    address: String,
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
    /// Creates a store at a Redis URL (`redis://`, `unix://`) without connecting to it.
    ///
    /// `retry_for` is how long a call is retried while Redis does not answer.
    ///
    /// # Errors
    /// When the URL is not one.
    pub fn at_url(url: &str, namespace: &str, retry_for: Duration) -> Result<Self> {
        let url = url.strip_prefix("unix://").map_or_else(|| url.to_owned(), |rest| format!("redis+unix://{rest}"));
        Store::at(url.as_str(), without_password(&url), namespace, retry_for)
    }

    /// Creates a store at the Unix socket of a private server.
    ///
    /// # Errors
    /// When the path cannot be one.
    pub fn at_socket(socket: &Path, namespace: &str, retry_for: Duration) -> Result<Self> {
        let address = redis::ConnectionAddr::Unix(socket.to_owned());
        Store::at(address, socket.display().to_string(), namespace, retry_for)
    }

    fn at(
        target: impl redis::IntoConnectionInfo,
        address: String,
        namespace: &str,
        retry_for: Duration,
    ) -> Result<Self> {
        let open = || {
            let info = target.into_connection_info()?;
            // CLIENT SETINFO would be one more round trip of every `orch delegate`.
            let settings = info.redis_settings().clone().set_skip_set_lib_name();
            Client::open(info.set_redis_settings(settings))
        };
        let client = open().map_err(|e| StoreError::Unreachable { address: address.clone(), why: e.to_string() })?;
        Ok(Store {
            keys: Keys::new(namespace),
            client,
            address,
            retry_for,
            connection: Mutex::new(None),
            listening: Mutex::new(None),
            checkpoint: None,
            accepts_older: false,
            epoch: AtomicU64::new(0),
        })
    }

    /// Returns the names of this namespace's keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Returns the address of the Redis, without its password.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the answer of Redis to `INFO`.
    ///
    /// # Errors
    /// Redis does not answer, or refuses the credentials.
    pub async fn info(&self) -> Result<String> {
        self.query(&redis::cmd("INFO")).await
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
        self.query(redis::cmd("SET").arg(self.keys.plain("probe")).arg("").arg("PX").arg(60_000)).await
    }

    /// A connection for one command after another; each caller gets a handle on the same one.
    async fn connection(&self) -> Result<MultiplexedConnection> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = slot.as_ref() {
            return Ok(connection.clone());
        }
        let mut fresh = self.connect(Some(RESPONSE_TIMEOUT)).await?;
        let is_confirmed = self.confirm_format(&mut fresh).await?;
        if is_confirmed {
            self.confirm_epoch(&mut fresh).await?;
            *slot = Some(fresh.clone());
        }
        Ok(fresh)
    }

    /// A new connection of its own. Without a response timeout it may block for as long as it likes.
    async fn connect(&self, response_timeout: Option<Duration>) -> Result<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(response_timeout);
        self.client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|e| StoreError::from_redis(&e, &self.address))
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
        StoreError::from_redis(e, &self.address)
    }

    async fn retrying<T, F, Fut>(&self, mut attempt: F) -> Result<T>
    where
        F: FnMut(MultiplexedConnection) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let began = Instant::now();
        let mut pause = Duration::from_millis(5);
        loop {
            let answer = match self.connection().await {
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

fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            format!("{}{}", &url[..scheme + 3], &url[at + 1..])
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_shows_no_password() {
        assert_eq!(without_password("redis://me:p@ss@h:1/2"), "redis://h:1/2");
        assert_eq!(without_password("redis+unix:///a/b"), "redis+unix:///a/b");
    }
}
