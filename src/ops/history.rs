//! Reads what is recorded while orch is stopped, from a copy served by a Redis that no other process sees
//! ([`History`]).

use std::{os::unix::net::UnixStream, sync::Arc, time::Duration};

use super::Ops;
use crate::{
    error::Result,
    redis_server::{self, History, socket_path},
    store::Store,
};

impl Ops {
    /// The same, for verbs that only read what is recorded. While neither the supervisor nor the private Redis runs, they read
    /// a copy of the records; nothing is started that another call could find, and nothing is changed.
    ///
    /// # Errors
    /// NotRunning: the records cannot be read. Configuration: no Redis is installed.
    pub async fn with_history(self) -> Result<Ops> {
        if !self.is_stopped() {
            return Ok(self);
        }
        let Some(history) = History::open(self.home.path()).await? else { return Ok(self) };
        let store = Store::at_socket(&history.socket(), None, &self.config.namespace, Duration::ZERO)?;
        // The connection that all calls use is made before its socket is removed.
        store.info().await?;
        history.hide();
        (self.note)("orch is stopped; this is what it has recorded");
        Ok(Ops { store: Arc::new(store), _history: Some(history), ..self })
    }

    /// Returns whether it reads what is recorded while orch is stopped.
    pub(super) fn reads_history(&self) -> bool {
        self._history.is_some()
    }

    /// Whether neither the supervisor nor the private Redis runs. Both may also be in another pid namespace, where only the
    /// socket shows them.
    fn is_stopped(&self) -> bool {
        self.config.redis.url.is_none()
            && !self.is_supervised()
            && redis_server::running(self.home.path()).is_none()
            && socket_path(self.home.path()).is_ok_and(|socket| UnixStream::connect(socket).is_err())
    }
}
