//! The one API: every verb once, from a request to a response, with the caller's identity. Surfaces translate to it
//! and show its answers; they do nothing else.
//!
//! A verb writes a request to Redis and returns; the supervisor and the runners execute it. There are two exceptions,
//! both in `lifecycle`: `start` starts the supervisor, and `stop` starts one if none runs, to carry out the stop.
//!
//! Each file holds the verbs of one subject, with an `impl Ops` of its own. This one has what all of them use: the
//! project, the caller, and [`Ops::ask`], through which every verb reaches Redis. A verb that follows something
//! ([`Ops::follow_events`], [`Ops::follow_logs`], [`Ops::watch_status`], [`Ops::wait_steps`]) returns a stream of
//! [`Steps`].

mod account;
mod agents;
mod allow;
mod approval;
mod ask;
mod attach;
mod attention;
mod budgets;
mod caller;
mod candidates;
mod change;
mod collision;
mod costs;
mod deadlock;
mod default_role;
pub mod delegate;
pub mod delegation;
mod doctor;
mod edit;
mod escalation;
mod events;
mod find;
mod history;
mod hook;
mod identity;
mod init;
mod lifecycle;
mod locks;
mod logs;
mod messages;
mod others;
mod owner;
mod plans;
mod progress;
mod project;
mod prune;
mod reload;
mod requests;
mod restart;
mod retry_deadline;
mod route;
mod router;
mod schedules;
pub mod socket;
mod status;
mod stop;
mod tasks;
#[cfg(test)]
mod tests;
pub mod types;
mod verbs;
mod wait;
mod which_redis;
mod why;

use std::{
    sync::{Arc, OnceLock, atomic::AtomicUsize},
    time::Duration,
};

use futures_util::stream::BoxStream;

use self::{
    retry_deadline::RetryDeadline,
    which_redis::{Chosen, Purpose},
};
use crate::{
    config::Config,
    error::{Error, Kind, Result},
    home::{Home, OtherRedis},
    model::{
        secret::{Redactor, known_values},
        text::count,
    },
    mux::{SessionInfo, Tags, TmuxMux, TmuxOptions},
    os::{LockOwner, ProcessId},
    redis_server::{History, User, check_version},
    store::{self, Store, StoreError, Tls, checkpoint::Checkpoint},
};
pub use ask::Announcer;
pub use caller::{Caller, Person};
pub use candidates::{Candidate, Completing};
pub use edit::Edits;
pub use find::{Wanted, Work};
pub use hook::Handed;
pub use identity::Identity;
pub use project::{Project, RoleInfo, You};
pub use types::*;
pub use verbs::{Client, Request, VERBS};

/// The items of a verb that follows something, up to its end or its first error.
pub type Steps<'a, T> = BoxStream<'a, Result<T>>;

/// Returns what removes the secrets that this process knows: those of its environment, and with a configuration those that
/// its roles name.
fn redactor_of_environment(config: Option<&Config>) -> Redactor {
    let env: Vec<(String, String)> =
        std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
    let env = env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let values: Vec<String> = match config {
        Some(config) => config.secrets(env),
        None => env.flat_map(|(name, value)| known_values(name, value)).collect(),
    };
    Redactor::new(values.iter().map(String::as_str))
}

/// How long `spawn` and `kill` wait for the effect of their request.
const WATCHED: Duration = Duration::from_secs(5);

/// Every verb, on one project and for one caller.
#[derive(Debug)]
pub struct Ops {
    config: Arc<Config>,
    caller: Caller,
    home: Home,
    store: Arc<Store>,
    /// How long Redis may fail to answer without progress ([`retry_deadline`]).
    retry_for: Duration,
    /// Receives notes about what a verb waits for.
    note: fn(&str),
    /// How many waits of this process have marked the caller's task as waiting.
    marks: AtomicUsize,
    redactor: OnceLock<Redactor>,
    /// Learns what the caller's program waits for.
    announcer: Option<Announcer>,
    /// The server on a copy of the records, while orch is stopped.
    _history: Option<History>,
    /// Why the state folder is not safe, for a verb that works nevertheless.
    unsafe_folder: Option<Error>,
    /// Why sessions.toml cannot be used, where the configuration is the one that the supervisor has loaded.
    wrong_file: Option<Error>,
    /// The Redis that sessions.toml names, and the one that is used, where these differ.
    other_redis: Option<OtherRedis>,
    /// Why the project's Redis cannot be used, for a verb that works all the same.
    unknown_redis: Option<Error>,
}

impl Ops {
    /// The verbs on a project, for start, restart and reload. Nothing is connected yet, and only the state folder is checked.
    ///
    /// # Errors
    /// The state folder is not safe, of a newer format, or another project's; `redis.url` is not an address, or not the one of a
    /// running supervisor, which needs a login; or the folder of the private server's socket is not safe.
    pub fn new(config: Config, caller: Caller) -> Result<Ops> {
        Home::new(&config.home).check_safety()?;
        Ops::checked(config, caller, Purpose::AsWritten)
    }

    /// The same for verbs about the project's tasks and agents, which are those of the last start.
    ///
    /// # Errors
    /// As [`Ops::new`].
    pub fn as_started(config: Config, caller: Caller) -> Result<Ops> {
        Home::new(&config.home).check_safety()?;
        Ops::checked(config, caller, Purpose::AsStarted)
    }

    /// The same for `stop` and `doctor`, which work in a folder that others can change, and say so.
    ///
    /// # Errors
    /// As [`Ops::new`], except for a folder that others can change.
    pub fn to_repair(config: Config, caller: Caller) -> Result<Ops> {
        let unsafe_folder = Home::new(&config.home).check_safety_to_repair()?;
        Ok(Ops { unsafe_folder, ..Ops::checked(config, caller, Purpose::Repair)? })
    }

    /// The same for `start --adopt`, which may take over the state folder of another project.
    ///
    /// # Errors
    /// As [`Ops::new`], except for a folder of another project.
    pub fn to_adopt(config: Config, caller: Caller) -> Result<Ops> {
        Home::new(&config.home).check_safety()?;
        Ops::opened(config, caller, Purpose::AsWritten)
    }

    fn checked(config: Config, caller: Caller, purpose: Purpose) -> Result<Ops> {
        Home::new(&config.home).check_owner(&config)?;
        Ops::opened(config, caller, purpose)
    }

    fn opened(config: Config, caller: Caller, purpose: Purpose) -> Result<Ops> {
        let chosen = which_redis::choose(config, purpose)?;
        let store = Arc::new(Ops::open_store(chosen.connect.as_ref().unwrap_or(&chosen.config))?);
        let Chosen { config, other: other_redis, unknown: unknown_redis, .. } = chosen;
        Home::new(&config.home).check_format()?;
        Ok(Ops { other_redis, unknown_redis, ..Ops::on(Arc::new(config), caller, store) })
    }

    /// The verbs on a project whose store is open already, and whose state folder was checked. The redactor is
    /// made at its first use, unless [`Ops::with_redactor`] gives one.
    pub fn on(config: Arc<Config>, caller: Caller, store: Arc<Store>) -> Ops {
        let home = Home::new(&config.home);
        let (retry_for, note): (_, fn(&str)) = (retry_deadline::RETRY_FOR, |_| {});
        Ops {
            config,
            caller,
            home,
            store,
            retry_for,
            note,
            marks: AtomicUsize::new(0),
            redactor: OnceLock::new(),
            announcer: None,
            _history: None,
            unsafe_folder: None,
            wrong_file: None,
            other_redis: None,
            unknown_redis: None,
        }
    }

    fn open_store(config: &Config) -> Result<Store> {
        // The store itself does not retry: `ask` knows whether waiting makes sense.
        match &config.redis.url {
            Some(url) => {
                let tls = Tls { ca_file: config.redis.ca_file.clone() };
                Store::at_url(url, tls, &config.namespace, Duration::ZERO)
                    .map_err(|e| Error::config(e.to_string()).hint("correct url under [redis] in sessions.toml"))
            }
            None => Store::private(&config.home, &config.namespace, User::Person, Duration::ZERO),
        }
    }

    /// The same; `note` receives a sentence when a verb has to wait for Redis, and now what sessions.toml has in vain.
    #[must_use]
    pub fn with_notes(self, note: fn(&str)) -> Ops {
        if let Some(OtherRedis { earlier, now }) = &self.other_redis {
            note(&format!(
                "[redis] in sessions.toml means {now}; this project's tasks are in {earlier}, and orch uses that until a start"
            ));
        }
        Ops { note, ..self }
    }

    /// The same, for a process that knows more secrets than those in its own environment.
    #[must_use]
    pub fn with_redactor(self, redactor: Redactor) -> Ops {
        Ops { redactor: redactor.into(), ..self }
    }

    /// The same; `announcer` learns which questions the caller's program waits for.
    #[must_use]
    pub fn with_announcer(self, announcer: Announcer) -> Ops {
        Ops { announcer: Some(announcer), ..self }
    }

    /// Removes secrets from what a verb stores or sends: those that this process's environment holds, and everything that
    /// has the form of one.
    fn redactor(&self) -> &Redactor {
        self.redactor.get_or_init(|| redactor_of_environment(Some(&self.config)))
    }

    /// The project as configured.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The caller.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Its state folder.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Its store, which does not retry.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The process of the running supervisor.
    fn supervisor(&self) -> Option<ProcessId> {
        match self.home.supervisor() {
            LockOwner::Process(supervisor) => Some(supervisor),
            LockOwner::Nobody | LockOwner::Unseen => None,
        }
    }

    /// Whether a supervisor runs, also where its process cannot be seen from here.
    fn is_supervised(&self) -> bool {
        self.home.supervisor() != LockOwner::Nobody
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

    /// Calls the store, again while Redis does not answer, a supervisor runs, and the deadline has not passed
    /// ([`retry_deadline`]). Whether a supervisor runs is checked only after a failed call, so an ordinary call costs nothing
    /// more. Every transition is safe to send again.
    async fn ask<'a, T, F>(&'a self, call: impl Fn(&'a Store) -> F) -> Result<T>
    where
        F: Future<Output = store::Result<T>>,
    {
        let mut retry_for = RetryDeadline::new(self);
        loop {
            let error = match call(&self.store).await {
                Err(e) if e.is_unreachable() => e,
                Err(e @ StoreError::Other(_)) => return Err(self.odd(e).await),
                Err(e) => return Err(self.missing(e.into()).await),
                Ok(answer) => return Ok(answer),
            };
            let Some(supervisor) = self.supervisor() else {
                // One that has just taken the lock is seen in a moment.
                if self.home.supervisor() == LockOwner::Unseen && retry_for.lasts().await {
                    continue;
                }
                return Err(self.unreachable(&error));
            };
            if !retry_for.lasts().await {
                return Err(self.away(&error, &supervisor));
            }
        }
    }

    /// Redis does not answer, and a supervisor runs.
    fn away(&self, error: &StoreError, supervisor: &ProcessId) -> Error {
        let pid = supervisor.pid;
        let hint = match self.config.redis.url {
            Some(_) => format!("start that server; the supervisor (pid {pid}) waits for it"),
            None => format!("the supervisor (pid {pid}) is restarting it: try again, or see orch doctor"),
        };
        Error::not_running(error.to_string()).hint(hint)
    }

    /// What is not found may be known again in a moment, where Redis has just lost data.
    async fn missing(&self, error: Error) -> Error {
        match error.kind {
            Kind::NotFound if matches!(self.store.is_recovering().await, Ok(true)) => Error::not_running(format!(
                "{} at present: Redis has lost data, and orch is recovering it",
                error.message
            ))
            .hint("try again in a moment"),
            _ => error,
        }
    }

    /// A Redis that is too old fails in many ways. That it is too old explains more.
    async fn odd(&self, error: StoreError) -> Error {
        match self.store.info().await.map(|info| check_version(&info)) {
            Ok(Err(too_old)) => too_old,
            _ => error.into(),
        }
    }

    /// What the state folder knows of the records of a server that does not answer.
    fn recorded_there(&self) -> String {
        let known = Checkpoint::new(self.home.epoch(), Duration::ZERO).recall().unwrap_or_default();
        match known.accepted {
            0 => String::new(),
            tasks => format!(
                "; what became of the {} of this project is recorded there alone",
                count(tasks, "task", "tasks")
            ),
        }
    }

    /// Redis does not answer, and no supervisor runs that would restart it.
    fn unreachable(&self, error: &store::StoreError) -> Error {
        if self.config.redis.url.is_some() {
            return Error::not_running(format!("{error}{}", self.recorded_there()))
                .hint("start that server, or correct url under [redis] in sessions.toml; then: orch start");
        }
        if self.home.supervisor() == LockOwner::Unseen {
            return self.home.unseen();
        }
        if let Some(other) = self.running_under_another_name() {
            return other;
        }
        let (home, namespace) = (self.home.path(), &self.config.namespace);
        Error::not_running(match home.is_dir() {
            true => format!("orch is not running for '{namespace}' (its state is in {})", home.display()),
            false => format!(
                "orch is not running for '{namespace}', and was never started (its state would be in {})",
                home.display()
            ),
        })
        .hint("start it with: orch start")
    }
}
