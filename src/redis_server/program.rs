//! Finds the program of the server: redis-server, valkey-server, or Debian's redis-check-rdb, which is the same
//! program. Checks that its version is new enough.

use std::{
    env,
    io::{self, Read},
    os::{
        fd::AsFd,
        unix::{fs::PermissionsExt, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::error::{Error, Result};

/// The oldest Redis that has what the store uses. Valkey began at 7.2, so every Valkey will do.
const OLDEST: (u32, u32) = (6, 2);

/// How long a program may take to say its version. A healthy one takes 3 ms; another program of that name may start a
/// service instead of answering.
const VERSION_LIMIT: Duration = Duration::from_secs(1);

/// File name, and the name to run it by. The last two look at the name they are run by and are the server under any
/// but their own: so Debian's redis-tools package is enough, which starts no service.
const CANDIDATES: [(&str, &str); 4] = [
    ("redis-server", "redis-server"),
    ("valkey-server", "valkey-server"),
    ("redis-check-rdb", "redis-server"),
    ("valkey-check-rdb", "valkey-server"),
];

/// Looked into after PATH: services and desktops start us with a short one.
const USUAL_FOLDERS: [&str; 6] =
    ["/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/opt/homebrew/bin"];

/// A server program on this machine that was asked for its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The file to run.
    pub path: PathBuf,
    /// The name to run it by.
    pub argv0: &'static str,
    /// What it says its version is, such as `7.0.15`.
    pub version: String,
}

impl Program {
    /// What it is and where, for people: its file may be called otherwise.
    pub fn in_words(&self) -> String {
        let (path, name) = (self.path.display(), self.argv0);
        match self.path.file_name().is_some_and(|file| file == name) {
            true => format!("{name} {} at {path}", self.version),
            // Debian's redis-tools has it under another name alone.
            false => format!("{name} {}, whose program is {path}", self.version),
        }
    }

    /// Whether it is `major` or newer: for settings that an older server refuses to start with.
    pub(super) fn is_at_least(&self, major: u32) -> bool {
        parse_version(&self.version).is_some_and(|version| version >= (major, 0))
    }

    /// The program that repairs this server's append-only file.
    pub(super) fn aof_checker(&self) -> &'static str {
        if self.argv0.starts_with("valkey") { "valkey-check-aof" } else { "redis-check-aof" }
    }
}

/// Finds a server program of a version that will do, on PATH and in the usual folders.
///
/// # Errors
/// Configuration: none found, or none of those found will do; says why for each, and how to install one.
pub fn find_program() -> Result<Program> {
    let path = env::var_os("PATH").unwrap_or_default();
    find_program_in(env::split_paths(&path).chain(USUAL_FOLDERS.map(PathBuf::from)))
}

fn find_program_in(folders: impl Iterator<Item = PathBuf>) -> Result<Program> {
    let folders: Vec<PathBuf> = folders.filter(|folder| folder.is_absolute()).collect();
    let mut refused = Vec::new();
    for (file, argv0) in CANDIDATES {
        for path in folders.iter().map(|folder| folder.join(file)).filter(|path| is_executable(path)) {
            match ask_version(&path, argv0) {
                Ok(version) => {
                    return Ok(Program { path, argv0, version });
                }
                Err(why) if refused.contains(&why) => {}
                Err(why) => refused.push(why),
            }
        }
    }
    let found = if refused.is_empty() { "no redis-server found".to_owned() } else { refused.join("; ") };
    Err(Error::config(format!("{found}: orch needs Redis {}.{} or newer, or Valkey", OLDEST.0, OLDEST.1))
        .hint("Debian, Ubuntu: sudo apt-get install redis-tools    macOS: brew install redis    or set redis.url in sessions.toml"))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Runs `path --version`, and returns the version if this is a server that will do, else why not.
fn ask_version(path: &Path, argv0: &str) -> Result<String, String> {
    let answer = version_line(path, argv0).map_err(|e| format!("{} does not run: {e}", path.display()))?;
    // `Redis server v=7.0.15 sha=...` and `Valkey server v=8.0.1 sha=...`. Other programs bear the name, too.
    let version = ["Redis server v=", "Valkey server v="].iter().find_map(|start| answer.strip_prefix(start));
    let Some(version) = version.and_then(|rest| rest.split_ascii_whitespace().next()) else {
        return Err(format!("{} is not a Redis server (its --version does not say so)", path.display()));
    };
    match parse_version(version) {
        Some(found) if found >= OLDEST => Ok(version.to_owned()),
        _ => Err(format!("{} has version {version}", path.display())),
    }
}

fn version_line(path: &Path, argv0: &str) -> io::Result<String> {
    let mut child = Command::new(path)
        .arg0(argv0)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let answer = match child.stdout.take() {
        Some(output) => first_line(output, Instant::now() + VERSION_LIMIT),
        None => Ok(Vec::new()),
    };
    // It has answered, or it never will.
    let _ = child.kill();
    child.wait()?;
    Ok(String::from_utf8_lossy(&answer?).into_owned())
}

/// What comes out until a line ends, the output ends, or time is up.
fn first_line(mut output: ChildStdout, deadline: Instant) -> io::Result<Vec<u8>> {
    let (mut answer, mut chunk) = (Vec::new(), [0; 512]);
    // What writes more than this without a line's end is not what we look for.
    while answer.len() < 4096 && !answer.contains(&b'\n') {
        let left = deadline.saturating_duration_since(Instant::now()).as_millis();
        let mut readable = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
        match poll(&mut readable, PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO)) {
            Ok(0) => break,
            Ok(_) => match output.read(&mut chunk)? {
                0 => break,
                n => answer.extend_from_slice(&chunk[..n]),
            },
            // A signal, such as SIGCHLD for another child of ours.
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(answer)
}

/// The server's version from the answer to INFO, if it will do.
///
/// # Errors
/// Configuration: too old, or not a Redis at all; names what was found and what is needed.
pub fn check_version(info: &str) -> Result<String> {
    // Valkey says `redis_version:7.2.4` for old clients' sake, and its own version beside it.
    let version = field(info, "valkey_version").or_else(|| field(info, "redis_version"));
    let needed = format!("orch needs Redis {}.{} or newer, or Valkey", OLDEST.0, OLDEST.1);
    let Some(version) = version else {
        return Err(Error::config(format!("the server at redis.url does not report its version: {needed}"))
            .hint("point redis.url in sessions.toml at a Redis or Valkey server"));
    };
    match parse_version(version) {
        Some(found) if found >= OLDEST => Ok(version.to_owned()),
        _ => Err(Error::config(format!("the Redis server has version {version}: {needed}"))
            .hint("upgrade it, or remove redis.url from sessions.toml: orch then runs a server of its own")),
    }
}

/// How many bytes of its append-only file a server has read, and how many there are, by its answer to INFO, which it also
/// gives while it reads.
pub fn loading(info: &str) -> Option<(u64, u64)> {
    let number = |name| field(info, name).and_then(|n| n.parse().ok()).unwrap_or(0);
    (number("loading") != 0).then(|| (number("loading_loaded_bytes"), number("loading_total_bytes")))
}

/// Why a server that answers does not write, or may drop what it has, by its answer to INFO: what, and what to do.
pub fn write_trouble(info: &str) -> Option<(String, String)> {
    let number = |name| field(info, name).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    let is = |name, value| field(info, name) == Some(value);
    if is("role", "slave") && is("slave_read_only", "1") {
        let of = field(info, "master_host").unwrap_or("another one");
        return Some((
            format!("Redis cannot write: it is a replica of {of}"),
            "use the other one, or make this one a primary: REPLICAOF NO ONE".into(),
        ));
    }
    if is("aof_enabled", "1") && is("aof_last_write_status", "err") {
        let what = "Redis cannot write: its append-only file can't be written to";
        return Some((what.into(), "free disk space; nothing that was acknowledged is lost".into()));
    }
    let policy = field(info, "maxmemory_policy").unwrap_or_default();
    let (used, most) = (number("used_memory"), number("maxmemory"));
    if policy == "noeviction" && most > 0 && used > most {
        return Some((
            format!("Redis cannot write: its memory is full ({} of {} MiB)", used >> 20, most >> 20),
            "it accepts no new task, and running ones still end: raise max_memory under [redis] in sessions.toml (of your own \
             Redis: maxmemory), or shorten keep; then: orch stop, orch start"
                .into(),
        ));
    }
    policy.starts_with("allkeys").then(|| {
        (
            format!("Redis may drop tasks when its memory is full: its maxmemory-policy is {policy}"),
            "CONFIG SET maxmemory-policy noeviction".into(),
        )
    })
}

/// The value of `name` in an answer to INFO.
pub(super) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn what_keeps_a_server_from_writing_is_said() {
        let said = |info: &str| write_trouble(info).map(|(what, _)| what).unwrap_or_default();
        let well = "role:master\r\naof_enabled:1\r\naof_last_write_status:ok\r\nused_memory:9000000\r\nmaxmemory:0\r\n\
                    maxmemory_policy:noeviction\r\n";
        assert_eq!(said(well), "");
        assert_eq!(said("role:slave\r\nslave_read_only:0"), "", "one that may be written to");
        let replica = "role:slave\r\nmaster_host:db.example\r\nslave_read_only:1\r\n";
        assert!(said(replica).contains("replica of db.example"));
        assert!(said(&well.replace("status:ok", "status:err")).contains("append-only file"));
        assert!(said(&well.replace("maxmemory:0", "maxmemory:8388608")).contains("full (8 of 8 MiB)"));
        assert!(said(&well.replace("noeviction", "allkeys-lru")).contains("may drop tasks"));
        assert_eq!(said(""), "", "an answer without any field");
    }

    /// A folder with a program `name` that is the shell script `body`.
    fn folder_with(name: &str, body: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        // Written by another process: had we the file open for writing while another test's thread forks, its child
        // would hold it open for a moment, and running it would fail with "text file busy".
        let script = "printf '#!/bin/sh\\n%s\\n' \"$2\" >\"$1\" && chmod 755 \"$1\"";
        let path = folder.path().join(name);
        assert!(Command::new("sh").args(["-c", script, "sh"]).arg(path).arg(body).status().unwrap().success());
        folder
    }

    fn find_in(folders: &[&tempfile::TempDir]) -> Result<Program> {
        find_program_in(folders.iter().map(|folder| folder.path().to_owned()))
    }

    #[test]
    fn this_machine_has_one() {
        let program = find_program().unwrap();
        assert!(parse_version(&program.version).unwrap() >= OLDEST, "{program:?}");
    }

    #[test]
    fn a_namesake_is_passed_over_for_the_real_one() {
        let toy = folder_with("redis-server", "echo 'redis-server 0.1.0'");
        let real = folder_with("redis-check-rdb", "echo \"Redis server v=7.0.15 sha=0:0 malloc=libc bits=64\"");
        let found = find_in(&[&toy, &real]).unwrap();
        assert_eq!(found.path, real.path().join("redis-check-rdb"));
        assert_eq!((found.argv0, found.version.as_str()), ("redis-server", "7.0.15"));
    }

    #[test]
    fn a_namesake_that_serves_instead_of_answering_is_ended() {
        let toy = folder_with("redis-server", "exec sleep 600");
        let started = Instant::now();
        let error = find_in(&[&toy]).unwrap_err();
        assert!(error.message.contains("not a Redis server"), "{}", error.message);
        assert!(started.elapsed() < VERSION_LIMIT * 5);
    }

    #[tokio::test]
    async fn a_signal_meanwhile_does_no_harm() {
        // A supervisor gets SIGCHLD at any time, and has a handler for it: then poll ends early, with EINTR.
        let _handler = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::user_defined1()).unwrap();
        let slow = folder_with("redis-server", "sleep 0.3; echo 'Redis server v=7.0.15 sha=0:0'");
        // SAFETY: a call without arguments that can't fail.
        let this_thread = unsafe { libc::pthread_self() };
        let done = AtomicBool::new(false);
        let found = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // SAFETY: the thread waits for this one to end, so it exists.
                    unsafe { libc::pthread_kill(this_thread, libc::SIGUSR1) };
                    // Often enough to hit each poll, and not so often that the other thread gets nowhere.
                    std::thread::park_timeout(std::time::Duration::from_millis(1));
                }
            });
            let found = find_in(&[&slow]);
            done.store(true, Ordering::Relaxed);
            found
        });
        assert_eq!(found.unwrap().version, "7.0.15");
    }

    #[test]
    fn an_old_one_is_named_with_its_version_and_how_to_get_another() {
        let old = folder_with("redis-server", "echo 'Redis server v=6.0.16 sha=0:0'");
        let error = find_in(&[&old]).unwrap_err();
        assert!(error.message.contains("6.0.16") && error.message.contains("6.2"), "{}", error.message);
        assert!(error.hint.unwrap().contains("apt-get install redis-tools"));
    }

    #[test]
    fn none_at_all_is_a_configuration_error() {
        let error = find_in(&[]).unwrap_err();
        assert_eq!(error.kind, crate::error::Kind::Configuration);
        assert!(error.message.starts_with("no redis-server found"), "{}", error.message);
    }

    #[test]
    fn versions_of_a_users_own_server() {
        assert_eq!(check_version("# Server\r\nredis_version:6.2.0\r\n"), Ok("6.2.0".into()));
        assert_eq!(check_version("redis_version:7.2.4\r\nvalkey_version:8.1.0\r\n"), Ok("8.1.0".into()));
        assert_eq!(check_version("redis_version:10.0.0\r\n"), Ok("10.0.0".into()));
        for (info, names) in
            [("redis_version:6.0.16\r\n", "6.0.16"), ("redis_version:what\r\n", "what"), ("", "version")]
        {
            let error = check_version(info).unwrap_err();
            assert!(error.message.contains(names) && error.message.contains("6.2"), "{}", error.message);
        }
    }
}
