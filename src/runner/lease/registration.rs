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
    model::{cause::Cause, end_code::EndCode, id::Process, id::TaskId},
    store::{
        Store, StoreError,
        epoch::{Known, Living, Reinstated, Speaker},
        tasks::{Claimed, Report},
    },
};

/// Between telling an end and being told of the next one, only this many can have been lost.
const FORGOTTEN_AT_MOST: usize = 10;

/// One agent's standing.
pub(in crate::runner) struct Standing {
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
        self.tell_who_we_are(held, false).await
    }

    /// The same for the heartbeat, which beats beside the attempt: what it takes to be held may have ended just now, and
    /// the next lease been given, of which only the attempt's side will hear.
    ///
    /// # Errors
    /// As [`Standing::reinstate`].
    pub async fn reinstate_beside(&self, held: Option<&Claimed>) -> Result<bool, StoreError> {
        self.tell_who_we_are(held, true).await
    }

    async fn tell_who_we_are(&self, held: Option<&Claimed>, beside: bool) -> Result<bool, StoreError> {
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
                // Fences grow: this one was given after ours.
                Ok(Reinstated::Busy { fence, .. }) if beside && held.map_or(0, |h| h.fence) < fence => return Ok(true),
                Ok(Reinstated::Busy { task, attempt, fence }) => self.tell_again(&task, attempt, fence).await?,
                Err(e) if e.is_stale() => return Ok(false),
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
                code: EndCode::DataLost,
                reason: "Redis lost how it ended, and nothing of it lies on the disk".to_owned(),
                exit_code: None,
                result: None,
                retry_after_ms: Some(0),
                is_exact: false,
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::task::Spec;
    use crate::{
        config::{Config, DriverKind, Env},
        home::launch::RedisAt,
        model::task::{Priority, TaskState},
        os::ProcessId,
        redis_server::{Server, ServerSpec},
        store::{checkpoint::Checkpoint, tasks::NewTask},
    };

    const LEASE: Duration = Duration::from_secs(60);

    fn task() -> NewTask {
        NewTask {
            id: TaskId::random(),
            text: "true".into(),
            context: None,
            parent: None,
            fingerprint: None,
            max_depth: 3,
            max_children: 9,
            who: "a test".into(),
            spec: Spec {
                role: "shell".into(),
                priority: Priority::Normal,
                after: Vec::new(),
                labels: Default::default(),
                artifacts: Vec::new(),
                cwd: None,
                timeout_ms: LEASE.as_millis() as u64,
                retries: 3,
                lost_max: 3,
                delays_ms: Default::default(),
                notify: None,
                key: None,
            },
        }
    }

    /// A Redis that dies with this, at the latest with its test.
    struct Killed(ProcessId);

    impl Drop for Killed {
        fn drop(&mut self) {
            let _ = self.0.signal(nix::sys::signal::Signal::SIGKILL);
            while self.0.is_alive() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// A heartbeat is under way while an attempt is told and the next one claimed, just after Redis has come up anew: it
    /// is refused, and the lease that it does not know must not be taken for one that was forgotten.
    #[tokio::test]
    async fn a_heartbeat_does_not_end_the_attempt_that_was_claimed_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let env = Env { cwd: folder.path().into(), orch_home: Some(folder.path().join("home")), ..Env::default() };
        let config = Config::load_with(&env, None).unwrap();
        let home = Home::new(&config.home);
        home.create().unwrap();
        let spec = ServerSpec::of_home(home.path()).unwrap();
        let (server, _) = Server::start_or_adopt(&spec).await.unwrap();
        let redis = Killed(ProcessId::of(server.pid).unwrap());
        let store = Store::at_socket(&spec.socket, "test", Duration::from_secs(20)).unwrap();
        let store = Arc::new(store.with_checkpoint(Checkpoint::new(home.epoch(), LEASE)));
        let process = Process { host: "h".into(), boot_id: "b".into(), pid: 1, start_time: 1 };
        store.spawn_agent("shell-1", "shell", "shell-1", "me", false, "a test", None).await.unwrap();
        store.hello("shell-1", "me", &process).await.unwrap();
        let launch = Launch {
            agent: "shell-1".into(),
            incarnation: "me".into(),
            session: "shell-1".into(),
            master: false,
            namespace: "test".into(),
            home: config.home.clone(),
            redis: RedisAt::Socket(spec.socket.clone()),
            tmux_socket: None,
            config: config.location().to_owned(),
            role: config.roles["shell"].clone(),
            driver: DriverKind::Shell,
            heartbeat: LEASE / 6,
            lease: LEASE,
            kill_grace: LEASE,
            env: Default::default(),
            secrets: Vec::new(),
        };
        let standing = Standing::new(store.clone(), Arc::new(launch), home, process);
        let (first, second) = (task(), task());
        for task in [&first, &second] {
            store.delegate(task).await.unwrap();
        }
        let held = store.claim("shell-1", "me", LEASE).await.unwrap().unwrap();

        drop(redis);
        let (server, _) = Server::start_or_adopt(&spec).await.unwrap();
        let _redis = Killed(ProcessId::of(server.pid).unwrap());
        let report = Report {
            task: first.id.clone(),
            attempt: 1,
            agent: "shell-1".into(),
            incarnation: "me".into(),
            fence: held.fence,
            cause: Cause::Success,
            code: EndCode::Unknown,
            reason: "done".into(),
            exit_code: Some(0),
            result: None,
            retry_after_ms: None,
            is_exact: false,
            account: None,
            evidence: None,
        };
        let (told, next) = store.finish_and_claim(&report, LEASE).await.unwrap();
        assert_eq!((told.unwrap(), next.unwrap().unwrap().task.id), (TaskState::Succeeded, second.id.clone()));

        assert!(standing.reinstate_beside(Some(&held)).await.unwrap());
        assert_eq!(store.task(&second.id).await.unwrap().unwrap().task.state, TaskState::Running);
    }
}
