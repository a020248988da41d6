//! The last steps of `orch stop`, when all agents have ended.

use std::time::Duration;

use super::{Supervisor, cgroups, salvage};
use crate::{error::Result, model::event::EventKind, os::failpoint, redis_server, store::requests::Request};

impl Supervisor {
    /// Nothing is left but Redis and us.
    pub(super) async fn shut_down(mut self) -> Result<()> {
        failpoint!("stop.all_ended");
        if self.gone.is_none()
            && let Ok(seen) = self.store.observe(&[]).await
        {
            // A runner that was ended while it reported its own end may have left it.
            if let Err(e) = salvage::tell_all(&self.store, &self.home, &seen).await {
                tracing::warn!("reports stay for the next start: {e}");
            }
            if let Err(e) = self.store.remember(&seen) {
                tracing::warn!("what Redis has come to could not be remembered: {e}");
            }
        }
        // The next start takes the request back as well, and the event is news at best: neither may keep us from ending.
        let reason = "everything has ended in order";
        if let Err(e) =
            self.store.withdraw(&[Request::Stop { drain: false }], EventKind::SupervisorStopped, reason).await
        {
            tracing::warn!("the request to stop stays, and its end was not recorded: {e}");
        }
        if let Some(leadership) = &self.leadership {
            leadership.end(&self.store).await;
        }
        if self.gone.is_some() {
            self.end_known().await;
        }
        let home = self.reachable_home();
        if let Some(home) = &home {
            // No runner is left that could be writing one.
            home.remove_unfinished_reports(Duration::ZERO);
            home.remove_ended_runners(|_| false);
            cgroups::end_all(home).await;
            let _ = std::fs::remove_dir_all(home.program());
        }
        failpoint!("stop.withdrawn");
        match self.redis.shut_down().await {
            // What it leaves on the disk is where the folder is now, or nowhere.
            Err(e) if self.gone.is_some() => {
                tracing::info!("redis-server has ended: {e}");
                if let Some(home) = &home {
                    redis_server::end(home.path(), Duration::from_secs(1));
                }
            }
            ended => ended?,
        }
        failpoint!("stop.redis_ended");
        home.iter().for_each(|home| drop(std::fs::remove_file(home.running())));
        failpoint!("stop.unmarked");
        self.announcement.ready();
        tracing::info!("stopped");
        Ok(())
    }
}
