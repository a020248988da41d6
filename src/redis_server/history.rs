//! Reads the records of a stopped private server, with a server on a copy of its append-only file.
//!
//! The copy is in a folder of its own that only this user can open, and so is the server's socket: no other user finds
//! it, and the files of the private server are only read. The server ends when the process that opened it ends, for
//! whatever reason ([`History::hide`] removes the folder while the server still serves).

use std::{
    env, fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use nix::{sys::signal::Signal, unistd::geteuid};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    process::{Child, Command},
    time::{sleep, timeout},
};
use uuid::Uuid;

use super::{
    launch::ENVIRONMENT,
    places::{cannot, server_dir},
    program::find_program,
};
use crate::{
    error::{Error, Result},
    os,
};

/// What such a folder's name begins with; the pid of the process that has made it follows.
const NAME: &str = "orch-history-";
/// How long the copy may take to be loaded: some gigabytes on a slow disk.
const LOADS: Duration = Duration::from_secs(60);

/// A server on a copy of the records.
#[derive(Debug)]
pub struct History {
    /// Ends it when it is dropped.
    _server: Child,
    folder: Folder,
}

/// A folder that is removed when it is dropped.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl History {
    /// Copies the records of the private server of `home` (ORCH_HOME), which must not be running, and starts a server on the
    /// copy. `None` where nothing is recorded.
    ///
    /// # Errors
    /// What keeps the copy from being made or served.
    pub async fn open(home: &Path) -> Result<Option<History>> {
        let dir = server_dir(home);
        let names = ["appendonlydir", "appendonly.aof"];
        let Some(records) = names.iter().map(|name| dir.join(name)).find(|path| path.exists()) else { return Ok(None) };
        remove_abandoned();
        let path = env::temp_dir().join(format!("{NAME}{}-{}", std::process::id(), Uuid::new_v4().simple()));
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(|e| cannot("create", &path, &e))?;
        let folder = Folder(path);
        copy(&records, &folder.0.join(records.file_name().unwrap_or_default()))
            .map_err(|e| cannot("copy", &records, &e))?;
        let mut server = start(&folder.0)?;
        let began = Instant::now();
        while !answers(&folder.0.join("sock")).await {
            if let Ok(Some(status)) = server.try_wait() {
                let said = fs::read_to_string(folder.0.join("log")).unwrap_or_default();
                let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
                return Err(Error::not_running(format!(
                    "the records in {} can't be read: {last} ({status})",
                    dir.display()
                ))
                .hint("orch start, or: orch doctor"));
            }
            if began.elapsed() > LOADS {
                return Err(Error::timed_out(format!("the records in {} take too long to load", dir.display()))
                    .hint("start orch with: orch start --paused"));
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(Some(History { _server: server, folder }))
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.0.join("sock")
    }

    /// Removes the folder; existing connections continue. Nothing is left behind then, whatever ends this process.
    pub fn hide(&self) {
        let _ = fs::remove_dir_all(&self.folder.0);
    }
}

fn start(folder: &Path) -> Result<Child> {
    let program = find_program()?;
    let log = fs::File::create(folder.join("log")).map_err(|e| cannot("create", folder, &e))?;
    let settings = [
        ["--port", "0"],
        ["--unixsocket", "sock"],
        ["--unixsocketperm", "700"],
        ["--appendonly", "yes"],
        ["--appendfsync", "no"],
        ["--aof-load-truncated", "yes"],
        ["--auto-aof-rewrite-percentage", "0"],
        ["--save", ""],
        ["--daemonize", "no"],
        ["--loglevel", "warning"],
    ];
    let mut command = Command::new(&program.path);
    command
        .arg0(program.argv0)
        .args(settings.as_flattened())
        .current_dir(folder)
        .env_clear()
        .envs(ENVIRONMENT.iter().filter_map(|name| Some((name, env::var_os(name)?))))
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(|e| cannot("open", folder, &e))?)
        .stderr(log)
        .kill_on_drop(true);
    os::end_with_parent(command.as_std_mut(), Signal::SIGKILL);
    command
        .spawn()
        .map_err(|e| Error::config(format!("cannot run {}: {e}", program.path.display())).hint("orch doctor"))
}

/// Whether a server has loaded everything and answers.
async fn answers(socket: &Path) -> bool {
    let ask = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(b"PING\r\n").await?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await?;
        io::Result::Ok(&answer == b"+PONG")
    };
    timeout(Duration::from_secs(1), ask).await.is_ok_and(|answered| answered.unwrap_or(false))
}

/// Copies a file, or the files of a folder. Nothing else is followed.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let kind = fs::symlink_metadata(from)?;
    if kind.is_dir() {
        fs::DirBuilder::new().mode(0o700).create(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), to.join(entry.file_name()))?;
            }
        }
        return Ok(());
    }
    if !kind.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    fs::copy(from, to).map(drop)
}

/// Removes what a process that was killed while its copy was loaded has left.
fn remove_abandoned() {
    for entry in fs::read_dir(env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(NAME)?.split('-').next()?.parse::<u32>().ok());
        let is_ours = || entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw());
        if pid.is_some_and(|pid| os::ProcessId::of(pid).is_none()) && is_ours() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
