//! Which Redis a verb uses. The tasks of a project stay in the server in which they were accepted, so that is the one of the
//! last start, whatever sessions.toml names since: only a start changes it. While a supervisor runs, that holds for every
//! verb; while none runs, start, restart and reload use what sessions.toml names.

use crate::{
    config::{Config, address},
    error::{Error, Result},
    home::{Home, OtherRedis},
    os::LockOwner,
};

/// What a verb is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The tasks and agents of the last start.
    AsStarted,
    /// A start, which goes by what sessions.toml says now.
    AsWritten,
    /// To examine or to stop, which works although the server cannot be used.
    Repair,
}

/// The Redis that a verb uses.
pub(super) struct Chosen {
    /// The configuration that the verb goes by.
    pub config: Config,
    /// The same with the address of the server, where that is another one.
    pub connect: Option<Config>,
    /// Both servers, where sessions.toml names another one.
    pub other: Option<OtherRedis>,
    /// Why the project's server cannot be used: only with [`Purpose::Repair`].
    pub unknown: Option<Error>,
}

/// Chooses the Redis.
///
/// # Errors
/// Configuration: the server needs a login, which is recorded nowhere, and sessions.toml names another server now.
pub(super) fn choose(mut config: Config, purpose: Purpose) -> Result<Chosen> {
    let home = Home::new(&config.home);
    let as_written = |config| Chosen { config, connect: None, other: None, unknown: None };
    let Some(other) = home.other_redis(&config) else { return Ok(as_written(config)) };
    if purpose == Purpose::AsWritten && home.supervisor() == LockOwner::Nobody {
        return Ok(as_written(config));
    }
    let earlier = home.policy().and_then(|policy| policy.config.redis.url);
    if !earlier.as_deref().is_some_and(address::has_login) {
        if purpose == Purpose::AsWritten {
            // What is written is compared with what is loaded; only the supervisor is reached where it is.
            let mut connect = config.clone();
            connect.redis.url = earlier;
            return Ok(Chosen { connect: Some(connect), ..as_written(config) });
        }
        config.redis.url = earlier;
        return Ok(Chosen { config, connect: None, other: Some(other), unknown: None });
    }
    let OtherRedis { earlier, now } = other;
    let unknown = Error::config(format!(
        "[redis] in sessions.toml means {now}; this project's tasks are in {earlier}, whose login is in no file of orch"
    ))
    .hint(
        "set url under [redis] as it was, with its login; another server is used from a start on: orch stop, then orch start",
    );
    match purpose {
        Purpose::Repair => Ok(Chosen { unknown: Some(unknown), ..as_written(config) }),
        Purpose::AsStarted | Purpose::AsWritten => Err(unknown),
    }
}
