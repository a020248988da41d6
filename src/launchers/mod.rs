//! Launchers start an agent's program in a place: directly, or in a sandbox.
//!
//! A driver says *what* is started ([`Start`]); a [`Launcher`] says *where*: it makes the program's files, builds the
//! command that starts it there, and ends what the program has left behind. The runner does the rest in the same way for
//! every launcher: pipes or terminal, time limits, signals to the program itself.
//!
//! [`Direct`] runs the program as the runner's own child, with the rights of the user. [`Bwrap`] runs it in a sandbox.
//!
//! [`preflight`] checks whether a program can be started at all.
//!
//! To add a launcher: a file here with a type that implements [`Launcher`], and a line in [`of`].

pub mod bwrap;
mod direct;
pub mod preflight;
mod programs;
mod settings;

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

pub use self::{bwrap::Bwrap, direct::Direct, preflight::Unavailable};
use crate::{
    config::{Role, Sandbox},
    drivers::{DriverKind, Start},
    os::EndReport,
};

/// One start of a program.
#[derive(Debug)]
pub struct Invocation<'a> {
    /// How its driver wants it to be started.
    pub start: &'a Start,
    /// The working folder, absolute.
    pub cwd: &'a Path,
    /// The whole environment. Of a name that occurs twice, the last value counts.
    pub env: Vec<(&'a OsStr, &'a OsStr)>,
    /// The role.
    pub role: &'a Role,
    /// Its driver, once `auto` is resolved.
    pub driver: DriverKind,
    /// The state folder.
    pub state: &'a Path,
    /// The sessions.toml, or the project's folder if there is none.
    pub config: &'a Path,
    /// The folders of the attempt's or the master's files, which the program may write to.
    pub files: Vec<&'a Path>,
    /// A folder that is kept for all attempts of the task, or for the master. It need not exist.
    pub kept: &'a Path,
    /// Whether the program has the pane's terminal.
    pub on_a_terminal: bool,
    /// The socket of the proxy that the role reaches the network by.
    pub proxy: Option<&'a Path>,
}

impl<'a> Invocation<'a> {
    /// A start without anything that only a sandbox asks for.
    pub fn plain(start: &'a Start, cwd: &'a Path, env: Vec<(&'a OsStr, &'a OsStr)>, role: &'a Role) -> Self {
        Invocation {
            start,
            cwd,
            env,
            role,
            driver: role.driver,
            state: Path::new("/nonexistent"),
            config: cwd,
            files: Vec::new(),
            kept: Path::new("/nonexistent"),
            on_a_terminal: false,
            proxy: None,
        }
    }

    /// Returns the value of a variable, unless it is empty.
    pub fn variable(&self, name: &str) -> Option<&'a OsStr> {
        let (_, value) = self.env.iter().rev().find(|(known, _)| *known == OsStr::new(name))?;
        Some(*value).filter(|value| !value.is_empty())
    }
}

/// A place where programs run.
///
/// One launcher serves one runner, which runs one program at a time; so "the program" needs no further name.
pub trait Launcher: Send + Sync {
    /// Writes the files (mode 0600) that the program finds when it starts.
    ///
    /// # Errors
    /// What the system says.
    fn prepare(&self, files: &[(PathBuf, Vec<u8>)]) -> io::Result<()>;

    /// Returns the command that starts the program. Its standard streams and its process group are up to the caller, who
    /// starts it from a thread that lives as long as the program.
    ///
    /// # Errors
    /// The program is missing, or the place where it is to run can't be made.
    fn command(&self, invocation: &Invocation) -> io::Result<Command>;

    /// Signals the program: on a terminal itself alone, because it shares a process group with the runner, else its whole
    /// process group. `started` is the process that the command has started. SIGKILL ends all that there is.
    fn signal(&self, started: u32, signal: Signal, on_a_terminal: bool) {
        let pid = Pid::from_raw(started as i32);
        // It may have ended.
        let _ = if on_a_terminal { kill(pid, signal) } else { killpg(pid, signal) };
    }

    /// Returns how the program ended, given how the process ended that the command has started.
    ///
    /// # Errors
    /// It was never started, or the place where it ran has failed.
    fn status(&self, started: ExitStatus) -> io::Result<ExitStatus> {
        Ok(started)
    }

    /// Returns where a record of its conversation is that the program has named. `value` returns the value of a variable of
    /// its environment, and `kept` is the folder of [`Invocation::kept`]. `None`: the file is not in a folder in which programs
    /// of this driver keep their conversations.
    fn on_disk<'a>(
        &self,
        driver: DriverKind,
        value: &dyn Fn(&str) -> Option<&'a OsStr>,
        _kept: &Path,
        named: &Path,
    ) -> Option<PathBuf> {
        let (_, folder, _) = driver.manifest()?.home.kept(named, value)?;
        below(&folder, named)
    }

    /// Reports whether any process that the program has started still exists, the program included. Zombies count.
    fn is_alive(&self) -> bool;

    /// Ends every process that the program has started, except `keep` and their descendants: TERM, `grace` for them to end,
    /// then KILL until none is left or `limit` has passed. Blocks.
    ///
    /// The exit status of the program itself must have been collected before.
    ///
    /// # Errors
    /// The processes can't be listed, so it is unknown what is left.
    fn end(&self, keep: &[u32], grace: Duration, limit: Duration) -> io::Result<EndReport>;
}

/// Returns a file whose folder, with all links resolved, is this one or below it.
fn below(folder: &Path, file: &Path) -> Option<PathBuf> {
    let real = file.parent()?.canonicalize().ok()?;
    real.starts_with(folder.canonicalize().ok()?).then_some(real.join(file.file_name()?))
}

/// The sandbox of this process's programs: a runner has one program at a time.
static BWRAP: Bwrap = Bwrap::new();

/// Returns the launcher of a role's programs; `driver` is the role's, once `auto` is resolved. The console is orch itself,
/// and what a person types there must reach the state folder.
pub fn of(role: &Role, driver: DriverKind) -> &'static dyn Launcher {
    match role.sandbox {
        Sandbox::Bwrap if driver != DriverKind::Console => &BWRAP,
        Sandbox::Bwrap | Sandbox::None => &Direct,
    }
}
