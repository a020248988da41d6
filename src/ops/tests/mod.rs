//! The verbs against a real private Redis, with agents that are played by the test: they claim and report as a runner
//! does. Each test has a project, a server and a state folder of its own.

mod attach;
mod delegation;
mod explained;
mod find;
mod listing;
mod loading;
mod output;
mod people;
mod rights;

use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::{
    config::Env,
    model::{
        agent::AgentState,
        cause::Cause,
        end_code::EndCode,
        id::{Capability, Process, TaskId, new_incarnation},
        task::{Priority, Task, TaskResult, TaskState},
        time::Timestamp,
    },
    os::{FileLock, ProcessId, lock_file},
    redis_server::{Server, ServerSpec},
    samples,
    store::{
        agents::Record,
        tasks::{Claimed, Report},
    },
};

const LEASE: Duration = Duration::from_secs(60);

/// A project with `sessions.toml`, and its Redis.
struct World {
    folder: tempfile::TempDir,
    server: Option<ProcessId>,
}

impl World {
    /// The project alone: no Redis, no supervisor.
    fn asleep() -> World {
        let folder = tempfile::tempdir().unwrap();
        // A tmux server of its own, which runs only if a test opens a session in it.
        let tmux = folder.path().join("tmux");
        let file = format!("name = 'test'\n[tmux]\nsocket = '{}'\n", tmux.display())
            + "[roles.shell]\nmax = 1\n[roles.lead]\ndriver = 'shell'\ndelegates_to = ['shell']\n\
                    [roles.desk]\ndriver = 'console'\n";
        std::fs::write(folder.path().join("sessions.toml"), file).unwrap();
        let world = World { folder, server: None };
        world.ops().home().create().unwrap();
        world
    }

    async fn awake() -> World {
        let mut world = World::asleep();
        world.start_redis().await;
        world
    }

    async fn start_redis(&mut self) {
        let spec = ServerSpec::of_home(self.ops().home().path(), "test").unwrap().with_max_memory(1 << 30);
        let (server, _) = Server::start_or_adopt(&spec).await.unwrap();
        self.server = ProcessId::of(server.pid);
    }

    fn kill_redis(&mut self) {
        if let Some(server) = self.server.take() {
            server.signal(nix::sys::signal::Signal::SIGKILL).unwrap();
            while server.is_alive() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// The verbs, asked for by a person.
    fn ops(&self) -> Ops {
        self.ops_of(Caller::Person(Person::default()))
    }

    fn ops_of(&self, caller: Caller) -> Ops {
        let env =
            Env { cwd: self.folder.path().into(), orch_home: Some(self.folder.path().join("home")), ..Env::default() };
        Ops::new(Config::load_with(&env, None).unwrap(), caller).unwrap()
    }

    /// The verbs, asked for by an agent's program.
    fn ops_within(&self, agent: &Agent, claimed: &Claimed) -> Ops {
        let attempt = Capability {
            task: claimed.task.id.clone(),
            attempt: claimed.attempt,
            fence: claimed.fence,
            incarnation: agent.incarnation.clone(),
        };
        let (id, role) = (agent.id.clone(), agent.role.clone());
        self.ops_of(Caller::Agent { agent: id, role, attempt: Some(attempt) })
    }

    /// What a supervisor holds while it lives.
    fn supervise(&self) -> FileLock {
        lock_file(&self.ops().home().supervisor_lock()).unwrap().unwrap()
    }

    /// An idle agent.
    async fn agent(&self, id: &str, role: &str) -> Agent {
        let (ops, incarnation) = (self.ops(), new_incarnation());
        ops.store().spawn_agent(id, role, id, &incarnation, false, "a test", None).await.unwrap();
        let process = Process { pid: std::process::id(), ..Process::default() };
        ops.store().hello(id, &incarnation, &process).await.unwrap();
        Agent { id: id.into(), role: role.into(), incarnation }
    }

    async fn state(&self, id: &TaskId) -> TaskState {
        self.ops().detail(id).await.unwrap().task.state
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill_redis();
    }
}

/// An agent as the test plays it.
struct Agent {
    id: String,
    role: String,
    incarnation: String,
}

impl Agent {
    async fn claim(&self, ops: &Ops) -> Claimed {
        ops.store().claim(&self.id, &self.incarnation, LEASE).await.unwrap().expect("a ready task")
    }

    async fn finish(&self, ops: &Ops, claimed: &Claimed, cause: Cause, said: &str) -> TaskState {
        let report = Report {
            agent: self.id.clone(),
            incarnation: self.incarnation.clone(),
            fence: claimed.fence,
            reason: said.into(),
            result: Some(TaskResult { text: said.into(), ..TaskResult::default() }),
            ..samples::report(&claimed.task.id, claimed.attempt, cause)
        };
        ops.store().finish(&report).await.unwrap()
    }
}

/// A task as recorded, for what is pure: of role `shell`, accepted at 1 s and ready since.
pub(in crate::ops) fn recorded(state: TaskState) -> Task {
    Task { created_at: Timestamp(1_000), ready_at: Some(Timestamp(1_000)), ..samples::task(state) }
}

/// A busy agent as recorded, since 1 s.
pub(in crate::ops) fn recorded_agent(id: &str, state: AgentState) -> Record {
    let agent = crate::model::agent::Agent {
        heartbeat_age_ms: Some(1_000),
        heartbeat_at: Some(Timestamp(99_000)),
        started_at: Timestamp(1_000),
        since: Timestamp(1_000),
        ..samples::agent(id, state)
    };
    Record { agent, progress_at: None, deadline: None, last_task: None }
}

/// The configuration of [`World`], for what is pure.
pub(in crate::ops) fn configured() -> Config {
    Config::clone(World::asleep().ops().config())
}

fn task(text: &str, role: &str) -> Delegate {
    Delegate { text: text.into(), role: Some(role.into()), ..Delegate::default() }
}

/// Tries until it holds.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let limit = std::time::Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(std::time::Instant::now() < limit, "{what}: still not so");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Surfaces that serve several callers run the verbs on other threads.
#[test]
fn verbs_can_be_sent_to_another_thread() {
    fn sendable<T: Send>(_: T) {}
    let world = World::asleep();
    let ops = world.ops();
    sendable(ops.delegate(Delegate::default()));
    sendable(ops.wait(Wait::default()));
    sendable(ops.status());
    sendable(ops.logs(&LogQuery::default()));
    sendable(ops.why(&Target::Agent(String::new())));
}
