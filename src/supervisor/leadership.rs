//! Ensures that no supervisor of another state folder or machine acts in this namespace. The lock in the folder
//! excludes other supervisors of the same folder, and a private Redis belongs to one folder; in a Redis of the user's
//! own, several can meet.

use std::time::{Duration, Instant};

use crate::{
    config::Config,
    home::Home,
    os,
    store::{Result as StoreResult, Store},
};

/// A supervisor that has died is followed by another folder's after this long.
const LEASE: Duration = Duration::from_secs(10);
/// It is renewed by the first pass after this long.
const AGAIN: Duration = Duration::from_secs(2);

/// What a supervisor says of itself.
#[derive(Debug)]
pub(super) struct Leadership {
    home: String,
    place: String,
    said: Option<Instant>,
}

impl Leadership {
    /// Of the supervisor with this folder; `None` where only those of the same folder meet.
    pub fn of(config: &Config, home: &Home) -> Option<Self> {
        config.redis.url.as_ref()?;
        let place = home.place();
        // A folder may be copied with its id, and a machine with its folders.
        let home = format!("{} {place} {}", home.id(), os::boot_id());
        Some(Leadership { home, place, said: None })
    }

    /// Says it, where that is due.
    ///
    /// # Errors
    /// `supervised`: another one has it. An unreachable Redis.
    pub async fn keep(&mut self, store: &Store) -> StoreResult<()> {
        if self.said.is_none_or(|at| at.elapsed() > AGAIN) {
            let now = Instant::now();
            store.leadership(&self.home, &self.place, LEASE).await?;
            self.said = Some(now);
        }
        Ok(())
    }

    /// Returns whether no other supervisor can have taken it since it was renewed.
    pub fn is_sure(&self) -> bool {
        self.said.is_some_and(|at| at.elapsed() < LEASE)
    }

    /// Releases it, so that the next supervisor need not wait.
    pub async fn end(&self, store: &Store) {
        if let Err(e) = store.leadership(&self.home, &self.place, Duration::ZERO).await {
            tracing::warn!("another supervisor can start in {LEASE:?} only: {e}");
        }
    }
}
