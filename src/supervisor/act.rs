//! Acts: record first, then the effect.

use super::{Supervisor, decide::Action, observe::Observed, salvage, spawn::here};
use crate::{
    model::{gate::GateCode, id::Process, text::count},
    os::{self, failpoint},
    store::{StoreError, agents::Orphans, observe::Snapshot},
};

impl Supervisor {
    /// Carries out one action. What is stale by now is refused by the store, and does no harm.
    pub(super) async fn act(&mut self, action: Action, observed: &Observed) -> Result<(), StoreError> {
        let done = match action {
            Action::ReleaseDue => self.store.release_due().await.map(drop),
            Action::Reap { incarnation, to, reason, evidence, .. } => {
                match observed.snapshot.agents.iter().find(|r| r.agent.incarnation == incarnation) {
                    Some(record) => self.reap(record, to, &reason, *evidence).await,
                    None => Ok(()),
                }
            }
            Action::Expire { task, fence, reason } => self.store.expire(&task, fence, &reason).await,
            Action::EndOrphans { incarnation, orphans } => {
                self.end_orphans(incarnation, orphans);
                Ok(())
            }
            Action::CloseSession { session, agent, incarnation, pid } => {
                tracing::warn!(session, agent, "a session of ours without an agent");
                let process = pid.and_then(os::ProcessId::of).map_or_else(Process::default, here);
                self.end_orphans(incarnation, Orphans { agent, session, process });
                Ok(())
            }
            Action::Stop { agent, incarnation, only_idle, reason } => {
                let told = self.store.stop_agent(&agent, &incarnation, only_idle, &reason).await.map(drop);
                failpoint!("stop.agent_told");
                told
            }
            Action::Spawn { agent, role, master, request, reason } => {
                self.spawn(&agent, &role, master, request.as_deref(), &reason, &observed.snapshot).await
            }
            Action::DropRequest { field, role, reason } => {
                self.store.drop_request(&field, &role, GateCode::RoleSlots, &reason).await
            }
            Action::Settle { reason } => self.settle(&reason, &observed.snapshot).await,
            Action::Recovered { role, reason } => self.store.recovered(&role, &reason).await,
            Action::ShutDown => Ok(()),
        };
        match done {
            Err(StoreError::Refused { code, detail }) => {
                tracing::info!(%code, detail, "refused: somebody was quicker");
                Ok(())
            }
            other => other,
        }
    }

    /// After a loss, once all who live are known again: what the disk knows better is told, and work goes on.
    async fn settle(&self, reason: &str, snapshot: &Snapshot) -> Result<(), StoreError> {
        salvage::tell_all(&self.store, &self.home, snapshot).await?;
        let found = salvage::tasks(&self.store, &self.home).await?;
        let more = match found {
            0 => String::new(),
            _ => format!("; {} found again on the disk", count(found, "task was", "tasks were")),
        };
        self.store.settled(&format!("{reason}{more}")).await
    }
}
