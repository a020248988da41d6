//! The only room that speaks Redis: where it is, what is stored under which key, and one typed call a transition.
//!
//! Not for: deciding anything. Callers say what has happened or what is wished; the Lua transitions under `lua/`
//! decide by their tables whether that may be, atomically and by Redis's own clock.
//!
//! Every transition is safe to send again, so a call whose answer was lost on a broken connection is simply sent
//! again, for as long as the store's patience lasts.

pub mod agents;
pub mod decode;
pub mod error;
pub mod intents;
pub mod keys;
pub mod observe;
mod script;
pub mod server;
pub mod tasks;
pub mod wake;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use redis::{
    AsyncConnectionConfig, Client, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
use tokio::sync::Mutex;

pub use self::error::StoreError;
use self::{keys::Keys, script::Script};

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
    patience: Duration,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Store {
    /// A store at a Redis URL (`redis://`, `unix://`). Nothing is connected yet.
    ///
    /// `patience` is for how long a call tries again when nobody answers.
    ///
    /// # Errors
    /// When the URL is not one.
    pub fn at_url(url: &str, namespace: &str, patience: Duration) -> Result<Self> {
        let url = url.strip_prefix("unix://").map_or_else(|| url.to_owned(), |rest| format!("redis+unix://{rest}"));
        let client = Client::open(url.as_str())
            .map_err(|e| StoreError::Unreachable { address: without_password(&url), why: e.to_string() })?;
        Ok(Store {
            keys: Keys::new(namespace),
            client,
            address: without_password(&url),
            patience,
            connection: Mutex::new(None),
        })
    }

    /// A store at a private server's unix socket.
    ///
    /// # Errors
    /// When the path cannot be one.
    pub fn at_socket(socket: &Path, namespace: &str, patience: Duration) -> Result<Self> {
        let address = socket.display().to_string();
        let info = redis::ConnectionAddr::Unix(socket.to_owned());
        let client = redis::IntoConnectionInfo::into_connection_info(info)
            .and_then(Client::open)
            .map_err(|e| StoreError::Unreachable { address: address.clone(), why: e.to_string() })?;
        Ok(Store { keys: Keys::new(namespace), client, address, patience, connection: Mutex::new(None) })
    }

    /// The names of this namespace's keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Where the Redis is, without its password.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether Redis answers, and the `INFO server` section it answers with.
    ///
    /// # Errors
    /// When nobody answers, or we are not let in.
    pub async fn info(&self) -> Result<String> {
        self.query(redis::cmd("INFO").arg("server")).await
    }

    /// A connection for one command after another; each caller gets a handle on the same one.
    async fn connection(&self) -> Result<MultiplexedConnection> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = slot.as_ref() {
            return Ok(connection.clone());
        }
        let fresh = self.connect(Some(RESPONSE_TIMEOUT)).await?;
        *slot = Some(fresh.clone());
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

    /// Calls a transition; again on a fresh connection while nobody answers and patience lasts.
    async fn call<A: Args>(&self, script: &'static Script, args: A) -> Result<Value> {
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(script.hash()).arg(1).arg(self.keys.prefix());
        args.add_to(&mut cmd);
        let answers = self.patiently(|mut connection| {
            let cmd = &cmd;
            async move { Ok(vec![evalsha(&mut connection, script, cmd).await?]) }
        });
        answers.await.map(|mut values| values.remove(0))
    }

    /// Calls two transitions in one round trip: Redis runs the second right after the first.
    async fn call_two<A: Args, B: Args>(
        &self,
        first: (&'static Script, A),
        second: (&'static Script, B),
    ) -> Result<(Result<Value>, Result<Value>)> {
        let mut cmds = [redis::cmd("EVALSHA"), redis::cmd("EVALSHA")];
        cmds[0].arg(first.0.hash()).arg(1).arg(self.keys.prefix());
        first.1.add_to(&mut cmds[0]);
        cmds[1].arg(second.0.hash()).arg(1).arg(self.keys.prefix());
        second.1.add_to(&mut cmds[1]);
        let values = self
            .patiently(|connection| {
                let (a, b) = (&cmds[0], &cmds[1]);
                let (mut one, mut two) = (connection.clone(), connection);
                async move {
                    let (x, y) =
                        futures_util::future::join(evalsha(&mut one, first.0, a), evalsha(&mut two, second.0, b)).await;
                    match (x, y) {
                        (Err(e), _) | (_, Err(e)) if e.is_io_error() || e.is_connection_dropped() => Err(e),
                        (x, y) => Ok(vec![result_value(x), result_value(y)]),
                    }
                }
            })
            .await?;
        let mut values = values.into_iter().map(|v| match v {
            Value::ServerError(e) => Err(StoreError::from_redis(&e.into(), &self.address)),
            v => Ok(v),
        });
        let missing = || Err(StoreError::Other("an answer is missing".into()));
        Ok((values.next().unwrap_or_else(missing), values.next().unwrap_or_else(missing)))
    }

    /// One plain command, read into what the caller expects.
    async fn query<T: redis::FromRedisValue>(&self, cmd: &redis::Cmd) -> Result<T> {
        let values =
            self.patiently(|mut connection| async move { Ok(vec![connection.req_packed_command(cmd).await?]) }).await?;
        self.read(values.into_iter().next().unwrap_or(Value::Nil))
    }

    /// Several plain reads in one round trip.
    async fn pipeline(&self, pipe: &redis::Pipeline) -> Result<Vec<Value>> {
        if pipe.is_empty() {
            return Ok(Vec::new());
        }
        let count = pipe.len();
        self.patiently(|mut connection| async move { connection.req_packed_commands(pipe, 0, count).await }).await
    }

    fn read<T: redis::FromRedisValue>(&self, value: Value) -> Result<T> {
        redis::from_redis_value(value).map_err(|e| StoreError::Other(e.to_string()))
    }

    async fn patiently<F, Fut>(&self, mut attempt: F) -> Result<Vec<Value>>
    where
        F: FnMut(MultiplexedConnection) -> Fut,
        Fut: Future<Output = redis::RedisResult<Vec<Value>>>,
    {
        let began = Instant::now();
        let mut pause = Duration::from_millis(5);
        loop {
            let error = match self.connection().await {
                Err(e) => e,
                Ok(connection) => match attempt(connection).await {
                    Ok(values) => return Ok(values),
                    Err(e) => StoreError::from_redis(&e, &self.address),
                },
            };
            if !error.is_unreachable() {
                return Err(error);
            }
            self.forget_connection().await;
            if began.elapsed() + pause > self.patience {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }
}

/// Arguments of a transition.
trait Args {
    fn add_to(&self, cmd: &mut redis::Cmd);
}

impl<const N: usize> Args for [&str; N] {
    fn add_to(&self, cmd: &mut redis::Cmd) {
        self.iter().for_each(|a| {
            cmd.arg(*a);
        });
    }
}

impl Args for Vec<String> {
    fn add_to(&self, cmd: &mut redis::Cmd) {
        self.iter().for_each(|a| {
            cmd.arg(a);
        });
    }
}

/// Runs a script by its hash; a server that does not know it (new, or after SCRIPT FLUSH) is told its text first.
async fn evalsha(
    connection: &mut MultiplexedConnection,
    script: &'static Script,
    cmd: &redis::Cmd,
) -> redis::RedisResult<Value> {
    match connection.req_packed_command(cmd).await {
        Err(e) if e.kind() == redis::ErrorKind::Server(redis::ServerErrorKind::NoScript) => {
            tracing::debug!(script = script.name, "loading");
            connection.req_packed_command(&script.load_cmd()).await?;
            connection.req_packed_command(cmd).await
        }
        answer => answer,
    }
}

/// An error that the server itself gave is an answer, and must not hide the other answer of the pair.
fn result_value(answer: redis::RedisResult<Value>) -> Value {
    match answer {
        Ok(value) => value,
        Err(e) => match e.into_server_errors().and_then(|errors| errors.first().cloned()) {
            Some((_, error)) => Value::ServerError(error),
            None => Value::Nil,
        },
    }
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
