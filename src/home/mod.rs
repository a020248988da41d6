//! What lies in ORCH_HOME: the names of its files and folders, the outputs of attempts, and the reports that Redis has
//! not heard yet. Everything in it is this user's own (0700, 0600).

mod cgroups;
mod format;
#[cfg(test)]
mod fuzz;
mod journal;
pub mod launch;
mod log;
pub mod output;
pub mod reports;

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

pub use self::{
    journal::Journal,
    log::{Log, open_log},
};
use crate::{
    error::{Error, Result},
    model::id::TaskId,
    os,
};

/// The variable by which an agent's environment says what TMUX_TMPDIR was outside; empty where it was not set. An agent
/// has one of its own, so that a bare `tmux kill-server` does not end its own server.
pub const OUTER_TMUX_TMPDIR: &str = "ORCH_OUTER_TMUX_TMPDIR";

/// The one line that a supervisor in the background says to whoever started it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// The master stands; or all has ended, where that was requested.
    Ready,
    /// It does not, and this is why; the supervisor ends.
    Failed(Error),
    /// It does not, and this is why; the supervisor goes on trying.
    StillTrying(Error),
}

/// What a supervisor says of itself in [`Home::running`], a line each. Empty where it has just begun, or is older.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Its version.
    pub version: String,
    /// The fingerprint of the configuration that it goes by ([`crate::config::Config::fingerprint`]).
    pub config: String,
}

impl Mark {
    /// The one that is there.
    pub fn read(home: &Home) -> Mark {
        let text = fs::read_to_string(home.running()).unwrap_or_default();
        let mut lines = text.lines().map(|line| line.trim().to_owned());
        let mut next = || lines.next().unwrap_or_default();
        Mark { version: next(), config: next() }
    }

    /// Leaves it there.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, home: &Home) -> io::Result<()> {
        write_new(&home.running(), format!("{}\n{}\n", self.version, self.config).as_bytes())
    }
}

/// The state folder of one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    path: PathBuf,
}

impl Home {
    /// The folder as configured; it need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Home { path: path.into() }
    }
    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// Makes the folder and those below it, where they are missing.
    ///
    /// # Errors
    /// A configuration error that names the folder: read-only, full, not ours.
    pub fn create(&self) -> Result<()> {
        for dir in [
            self.path.clone(),
            self.runs(),
            self.reports(),
            self.journals(),
            self.launches(),
            self.agent_logs(),
            self.bin(),
            self.agent_tmux(),
        ] {
            create_dir(&dir).map_err(|e| unusable(&dir, &e))?;
        }
        Ok(())
    }
    /// Where it is, in words for people of several machines.
    pub fn place(&self) -> String {
        format!("{}:{}", os::hostname(), self.path.display())
    }
    /// What this folder is known by where a path is not enough: two machines may have the same one.
    ///
    /// # Errors
    /// A configuration error that names the file.
    pub fn id(&self) -> Result<String> {
        let path = self.path.join("id");
        let known = fs::read_to_string(&path).unwrap_or_default();
        if !known.trim().is_empty() {
            return Ok(known.trim().to_owned());
        }
        let id = uuid::Uuid::new_v4().simple().to_string();
        write_atomically(&path, id.as_bytes()).map_err(|e| unusable(&path, &e))?;
        Ok(id)
    }
    /// The private Redis.
    pub fn redis(&self) -> PathBuf {
        self.path.join("redis")
    }
    /// The supervisor's log.
    pub fn supervisor_log(&self) -> PathBuf {
        self.path.join("supervisor.log")
    }
    /// Held by the supervisor as long as it lives; its pid stands in it.
    pub fn supervisor_lock(&self) -> PathBuf {
        self.path.join("supervisor.lock")
    }
    /// There from a supervisor's start until everything has ended in order: what a crash leaves behind. It holds that
    /// supervisor's [`Mark`].
    pub fn running(&self) -> PathBuf {
        self.path.join("running")
    }
    /// What is remembered of Redis outside of it ([`crate::store::checkpoint`]).
    pub fn epoch(&self) -> PathBuf {
        self.path.join("epoch.json")
    }
    /// Held by `orch start` and `orch stop`, so that ten at the same moment do it once.
    pub fn start_lock(&self) -> PathBuf {
        self.path.join("start.lock")
    }
    /// The console's history.
    pub fn console_history(&self) -> PathBuf {
        self.path.join("console.history")
    }
    /// Where all attempts lie.
    pub fn runs(&self) -> PathBuf {
        self.path.join("runs")
    }
    /// The attempts of one task.
    pub fn task_runs(&self, task: &TaskId) -> PathBuf {
        self.runs().join(task.as_str())
    }
    /// One attempt: `prompt`, `context.json`, `output`, `output.index`, `result.json`; of an agent program that tells what
    /// it does also `raw.jsonl` and `session.json`.
    pub fn run(&self, task: &TaskId, attempt: u32) -> PathBuf {
        self.task_runs(task).join(attempt.to_string())
    }
    /// The folder in which a runner's programs find what they are given, where nothing of an attempt is kept. It is used
    /// again by each attempt, and goes with the runner.
    pub fn scratch(&self, incarnation: &str) -> PathBuf {
        self.path.join("scratch").join(incarnation)
    }
    /// Ends of attempts that Redis has not heard yet.
    pub fn reports(&self) -> PathBuf {
        self.path.join("reports")
    }
    /// How an agent is to be started; read and removed by its runner.
    pub fn launches(&self) -> PathBuf {
        self.path.join("launch")
    }
    /// One agent's launch.
    pub fn launch(&self, incarnation: &str) -> PathBuf {
        self.launches().join(format!("{incarnation}.json"))
    }
    /// On every agent's PATH: `orch` itself.
    pub fn bin(&self) -> PathBuf {
        self.path.join("bin")
    }
    /// Where a bare `tmux` of an agent looks for its server.
    pub fn agent_tmux(&self) -> PathBuf {
        self.path.join("tmux")
    }
    /// The runners' own logs.
    pub fn agent_logs(&self) -> PathBuf {
        self.path.join("agents")
    }
    /// Where a master's program finds what it was given.
    pub fn agent_files(&self, agent: &str) -> PathBuf {
        self.agent_logs().join(agent)
    }
    /// What a program has told through its hooks, in the folder of its attempt or of its master.
    pub fn hooks(folder: &Path) -> PathBuf {
        folder.join("hooks.jsonl")
    }
    /// One runner's own log (not what its program prints).
    pub fn agent_log(&self, agent: &str) -> PathBuf {
        self.agent_logs().join(format!("{agent}.log"))
    }
}

/// Makes a folder (0700), its parents too.
///
/// # Errors
/// What the system says.
pub fn create_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file (0600) so that it is there whole or not at all: a temporary name, then a rename.
///
/// # Errors
/// What the system says.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    write_new(&temporary, bytes)?;
    fs::rename(&temporary, path)
}

/// Writes a file (0600), over an old one.
///
/// # Errors
/// What the system says.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

/// Opens a file in an attempt's folder, which is its program's as well. A pipe in a file's place would be waited for, a
/// device would never end, and a link would lead anywhere: all of them are errors.
fn open_plain(path: &Path, options: &mut fs::OpenOptions) -> io::Result<fs::File> {
    let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other(format!("{} is not a file", path.display()))),
    }
}

/// What we have written into an attempt's folder, if it is still as we wrote it.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    let mut bytes = Vec::new();
    let file = open_plain(path, fs::OpenOptions::new().read(true)).ok()?;
    file.take(LARGEST_JSON).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// A task with the longest text and context, or a report with the largest result, is some MiB.
const LARGEST_JSON: u64 = 64 * 1024 * 1024;

/// A folder that cannot be used, in words.
pub fn unusable(path: &Path, e: &io::Error) -> Error {
    let hint = match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free space on that disk, then try again",
        _ => "make it writable, or set ORCH_HOME to a folder of yours",
    };
    Error::config(format!("the state folder cannot be used: {}: {e}", path.display())).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_put_in_a_files_place_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (home, task) = (Home::new(dir.path()), TaskId::random());
        let run = home.run(&task, 1);
        create_dir(&run).unwrap();
        for spoil in [
            "mkfifo context.json result.json",
            "rm *; ln -s /dev/zero context.json; ln -s /dev/zero result.json",
            "rm *; mkdir context.json result.json",
        ] {
            let done = std::process::Command::new("sh").args(["-c", spoil]).current_dir(&run).status();
            assert!(done.unwrap().success(), "{spoil}");
            assert_eq!(home.known_end(&task, 1), None, "{spoil}");
        }
    }
}
