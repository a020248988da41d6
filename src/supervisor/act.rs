//! Acts: record first, then the effect. An action that may take long is started here and continues in the background.

use super::{
    Supervisor,
    decide::{Action, scale::SHORTAGE_HOLDS},
    observe::Observed,
    spawn::here,
};
use crate::{
    model::{gate::GateCode, id::Process},
    os::{self, failpoint},
    store::{StoreError, agents::Orphans},
};

impl Supervisor {
    /// Carries out one action. What is stale by now is refused by the store, and does no harm.
    pub(super) async fn act(&mut self, action: Action, observed: &Observed) -> Result<(), StoreError> {
        let done = match action {
            Action::ReleaseDue => self.store.release_due().await.map(drop),
            Action::EndLate => self.store.end_late().await.map(drop),
            Action::EndLocks => self.store.end_locks().await,
            Action::ExpireApprovals => self.store.expire_approvals().await.map(drop),
            Action::Reap { incarnation, to, reason, evidence, .. } => {
                match observed.snapshot.agents.iter().find(|r| r.agent.incarnation == incarnation) {
                    Some(record) => {
                        self.jobs.reap(record.clone(), to, reason, *evidence);
                        Ok(())
                    }
                    None => Ok(()),
                }
            }
            Action::Expire { task, fence, reason } => self.store.expire(&task, fence, &reason).await,
            Action::EndOrphans { incarnation, orphans } => {
                self.jobs.end_orphans(incarnation, orphans);
                Ok(())
            }
            Action::CloseSession { session, agent, incarnation, pid } => {
                tracing::warn!(session, agent, "a session of ours without an agent");
                let process = pid.and_then(os::ProcessId::of).map_or_else(Process::default, here);
                self.jobs.end_orphans(incarnation, Orphans { agent, session, process });
                Ok(())
            }
            Action::Stop { agent, incarnation, only_idle, reason } => {
                let told = self.store.stop_agent(&agent, &incarnation, only_idle, &reason).await.map(drop);
                failpoint!("stop.agent_told");
                told
            }
            Action::Spawn { agent, role, master, request, probation, reason } => {
                self.spawn(&agent, &role, master, request.as_deref(), probation, &reason).await
            }
            Action::DropRequest { field, role, reason } => {
                self.store.drop_request(&field, &role, GateCode::RoleSlots, &reason).await
            }
            Action::Settle { reason } => {
                self.jobs.end_recovery(reason, observed.snapshot.clone());
                Ok(())
            }
            Action::PublishShortage { shortage, mins } => {
                self.store.set_shortage(&shortage, &mins, SHORTAGE_HOLDS).await
            }
            Action::Recovered { role, reason } => self.store.recovered(&role, &reason).await,
            Action::ShutDown => Ok(()),
        };
        match done {
            Err(StoreError::Refused { code, detail }) => {
                tracing::info!(%code, detail, "refused: another caller was faster");
                Ok(())
            }
            other => other,
        }
    }
}
