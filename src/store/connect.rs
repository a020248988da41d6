//! The address of a store's Redis, how to log in to it, and new connections to it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError,
    TlsCertificates,
    aio::{MultiplexedConnection, PubSub},
};

use super::{Result, Store, StoreError};
use crate::{
    error::{Error, Result as ErrorResult},
    redis_server::{Access, Login, User, socket_path},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A Redis and how to log in to it.
#[derive(Debug)]
pub(super) struct Server {
    info: ConnectionInfo,
    tls: Tls,
    /// Where it is, without a password.
    pub address: String,
    login: LogIn,
}

/// What a connection logs in with.
#[derive(Debug)]
enum LogIn {
    /// What the address has, if anything.
    ByAddress,
    /// These.
    With(Login),
    /// The passwords in this ORCH_HOME, read for each connection: the first start of a server makes them.
    OfHome(PathBuf, User),
}

/// How the certificate of a server at `rediss://` is verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// A PEM file of the authorities that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
}

impl Store {
    /// Creates a store on the private server of `home` (ORCH_HOME) without connecting to it. It logs in as `user` where the
    /// server has passwords.
    ///
    /// `retry_for` is how long a call is retried while Redis does not answer.
    ///
    /// # Errors
    /// Configuration, if the folder of the socket is not safe.
    pub fn private(home: &Path, namespace: &str, user: User, retry_for: Duration) -> ErrorResult<Self> {
        let login = LogIn::OfHome(home.to_owned(), user);
        Ok(Store::on(Server { login, ..Server::at_socket(&socket_path(home)?)? }, namespace, retry_for))
    }

    /// Creates a store at the Unix socket of a private server, for a caller that was given its login.
    ///
    /// # Errors
    /// When the path cannot be one.
    pub fn at_socket(socket: &Path, login: Option<Login>, namespace: &str, retry_for: Duration) -> Result<Self> {
        let login = login.map_or(LogIn::ByAddress, LogIn::With);
        Ok(Store::on(Server { login, ..Server::at_socket(socket)? }, namespace, retry_for))
    }

    /// Creates a store at a Redis URL (`redis://`, `rediss://`, `unix://`).
    ///
    /// # Errors
    /// When the URL is not one.
    pub fn at_url(url: &str, tls: Tls, namespace: &str, retry_for: Duration) -> Result<Self> {
        let url = url.strip_prefix("unix://").map_or_else(|| url.to_owned(), |rest| format!("redis+unix://{rest}"));
        // Never what was written: a password may stand in several places of an address.
        let unreadable = |e: RedisError| StoreError::Unreachable { address: "redis.url".into(), why: e.to_string() };
        let info = url.as_str().into_connection_info().map_err(unreadable)?;
        let address = format!("{}://{}", url.split("://").next().unwrap_or_default(), info.addr());
        Ok(Store::on(Server { tls, ..Server::new(info, address) }, namespace, retry_for))
    }

    /// A new connection of its own. Without a response timeout it may block for as long as it likes.
    pub(super) async fn connect(&self, response_timeout: Option<Duration>) -> Result<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(response_timeout);
        let config = &config;
        self.server
            .logged_in(|client| async move { client.get_multiplexed_async_connection_with_config(config).await })
            .await
    }

    /// A new connection, and the command that has to be sent on it before any other one, if it has to log in. So that it can
    /// go together with the next ones: a round trip for itself would be a tenth of what `orch delegate` takes.
    pub(super) async fn open(&self, response_timeout: Duration) -> Result<(MultiplexedConnection, Option<Cmd>)> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(response_timeout));
        let client = self.server.client(None)?;
        let connection = client.get_multiplexed_async_connection_with_config(&config).await;
        let log_in = self.server.login()?.map(|Login { user, password }| {
            let mut auth = redis::cmd("AUTH");
            auth.arg(user).arg(password);
            auth
        });
        Ok((connection.map_err(|e| self.error(&e))?, log_in))
    }

    /// A new connection for subscriptions.
    pub(super) async fn connect_pubsub(&self) -> Result<PubSub> {
        self.server.logged_in(|client| async move { client.get_async_pubsub().await }).await
    }
}

impl Server {
    fn at_socket(socket: &Path) -> Result<Server> {
        let address = socket.display().to_string();
        let info = ConnectionAddr::Unix(socket.to_owned()).into_connection_info();
        let info = info.map_err(|e| StoreError::Unreachable { address: address.clone(), why: e.to_string() })?;
        Ok(Server::new(info, address))
    }

    fn new(info: ConnectionInfo, address: String) -> Server {
        // CLIENT SETINFO would be one more round trip of every `orch delegate`.
        let settings = info.redis_settings().clone().set_skip_set_lib_name();
        Server { info: info.set_redis_settings(settings), tls: Tls::default(), address, login: LogIn::ByAddress }
    }

    /// What to log in with, where the address does not say it.
    fn login(&self) -> Result<Option<Login>> {
        Ok(match &self.login {
            LogIn::ByAddress => None,
            LogIn::With(login) => Some(login.clone()),
            LogIn::OfHome(home, user) => {
                let access = Access::of_home(home).map_err(|e| self.denied(&e))?;
                access.map(|access| access.login(*user))
            }
        })
    }

    async fn logged_in<T, F>(&self, connect: impl Fn(Client) -> F) -> Result<T>
    where
        F: Future<Output = redis::RedisResult<T>>,
    {
        let login = self.login()?;
        let client = self.client(login.as_ref())?;
        match connect(client).await {
            // A server that an earlier release has started has no users yet, and no password.
            Err(e) if login.is_some() && e.kind() == ErrorKind::AuthenticationFailed => {
                connect(self.client(None)?).await.map_err(|e| self.error(&e))
            }
            connected => connected.map_err(|e| self.error(&e)),
        }
    }

    fn client(&self, login: Option<&Login>) -> Result<Client> {
        let mut info = self.info.clone();
        if let Some(Login { user, password }) = login {
            let settings = info.redis_settings().clone().set_username(user).set_password(password);
            info = info.set_redis_settings(settings);
        }
        let opened = match &self.tls.ca_file {
            Some(file) if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) => {
                let pem = std::fs::read(file).map_err(|e| self.unreadable(file, &e))?;
                Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: Some(pem) })
            }
            _ => Client::open(info),
        };
        opened.map_err(|e| self.error(&e))
    }

    fn error(&self, e: &RedisError) -> StoreError {
        StoreError::from_redis(e, &self.address)
    }

    fn denied(&self, e: &Error) -> StoreError {
        StoreError::Denied { address: self.address.clone(), why: e.message.clone() }
    }

    fn unreadable(&self, file: &Path, e: &std::io::Error) -> StoreError {
        StoreError::Denied { address: self.address.clone(), why: format!("cannot read {}: {e}", file.display()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_shows_no_password() {
        for (url, shown) in [
            ("redis://me:p%40ss@h:1/2", "redis://h:1"),
            ("rediss://:secret@h", "rediss://h:6379"),
            ("unix:///a/b", "redis+unix:///a/b"),
            ("redis+unix:///a/b?db=1&user=me&pass=secret@1", "redis+unix:///a/b"),
            ("unix:///a@b?p%61ss=secret", "redis+unix:///a@b"),
        ] {
            let store = Store::at_url(url, Tls::default(), "n", Duration::ZERO).unwrap();
            assert_eq!(store.address(), shown);
            let printed = format!("{store:?}");
            assert!(!printed.contains("secret") && !printed.contains("p@ss"), "{printed}");
        }
        for url in ["redis://:sec?ret@h", "rediss://:sec#ret@h:x", "redis://:sec ret@[h"] {
            if let Err(e) = Store::at_url(url, Tls::default(), "n", Duration::ZERO) {
                assert!(!e.to_string().contains("sec"), "{e}");
            }
        }
    }
}
