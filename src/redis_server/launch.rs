//! Starts a server in a folder whose lock we hold, and waits until it serves; or reports why it does not.

use std::{
    env,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::{fs::OpenOptionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::process::{Child, Command};

use super::{
    ServerSpec,
    access::{Access, Login, USERS, User},
    deadline::RetryDeadline,
    lock::FolderLock,
    places::{cannot, disk_is_full, full_disk, prepare_socket_folder, quoted, remove_socket},
    probe::{Answer, Peer},
    process::{self, ProcessId},
    program::{Program, check_version, find_program},
};
use crate::{
    error::{Error, Result},
    os::failpoint,
};

const LOG_FILE: &str = "redis.log";

/// A log longer than this is renamed to `redis.log.1` at the next start. At loglevel notice it is years away.
const LONGEST_LOG: u64 = 5 << 20;

/// All that a server gets of our environment. No more, because a caller's holds secrets, and marks by which the
/// processes of an agent are found and ended: the server must not bear them when an agent's call has started it.
pub(super) const ENVIRONMENT: [&str; 5] = ["PATH", "TZ", "LANG", "LC_ALL", "LD_LIBRARY_PATH"];

/// Starts a server as the holder of `lock`, and returns when it serves.
pub(super) async fn launch(
    spec: &ServerSpec,
    access: &Access,
    lock: FolderLock,
    limit: Duration,
) -> Result<(ProcessId, String)> {
    let program = find_program()?;
    if disk_is_full(&spec.dir) {
        return Err(full_disk(&spec.dir));
    }
    if let Some(stranger) = Peer::connect(&spec.socket).await {
        return Err(Error::conflict(format!(
            "process {} answers on {}, and orch did not start it",
            stranger.pid,
            spec.socket.display()
        ))
        .hint(format!("see what it is with 'ps -fp {}', and end it", stranger.pid)));
    }
    // The lock is free and no server answers: a socket that still exists was left by a server that was killed.
    remove_socket(&spec.dir, &spec.socket)?;
    prepare_socket_folder(&spec.dir, &spec.socket)?;

    access.write_users(&spec.dir, &spec.namespace)?;
    let log = Log::open(&spec.dir)?;
    let command = command(spec, &program, &log)?;
    let mut child = lock.spawn(command).map_err(|e| match e.kind() {
        io::ErrorKind::StorageFull => full_disk(&spec.dir),
        _ => Error::config(format!("cannot run {}: {e}", program.path.display())).hint("orch doctor"),
    })?;
    failpoint!("redis.spawned");
    let served = wait_until_it_serves(
        spec,
        &program,
        &access.login(User::Supervisor),
        &mut child,
        &log,
        RetryDeadline::new(limit),
    )
    .await;
    if served.is_err() {
        // It is our child and not yet reaped, so its pid can't belong to another process.
        let _ = child.kill().await;
        return served;
    }
    // The process that started it has to reap it when it ends, or it stays a zombie.
    tokio::spawn(async move { child.wait().await });
    served
}

fn command(spec: &ServerSpec, program: &Program, log: &Log) -> Result<Command> {
    let output = |file: &File| file.try_clone().map(Stdio::from).map_err(|e| cannot("open", &log.path, &e));
    let mut command = Command::new(&program.path);
    command
        .arg0(program.argv0)
        .args(arguments(spec, program))
        .current_dir(&spec.dir)
        .env_clear()
        .envs(ENVIRONMENT.iter().filter_map(|name| Some((name, env::var_os(name)?))))
        .stdin(Stdio::null())
        .stdout(output(&log.file)?)
        .stderr(output(&log.file)?);
    Ok(command)
}

/// The settings that differ from the server's defaults, or that must not. Its folder is the one it is started in.
fn arguments(spec: &ServerSpec, program: &Program) -> Vec<OsString> {
    let mut settings: Vec<(String, OsString)> = spec
        .settings()
        .into_iter()
        // It is started there.
        .filter(|(name, _)| *name != "dir")
        .map(|(name, value)| (format!("--{name}"), value.into()))
        .collect();
    let mut add = |name: &str, value: OsString| settings.push((name.to_owned(), value));
    add("--unixsocket", spec.socket.clone().into());
    add("--unixsocketperm", "700".into());
    // A program that reaches the socket needs a password. The path is relative to the folder it is started in.
    add("--aclfile", USERS.into());
    // The last, half-written command of a crash was never acknowledged: cut it off and start.
    add("--aof-load-truncated", "yes".into());
    // A start replays what has come since the last rewrite, and that costs three times what the rewritten part does; the
    // default of 64mb is half a second of it.
    add("--auto-aof-rewrite-min-size", "16mb".into());
    add("--daemonize", "no".into());
    add("--loglevel", "notice".into());
    if program.is_at_least(7) {
        add("--latency-tracking", "no".into());
        add("--enable-debug-command", "no".into());
        // Only the supervisor's user may configure it. It needs this where the folder of the data was removed.
        add("--enable-protected-configs", "local".into());
    }
    settings.into_iter().flat_map(|(name, value)| [name.into(), value]).collect()
}

async fn wait_until_it_serves(
    spec: &ServerSpec,
    program: &Program,
    login: &Login,
    child: &mut Child,
    log: &Log,
    mut retry_for: RetryDeadline,
) -> Result<(ProcessId, String)> {
    let (socket, limit) = (&spec.socket, retry_for.limit);
    while !retry_for.is_over() {
        let Some(pid) = child.id().filter(|_| !matches!(child.try_wait(), Ok(Some(_)))) else {
            let status = child.wait().await.map_err(|e| cannot("wait for", &program.path, &e))?;
            return Err(explain_end(spec, program, status, &log.tail()));
        };
        if let Some(mut peer) = Peer::connect(socket).await {
            if peer.pid != pid {
                return Err(Error::conflict(format!("process {} took over {}", peer.pid, socket.display()))
                    .hint(format!("see what it is with 'ps -fp {}', and end it", peer.pid)));
            }
            match peer.ask(login).await {
                Answer::Ready(info) => {
                    let version = check_version(&info)?;
                    // Gone in this very moment: the next turn says why.
                    if let Some(process) = process::living(pid) {
                        return Ok((process, version));
                    }
                }
                Answer::Loading { loaded, total } => retry_for.loading(loaded, total),
                Answer::Denied => {
                    return Err(Error::config(format!(
                        "{} does not accept the password it was started with",
                        program.argv0
                    )));
                }
                Answer::Refused(what) => {
                    return Err(Error::config(format!("{} answers: {what}", program.argv0)));
                }
                Answer::Nothing => {}
            }
        }
        retry_for.pause().await;
    }
    Err(Error::not_running(format!("{} in {} did not answer for {limit:?}", program.argv0, spec.dir.display()))
        .hint(format!("its log: {}", log.path.display())))
}

/// Explains why a server ended while it started, from its log, and hints at what to do.
fn explain_end(spec: &ServerSpec, program: &Program, status: ExitStatus, said: &str) -> Error {
    let dir = &spec.dir;
    // On a full disk the log may well be empty.
    if said.contains("No space left on device") || disk_is_full(dir) {
        return full_disk(dir);
    }
    if let Some((_, why)) = said.split_once("Failed opening Unix socket: ") {
        let why = why.lines().next().unwrap_or_default();
        return Error::config(format!("Redis cannot open its socket {} ({why})", spec.socket.display()))
            .hint("a network file system may have no sockets: set ORCH_HOME to a folder of your own on a local disk");
    }
    if status.signal() == Some(libc::SIGKILL) {
        // By a person, or by the kernel where memory was short: it may go better next time. What it had said until then
        // of its append-only file says nothing of damage.
        return Error::not_running(format!(
            "{} was killed while it started in {}",
            program.path.display(),
            dir.display()
        ))
        .hint("start it again; if that does not help, see whether memory is short: free -m");
    }
    let aof = append_only_file(dir);
    if ["redis-check-aof", "valkey-check-aof", "AOF file", "append only file"].iter().any(|words| said.contains(words))
    {
        return Error::config(format!("the append-only file in {} is damaged:\n{said}", dir.display())).hint(format!(
            "keep a copy (cp -a {dir} {dir}.damaged), then cut it off at the damage: {checker} --fix {aof}",
            dir = quoted(dir),
            checker = program.aof_checker(),
            aof = quoted(&aof),
        ));
    }
    let log = dir.join(LOG_FILE);
    Error::config(format!("{} ended while it started in {} ({status}):\n{said}", program.path.display(), dir.display()))
        .hint(format!("its whole log: {}", log.display()))
}

/// What the checker wants to be given: the manifest since version 7, the one file before.
fn append_only_file(dir: &Path) -> PathBuf {
    let manifest = dir.join("appendonlydir/appendonly.aof.manifest");
    if manifest.exists() { manifest } else { dir.join("appendonly.aof") }
}

/// The server's standard output and error.
struct Log {
    path: PathBuf,
    file: File,
    /// Where this start's part begins.
    start: u64,
}

impl Log {
    fn open(dir: &Path) -> Result<Log> {
        let path = dir.join(LOG_FILE);
        if fs::metadata(&path).is_ok_and(|log| log.len() > LONGEST_LOG) {
            let old = dir.join(format!("{LOG_FILE}.1"));
            fs::rename(&path, &old).map_err(|e| cannot("rename", &path, &e))?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| cannot("open", &path, &e))?;
        let start = file.seek(SeekFrom::End(0)).map_err(|e| cannot("read", &path, &e))?;
        Ok(Log { path, file, start })
    }

    /// The last lines that this start's server wrote.
    fn tail(&self) -> String {
        const LINES: usize = 6;
        let text = self.read_new().unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    fn read_new(&self) -> io::Result<String> {
        const MOST: u64 = 64 << 10;
        let mut file = File::open(&self.path)?;
        let end = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(self.start.max(end.saturating_sub(MOST))))?;
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn one_that_was_killed_while_it_loaded_is_not_taken_for_damaged() {
        let home = tempfile::tempdir().unwrap();
        let spec = ServerSpec::of_home(home.path(), "test").unwrap();
        let program = Program { path: "/usr/bin/redis-server".into(), argv0: "redis-server", version: "7.0.15".into() };
        let said = "DB loaded from base file\nReading the remaining AOF file";
        let why = |status| explain_end(&spec, &program, ExitStatus::from_raw(status), said);
        assert_eq!(why(libc::SIGKILL).kind, Kind::NotRunning, "{}", why(libc::SIGKILL).message);
        // Exit code 1, as wait(2) gives it.
        assert!(why(1 << 8).message.contains("damaged"));
    }
}
