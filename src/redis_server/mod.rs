//! The private server: a redis-server (or valkey-server) of our own, in ORCH_HOME, that no other user can reach.
//!
//! One folder has one server, whatever happens. The folder's lock is held by the server process itself, so a
//! later supervisor, after a `kill -9` or started by mistake, either gets the lock, and then no server is alive there, or
//! finds one that answers, and adopts it. Nothing acknowledged is lost when the server is killed: each
//! write is on the disk before it is answered.
//!
//! Not here: keys, scripts, typed calls, and whether a server that ended is started again. The supervisor asks
//! [`Server::is_alive`] and calls [`Server::start_or_adopt`] again.

mod access;
mod deadline;
mod end;
mod history;
mod launch;
mod lock;
mod place;
mod places;
mod probe;
mod process;
mod program;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::{Instant, sleep};

pub use self::{
    access::{Access, COMMANDS, Login, User, UserRules, url_with_password},
    end::end,
    history::History,
    place::Lost,
    places::{agent_socket, socket_path},
    program::{Program, check_version, find_program, loading, write_trouble},
};
use self::{
    deadline::{RETRY_FOR, RetryDeadline},
    lock::FolderLock,
    place::InPlace,
    probe::{Answer, Peer},
    process::ProcessId,
};
use crate::error::{Error, Kind, Result};

/// How long a server may take to end when asked. It syncs its file, which a slow disk may draw out; after that it is
/// killed, and has still lost nothing that it acknowledged.
const END_LIMIT: Duration = Duration::from_secs(10);

/// A server makes its socket before anything else; one that has none after this long has lost it.
const WITHOUT_SOCKET: Duration = Duration::from_secs(1);

/// Where a private server lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSpec {
    /// Its folder, `ORCH_HOME/redis`: append-only file, log, lock.
    pub dir: PathBuf,
    /// Its socket, as [`socket_path`] says.
    pub socket: PathBuf,
    /// The namespace whose keys its users may use.
    pub namespace: String,
    /// With more data than this, in bytes, it accepts no new task; 0: no limit.
    pub max_memory: u64,
}

impl ServerSpec {
    /// The private server of `home` (ORCH_HOME), for `namespace`.
    ///
    /// # Errors
    /// As [`socket_path`].
    pub fn of_home(home: &Path, namespace: &str) -> Result<ServerSpec> {
        let (dir, socket) = (places::server_dir(home), socket_path(home)?);
        Ok(ServerSpec { dir, socket, namespace: namespace.to_owned(), max_memory: 0 })
    }

    /// The same server with a limit for its data.
    #[must_use]
    pub fn with_max_memory(self, max_memory: u64) -> ServerSpec {
        ServerSpec { max_memory, ..self }
    }

    /// The settings that keep what was acknowledged, and keep others out, as `CONFIG GET` returns them.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let dir = self.dir.canonicalize().unwrap_or_else(|_| self.dir.clone());
        vec![
            // Reached by a socket that only we can open, and by nothing else.
            ("port", "0".into()),
            // What was acknowledged is on the disk, also while the file is being rewritten.
            ("appendonly", "yes".into()),
            ("appendfsync", "always".into()),
            ("no-appendfsync-on-rewrite", "no".into()),
            // Snapshots would be a second, older truth.
            ("save", String::new()),
            // A full memory refuses new tasks; it never drops old ones. Ends and reports are still accepted.
            ("maxmemory", self.max_memory.to_string()),
            ("maxmemory-policy", "noeviction".into()),
            ("dir", dir.display().to_string()),
        ]
    }
}

/// The process of the private server of `home` (ORCH_HOME), serving or not; `None` where none lives.
pub fn running(home: &Path) -> Option<crate::os::ProcessId> {
    let dir = places::server_dir(home);
    // Only read: the lock file is created by the process that starts a server.
    let holder = dir.join("server.lock").is_file().then(|| FolderLock::open(&dir).ok()?.holder())?;
    process::living(holder?)
}

/// How we came to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// We started it.
    Started,
    /// It ran already, started by a supervisor before us or beside us.
    Adopted,
}

/// A private server that was seen to serve. Dropping this leaves it running.
#[derive(Debug)]
pub struct Server {
    /// Its process.
    pub pid: u32,
    /// What it says its version is, such as `7.0.15`.
    pub version: String,
    process: ProcessId,
    spec: ServerSpec,
    access: Access,
    place: InPlace,
}

impl Server {
    /// Returns the folder's server: the one that runs there, else a new one. It serves when this returns.
    ///
    /// Safe to call at any time, from several processes concurrently: there will be one server. Waits for one that
    /// loads its append-only file as long as the load makes progress.
    ///
    /// # Errors
    /// Configuration: no program, a folder that is not ours or can't be written to, a full disk, a damaged append-only
    /// file. Conflict: a server that orch did not start has the socket. NotRunning: the folder's server is stopped or
    /// hung; names its pid.
    pub async fn start_or_adopt(spec: &ServerSpec) -> Result<(Server, Origin)> {
        Server::start_or_adopt_within(spec, RETRY_FOR).await
    }

    async fn start_or_adopt_within(spec: &ServerSpec, limit: Duration) -> Result<(Server, Origin)> {
        places::prepare_dir(&spec.dir)?;
        let (mut retry_for, began) = (RetryDeadline::new(limit), Instant::now());
        loop {
            let lock = FolderLock::open(&spec.dir)?;
            if lock.try_lock()? {
                // Under the lock: only the process that starts a server decides its passwords.
                let access = Access::read_or_create(&spec.dir)?;
                match launch::launch(spec, &access, lock, limit).await {
                    Ok((process, version)) => {
                        return Ok((Server::new(process, version, spec, access), Origin::Started));
                    }
                    // Killed in its first moments.
                    Err(e) if e.kind == Kind::NotRunning && !retry_for.is_over() => {
                        tracing::warn!("{e}");
                        retry_for.pause().await;
                        continue;
                    }
                    Err(e) => return Err(e),
                }
            }
            let access = Access::read_or_create(&spec.dir)?;
            let peer = Peer::connect(&spec.socket).await;
            if let Some(server) = Server::adopt(spec, access, &lock, peer, &mut retry_for).await? {
                return Ok((server, Origin::Adopted));
            }
            if let Some(process) = lock.holder().filter(|_| began.elapsed() > WITHOUT_SOCKET).and_then(process::living)
                && !spec.socket.exists()
                && process::works_in(&process, &spec.dir)
            {
                // Its socket was removed while no supervisor ran. It ends in order, and what it holds is on the disk.
                tracing::warn!(%process, "redis-server has lost its socket: it is started again");
                let _ = process.signal(nix::sys::signal::Signal::SIGTERM);
            }
            if retry_for.is_over() {
                let holder = lock.holder().filter(|pid| process::living(*pid).is_some());
                return Err(if holder.is_some() {
                    silent(spec, holder, limit)
                } else {
                    lock.held_without_server(limit)
                });
            }
            retry_for.pause().await;
        }
    }

    /// The server behind `peer`, if it serves and is the one that holds the lock; `None` if that may be so later.
    async fn adopt(
        spec: &ServerSpec,
        access: Access,
        lock: &FolderLock,
        peer: Option<Peer>,
        retry_for: &mut RetryDeadline,
    ) -> Result<Option<Server>> {
        let Some(mut peer) = peer else {
            return Ok(None);
        };
        let Some(process) = process::living(peer.pid) else {
            return Ok(None);
        };
        match peer.ask(&access.login(User::Supervisor)).await {
            Answer::Ready(info) => {
                // Both as the server itself sees it, which in a container is another number than ours.
                let own_pid = program::field(&info, "process_id").and_then(|pid| pid.parse().ok());
                // Read after the answer: a server has written its pid before it can answer.
                if own_pid.is_some() && own_pid == lock.holder() {
                    return Ok(Some(Server::new(process, check_version(&info)?, spec, access)));
                }
            }
            Answer::Loading { loaded, total } => {
                retry_for.loading(loaded, total);
                return Ok(None);
            }
            Answer::Denied if lock.holder() == Some(peer.pid) => {
                // The file of the passwords was removed while it ran. It ends and is started again with new ones; it has
                // lost nothing that it acknowledged.
                tracing::warn!(pid = peer.pid, "redis-server does not accept our password: it is started again");
                process::kill(&process);
                return Ok(None);
            }
            Answer::Denied | Answer::Refused(_) => {}
            Answer::Nothing => return Ok(None),
        }
        // It answers, and is not the holder: it has been replaced just now, or it does not belong here.
        if !process.is_alive() {
            return Ok(None);
        }
        Err(Error::conflict(format!(
            "process {} answers on {}, but orch's own server there is another one",
            process.pid,
            spec.socket.display()
        ))
        .hint(format!("see what it is with 'ps -fp {}', end it, then start again", process.pid)))
    }

    fn new(process: ProcessId, version: String, spec: &ServerSpec, access: Access) -> Server {
        Server { pid: process.pid, version, process, spec: spec.clone(), access, place: InPlace::of(spec) }
    }

    /// What of it was removed while it ran.
    pub fn lost(&self) -> Option<Lost> {
        self.place.lost(&self.spec)
    }

    /// Makes the folder of its data again, with its passwords, for a server whose folder was removed. The data itself is
    /// written by the server: [`crate::store::Store::save_into`].
    ///
    /// # Errors
    /// Configuration: the folder cannot be made or written.
    pub fn make_folder_again(&self) -> Result<()> {
        // Not the folders above it: if those are gone, the data is not wanted any more.
        places::make_dir(&self.spec.dir)?;
        places::prepare_dir(&self.spec.dir)?;
        self.access.write_into(&self.spec.dir)
    }

    /// The passwords of its users.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// What [`Peer`] asks with.
    fn login(&self) -> Login {
        self.access.login(User::Supervisor)
    }

    /// The socket to connect to.
    pub fn socket(&self) -> &Path {
        &self.spec.socket
    }

    /// Whether its process is there. It may still be hung: see [`Server::ping`].
    pub fn is_alive(&self) -> bool {
        self.process.is_alive()
    }

    /// Asks for an answer, and waits a second for it.
    ///
    /// # Errors
    /// NotRunning: it is gone, or does not answer, or its socket was removed; says which. For the last two, [`shutdown`]
    /// and a new start mend it.
    ///
    /// [`shutdown`]: Server::shutdown
    pub async fn ping(&self) -> Result<()> {
        let Some(mut peer) = Peer::connect(&self.spec.socket).await.filter(|peer| peer.pid == self.pid) else {
            if !self.is_alive() {
                return Err(silent(&self.spec, None, Duration::ZERO));
            }
            let (pid, socket) = (self.pid, self.spec.socket.display());
            return Err(Error::not_running(format!("redis-server (pid {pid}) runs, but its socket {socket} is gone"))
                .hint(format!("kill -9 {pid}, then orch start; nothing that was accepted is lost")));
        };
        match peer.ask(&self.login()).await {
            Answer::Ready(_) => Ok(()),
            Answer::Loading { .. } => Err(Error::not_running("redis-server still loads its append-only file")),
            Answer::Denied => Err(Error::not_running("redis-server does not accept our password")),
            Answer::Refused(what) => Err(Error::not_running(format!("redis-server answers: {what}"))),
            Answer::Nothing => Err(silent(&self.spec, Some(self.pid), probe::ANSWER_LIMIT)),
        }
    }

    /// Ends it and returns when it is gone, with its socket. Its data stays. One that does not end when asked is killed.
    ///
    /// # Errors
    /// Failed: the kernel does not let it end (a disk that hangs); names its pid.
    pub async fn shutdown(self) -> Result<()> {
        self.shutdown_within(END_LIMIT).await
    }

    async fn shutdown_within(self, limit: Duration) -> Result<()> {
        let mut peer = Peer::connect(&self.spec.socket).await.filter(|peer| peer.pid == self.pid);
        let answer = match &mut peer {
            Some(peer) => peer.ask(&self.login()).await,
            None => Answer::Nothing,
        };
        match (peer, answer) {
            // It hangs, or its socket was removed or leads elsewhere: it can't be asked.
            (None, _) | (_, Answer::Nothing | Answer::Denied) => process::kill(&self.process),
            (Some(mut peer), _) => peer.shut_down().await,
        }
        if !becomes_true(limit, || !self.is_alive()).await {
            tracing::warn!(pid = self.pid, "redis-server did not end when asked: killing it");
            process::kill(&self.process);
            if !becomes_true(limit, || !self.is_alive()).await {
                return Err(Error::failed(format!(
                    "redis-server (pid {}) does not end, not even by SIGKILL",
                    self.pid
                ))
                .hint(format!("the disk that holds {} seems to hang", self.spec.dir.display())));
            }
        }
        // What is left of it is removed under the lock: another supervisor may have started a server meanwhile, whose
        // socket this would be. (A child that was rewriting the append-only file may hold it a moment longer.)
        let lock = FolderLock::open(&self.spec.dir)?;
        let deadline = Instant::now() + Duration::from_secs(2);
        while !lock.try_lock()? {
            if Instant::now() >= deadline {
                return Ok(());
            }
            sleep(Duration::from_millis(2)).await;
        }
        places::remove_socket(&self.spec.dir, &self.spec.socket)
    }
}

/// Waits until `condition` holds, for `limit` at most; says whether it does.
async fn becomes_true(limit: Duration, condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(Duration::from_millis(2)).await;
    }
    true
}

/// The error for a server that should answer and does not.
fn silent(spec: &ServerSpec, pid: Option<u32>, waited: Duration) -> Error {
    let dir = spec.dir.display();
    let Some(process) = pid.and_then(process::living) else {
        return Error::not_running(format!("redis-server in {dir} is not running")).hint("orch start");
    };
    let pid = process.pid;
    if process::is_stopped(&process) {
        return Error::not_running(format!("redis-server (pid {pid}) in {dir} was stopped, and does not answer"))
            .hint(format!("kill -CONT {pid}"));
    }
    Error::not_running(format!("redis-server (pid {pid}) in {dir} does not answer (waited {waited:?})"))
        .hint(format!("if it stays so: kill -9 {pid}, then orch start; nothing that was accepted is lost"))
}
