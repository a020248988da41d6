//! The multiplexer that uses tmux: which commands it sends, and how it interprets the answers.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use futures_util::future::BoxFuture;
use tokio::sync::{OnceCell, watch};

use super::{
    Mux, MuxError, Opened, Result, Screen, SessionInfo, SessionSpec, Tags, Version,
    commands::{self, Batch},
    lost_socket,
    pane_watch::PaneWatch,
    preflight,
    process::{Answer, Program},
    quote, status_line, types, typing,
};
use crate::os::ProcessId;

/// How many times a server may exit during an `open` that starts one.
const STARTS: usize = 3;

/// How to connect to tmux. The default is the user's own server.
#[derive(Debug, Clone)]
pub struct TmuxOptions {
    /// A name on PATH, or a path.
    pub program: PathBuf,
    /// A separate server: a name (`tmux -L`), or the absolute path of its socket (`tmux -S`).
    pub socket: Option<String>,
    /// The configuration file of a server that we start, instead of the user's tmux.conf.
    pub config: Option<PathBuf>,
    /// How long a call may take before the server counts as unreachable.
    pub limit: Duration,
}

impl Default for TmuxOptions {
    fn default() -> Self {
        TmuxOptions { program: "tmux".into(), socket: None, config: None, limit: Duration::from_secs(5) }
    }
}

/// The tmux multiplexer.
#[derive(Debug)]
pub struct TmuxMux {
    program: Program,
    socket: PathBuf,
    version: OnceCell<Version>,
    watch: PaneWatch,
    /// The process of the server whose options were checked last.
    checked: Mutex<Option<u32>>,
}

impl TmuxMux {
    /// Creates it without connecting: the first call connects.
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
            version: OnceCell::new(),
            watch: PaneWatch::new(),
            checked: Mutex::new(None),
        }
    }

    /// Returns the path of the server's socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns those of these processes whose panes are in another server than the one that listens at the socket; none where
    /// that is not clear. It asks no server: the kernel knows which one listens.
    pub async fn displaced(&self, mut panes: Vec<ProcessId>) -> Vec<ProcessId> {
        let Some(holder) = lost_socket::holder(&self.socket).await else { return Vec::new() };
        panes.retain(|pane| lost_socket::server_of(pane).is_some_and(|server| server.pid != holder));
        panes
    }

    async fn run(&self, batch: &Batch) -> Result<String> {
        self.program.run(batch).await?.text()
    }

    /// Checks that sessions can live in this server: its version, the place of its socket, and the options that would end
    /// them. Where no server runs, its configuration is read.
    ///
    /// # Errors
    /// [`MuxError::Unfit`] names what is in the way and what to change; others as for every call.
    pub async fn check(&self) -> Result<Version> {
        let version = self.version().await?;
        preflight::check_place(&self.socket)?;
        // An answer that is no answer decides nothing: opening a session will say what is wrong.
        if let Ok(answer) = self.run(&preflight::ask()).await {
            preflight::check(&answer, &version)?;
        }
        Ok(version)
    }

    /// Returns the pid of the server.
    ///
    /// # Errors
    /// [`MuxError::Gone`]: none runs; others as for every call.
    pub async fn server_pid(&self) -> Result<u32> {
        let ask = Batch::new(vec![["display-message", "-p", "#{pid}"].map(OsString::from).to_vec()]);
        let text = self.run(&ask).await?;
        text.trim().parse().map_err(|_| MuxError::Refused(format!("it says {text:?} is its pid")))
    }

    /// Opens a session and closes it again.
    ///
    /// # Errors
    /// What tmux says about it.
    pub async fn try_session(&self, cwd: &Path) -> Result<()> {
        let name = format!("orch-doctor-{}", std::process::id());
        let tags = Tags { namespace: "doctor".into(), agent: name.clone(), incarnation: name.clone() };
        let argv = ["sleep", "10"].map(OsString::from).to_vec();
        let spec = SessionSpec { name: name.clone(), cwd: cwd.to_owned(), argv, size: (80, 24), env: Vec::new(), tags };
        self.open(&spec).await?;
        match self.close(&name, &spec.tags).await? {
            true => Ok(()),
            false => Err(MuxError::Refused("a session that it had opened was gone at once".to_owned())),
        }
    }

    /// Opens a session without our tags, as a user would: for drills, which check that such a session stays untouched.
    ///
    /// # Errors
    /// Fails when tmux does.
    pub async fn open_untagged(&self, name: &str, argv: &[OsString]) -> Result<()> {
        types::check_name(name)?;
        self.run(&commands::open_untagged(name, argv)).await.map(drop)
    }

    /// Shows a text in the status line of the session `name` instead of the user's own line, or (`None`) the user's own line
    /// again, if its tags are exactly `tags`; otherwise touches nothing. Returns whether it is that session.
    ///
    /// # Errors
    /// Fails when tmux does.
    pub async fn set_status_line(&self, name: &str, tags: &Tags, text: Option<&str>) -> Result<bool> {
        types::check_name(name)?;
        tags.check()?;
        let commands = status_line::commands(name, text);
        match self.program.feed(&status_line::batch(name, tags), commands.as_bytes()).await.and_then(Answer::text) {
            Ok(text) => Ok(commands::was_ours(&text)),
            Err(MuxError::Gone) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn list(&self) -> Result<Vec<SessionInfo>> {
        let mut sessions = match self.run(&commands::list()).await {
            Ok(text) => commands::listed(&text)?,
            Err(MuxError::Gone) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        for session in sessions.iter_mut().filter(|session| session.tags.is_some()) {
            // tmux notices later than we do, and a caller that was woken by the end of a process must not find it
            // alive.
            match session.pane_pid.and_then(ProcessId::of).filter(ProcessId::is_alive) {
                Some(process) => self.watch.add(process),
                None => session.pane_pid = None,
            }
        }
        Ok(sessions)
    }

    /// Checks the server in which a session is to be opened, unless it is the one that was checked last: its configuration may
    /// have changed since the last server ran.
    async fn check_new_server(&self) -> Result<()> {
        let is_checked = |server: Option<u32>| {
            server.is_some() && *self.checked.lock().unwrap_or_else(PoisonError::into_inner) == server
        };
        if is_checked(lost_socket::holder(&self.socket).await) {
            return Ok(());
        }
        self.check().await?;
        let server = lost_socket::holder(&self.socket).await;
        *self.checked.lock().unwrap_or_else(PoisonError::into_inner) = server;
        Ok(())
    }

    async fn start(&self, spec: &SessionSpec) -> Result<Opened> {
        let batch = commands::open(spec);
        let mut answer = self.program.run(&batch).await?;
        for _ in 1..STARTS {
            // A server that has lost its last session still accepts connections while it exits.
            if answer.error != Some(MuxError::Gone) || !answer.text.is_empty() {
                break;
            }
            answer = self.program.run(&batch).await?;
        }
        let opened = self.opened(answer).await?;
        if let Some(process) = ProcessId::of(opened.pane_pid) {
            self.watch.add(process);
        }
        Ok(opened)
    }

    /// A session that was created but not completely tagged is ended immediately: it could not be recognized as ours.
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

    /// Runs a command that does not affect a session with other tags. Returns whether the session was ours.
    async fn guarded(&self, name: &str, tags: &Tags, batch: impl Fn(&str, &Tags) -> Batch) -> Result<bool> {
        types::check_name(name)?;
        tags.check()?;
        match self.run(&batch(name, tags)).await {
            Ok(text) => Ok(commands::was_ours(&text)),
            Err(MuxError::Gone) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn look(&self, pane: &str) -> Result<Screen> {
        typing::check_pane(pane)?;
        typing::looked(&self.run(&typing::look(pane)).await?, SystemTime::now())
    }

    /// Types into the pane, if it is the own pane of a session with these tags. Returns whether it was.
    async fn type_into(&self, pane: &str, tags: &Tags, text: &str, bracketed: bool) -> Result<bool> {
        typing::check_pane(pane)?;
        tags.check()?;
        let buffer = typing::new_buffer();
        let answer = self.program.feed(&typing::paste(pane, tags, &buffer, bracketed), text.as_bytes()).await;
        match answer.and_then(Answer::text) {
            Ok(text) => Ok(commands::was_ours(&text)),
            Err(MuxError::Gone) => Ok(false),
            Err(error) => {
                // The server may have exited in between.
                let _ = self.run(&typing::forget(&buffer)).await;
                Err(error)
            }
        }
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
            self.check_new_server().await?;
            self.start(spec).await
        })
    }

    fn sessions(&self) -> BoxFuture<'_, Result<Vec<SessionInfo>>> {
        Box::pin(self.list())
    }

    fn close<'a>(&'a self, name: &'a str, tags: &'a Tags) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.guarded(name, tags, commands::close))
    }

    fn screen<'a>(&'a self, pane: &'a str) -> BoxFuture<'a, Result<Screen>> {
        Box::pin(self.look(pane))
    }

    fn paste<'a>(&'a self, pane: &'a str, tags: &'a Tags, text: &'a str) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            typing::check_line(text)?;
            self.type_into(pane, tags, text, true).await
        })
    }

    fn press_enter<'a>(&'a self, pane: &'a str, tags: &'a Tags) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.type_into(pane, tags, typing::ENTER, false))
    }

    fn detach_clients<'a>(&'a self, name: &'a str, tags: &'a Tags) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.guarded(name, tags, commands::detach_clients))
    }

    fn attach_command(&self, name: &str, tmux_env: Option<&OsStr>) -> Command {
        let inside = tmux_env.is_some_and(|env| same_socket(&self.socket, env));
        let mut command = Command::new(&self.program.program);
        // Without a UTF-8 locale, tmux would show underscores for wide characters.
        command.arg("-u").args(&self.program.server);
        if inside {
            command.arg("switch-client");
        } else {
            // Inside another server, tmux would refuse to nest sessions.
            command.arg("attach-session").env_remove("TMUX");
        }
        command.arg("-t").arg(quote::process_word(format!("={name}").as_ref()));
        if inside {
            // What is printed here is no longer seen.
            command.args([";", "display-message", "-d", BACK_SHOWN, "orch: #{prefix} L returns to the session before"]);
        }
        command
    }

    fn restore_socket(&self, panes: &mut dyn Iterator<Item = ProcessId>) -> bool {
        if !lost_socket::is_lost(&self.socket) {
            return false;
        }
        let is_asked = |pane: ProcessId| match lost_socket::restore(&self.socket, &pane) {
            Ok(is_asked) => is_asked,
            Err(e) => {
                tracing::warn!("tmux: {} cannot be made again: {e}", self.socket.display());
                false
            }
        };
        let mut panes = panes;
        Iterator::any(&mut panes, is_asked)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.watch.changes()
    }
}

/// How long the way back is shown, in milliseconds.
const BACK_SHOWN: &str = "6000";

/// Returns the path of the server's socket, by tmux's own rules.
fn socket_path(socket: Option<&str>) -> PathBuf {
    if let Some(path) = socket.map(Path::new).filter(|path| path.is_absolute()) {
        return path.to_owned();
    }
    let folder = std::env::var_os("TMUX_TMPDIR").filter(|folder| !folder.is_empty()).unwrap_or_else(|| "/tmp".into());
    Path::new(&folder).join(format!("tmux-{}", nix::unistd::getuid())).join(socket.unwrap_or("default"))
}

/// Returns whether `TMUX` (socket, server's pid, session, separated by commas) refers to this server.
fn same_socket(socket: &Path, tmux_env: &OsStr) -> bool {
    let env = tmux_env.to_string_lossy();
    let theirs = Path::new(env.rsplitn(3, ',').last().unwrap_or_default()).to_owned();
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    real(socket) == real(&theirs)
}
