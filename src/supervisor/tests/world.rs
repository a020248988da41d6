//! What a test of whole passes stands on.

use crate::model::task::Spec;
use std::{
    collections::BTreeMap,
    process::{Child, Command},
    sync::Arc,
    time::{Duration, Instant},
};

use super::super::{Pass, Supervisor, announce::Announcement, redis::Redis, spawn};
use crate::{
    config::{Config, Env},
    home::{Home, launch::Launch},
    model::{
        agent::Agent,
        cause::Cause,
        id::TaskId,
        task::{Priority, TaskState},
    },
    mux::{Call, Mux, RecordingMux, SessionSpec, Tags},
    os::ProcessId,
    redis_server::{Server, ServerSpec, User, url_with_password},
    store::tasks::NewTask,
};

const PROJECT: &str = "name = 'test'\n[roles.opus]\ndriver = 'console'\n[roles.shell]\nenv_from = ['GIVEN_TOKEN']\n[roles.shell.retry]\nbase = '8s'\n";
pub const MASTER: &str = "opus-master";
pub const SECRET: &str = "told-to-nobody";

/// A supervisor, and all it stands on.
pub(super) struct World {
    pub supervisor: Supervisor,
    pub mux: Arc<RecordingMux>,
    changes: tokio::sync::watch::Receiver<u64>,
    runners: BTreeMap<String, Runner>,
    _redis: PrivateRedis,
    _folder: tempfile::TempDir,
}

/// Ended with the test, however that ends.
struct PrivateRedis(ProcessId);

impl Drop for PrivateRedis {
    fn drop(&mut self) {
        let _ = self.0.signal(nix::sys::signal::Signal::SIGKILL);
        while self.0.is_alive() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A process in the place of a runner.
struct Runner(Child);

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl World {
    /// Before the first pass.
    pub async fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("sessions.toml"), PROJECT).unwrap();
        let env = Env { cwd: folder.path().into(), orch_home: Some(folder.path().join("home")), ..Env::default() };
        let config = Config::load_with(&env, None).unwrap();
        let home = Home::new(&config.home);
        home.create().unwrap();
        // Started here, so that its process is known, and adopted by the supervisor.
        let (server, _) = Server::start_or_adopt(&ServerSpec::of_home(home.path(), "test").unwrap()).await.unwrap();
        let guard = PrivateRedis(ProcessId::of(server.pid).unwrap());
        let redis = Redis::start(&config).await.unwrap();
        let store = Arc::new(redis.open(&config, Duration::from_millis(500)).unwrap());
        let mux = Arc::new(RecordingMux::new());
        let lock = home.lock_supervisor().unwrap().unwrap();
        let mut supervisor =
            Supervisor::assemble(config, home, lock, store, mux.clone(), redis, Announcement::default());
        supervisor.environment = BTreeMap::from([("GIVEN_TOKEN".into(), SECRET.into())]);
        let changes = mux.changes();
        World { supervisor, mux, changes, runners: BTreeMap::new(), _redis: guard, _folder: folder }
    }

    /// With a master that has reported.
    pub async fn with_master() -> World {
        let mut world = World::new().await;
        world.pass().await;
        world.report(MASTER).await;
        world
    }

    /// With a master and an idle shell-1, beside a task that is ready.
    pub async fn with_shell() -> (World, TaskId) {
        let mut world = World::with_master().await;
        let task = world.delegate().await;
        world.pass().await;
        world.report("shell-1").await;
        (world, task)
    }

    /// A pass, after what the loop does when a pane's process has ended.
    pub async fn pass(&mut self) -> Pass {
        if self.changes.has_changed().unwrap() {
            self.changes.mark_unchanged();
            self.supervisor.observer.look_at_tmux();
        }
        let pass = self.supervisor.pass().await.unwrap();
        self.recorded().await;
        pass
    }

    /// Waits until what the pass has begun stands in the records.
    async fn recorded(&self) {
        let began = Instant::now();
        let jobs = &self.supervisor.jobs;
        while !(jobs.opening.now().is_empty() && jobs.reaping.now().is_empty()) {
            assert!(began.elapsed() < Duration::from_secs(20), "something is still being opened or reaped");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Passes until it holds; none of them may be the last.
    pub async fn pass_until(&mut self, what: &str, holds: impl AsyncFn(&World) -> bool) {
        let began = Instant::now();
        while !holds(self).await {
            assert!(began.elapsed() < Duration::from_secs(20), "{what}: still not so");
            assert_ne!(self.pass().await, Pass::ShutDown, "{what}: not yet");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn delegate(&self) -> TaskId {
        let new = NewTask {
            id: TaskId::random(),
            text: "true".into(),
            context: None,
            parent: None,
            fingerprint: None,
            escalation: None,
            max_depth: 4,
            max_children: 10,
            max_queued: 100_000,
            max_wait: crate::model::task::MAX_WAIT,
            inherits_priority: false,
            who: "a test".into(),
            spec: Spec {
                role: "shell".into(),
                priority: Priority::Normal,
                after: Vec::new(),
                edges: Default::default(),
                plan: None,
                plan_key: None,
                max_parallel: None,
                labels: BTreeMap::new(),
                artifacts: Vec::new(),
                writes: Vec::new(),
                reads: Vec::new(),
                cwd: None,
                timeout_ms: 60_000,
                deadline_ms: None,
                retries: 3,
                lost_max: 3,
                delays_ms: self.supervisor.config.roles["shell"].retry.delays(),
                detached: false,
                drafts_plan: false,
                approval: None,
                approval_timeout_ms: None,
                approval_default: None,
                max_cost_usd: None,
                max_tokens: None,
                routing: None,
                tiers: Vec::new(),
                allowed_tools: Vec::new(),
                notify: None,
                key: None,
            },
        };
        self.supervisor.store.delegate(&new).await.unwrap().id
    }

    /// The runner of an agent takes its launch and reports.
    pub async fn report(&mut self, id: &str) -> Launch {
        let incarnation = self.agent(id).await.incarnation;
        let launch = Launch::take(&self.supervisor.home.launch(&incarnation)).unwrap();
        let runner = Runner(Command::new("sleep").arg("600").spawn().unwrap());
        let process = spawn::here(ProcessId::of(runner.0.id()).unwrap());
        self.runners.insert(id.into(), runner);
        self.supervisor.store.hello(id, &incarnation, &process).await.unwrap();
        launch
    }

    /// The process of an agent's runner.
    pub fn process(&self, id: &str) -> ProcessId {
        ProcessId::of(self.runners[id].0.id()).unwrap()
    }

    /// The runner of an agent dies without a word.
    pub fn kill_runner(&mut self, id: &str) {
        drop(self.runners.remove(id).unwrap());
    }

    pub async fn agent(&self, id: &str) -> Agent {
        self.supervisor.store.agent(id).await.unwrap().expect(id).agent
    }

    pub async fn task(&self, id: &TaskId) -> (TaskState, Option<Cause>) {
        let task = self.supervisor.store.task(id).await.unwrap().unwrap().task;
        (task.state, task.cause)
    }

    /// A connection of its own.
    pub async fn redis(&self) -> ::redis::aio::MultiplexedConnection {
        let url = url_with_password(self.supervisor.home.path(), User::Supervisor).unwrap();
        let client = ::redis::Client::open(url).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// What was asked of tmux for agents other than the master.
    pub fn asked_for(&self) -> Vec<SessionSpec> {
        let open = |call| if let Call::Open(spec) = call { Some(spec) } else { None };
        self.mux.calls().into_iter().filter_map(open).filter(|spec| spec.name != MASTER).collect()
    }

    pub async fn sessions(&self) -> Vec<String> {
        self.mux.sessions().await.unwrap().into_iter().map(|s| s.name).collect()
    }

    pub fn tags(&self, agent: &str, incarnation: &str) -> Tags {
        let namespace = Tags::world("test", self.supervisor.home.path());
        Tags { namespace, agent: agent.into(), incarnation: incarnation.into() }
    }
}
