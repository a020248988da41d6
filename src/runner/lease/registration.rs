//! The agent's registration with Redis: the epoch in which Redis last knew it, and how it registers again after Redis
//! has lost data (see `store::epoch`).

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

/// Between reporting one end and receiving the next task, at most this many ends can be lost.
const MAX_LOST_ENDS: usize = 10;

/// The registration of one agent.
pub(in crate::runner) struct Registration {
    store: Arc<Store>,
    launch: Arc<Launch>,
    home: Home,
    living: Living,
    tasks_done: AtomicU64,
    /// The epoch in which Redis last knew this agent.
    epoch: AtomicU64,
}

impl Registration {
    /// Creates the registration of an agent that has just registered, so Redis knows it.
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
        Registration { store, launch, home, living, tasks_done: AtomicU64::new(0), epoch }
    }

    /// Returns the epoch of a call that is about to be made. An answer proves that Redis knew the agent in that epoch
    /// ([`Registration::record_epoch`]); the connection, and with it the epoch, may change during the call.
    pub fn epoch(&self) -> u64 {
        self.store.epoch()
    }
    /// Records that Redis knew the agent in this epoch.
    pub fn record_epoch(&self, epoch: u64) {
        self.epoch.fetch_max(epoch, Ordering::Relaxed);
    }
    /// Counts one finished task.
    pub fn count_task(&self) {
        self.tasks_done.fetch_add(1, Ordering::Relaxed);
    }

    /// Registers the agent again after Redis has refused it as stale. If Redis has restarted since it last knew the
    /// agent, this sends the agent's identity and its current attempt. Returns whether Redis knows the agent now;
    /// `false` means that the agent was declared lost, or that another agent owns its attempt.
    ///
    /// # Errors
    /// Fails when Redis is unreachable. In that case the caller tries again later.
    pub async fn reinstate(&self, held: Option<&Claimed>) -> Result<bool, StoreError> {
        self.register_again(held, false).await
    }

    /// Does the same for the heartbeat, which runs concurrently with the attempt: the attempt in `held` may just have
    /// ended, and the next lease may have been granted, which only the attempt's side receives.
    ///
    /// # Errors
    /// The same as [`Registration::reinstate`].
    pub async fn reinstate_concurrently(&self, held: Option<&Claimed>) -> Result<bool, StoreError> {
        self.register_again(held, true).await
    }

    async fn register_again(&self, held: Option<&Claimed>, concurrent: bool) -> Result<bool, StoreError> {
        let known = self.epoch.load(Ordering::Relaxed);
        for _ in 0..MAX_LOST_ENDS {
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
                    tracing::warn!("Redis had lost data; the agent has registered again");
                    self.record_epoch(epoch);
                    return Ok(true);
                }
                // Fences grow: this lease was granted after ours.
                Ok(Reinstated::Busy { fence, .. }) if concurrent && held.map_or(0, |h| h.fence) < fence => {
                    return Ok(true);
                }
                Ok(Reinstated::Busy { task, attempt, fence }) => self.report_lost_end(&task, attempt, fence).await?,
                Err(e) if e.is_stale() => return Ok(false),
                Err(e) => return Err(e),
            }
        }
        Ok(false)
    }

    /// Reports the end of an attempt that Redis has lost.
    async fn report_lost_end(&self, task: &TaskId, attempt: u32, fence: u64) -> Result<(), StoreError> {
        let (agent, incarnation) = (self.launch.agent.clone(), self.launch.incarnation.clone());
        let report = match self.home.known_end(task, attempt) {
            // If the claim was lost as well and repeated, it has another fence.
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
                awaits: false,
                continues: false,
                account: None,
                evidence: None,
                metered: None,
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
        model::task::TaskState,
        os::ProcessId,
        redis_server::{Server, ServerSpec, User},
        samples,
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
            escalation: None,
            max_depth: 3,
            max_children: 9,
            max_queued: 100,
            max_wait: crate::model::task::MAX_WAIT,
            inherits_priority: false,
            who: "a test".into(),
            spec: Spec { timeout_ms: LEASE.as_millis() as u64, ..samples::task(TaskState::Ready).spec },
        }
    }

    /// A Redis server that is killed when this is dropped, at the latest with its test.
    struct Killed(ProcessId);

    impl Drop for Killed {
        fn drop(&mut self) {
            let _ = self.0.signal(nix::sys::signal::Signal::SIGKILL);
            while self.0.is_alive() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// A heartbeat is in flight while an attempt is reported and the next one claimed, just after Redis has restarted.
    /// The heartbeat is refused, and the lease that it does not know must not be treated as a forgotten one.
    #[tokio::test]
    async fn a_heartbeat_does_not_end_the_attempt_that_was_claimed_concurrently() {
        let folder = tempfile::tempdir().unwrap();
        let env = Env { cwd: folder.path().into(), orch_home: Some(folder.path().join("home")), ..Env::default() };
        let config = Config::load_with(&env, None).unwrap();
        let home = Home::new(&config.home);
        home.create().unwrap();
        let spec = ServerSpec::of_home(home.path(), "test").unwrap();
        let (server, _) = Server::start_or_adopt(&spec).await.unwrap();
        let redis = Killed(ProcessId::of(server.pid).unwrap());
        let store = Store::private(&config.home, "test", User::Runner, Duration::from_secs(20)).unwrap();
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
            redis: RedisAt::Socket { path: spec.socket.clone(), login: None },
            tmux_socket: None,
            policy: config.clone(),
            generation: String::new(),
            probation: Duration::ZERO,
            role: config.roles["shell"].clone(),
            driver: DriverKind::Shell,
            heartbeat: LEASE / 6,
            lease: LEASE,
            kill_grace: LEASE,
            env: Default::default(),
            attributes: None,
            withheld: Vec::new(),
            secrets: Vec::new(),
        };
        let registration = Registration::new(store.clone(), Arc::new(launch), home, process);
        let (first, second) = (task(), task());
        for task in [&first, &second] {
            store.delegate(task).await.unwrap();
        }
        let held = store.claim("shell-1", "me", LEASE).await.unwrap().unwrap();

        drop(redis);
        let (server, _) = Server::start_or_adopt(&spec).await.unwrap();
        let _redis = Killed(ProcessId::of(server.pid).unwrap());
        let report =
            Report { incarnation: "me".into(), fence: held.fence, ..samples::report(&first.id, 1, Cause::Success) };
        let (reported, next) = store.finish_and_claim(&report, LEASE).await.unwrap();
        assert_eq!((reported.unwrap(), next.unwrap().unwrap().task.id), (TaskState::Succeeded, second.id.clone()));

        assert!(registration.reinstate_concurrently(Some(&held)).await.unwrap());
        assert_eq!(store.task(&second.id).await.unwrap().unwrap().task.state, TaskState::Running);
    }
}
