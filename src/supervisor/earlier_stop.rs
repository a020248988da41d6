//! Records what an emergency stop could not record: that its agents ended because a person stopped orch, and did not
//! crash.

use super::background::Jobs;
use crate::{
    model::{
        agent::AgentState,
        event::EventKind,
        evidence::{Evidence, Observer, Rule},
        id::{Place, Process},
    },
    os,
    store::{StoreError, requests::Request},
};

const REASON: &str = "orch stop ended all processes by force";

impl Jobs {
    /// Records the ends of the agents that an emergency stop has ended, under the request that could not be recorded then.
    /// Safe to repeat: the mark on the disk is removed last.
    pub(super) async fn record_earlier_stop(&self) -> Result<(), StoreError> {
        if !self.home.stopped().exists() {
            return Ok(());
        }
        let stop = Request::Stop { drain: false };
        self.store.request(&stop, EventKind::SupervisorStopping, REASON).await?;
        for record in self.store.agents().await?.into_iter().filter(|record| has_ended(&record.agent.process)) {
            let evidence = Evidence::of(Rule::Requested, Observer::Supervisor, &record.agent.id);
            match self.record_end(&record, AgentState::Stopped, REASON, evidence).await {
                Err(e) if e.refusal().is_none() && !e.concerns_one_record() => return Err(e),
                _ => {}
            }
        }
        self.store.withdraw(&[stop], EventKind::SupervisorStopped, REASON).await?;
        if let Err(e) = std::fs::remove_file(self.home.stopped()) {
            tracing::warn!("{} could not be removed: {e}", self.home.stopped().display());
        }
        Ok(())
    }
}

/// Whether the runner is gone. One whose process was not recorded had not started.
fn has_ended(runner: &Process) -> bool {
    match runner.place(&os::hostname(), &os::boot_id()) {
        Place::ThisBoot => !os::ProcessId { pid: runner.pid, start_time: runner.start_time }.is_alive(),
        Place::EarlierBoot => true,
        Place::Elsewhere => runner.pid == 0,
    }
}
