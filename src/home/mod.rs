//! The state folder, ORCH_HOME: the names of its files and folders, the outputs of attempts, and reports that Redis
//! has not acknowledged yet. Everything in it is accessible to this user alone (0700, 0600).

mod bin;
mod cgroups;
mod check;
mod earlier_redis;
mod end;
pub mod files;
mod format;
#[cfg(test)]
mod fuzz;
mod journal;
pub mod launch;
mod lock;
mod log;
pub mod output;
mod owner;
mod policy;
pub mod reports;
mod runners;
mod runs;

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

pub use self::{
    earlier_redis::OtherRedis,
    end::Ended,
    journal::{Decision, Journal},
    lock::{FolderState, SupervisorLock},
    log::{Log, open_log},
    policy::{Policy, PolicyWatch},
    runners::{MARKER, Registered, Runner, marker},
};
use crate::{
    config::{MASTER_SESSION, SUPERVISOR_LOCK},
    error::{Error, Result},
    model::id::TaskId,
    os,
};

/// The file in an attempt's folder in which its program leaves its result.
pub const RESULT: &str = "answer.json";

/// The variable that passes the original value of TMUX_TMPDIR to an agent; empty if it was not set. An agent has a
/// TMUX_TMPDIR of its own, so that a bare `tmux kill-server` does not end its own server.
pub const OUTER_TMUX_TMPDIR: &str = "ORCH_OUTER_TMUX_TMPDIR";

/// The single line that a supervisor in the background reports to the process that started it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// The master runs; or everything has ended, where that was requested.
    Ready,
    /// The start failed for this reason, and the supervisor ends.
    Failed(Error),
    /// The start failed for this reason, and the supervisor keeps trying.
    StillTrying(Error),
}

/// What a supervisor records about itself in [`Home::running`], one line per field. Empty if it has just started, or
/// is older.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Its version.
    pub version: String,
    /// The fingerprint of its configuration ([`crate::config::Config::fingerprint`]).
    pub config: String,
}

impl Mark {
    /// Reads the recorded mark.
    pub fn read(home: &Home) -> Mark {
        let text = fs::read_to_string(home.running()).unwrap_or_default();
        let mut lines = text.lines().map(|line| line.trim().to_owned());
        let mut next = || lines.next().unwrap_or_default();
        Mark { version: next(), config: next() }
    }

    /// Writes the mark.
    ///
    /// # Errors
    /// Fails when it cannot be written.
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
    /// Returns the folder as configured; it need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Home { path: path.into() }
    }
    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// Creates the folder and its subfolders, where they are missing.
    ///
    /// # Errors
    /// A configuration error that names the folder: read-only, full, or not owned by this user.
    pub fn create(&self) -> Result<()> {
        for dir in [
            self.path.clone(),
            self.runs(),
            self.reports(),
            self.journals(),
            self.launches(),
            self.runners(),
            self.agent_logs(),
            self.bin(),
            self.agent_tmux(),
        ] {
            create_dir(&dir).map_err(|e| unusable(&dir, &e))?;
        }
        Ok(())
    }
    /// Returns the place of the folder, including the machine's name.
    pub fn place(&self) -> String {
        format!("{}:{}", os::hostname(), self.path.display())
    }
    /// Returns the folder of the private Redis.
    pub fn redis(&self) -> PathBuf {
        self.path.join("redis")
    }
    /// Returns the path of the supervisor's log.
    pub fn supervisor_log(&self) -> PathBuf {
        self.path.join("supervisor.log")
    }
    /// Returns the lock that the supervisor owns while it lives; the file contains its pid.
    pub fn supervisor_lock(&self) -> PathBuf {
        self.path.join(SUPERVISOR_LOCK)
    }
    /// Returns the file with the name of the master's session, where the usual one was taken.
    pub fn master_session(&self) -> PathBuf {
        self.path.join(MASTER_SESSION)
    }
    /// Returns the file that exists from a supervisor's start until everything has ended cleanly; after a crash it is
    /// left behind. It contains that supervisor's [`Mark`].
    pub fn running(&self) -> PathBuf {
        self.path.join("running")
    }
    /// Returns the file that an emergency stop makes of [`Home::running`]: Redis does not know yet that everything has
    /// ended.
    pub fn stopped(&self) -> PathBuf {
        self.path.join("stopped")
    }
    /// Returns the file that keeps what must be known about Redis without it ([`crate::store::checkpoint`]).
    pub fn epoch(&self) -> PathBuf {
        self.path.join("epoch.json")
    }
    /// Returns the lock of `orch start` and `orch stop`, so that several concurrent calls act once.
    pub fn start_lock(&self) -> PathBuf {
        self.path.join("start.lock")
    }
    /// Returns the console's history.
    pub fn console_history(&self) -> PathBuf {
        self.path.join("console.history")
    }
    /// Returns the folder of all attempts.
    pub fn runs(&self) -> PathBuf {
        self.path.join("runs")
    }
    /// Returns the folder of one task's attempts.
    pub fn task_runs(&self, task: &TaskId) -> PathBuf {
        self.runs().join(task.as_str())
    }
    /// Returns the folder of one attempt: `prompt`, `context.json`, `output`, `output.index`, `result.json`; for an
    /// agent program that reports its state also `raw.jsonl` and `session.json`; for a program on a terminal `screen.txt`,
    /// what it showed last.
    pub fn run(&self, task: &TaskId, attempt: u32) -> PathBuf {
        self.task_runs(task).join(attempt.to_string())
    }
    /// Returns the folder for the files of a runner's programs while nothing of an attempt is kept. Each attempt
    /// reuses it, and it is removed with the runner.
    pub fn scratch(&self, incarnation: &str) -> PathBuf {
        self.path.join("scratch").join(incarnation)
    }
    /// Returns the folder of reports that Redis has not acknowledged yet.
    pub fn reports(&self) -> PathBuf {
        self.path.join("reports")
    }
    /// Returns the folder of launch files, each read and removed by its runner.
    pub fn launches(&self) -> PathBuf {
        self.path.join("launch")
    }
    /// Returns one agent's launch file.
    pub fn launch(&self, incarnation: &str) -> PathBuf {
        self.launches().join(format!("{incarnation}.json"))
    }
    /// Returns the folder on every agent's PATH that contains `orch` itself.
    pub fn bin(&self) -> PathBuf {
        self.path.join("bin")
    }
    /// Returns the folder with a copy of the supervisor's program, where an upgrade has replaced its file.
    pub fn program(&self) -> PathBuf {
        self.path.join("program")
    }
    /// Returns the folder in which a bare `tmux` of an agent looks for its server.
    pub fn agent_tmux(&self) -> PathBuf {
        self.path.join("tmux")
    }
    /// Returns the folder of the runners' own logs.
    pub fn agent_logs(&self) -> PathBuf {
        self.path.join("agents")
    }
    /// Returns the folder of a master's program files.
    pub fn agent_files(&self, agent: &str) -> PathBuf {
        self.agent_logs().join(agent)
    }
    /// Returns the file that a program's hooks write to, in the folder of its attempt or master.
    pub fn hooks(folder: &Path) -> PathBuf {
        folder.join("hooks.jsonl")
    }
    /// Returns one runner's own log (not the output of its program).
    pub fn agent_log(&self, agent: &str) -> PathBuf {
        self.agent_logs().join(format!("{agent}.log"))
    }
}

/// Creates a folder (0700), and its parents.
///
/// # Errors
/// Fails when a folder cannot be created.
pub fn create_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file (0600) atomically: to a temporary name, then renames it.
///
/// # Errors
/// Fails when it cannot be written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    files::write(&temporary, bytes)?;
    fs::rename(&temporary, path)
}

/// Writes a file (0600) in place of an old one.
///
/// # Errors
/// Fails when it cannot be written.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    files::write(path, bytes)
}

/// Reads a file of ours in an attempt's folder, if it is still valid.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&files::read(path, LARGEST_JSON).ok()?).ok()
}

/// The largest size: a task with the longest text and context, or a report with the largest result, is a few MiB.
const LARGEST_JSON: u64 = 64 * 1024 * 1024;

/// Returns the error for a folder that cannot be used.
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
    fn a_file_replaced_by_its_program_does_not_block() {
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
