//! How we stand with Redis: since when it knows us, and what it is told where it has forgotten us
//! (`store::epoch` has the whole story).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    home::{Home, launch::Launch},
    model::{cause::Cause, id::Process, id::TaskId},
    store::{
        Store, StoreError,
        epoch::{Known, Living, Reinstated, Speaker},
        tasks::{Claimed, Report},
    },
};

/// Between telling an end and being told of the next one, only this many can have been lost.
const FORGOTTEN_AT_MOST: usize = 10;

/// One agent's standing.
pub(super) struct Standing {
    store: Arc<Store>,
    launch: Arc<Launch>,
    home: Home,
    living: Living,
    tasks_done: AtomicU64,
    /// The epoch in which Redis last knew us.
    epoch: AtomicU64,
}

impl Standing {
    /// Of an agent that Redis knows: it has just been greeted.
    pub fn new(store: Arc<Store>, launch: Arc<Launch>, home: Home, process: Process) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let living = Living {
            role: launch.role.name.clone(),
            session: launch.session.clone(),
            master: launch.master,
            started_at: since_1970.as_millis() as u64,
            tasks_done: 0,
            process,
        };
        let epoch = AtomicU64::new(store.epoch());
        Standing { store, launch, home, living, tasks_done: AtomicU64::new(0), epoch }
    }

    /// The epoch of a call that is about to be made. Once it was answered, Redis has known us in that epoch
    /// ([`Standing::was_known`]); the connection, and the epoch with it, may change while it is under way.
    pub fn epoch(&self) -> u64 {
        self.store.epoch()
    }
    /// Redis has known us in this epoch.
    pub fn was_known(&self, epoch: u64) {
        self.epoch.fetch_max(epoch, Ordering::Relaxed);
    }
    /// One task more.
    pub fn has_done_one(&self) {
        self.tasks_done.fetch_add(1, Ordering::Relaxed);
    }

    /// Redis has refused us as stale. Where it has come up anew since it last knew us, it is told who we are and what
    /// we are doing. Whether it knows us now; if not, we were given up, or what we hold is another's.
    ///
    /// # Errors
    /// An unreachable Redis; `taken`: it may find out later.
    pub async fn reinstate(&self, held: Option<&Claimed>) -> Result<bool, StoreError> {
        let known = self.epoch.load(Ordering::Relaxed);
        for _ in 0..FORGOTTEN_AT_MOST {
            let epoch = self.store.look_at_epoch().await?;
            if epoch <= known {
                return Ok(false);
            }
            let living = Living { tasks_done: self.tasks_done.load(Ordering::Relaxed), ..self.living.clone() };
            let speaker = Speaker {
                agent: &self.launch.agent,
                incarnation: &self.launch.incarnation,
                epoch: known,
                living: Some(&living),
            };
            let attempt = held.map(|c| Known { task: &c.task, attempt: c.attempt, fence: Some(c.fence) });
            match self.store.reinstate(speaker, attempt).await {
                Ok(Reinstated::Done) => {
                    tracing::warn!("Redis had lost data, and was told of us again");
                    self.was_known(epoch);
                    return Ok(true);
                }
                Ok(Reinstated::Busy { task, attempt, fence }) => self.tell_again(&task, attempt, fence).await?,
                Err(e) if e.refusal() == Some("stale") => return Ok(false),
                Err(e) => return Err(e),
            }
        }
        Ok(false)
    }

    /// Redis has forgotten how that attempt ended.
    async fn tell_again(&self, task: &TaskId, attempt: u32, fence: u64) -> Result<(), StoreError> {
        let (agent, incarnation) = (self.launch.agent.clone(), self.launch.incarnation.clone());
        let report = match self.home.known_end(task, attempt) {
            // Where the claim was lost as well, and made again, its fence is another one.
            Some(known) => Report { agent, incarnation, fence, ..known },
            None => Report {
                task: task.clone(),
                attempt,
                agent,
                incarnation,
                fence,
                cause: Cause::Lost,
                reason: "Redis lost how it ended, and nothing of it lies on the disk".to_owned(),
                exit_code: None,
                result: None,
                delay_ms: 0,
                account: None,
                evidence: None,
            },
        };
        match self.store.finish(&report).await {
            Err(e) if e.refusal().is_none() => Err(e),
            _ => Ok(()),
        }
    }
}
