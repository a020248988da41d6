//! The one API: every verb once, a request in, a response out, with the caller's identity. Surfaces translate to it
//! and render its answers; none does anything else.
//!
//! A verb writes an intention to Redis and returns; the supervisor and the runners make it so. Two exceptions, both in
//! `lifecycle`: `start` starts the supervisor, and `stop` starts one where none lives, to do the stopping.
//!
//! One verb, one file, each with an `impl Ops` of its own. What is here is what all of them stand on: the project, the
//! caller, and [`Ops::ask`], through which every verb reaches Redis. A verb that follows something ([`Ops::follow_events`],
//! [`Ops::follow_logs`], [`Ops::watch_status`], [`Ops::wait_steps`]) returns a stream of [`Steps`].

mod agents;
mod ask;
mod attach;
mod attention;
mod caller;
mod change;
mod costs;
mod delegate;
mod doctor;
mod events;
mod hook;
mod init;
mod lifecycle;
mod logs;
mod messages;
mod progress;
mod requests;
mod retry_deadline;
mod status;
mod tasks;
#[cfg(test)]
mod tests;
pub mod types;
mod wait;
mod why;

use std::{sync::atomic::AtomicUsize, time::Duration};

use futures_util::stream::BoxStream;

use self::retry_deadline::RetryDeadline;
use crate::{
    config::Config,
    error::{Error, Result},
    home::Home,
    mux::{SessionInfo, Tags, TmuxMux, TmuxOptions},
    os::{ProcessId, read_lock_holder},
    redis_server::{check_version, socket_path},
    store::{self, Store, StoreError},
};
pub use hook::{Handed, note_hook};
pub use types::*;

/// The items of a verb that follows something, up to its end or its first error.
pub type Steps<'a, T> = BoxStream<'a, Result<T>>;

/// How long `spawn` and `kill` watch for what they asked for.
const WATCHED: Duration = Duration::from_secs(5);

/// Every verb, on one project and for one caller.
#[derive(Debug)]
pub struct Ops {
    config: Config,
    caller: Caller,
    home: Home,
    store: Store,
    /// For how long nobody may answer while nothing gets on ([`retry_deadline`]).
    retry_for: Duration,
    /// Where it is said what a verb waits for.
    tell: fn(&str),
    /// How many waits under way here have marked the caller's task as waiting.
    marks: AtomicUsize,
}

impl Ops {
    /// The verbs on a project. Nothing is connected yet, and only the format of the state folder is checked.
    ///
    /// # Errors
    /// The state folder is of a newer format; `redis.url` is no address; or the place of the private server's socket is not safe.
    pub fn new(config: Config, caller: Caller) -> Result<Ops> {
        // No retry_for of the store's own: `ask` knows whether waiting has a point.
        let store = match &config.redis.url {
            Some(url) => Store::at_url(url, &config.namespace, Duration::ZERO)
                .map_err(|e| Error::config(e.to_string()).hint("correct url under [redis] in sessions.toml"))?,
            None => Store::at_socket(&socket_path(&config.home)?, &config.namespace, Duration::ZERO)?,
        };
        let home = Home::new(&config.home);
        home.check_format()?;
        let (retry_for, tell): (_, fn(&str)) = (retry_deadline::RETRY_FOR, |_| {});
        Ok(Ops { config, caller, home, store, retry_for, tell, marks: AtomicUsize::new(0) })
    }

    /// The same, for somebody who is told, in words, what a verb waits for that is long in coming.
    #[must_use]
    pub fn telling(self, tell: fn(&str)) -> Ops {
        Ops { tell, ..self }
    }

    /// The project as configured.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Who asks.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Its state folder.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Its store, without retry_for.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The living supervisor's process.
    fn supervisor(&self) -> Option<ProcessId> {
        read_lock_holder(&self.home.supervisor_lock())
    }

    /// tmux as this project uses it.
    fn mux(&self) -> TmuxMux {
        TmuxMux::new(TmuxOptions { socket: self.config.tmux.socket.clone(), ..TmuxOptions::default() })
    }

    /// Whether a session carries our tags.
    fn is_ours(&self, session: &SessionInfo) -> bool {
        let world = || Tags::world(&self.config.namespace, &self.config.home);
        session.tags.as_ref().is_some_and(|tags| tags.namespace == world())
    }

    /// The names of all roles.
    fn roles(&self) -> Vec<String> {
        self.config.roles.keys().cloned().collect()
    }

    /// Calls the store; again while nobody answers, a supervisor lives, and retry_for lasts ([`retry_deadline`]). Who supervises is
    /// looked at only when a call has failed: the ordinary call costs nothing more. Sending again is safe for every
    /// transition.
    async fn ask<'a, T, F>(&'a self, call: impl Fn(&'a Store) -> F) -> Result<T>
    where
        F: Future<Output = store::Result<T>>,
    {
        let mut retry_for = RetryDeadline::new(self);
        loop {
            let error = match call(&self.store).await {
                Err(e) if e.is_unreachable() => e,
                Err(e @ StoreError::Other(_)) => return Err(self.odd(e).await),
                answer => return Ok(answer?),
            };
            let Some(supervisor) = self.supervisor() else { return Err(self.unreachable(&error)) };
            if !retry_for.lasts().await {
                return Err(self.away(&error, &supervisor));
            }
        }
    }

    /// Nobody answers, and somebody looks after it.
    fn away(&self, error: &StoreError, supervisor: &ProcessId) -> Error {
        let pid = supervisor.pid;
        let hint = match self.config.redis.url {
            Some(_) => format!("start that server; the supervisor (pid {pid}) waits for it"),
            None => format!("the supervisor (pid {pid}) runs and is bringing it back: try again, or see orch doctor"),
        };
        Error::not_running(error.to_string()).hint(hint)
    }

    /// A server of the user's that is too old says all kinds of things; that it is too old says more.
    async fn odd(&self, error: StoreError) -> Error {
        match self.store.info().await.map(|info| check_version(&info)) {
            Ok(Err(too_old)) => too_old,
            _ => error.into(),
        }
    }

    /// Nobody answers, and nobody is there to mend it.
    fn unreachable(&self, error: &store::StoreError) -> Error {
        if self.config.redis.url.is_some() {
            return Error::not_running(error.to_string())
                .hint("start that server, or correct url under [redis] in sessions.toml; then: orch start");
        }
        let (home, namespace) = (self.home.path(), &self.config.namespace);
        Error::not_running(match home.is_dir() {
            true => format!("orch is not running for '{namespace}' (its state is in {})", home.display()),
            false => format!(
                "orch is not running for '{namespace}', and never was (its state would be in {})",
                home.display()
            ),
        })
        .hint("start it with: orch start")
    }
}
