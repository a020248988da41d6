//! The agent's socket: its programs reach orch through it, and the runner executes what they ask for as the agent that they
//! belong to ([`crate::ops::socket`]).
//!
//! Only processes that this runner has started, directly or through others, may connect. A connection belongs to the
//! attempt that runs when it is made, and ends with it. The master's console counts as a person: the runner knows its
//! process, and no process that the console starts is the same.
//!
//! The socket is served on a thread of its own, so that no verb delays the heartbeat. The thread starts with the first
//! connection: an attempt that never calls orch costs nothing.

use std::{
    fs, io,
    os::unix::{fs::PermissionsExt, net::UnixListener as StdListener},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    net::{UnixListener, UnixStream},
    sync::{Semaphore, watch},
};

use super::asking::Asking;
use crate::{
    config::Config,
    error::{Error, Result},
    home::{Home, PolicyWatch, launch::Launch},
    model::id::Capability,
    ops::{Announcer, Caller, Ops, socket},
    os::{self, ProcessId},
    redis_server::agent_socket,
    store::Store,
};

/// Connections at a time. Further ones wait: a program that opens thousands takes nothing from others.
const CONNECTIONS: usize = 64;

/// Whose programs connect.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scope {
    /// Nobody's: no program runs.
    Nobody,
    /// The programs of an attempt, or of the master.
    Agent(Option<Capability>),
}

/// The socket of one agent. Its file is removed with it.
#[derive(Debug)]
pub(in crate::runner) struct AgentSocket {
    path: PathBuf,
    scope: watch::Sender<Scope>,
    /// The console's process, where one runs.
    console: Arc<Mutex<Option<ProcessId>>>,
}

impl AgentSocket {
    /// Listens. Nobody may connect until [`AgentSocket::admit`] says who.
    ///
    /// # Errors
    /// Configuration: the socket can't be created.
    pub fn listen(
        launch: &Arc<Launch>,
        open_store: fn(&Launch, Duration) -> Result<Store>,
        asking: Asking,
    ) -> Result<AgentSocket> {
        let path = agent_socket(&launch.home, &launch.incarnation)?;
        let listen = || -> io::Result<StdListener> {
            if let Some(folder) = path.parent() {
                crate::home::create_dir(folder)?;
            }
            // An incarnation has one runner, so no other process can have left what is there.
            let _ = fs::remove_file(&path);
            let listener = StdListener::bind(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        let listener = listen()
            .map_err(|e| Error::config(format!("the agent's socket {} can't be created: {e}", path.display())))?;
        let scope = watch::Sender::new(Scope::Nobody);
        let console = Arc::new(Mutex::new(None));
        let serving =
            Serving { launch: launch.clone(), open_store, scope: scope.subscribe(), console: console.clone(), asking };
        tokio::spawn(serve_on_demand(listener, serving));
        Ok(AgentSocket { path, scope, console })
    }

    /// From now on, programs of this attempt connect (`None`: the master's). Connections of earlier ones are closed.
    pub fn admit(&self, attempt: Option<Capability>) {
        self.scope.send_replace(Scope::Agent(attempt));
    }

    /// No program runs any more: connections are closed, and none is accepted.
    pub fn close(&self) {
        self.scope.send_replace(Scope::Nobody);
    }

    /// The process of the console, which speaks for a person. While the guard is held, nobody is identified: so a console
    /// that is just being started is not taken for an agent's program.
    pub fn console(&self) -> MutexGuard<'_, Option<ProcessId>> {
        self.console.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AgentSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// What the thread that serves knows.
struct Serving {
    launch: Arc<Launch>,
    open_store: fn(&Launch, Duration) -> Result<Store>,
    scope: watch::Receiver<Scope>,
    console: Arc<Mutex<Option<ProcessId>>>,
    /// Shows what the program asks a person.
    asking: Asking,
}

/// Waits for the first connection, and starts the thread that serves it and all others.
async fn serve_on_demand(listener: StdListener, serving: Serving) {
    let Ok(listener) = UnixListener::from_std(listener) else { return };
    // Left in the queue, for the thread to accept.
    let first = futures_util::future::poll_fn(|context| listener.poll_accept(context)).await;
    let (Ok((first, _)), Ok(listener)) = (first, listener.into_std()) else { return };
    let Ok(first) = first.into_std() else { return };
    let serve = move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(e) => return tracing::error!("the agent's socket can't be served: {e}"),
        };
        runtime.block_on(async {
            match (UnixStream::from_std(first), UnixListener::from_std(listener)) {
                (Ok(first), Ok(listener)) => serving.run(first, listener).await,
                (Err(e), _) | (_, Err(e)) => tracing::error!("the agent's socket can't be served: {e}"),
            }
        });
    };
    if let Err(e) = std::thread::Builder::new().name("socket".into()).spawn(serve) {
        tracing::error!("the agent's socket can't be served: {e}");
    }
}

impl Serving {
    async fn run(self, first: UnixStream, listener: UnixListener) {
        let mut config = Arc::new(self.launch.policy.clone());
        let (home, mut policy) = (Home::new(&self.launch.home), PolicyWatch::new(&self.launch.home));
        let store = match (self.open_store)(&self.launch, Duration::ZERO) {
            Ok(store) => Arc::new(store),
            Err(e) => return tracing::error!("the agent's socket can't be served: {e}"),
        };
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut agents: Option<(Scope, Arc<Ops>)> = None;
        let mut next = Some(first);
        loop {
            let stream = match next.take() {
                Some(stream) => stream,
                None => match listener.accept().await {
                    Ok((stream, _)) => stream,
                    // Out of descriptors, mostly. It passes when other connections end.
                    Err(_) => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
            };
            // What its programs may ask for follows the supervisor's configuration, not that of the agent's start. An agent whose
            // role is gone keeps the one that has it.
            if policy.has_changed()
                && let Some(now) = home.policy()
                && now.config.roles.contains_key(&self.launch.role.name)
            {
                config = Arc::new(now.config);
                agents = None;
            }
            let scope = self.scope.borrow().clone();
            let Some(peer) = self.started_here(&stream) else { continue };
            let is_console = *self.console.lock().unwrap_or_else(PoisonError::into_inner) == Some(peer);
            let ops = match (&scope, is_console) {
                (_, true) => self.ops(&config, &store, Caller::person_of(&peer, "the console")),
                (Scope::Nobody, _) => continue,
                (Scope::Agent(attempt), _) => match &agents {
                    Some((known, ops)) if *known == scope => ops.clone(),
                    _ => {
                        let (agent, role) = (self.launch.agent.clone(), self.launch.role.name.clone());
                        let ops = self.ops(&config, &store, Caller::Agent { agent, role, attempt: attempt.clone() });
                        agents = Some((scope.clone(), ops.clone()));
                        ops
                    }
                },
            };
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let mut scopes = self.scope.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = socket::serve(stream, ops) => {}
                    // The attempt is over, and with it all that its programs may ask for.
                    _ = scopes.wait_for(|now| *now != scope) => {}
                }
                drop(place);
            });
        }
    }

    fn ops(&self, config: &Arc<Config>, store: &Arc<Store>, caller: Caller) -> Arc<Ops> {
        Arc::new(Ops::on(config.clone(), caller, store.clone()).with_redactor(self.launch.redactor()).with_announcer({
            let asking = self.asking.clone();
            Announcer::new(move |asked, begins| asking.note(asked, begins))
        }))
    }

    /// The process at the other end, if this runner has started it, directly or through others.
    fn started_here(&self, stream: &UnixStream) -> Option<ProcessId> {
        let credentials = stream.peer_cred().ok()?;
        let pid = u32::try_from(credentials.pid()?).ok()?;
        let process = ProcessId::of(pid)?;
        let is_ours = || os::ancestors(pid).iter().any(|above| above.pid == std::process::id());
        let in_cgroup = || {
            let cgroup = self.cgroup()?;
            cgroup.members().ok().filter(|members| members.contains(&pid))
        };
        if is_ours() || in_cgroup().is_some() {
            return Some(process);
        }
        tracing::warn!(pid, "a process that this agent has not started was refused at its socket");
        None
    }

    /// The runner's own cgroup, with all that it has started.
    fn cgroup(&self) -> Option<os::Cgroup> {
        crate::home::Home::new(&self.launch.home).cgroups_of(&self.launch.incarnation).pop()
    }
}
