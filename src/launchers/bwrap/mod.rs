//! `bwrap`: the program runs in namespaces of its own, made by bubblewrap.
//!
//! ```text
//!   runner ── bwrap (waits) ── orch run-sandboxed (process 1 of the sandbox) ── the program
//! ```
//!
//! *What it sees* ([`view`]): the whole file system, read-only, except that home folders, state folders, `/run`, `/tmp` and
//! `/dev` are replaced by empty ones. Into these, what the program needs is mounted by name: its working folder, the files
//! of its attempt, its login ([`HomeFiles`](crate::drivers::HomeFiles)), its own program where that is installed in a home
//! folder ([`tools`]), and the agent's socket. Only the working folder and the attempt's files can be written. A git
//! repository can be committed to, and its hooks and its configuration cannot be changed ([`repository`]).
//!
//! *What it reaches* ([`proxy`]): the machine's network, none, or a list of destinations through a proxy that the runner
//! serves.
//!
//! *What it may do*: it has no capabilities, cannot gain any (`no_new_privs`), and a filter denies it system calls that lead
//! out of the namespaces ([`os::sandbox_filter`]).
//!
//! *How it ends*: the kernel kills everything in a PID namespace when its first process ends. That process ([`inside`])
//! forwards signals to the program and reports how it ended in a memory file: bwrap itself would turn a signal into an exit
//! code.
//!
//! If bwrap cannot do this, the role is not started ([`probe`]).

mod bridge;
pub mod inside;
pub mod probe;
pub mod proxy;
mod repository;
mod tools;
mod view;

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::{
        fd::OwnedFd,
        unix::{fs::FileExt, process::ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use self::{inside::Report, view::View};
use super::{Direct, Invocation, Launcher, Unavailable, programs};
use crate::{
    config::Role,
    drivers::DriverKind,
    model::network::Network,
    os::{self, EndReport, ProcessId},
};

/// The program of bubblewrap.
const PROGRAM: &str = "bwrap";
/// Our own program in the sandbox.
const OWN_PROGRAM: &str = "/run/orch/orch";
/// The proxy's socket in the sandbox.
const PROXY_SOCKET: &str = "/run/orch/network.sock";

/// Runs programs in a sandbox of bubblewrap.
#[derive(Debug)]
pub struct Bwrap {
    /// Our own program; `None`: the one that runs.
    own_program: Option<PathBuf>,
    /// What the first process of the sandbox reports.
    report: Mutex<Option<File>>,
}

impl Bwrap {
    /// The launcher of a runner.
    pub const fn new() -> Self {
        Bwrap { own_program: None, report: Mutex::new(None) }
    }

    /// A launcher whose sandboxes have this program as their first process, for callers that are not orch.
    pub fn with_program(program: PathBuf) -> Self {
        Bwrap { own_program: Some(program), ..Bwrap::new() }
    }

    fn own_program(&self) -> io::Result<PathBuf> {
        let Some(program) = &self.own_program else {
            let own = std::env::current_exe()?;
            // Its file was replaced by an upgrade; the new one does the same here.
            return Ok(own.to_string_lossy().strip_suffix(" (deleted)").map_or(own.clone(), Into::into));
        };
        Ok(program.clone())
    }
}

impl Default for Bwrap {
    fn default() -> Self {
        Bwrap::new()
    }
}

impl Launcher for Bwrap {
    fn prepare(&self, files: &[(PathBuf, Vec<u8>)]) -> io::Result<()> {
        Direct.prepare(files)
    }

    fn command(&self, invocation: &Invocation) -> io::Result<Command> {
        let Invocation { start, env, .. } = invocation;
        let path = invocation.variable("PATH");
        let cwd = invocation.cwd.canonicalize()?;
        let program = located(&start.program, &cwd, path)?;
        let view = View::of(invocation, &cwd, &program, &self.own_program()?)?;
        let report = os::memory_file(c"orch-sandbox", b"")?;
        let filter = os::memory_file(c"orch-filter", &os::sandbox_filter())?;

        let mut command = Command::new(located(OsStr::new(PROGRAM), Path::new("/"), search_path().as_deref())?);
        command.args(namespaces(invocation.role.network != Network::All, invocation.on_a_terminal));
        command.args(&view.args).arg("--seccomp").arg(os::number(&filter).to_string());
        command.args(["--", OWN_PROGRAM, "run-sandboxed", "--report", &os::number(&report).to_string()]);
        if invocation.on_a_terminal {
            command.arg("--on-a-terminal");
        }
        if invocation.proxy.is_some() {
            command.args(["--proxy", PROXY_SOCKET]);
            let local = invocation.role.network.on_the_loopback_device();
            command.args(local.iter().flat_map(|place| ["--local", place]));
        }
        for path in &view.guarded {
            command.arg("--guard").arg(path);
        }
        command.arg("--").arg(&start.program).arg(&program).args(&start.args);
        command.current_dir(&cwd).env_clear().envs(env.iter().copied()).envs(view.env);
        *self.report.lock().unwrap_or_else(PoisonError::into_inner) = Some(report.try_clone()?);
        let files: Vec<OwnedFd> = view.files.into_iter().chain([report, filter]).map(OwnedFd::from).collect();
        os::pass_on(&mut command, files);
        Ok(command)
    }

    fn signal(&self, program: u32, signal: Signal, _on_a_terminal: bool) {
        let first = ProcessId::of(program).and_then(|bwrap| os::children_of(&bwrap).into_iter().next());
        let _ = match first {
            // It forwards the signal; its own end is that of the whole sandbox.
            Some(first) => kill(Pid::from_raw(first.pid as i32), signal),
            // There is no program yet.
            None if signal == Signal::SIGCONT => Ok(()),
            None => kill(Pid::from_raw(program as i32), Signal::SIGKILL),
        };
    }

    fn status(&self, status: ExitStatus) -> io::Result<ExitStatus> {
        let file = self.report.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut bytes = [0; inside::LONGEST_REPORT];
        let length = file.map_or(Ok(0), |file| file.read_at(&mut bytes, 0))?;
        match Report::read(&bytes[..length]) {
            Some(Report::Ended(raw)) => Ok(ExitStatus::from_raw(raw)),
            Some(Report::NotStarted(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(Report::Broken(what)) => Err(io::Error::other(what)),
            // Killed, with everything in it: bwrap reports 128 and the number of the signal.
            None if status.signal().is_some() || status.code() == Some(128 + libc::SIGKILL) => {
                Ok(ExitStatus::from_raw(libc::SIGKILL))
            }
            None => Err(io::Error::other(format!("its sandbox could not be set up ({PROGRAM}: {status})"))),
        }
    }

    fn on_disk<'a>(
        &self,
        driver: DriverKind,
        value: &dyn Fn(&str) -> Option<&'a OsStr>,
        kept: &Path,
        named: &Path,
    ) -> Option<PathBuf> {
        let (name, _, rest) = driver.manifest()?.home.kept(named, value)?;
        super::below(&kept.join(name), &kept.join(name).join(rest))
    }

    fn is_alive(&self) -> bool {
        Direct.is_alive()
    }

    fn end(&self, keep: &[u32], grace: Duration, limit: Duration) -> io::Result<EndReport> {
        Direct.end(keep, grace, limit)
    }
}

/// Checks that agents of a role can be started in a sandbox.
///
/// # Errors
/// What is missing.
pub fn check(role: &Role) -> Result<(), Unavailable> {
    let home = role.env.get("HOME").map(OsString::from).or_else(|| std::env::var_os("HOME")).map(PathBuf::from);
    let cwd = role.cwd.canonicalize().unwrap_or_else(|_| role.cwd.clone());
    if let Err(e) = view::check_folder(&cwd, home.as_deref()) {
        let fix = format!("set cwd under [roles.{}] in sessions.toml to a folder below it", role.name);
        return Err(Unavailable { missing: e.to_string(), fix });
    }
    for folder in &role.sandbox_read {
        let real = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        if let Err(e) = view::check_shown(folder, &real, home.as_deref(), Path::new("/nonexistent")) {
            let fix = format!("correct sandbox_read under [roles.{}] in sessions.toml", role.name);
            return Err(Unavailable { missing: e.to_string(), fix });
        }
    }
    probe::check()
}

/// Returns the folders of PATH that a role's sandbox cannot show, because a home folder or the state folder is in them.
pub fn left_out(role: &Role, path: Option<&OsStr>, state: &Path) -> Vec<PathBuf> {
    let path = role.env.get("PATH").map(OsStr::new).or(path);
    let home = role.env.get("HOME").map(OsString::from).or_else(|| std::env::var_os("HOME")).map(PathBuf::from);
    let private: Vec<PathBuf> =
        home.iter().map(PathBuf::as_path).chain([state]).filter_map(|f| f.canonicalize().ok()).collect();
    let is_left_out = |folder: &PathBuf| {
        folder
            .canonicalize()
            .is_ok_and(|real| real.parent().is_some() && private.iter().any(|own| own.starts_with(&real)))
    };
    path.into_iter().flat_map(std::env::split_paths).filter(|folder| folder.is_absolute()).filter(is_left_out).collect()
}

/// Returns the options that do not depend on what is visible.
fn namespaces(own_network: bool, on_a_terminal: bool) -> Vec<OsString> {
    let mut args = vec![
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-cgroup-try",
        "--as-pid-1",
        "--die-with-parent",
        "--cap-drop",
        "ALL",
    ];
    if !nix::unistd::geteuid().is_root() {
        args.push("--unshare-user");
    }
    if own_network {
        args.push("--unshare-net");
    }
    // Without a terminal of its own, it must not keep the runner's.
    if !on_a_terminal {
        args.push("--new-session");
    }
    args.into_iter().map(OsString::from).collect()
}

/// Returns the file of a program. A path is relative to the working folder.
fn located(program: &OsStr, cwd: &Path, path: Option<&OsStr>) -> io::Result<PathBuf> {
    let is_path = program.as_encoded_bytes().contains(&b'/');
    let found = match program.to_str().filter(|_| !is_path) {
        Some(name) => programs::find(name, path),
        None => Some(cwd.join(program)).filter(|file| file.exists()),
    };
    found.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Returns where bwrap is looked for: in the usual places, and then on our own PATH. A role's PATH may name folders that its
/// agents can write to.
fn search_path() -> Option<OsString> {
    let usual = ["/usr/bin", "/usr/local/bin", "/bin"].map(PathBuf::from);
    let own = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(usual.into_iter().chain(std::env::split_paths(&own))).ok()
}
