//! A private server per test, and the few moves that tests are made of.

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

pub use orch::model::task::Spec;
use orch::{
    model::{
        agent::AgentState,
        cause::Cause,
        end_code::EndCode,
        id::{Capability, Process, TaskId, new_incarnation},
        retry::Delays,
        task::{Priority, TaskState},
    },
    redis_server::{COMMANDS, Login, find_program},
    store::{
        Store,
        agents::{Ending, Pulse},
        tasks::{Claimed, NewTask, Report},
    },
};

/// Longer than any test takes.
pub const LONG: Duration = Duration::from_secs(3600);
pub const LEASE: Duration = Duration::from_secs(30);
pub const ROLE: &str = "shell";
/// A user of the server, and its password.
const USER: &str = "limited";

/// A redis-server of this test's own: a unix socket in a temporary folder, no port.
pub struct Server {
    dir: tempfile::TempDir,
    child: Child,
}

impl Server {
    pub fn start() -> Server {
        let dir = tempfile::tempdir().unwrap();
        let child = launch(dir.path());
        let server = Server { dir, child };
        server.limit_users();
        server
    }

    /// For tests of thousands of calls that do not kill it: it leaves to the system when to write to the disk.
    pub fn start_hasty() -> Server {
        let server = Server::start();
        let () = redis::cmd("CONFIG").arg(&["SET", "appendfsync", "no"]).query(&mut server.raw()).unwrap();
        server
    }

    /// Makes a user with the rights of a runner and of a person, in every namespace: what the tests do with a store, these
    /// may do.
    fn limit_users(&self) {
        let mut user = redis::cmd("ACL");
        user.arg(&[
            "SETUSER",
            USER,
            "reset",
            "on",
            &format!(">{USER}"),
            "resetchannels",
            "~orch:*",
            "&orch:*",
            "-@all",
        ]);
        user.arg(COMMANDS.iter().map(|command| format!("+{command}")).collect::<Vec<_>>());
        user.exec(&mut self.raw()).unwrap();
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    /// A namespace on it, with a retry_for that outlasts a restart.
    pub fn world(&self, namespace: &str) -> World {
        World {
            store: Store::at_socket(&self.socket(), login(), namespace, Duration::from_secs(20)).unwrap(),
            socket: self.socket(),
        }
    }

    /// A connection past the store, once the server answers.
    pub fn raw(&self) -> redis::Connection {
        raw(&self.socket())
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on what it has on disk; answers before it serves.
    pub fn start_again(&mut self) {
        self.child = launch(self.dir.path());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// With which the tests' stores log in. A server that was started again does not know it any more, and lets in a caller that
/// has no password.
fn login() -> Option<Login> {
    Some(Login { user: USER.into(), password: USER.into() })
}

fn launch(dir: &Path) -> Child {
    let program = find_program().unwrap();
    let mut command = Command::new(&program.path);
    command
        .arg0(program.argv0)
        .args(["--port", "0", "--unixsocket"])
        .arg(dir.join("s"))
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .args(["--save", "", "--dir"])
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    // A test that aborts drops nothing: the server ends with the thread that started it, which is the test's own.
    let die_with_us = || nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).map_err(Into::into);
    // SAFETY: between fork and exec there is one system call, and no memory is allocated.
    unsafe { command.pre_exec(die_with_us) };
    command.spawn().unwrap()
}

fn raw(socket: &Path) -> redis::Connection {
    let client = redis::Client::open(format!("redis+unix://{}", socket.display())).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = client.get_connection().and_then(|mut c| {
            redis::cmd("PING").query::<String>(&mut c)?;
            Ok(c)
        });
        match answer {
            Ok(connection) => return connection,
            Err(e) if Instant::now() > deadline => panic!("the server does not answer: {e}"),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// An agent as its runner knows it.
#[derive(Debug, Clone)]
pub struct Agent {
    pub id: String,
    pub incarnation: String,
}

/// One namespace.
pub struct World {
    pub store: Store,
    pub socket: PathBuf,
}

/// A plain task of [`ROLE`].
pub fn task(text: &str) -> NewTask {
    NewTask {
        id: TaskId::random(),
        text: text.into(),
        context: None,
        parent: None,
        fingerprint: None,
        escalation: None,
        max_depth: 3,
        max_children: 50,
        max_queued: 100_000,
        max_wait: orch::model::task::MAX_WAIT,
        inherits_priority: false,
        who: "a test".into(),
        spec: Spec {
            role: ROLE.into(),
            priority: Priority::Normal,
            after: vec![],
            edges: Default::default(),
            plan: None,
            plan_key: None,
            max_parallel: None,
            drafts_plan: false,
            labels: Default::default(),
            artifacts: vec![],
            writes: vec![],
            reads: vec![],
            cwd: None,
            timeout_ms: 60_000,
            deadline_ms: None,
            retries: 3,
            lost_max: 3,
            delays_ms: delays(LONG, Duration::ZERO),
            detached: false,
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
    }
}

/// The same delay after each failed attempt, and after each lost one.
pub fn delays(failed: Duration, lost: Duration) -> Delays {
    let (failed, lost) = (failed.as_millis() as u64, lost.as_millis() as u64);
    Delays { failed: vec![failed], lost: vec![lost], cap: LONG.as_millis() as u64 }
}

/// A plain task that waits for others.
pub fn task_after(text: &str, after: &[&TaskId]) -> NewTask {
    NewTask { spec: Spec { after: after.iter().map(|id| (*id).clone()).collect(), ..task(text).spec }, ..task(text) }
}

/// A subtask as `orch delegate` makes it within an attempt.
pub fn subtask(text: &str, agent: &Agent, claimed: &Claimed) -> NewTask {
    NewTask { parent: Some(capability(agent, claimed)), fingerprint: Some(format!("of {text}")), ..task(text) }
}

pub fn capability(agent: &Agent, claimed: &Claimed) -> Capability {
    Capability {
        task: claimed.task.id.clone(),
        attempt: claimed.attempt,
        fence: claimed.fence,
        incarnation: agent.incarnation.clone(),
    }
}

pub fn process(pid: u32) -> Process {
    Process { host: "here".into(), boot_id: "b".into(), pid, start_time: 7 }
}

/// What `agent` reports of its attempt; tried again after an hour, if at all.
pub fn report(agent: &Agent, claimed: &Claimed, cause: Cause) -> Report {
    Report {
        task: claimed.task.id.clone(),
        attempt: claimed.attempt,
        agent: agent.id.clone(),
        incarnation: agent.incarnation.clone(),
        fence: claimed.fence,
        cause,
        code: EndCode::Unknown,
        reason: format!("a test said {cause}"),
        exit_code: Some(1),
        result: None,
        retry_after_ms: Some(LONG.as_millis() as u64),
        is_exact: false,
        awaits: false,
        continues: false,
        account: None,
        evidence: None,
        metered: None,
    }
}

/// An agent's end by crash.
pub fn crash() -> Ending<'static> {
    Ending {
        to: AgentState::Failed,
        reason: "crashed",
        cause: Cause::Lost,
        code: EndCode::AgentStopped,
        attempt_reason: "its agent crashed",
        orphans: None,
        evidence: None,
    }
}

/// A pulse of an agent that holds a lease.
pub fn pulse(claimed: &Claimed) -> Pulse {
    Pulse { lease: Some((claimed.task.id.clone(), claimed.fence)), ..Pulse::default() }
}

impl World {
    pub fn raw(&self) -> redis::Connection {
        raw(&self.socket)
    }

    /// The same namespace by another connection.
    pub fn again(&self) -> World {
        let namespace = self.store.keys().prefix().split(['{', '}']).nth(1).unwrap();
        let store = Store::at_socket(&self.socket, login(), namespace, Duration::from_secs(20)).unwrap();
        World { store, socket: self.socket.clone() }
    }

    pub async fn delegate(&self, new: &NewTask) -> TaskId {
        self.store.delegate(new).await.unwrap().id
    }

    /// An agent of `role` that has just been recorded.
    pub async fn spawn(&self, id: &str, role: &str) -> Agent {
        let incarnation = new_incarnation();
        self.store.spawn_agent(id, role, id, &incarnation, false, "a test", None).await.unwrap();
        Agent { id: id.into(), incarnation }
    }

    /// An idle agent of [`ROLE`].
    pub async fn agent(&self, id: &str) -> Agent {
        self.agent_of(id, ROLE).await
    }

    pub async fn agent_of(&self, id: &str, role: &str) -> Agent {
        let agent = self.spawn(id, role).await;
        let state = self.store.hello(id, &agent.incarnation, &process(1)).await.unwrap();
        assert_eq!(state, AgentState::Idle);
        agent
    }

    pub async fn try_claim(&self, agent: &Agent) -> Option<Claimed> {
        self.store.claim(&agent.id, &agent.incarnation, LEASE).await.unwrap()
    }

    pub async fn claim(&self, agent: &Agent) -> Claimed {
        self.try_claim(agent).await.expect("a task to claim")
    }

    pub async fn finish(&self, agent: &Agent, claimed: &Claimed, cause: Cause) -> TaskState {
        self.store.finish(&report(agent, claimed, cause)).await.unwrap()
    }

    /// Lets the delay of a delayed task pass.
    pub fn make_due(&self, id: &TaskId) {
        let mut raw = self.raw();
        let keys = self.store.keys();
        let () = redis::cmd("ZADD").arg(keys.of("state", "delayed")).arg(1).arg(id.as_str()).query(&mut raw).unwrap();
        let () = redis::cmd("HSET").arg(keys.of("task", id.as_str())).arg("due_at").arg(1).query(&mut raw).unwrap();
    }

    pub async fn cancel(&self, id: &TaskId) -> Option<TaskState> {
        let ids = std::slice::from_ref(id);
        self.store.cancel(ids, "a test").await.unwrap()[0]
    }

    pub async fn state(&self, id: &TaskId) -> TaskState {
        self.detail(id).await.task.state
    }

    pub async fn detail(&self, id: &TaskId) -> orch::model::task::TaskDetail {
        self.store.task(id).await.unwrap().expect("a known task")
    }

    pub async fn agent_state(&self, agent: &Agent) -> AgentState {
        let record = self.store.agent(&agent.id).await.unwrap().unwrap();
        record.agent.state
    }

    /// How many events there are: what changes nothing adds none.
    pub async fn events(&self) -> Vec<orch::model::event::Event> {
        self.store.events_after("-", 1_000_000).await.unwrap()
    }
}

/// The code of a refusal.
pub fn refusal<T: std::fmt::Debug>(answer: Result<T, orch::store::StoreError>) -> String {
    let error = answer.unwrap_err();
    error.refusal().unwrap_or_else(|| panic!("{error}")).to_string()
}
