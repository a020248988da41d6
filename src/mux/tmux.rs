//! The real multiplexer: which way a call goes, and what its answer means.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, OnceCell, watch};

use super::{
    Mux, MuxError, Opened, Result, SessionInfo, SessionSpec, Tags, Version,
    commands::{self, Batch},
    control::{Connection, Keeper},
    process::{Answer, Program},
    quote, types,
};

/// How long we do without a control connection that tmux refused, before we ask again.
const REFUSED: Duration = Duration::from_secs(30);
/// A connection that is lost sooner than this is not made again at once: each loss is told as a change, which is an
/// invitation to look, and so to connect.
const SHORT_LIVED: Duration = Duration::from_secs(1);
/// How often a server may go away under an `open` that is to start one.
const STARTS: usize = 3;

/// How to reach tmux. The default is the user's own server, and no keeper.
#[derive(Debug, Clone)]
pub struct TmuxOptions {
    /// A name on PATH, or a path.
    pub program: PathBuf,
    /// A server of its own: a name (`tmux -L`), or the absolute path of its socket (`tmux -S`).
    pub socket: Option<String>,
    /// Read instead of the user's tmux.conf by a server that we start.
    pub config: Option<PathBuf>,
    /// The namespace for which to hold a keeper and its control connection. For the supervisor; a command that asks once
    /// is better off without.
    pub keeper: Option<String>,
    /// How long a call may take before the server counts as unreachable.
    pub limit: Duration,
}

impl Default for TmuxOptions {
    fn default() -> Self {
        TmuxOptions { program: "tmux".into(), socket: None, config: None, keeper: None, limit: Duration::from_secs(5) }
    }
}

/// tmux itself.
#[derive(Debug)]
pub struct TmuxMux {
    program: Program,
    socket: PathBuf,
    namespace: Option<String>,
    link: Mutex<Link>,
    changes: watch::Sender<u64>,
    version: OnceCell<Version>,
}

/// The control connection, as far as we have one.
#[derive(Debug, Default)]
struct Link {
    keeper: Option<Keeper>,
    connection: Option<Arc<Connection>>,
    /// No other one is made before.
    not_before: Option<Instant>,
    shut_down: bool,
}

/// How far a batch got over the control connection.
enum Sent {
    Answered(Answer),
    /// There is no connection, or it can't carry these words.
    Not,
    /// The connection went away: it is not known whether the commands were run.
    Lost,
}

impl TmuxMux {
    /// Reaches for nothing yet: the first call does.
    pub fn new(options: TmuxOptions) -> Self {
        let mut server: Vec<OsString> = Vec::new();
        if let Some(socket) = &options.socket {
            let flag = if Path::new(socket).is_absolute() { "-S" } else { "-L" };
            server.extend([flag.into(), socket.into()]);
        }
        if let Some(config) = &options.config {
            server.extend(["-f".into(), config.into()]);
        }
        TmuxMux {
            program: Program { program: options.program, server, limit: options.limit },
            socket: socket_path(options.socket.as_deref()),
            namespace: options.keeper,
            link: Mutex::default(),
            changes: watch::Sender::new(0),
            version: OnceCell::new(),
        }
    }

    /// The control connection: the one we have, or a new one. `None` where there is to be none.
    async fn connection(&self) -> Result<Option<Arc<Connection>>> {
        let Some(namespace) = &self.namespace else { return Ok(None) };
        let mut link = self.link.lock().await;
        link.connection.take_if(|connection| connection.is_lost());
        if let Some(connection) = &link.connection {
            return Ok(Some(connection.clone()));
        }
        if link.shut_down || link.not_before.is_some_and(|time| Instant::now() < time) {
            return Ok(None);
        }
        match self.connect(&mut link.keeper, namespace).await {
            Ok(connection) => {
                link.not_before = Some(Instant::now() + SHORT_LIVED);
                let connection = Arc::new(connection);
                link.connection = Some(connection.clone());
                Ok(Some(connection))
            }
            // It works without, only slower.
            Err(MuxError::Refused(why)) => {
                tracing::warn!(why, "tmux gives no control connection: one process for each call instead");
                link.not_before = Some(Instant::now() + REFUSED);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The keeper is the same for every connection: one that is left behind is taken over.
    async fn connect(&self, keeper: &mut Option<Keeper>, namespace: &str) -> Result<Connection> {
        let keeper = match keeper {
            Some(keeper) => keeper,
            None => keeper.insert(Keeper::new(namespace).map_err(|error| MuxError::Refused(error.to_string()))?),
        };
        Connection::open(&self.program, keeper, self.changes.clone()).await
    }

    async fn send(&self, batch: &Batch) -> Result<Sent> {
        let (Some(connection), Some(line)) = (self.connection().await?, batch.line()) else { return Ok(Sent::Not) };
        match tokio::time::timeout(self.program.limit, connection.call(line, batch.replies())).await {
            Ok(Some(answer)) => Ok(Sent::Answered(answer)),
            Ok(None) => Ok(Sent::Lost),
            Err(_) => {
                // Who is this late can't be trusted to come back in order.
                let mut link = self.link.lock().await;
                link.connection.take_if(|current| Arc::ptr_eq(current, &connection));
                Err(self.program.silent())
            }
        }
    }

    /// Runs commands that may be run twice.
    async fn run(&self, batch: &Batch) -> Result<String> {
        match self.send(batch).await? {
            Sent::Answered(answer) => answer.text(),
            Sent::Not | Sent::Lost => self.program.run(batch).await?.text(),
        }
    }

    async fn list(&self) -> Result<Vec<SessionInfo>> {
        match self.run(&commands::list()).await {
            Ok(text) => commands::listed(&text),
            Err(MuxError::Gone) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Opens a session where the server may be gone, may go meanwhile, or may have opened it unheard.
    async fn start(&self, spec: &SessionSpec) -> Result<Opened> {
        let batch = commands::open(spec);
        match self.send(&batch).await {
            Ok(Sent::Answered(answer)) => return self.opened(answer).await,
            Ok(Sent::Lost) => {
                let ours =
                    |session: &SessionInfo| session.name == spec.name && session.tags.as_ref() == Some(&spec.tags);
                if let Some(SessionInfo { pane_id, pane_pid: Some(pane_pid), .. }) =
                    self.list().await?.into_iter().find(ours)
                {
                    return Ok(Opened { pane_pid, pane_id });
                }
            }
            Ok(Sent::Not) | Err(MuxError::Gone) => {}
            Err(error) => return Err(error),
        }
        let mut answer = self.program.run(&batch).await?;
        for _ in 1..STARTS {
            // A server that has lost its last session still takes connections while it ends.
            if answer.error != Some(MuxError::Gone) || !answer.text.is_empty() {
                break;
            }
            answer = self.program.run(&batch).await?;
        }
        let opened = self.opened(answer).await?;
        // Now there is a server to listen to. If it can't be had, the next call tells.
        let _ = self.connection().await;
        Ok(opened)
    }

    /// A session that was made but not wholly tagged is ended at once: nobody would know it for ours.
    async fn opened(&self, answer: Answer) -> Result<Opened> {
        match (commands::opened(&answer.text), answer.error) {
            (Some((_, opened)), None) => Ok(opened),
            (made, error) => {
                if let Some((session_id, _)) = made {
                    let _ = self.program.run(&commands::kill(&session_id)).await;
                }
                Err(error.unwrap_or_else(|| MuxError::Refused(format!("it opened {:?}", answer.text))))
            }
        }
    }

    /// Runs a command that does nothing to a session with other tags. Whether it was ours.
    async fn guarded(&self, name: &str, tags: &Tags, batch: impl Fn(&str, &Tags) -> Batch) -> Result<bool> {
        types::check_name(name)?;
        tags.check()?;
        match self.run(&batch(name, tags)).await {
            Ok(text) => Ok(text.trim_end() != commands::OTHER),
            Err(MuxError::Gone) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn last_lines(&self, name: &str, lines: usize) -> Result<String> {
        types::check_name(name)?;
        // Never over the control connection: what an agent printed could pass for tmux's own lines there.
        let text = self.program.run(&commands::capture(name, lines)).await?.text()?;
        let text: Vec<&str> = text.trim_end().lines().collect();
        Ok(text[text.len().saturating_sub(lines)..].join("\n"))
    }
}

impl Mux for TmuxMux {
    fn version(&self) -> BoxFuture<'_, Result<Version>> {
        let read = async || Version::parse(&self.program.version().await?).check();
        Box::pin(async move { self.version.get_or_try_init(read).await.cloned() })
    }

    fn open<'a>(&'a self, spec: &'a SessionSpec) -> BoxFuture<'a, Result<Opened>> {
        Box::pin(async move {
            spec.check()?;
            self.version().await?;
            self.start(spec).await
        })
    }

    fn sessions(&self) -> BoxFuture<'_, Result<Vec<SessionInfo>>> {
        Box::pin(self.list())
    }

    fn close<'a>(&'a self, name: &'a str, tags: &'a Tags) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.guarded(name, tags, commands::close))
    }

    fn capture<'a>(&'a self, name: &'a str, lines: usize) -> BoxFuture<'a, Result<String>> {
        Box::pin(self.last_lines(name, lines))
    }

    fn detach_clients<'a>(&'a self, name: &'a str, tags: &'a Tags) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.guarded(name, tags, commands::detach_clients))
    }

    fn attach_command(&self, name: &str, tmux_env: Option<&OsStr>) -> Command {
        let inside = tmux_env.is_some_and(|env| same_socket(&self.socket, env));
        let mut command = Command::new(&self.program.program);
        command.args(&self.program.server);
        if inside {
            command.arg("switch-client");
        } else {
            // Inside another server, tmux would refuse to nest.
            command.arg("attach-session").env_remove("TMUX");
        }
        command.arg("-t").arg(quote::process_word(format!("={name}").as_ref()));
        command
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let link = std::mem::replace(&mut *self.link.lock().await, Link { shut_down: true, ..Link::default() });
            if let Some(connection) = &link.connection {
                // Past the limit its client is killed with the connection, and the keeper goes with its pipe.
                let _ = tokio::time::timeout(self.program.limit, connection.close()).await;
            }
        })
    }
}

/// Where the server's socket is, by tmux's own rules.
fn socket_path(socket: Option<&str>) -> PathBuf {
    if let Some(path) = socket.map(Path::new).filter(|path| path.is_absolute()) {
        return path.to_owned();
    }
    let folder = std::env::var_os("TMUX_TMPDIR").filter(|folder| !folder.is_empty()).unwrap_or_else(|| "/tmp".into());
    Path::new(&folder).join(format!("tmux-{}", nix::unistd::getuid())).join(socket.unwrap_or("default"))
}

/// Whether `TMUX` (socket, server's pid, session, with commas) names this server.
fn same_socket(socket: &Path, tmux_env: &OsStr) -> bool {
    let env = tmux_env.to_string_lossy();
    let theirs = Path::new(env.rsplitn(3, ',').last().unwrap_or_default()).to_owned();
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    real(socket) == real(&theirs)
}
