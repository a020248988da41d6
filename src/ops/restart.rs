//! `orch restart`: another supervisor takes over, and the agents continue.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Ops, Restarted, stop::ended};
use crate::{
    error::{Error, Result},
    model::build,
    os::{LockOwner, ProcessId},
};

/// How long a supervisor may take to end its pass. One that was killed has done no harm either.
const HANDS_OVER: Duration = Duration::from_secs(5);

impl Ops {
    /// Replaces the supervisor by one of this program, with the sessions.toml and the environment of this call. Agents, the
    /// master and Redis go on.
    ///
    /// # Errors
    /// NotRunning: there is none. What keeps the new one from starting: then the agents continue without a supervisor.
    pub async fn restart(&self) -> Result<Restarted> {
        self.refuse_within_attempt("restart")?;
        if self.home.supervisor() == LockOwner::Nobody {
            self.refuse_other_name()?;
            return Err(Error::not_running(format!("orch is not running for '{}'", self.config.namespace))
                .hint("start it with: orch start"));
        }
        let _turn = self.turn().await?;
        self.await_visible_supervisor().await?;
        self.refuse_fixed_changes()?;
        self.may_start().await?;
        if let Some(supervisor) = self.supervisor() {
            replace(&supervisor).await?;
        }
        self.launch_supervisor(&[]).await.map_err(|e| {
            let hint = e.hint.clone().unwrap_or_default();
            Error { hint: Some(format!("the agents continue without a supervisor; {hint}; then: orch start")), ..e }
        })?;
        let agents = self.ask(|store| store.agents()).await?.len();
        let pid = self.supervisor().map(|supervisor| supervisor.pid);
        Ok(Restarted { pid, version: build::IN_WORDS.to_owned(), agents })
    }

    /// A supervisor that runs for the path from which the project was moved is replaced, so that new attempts start in the
    /// folder as it is now.
    pub(super) async fn replace_after_a_move(&self, supervisor: &ProcessId) -> Result<bool> {
        let has_moved = self.home.owner().is_some_and(|owner| owner.has_moved_to(&self.config.root));
        if has_moved {
            replace(supervisor).await?;
        }
        Ok(has_moved)
    }
}

/// Ends a supervisor, and nothing else.
async fn replace(supervisor: &ProcessId) -> Result<()> {
    let cannot = |e| Error::internal(format!("the supervisor (pid {}): {e}", supervisor.pid));
    for signal in [Signal::SIGUSR2, Signal::SIGCONT] {
        supervisor.signal(signal).map_err(cannot)?;
    }
    if !ended(supervisor, Some(HANDS_OVER)).await? {
        supervisor.signal(Signal::SIGKILL).map_err(cannot)?;
        ended(supervisor, Some(HANDS_OVER)).await?;
    }
    Ok(())
}
