//! Checks the configuration of the private Redis, in the background: a program that knows the supervisor's password
//! could open a port, or turn off persistence. The guard reverts such a change, records it, and shows it.

use std::{path::PathBuf, time::Duration};

use tokio::task::JoinHandle;

use super::redis::Redis;
use crate::{
    config::Config,
    error::Result,
    model::event::EventKind,
    os::FolderId,
    redis_server::{Access, ServerSpec, User},
    store::{
        Store,
        guard::{Comparison, Difference},
    },
};

/// How often it is compared: half a millisecond of work.
const EVERY: Duration = Duration::from_secs(5);

pub(super) struct Guard {
    store: Store,
    spec: ServerSpec,
    access: Access,
    home: PathBuf,
    folder: Option<FolderId>,
    /// What could not be put back, as it was last recorded.
    left: String,
}

impl Guard {
    /// The guard of a private server; `None` for a user's own.
    pub fn of(redis: &Redis, config: &Config) -> Result<Option<Guard>> {
        let Some((spec, access)) = redis.private() else { return Ok(None) };
        Ok(Some(Guard {
            store: Store::private(&config.home, &config.namespace, User::Supervisor, Duration::ZERO)?,
            spec: spec.clone(),
            access: access.clone(),
            home: config.home.clone(),
            folder: FolderId::of(&config.home),
            left: String::new(),
        }))
    }

    /// Looks until it is dropped.
    pub fn watch(mut self) -> JoinHandle<()> {
        tokio::spawn(async move {
            loop {
                if let Err(e) = self.look().await {
                    tracing::debug!("the configuration of Redis was not compared: {e}");
                }
                tokio::time::sleep(EVERY).await;
            }
        })
    }

    /// Compares once, and puts back what differs.
    pub async fn look(&mut self) -> Result<()> {
        if FolderId::of(&self.home) != self.folder {
            // What is there by now is another supervisor's.
            return Ok(());
        }
        let mut changed = Vec::new();
        if self.access.keep(&self.home)? {
            changed.push("the file of its passwords was changed".to_owned());
        }
        let users = self.access.rules(&self.spec.namespace);
        let Comparison { differences, is_unprotected } = self.store.compare(&self.spec.settings(), &users).await?;
        let mut left = Vec::new();
        for difference in &differences {
            if let Err(e) = self.store.put_back(difference).await {
                tracing::warn!("redis-server: {difference}: {e}");
                left.push(difference.to_string());
            }
        }
        let is_expected = |difference: &&Difference| match difference {
            // Of this supervisor's sessions.toml.
            Difference::Setting { name, .. } if name == "maxmemory" => true,
            Difference::User(_) => is_unprotected,
            _ => false,
        };
        if is_unprotected {
            tracing::info!("redis-server was started by an earlier release: it has passwords from now on");
            self.store.log_in_again().await;
        }
        changed.extend(differences.iter().filter(|d| !is_expected(d)).map(Difference::to_string));
        let left = left.join("; ");
        if changed.is_empty() || (!left.is_empty() && left == self.left) {
            return Ok(());
        }
        let end = if left.is_empty() { "it was put back" } else { "not all of it could be put back" };
        let what = format!("the configuration of Redis was changed from outside: {}; {end}", changed.join("; "));
        tracing::error!("{what}");
        self.store.note(EventKind::RedisChanged, &what).await?;
        self.store.note_tampering(&what, &left).await?;
        self.left = left;
        Ok(())
    }
}
