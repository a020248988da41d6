//! A private world for a drill: a folder, an environment, and an orch in it. A drill cannot reach the user's real work:
//! its Redis, its tmux server and its state are in a new temporary folder, and all its processes are found by the name
//! of that folder.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use tokio::process::Command;

use super::{
    disk::{SmallDisk, unmount},
    workload::{PLAN, SCRIPT},
};
use crate::{
    error::{Error, Result},
    home::{Home, create_dir},
    mux::{TmuxMux, TmuxOptions},
    os,
    redis_server::User,
    store::Store,
};

/// The prefix of a world's folder; six random letters follow.
const PREFIX: &str = "orch-drill-";
/// The longest folder in which all sockets still have paths that are short enough (107 bytes).
const LONGEST_ROOT: usize = 60;
/// A world below its root, and its state folder below that.
const FOLDER: &str = "w";
const HOME: &str = "home";
/// Files in a world's folder: the lock that its drill holds, and the timeline after a violation.
const LOCK: &str = "lock";
pub(super) const TIMELINE: &str = "timeline";
/// The age from which an unheld lock means that the world's drill has ended.
const SETTLED: Duration = Duration::from_secs(60);
/// The time limit of every command. `orch start` itself times out after two minutes.
const LIMIT: Duration = Duration::from_secs(150);
/// The retry deadline of the drill's own calls to Redis.
const RETRY_FOR: Duration = Duration::from_millis(100);

/// The intervals of a world. They are short, so that leases expire soon.
pub(super) const LEASE: Duration = Duration::from_secs(2);

/// How many agents a world has, and how long records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fleet {
    /// Agents of two roles start and stop with the load, and no record expires.
    Changing,
    /// All agents keep running, and records of ended tasks expire as soon as possible, so that nothing should grow.
    Steady,
}

/// One world. Dropping it kills all its processes and removes its folder.
pub(super) struct World {
    /// The folder that contains the world and the drill's other files.
    pub root: PathBuf,
    /// The world's folder.
    pub path: PathBuf,
    pub home: Home,
    /// The drill's connection to the world's Redis.
    pub store: Store,
    /// Its tmux server.
    pub mux: TmuxMux,
    /// The disk of its state folder, where a fault may fill it.
    pub disk: Option<SmallDisk>,
    /// Whether the folder is kept.
    pub keep: bool,
    env: Vec<(OsString, OsString)>,
    /// Held for the lifetime of the drill, so that other drills do not remove this world.
    _lock: Option<os::FileLock>,
}

/// The outcome of a command.
#[derive(Debug)]
pub(super) struct Output {
    /// The exit code; -1 if the command was killed or did not end.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Returns the error message on one line.
    pub fn complaint(&self) -> String {
        let said = serde_json::from_str::<serde_json::Value>(&self.stdout).ok();
        let message = said.as_ref().and_then(|v| v["error"]["message"].as_str());
        let text = message.unwrap_or(if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr });
        format!("exit code {}: {}", self.code, crate::model::text::one_line(text.trim(), 300))
    }
}

impl World {
    /// Creates the folder with its files. Nothing runs yet.
    ///
    /// # Errors
    /// Returns a configuration error if no folder with a short enough path can be created.
    pub fn create(fleet: Fleet, agents: u32, has_small_disk: bool) -> Result<World> {
        let root = make_root()?;
        root.parent().into_iter().for_each(sweep);
        let world = World::within(root.clone(), fleet, agents, has_small_disk);
        world.inspect_err(|_| drop(fs::remove_dir_all(&root)))
    }

    fn within(root: PathBuf, fleet: Fleet, agents: u32, has_small_disk: bool) -> Result<World> {
        let path = root.join(FOLDER);
        let cannot = |e: std::io::Error| Error::config(format!("the drill's folder {}: {e}", root.display()));
        for folder in ["project", "bin", "tmp", "config"] {
            create_dir(&path.join(folder)).map_err(cannot)?;
        }
        create_dir(&root.join("a")).map_err(cannot)?;
        fs::write(path.join("project/sessions.toml"), sessions_toml(&path, fleet, agents)).map_err(cannot)?;
        fs::write(path.join("task"), SCRIPT).map_err(cannot)?;
        fs::write(path.join("plan.toml"), PLAN).map_err(cannot)?;
        fs::write(path.join("executions"), "").map_err(cannot)?;
        let program = std::env::current_exe().map_err(cannot)?;
        let program = program.to_string_lossy();
        let program = program.strip_suffix(" (deleted)").unwrap_or(&program);
        std::os::unix::fs::symlink(program, path.join("bin/orch")).map_err(cannot)?;
        let home = Home::new(path.join(HOME));
        let disk = has_small_disk.then(|| create_dir(home.path()).ok().and_then(|()| SmallDisk::mount(home.path())));
        let socket = path.join(format!("tmux-{}/default", nix::unistd::getuid()));
        Ok(World {
            store: Store::private(home.path(), "drill", User::Supervisor, RETRY_FOR)?,
            mux: tmux_at(&socket),
            env: environment(&path, home.path()),
            disk: disk.flatten(),
            keep: false,
            _lock: os::lock_file(&root.join(LOCK))?,
            home,
            path,
            root,
        })
    }

    /// Returns a command for a program in this world.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .current_dir(self.path.join("project"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is handled by the drill, which ends the world in order.
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// Runs the real `orch`, and returns its outcome.
    pub async fn orch<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Output {
        let program = self.path.join("bin/orch");
        let running = self.command(&program.to_string_lossy()).args(words).output();
        match tokio::time::timeout(LIMIT, running).await {
            Ok(Ok(output)) => Output {
                code: output.status.code().unwrap_or(-1),
                stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            },
            Ok(Err(e)) => Output { code: -1, stdout: String::new(), stderr: format!("it could not be run: {e}") },
            Err(_) => Output { code: -1, stdout: String::new(), stderr: format!("it did not end within {LIMIT:?}") },
        }
    }

    /// Returns the supervisor that holds the lock.
    pub fn supervisor(&self) -> Option<os::ProcessId> {
        os::read_lock_holder(&self.home.supervisor_lock())
    }

    /// Kills every process whose folder is the world's or the drill's. They are stopped first, so that none of them
    /// starts another one meanwhile. Blocks for some milliseconds, at most ten seconds.
    pub fn end(&self) {
        end(&self.root);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.end();
        let disk = self.disk.take();
        if self.keep {
            disk.into_iter().for_each(SmallDisk::keep);
        } else {
            drop(disk);
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

fn end(root: &Path) {
    let (began, mut empty) = (Instant::now(), 0);
    while empty < 2 && began.elapsed() < Duration::from_secs(10) {
        let left = os::of_folder(root).unwrap_or_default();
        for order in [Signal::SIGSTOP, Signal::SIGKILL] {
            for process in &left {
                // A process that has already ended is no error.
                let _ = process.signal(order);
            }
        }
        empty = if left.is_empty() { empty + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Removes the worlds whose drill was killed. Kept worlds have a timeline, and are not removed.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let (root, name) = (entry.path(), entry.file_name());
        let is_ours = || entry.metadata().is_ok_and(|m| m.is_dir() && m.uid() == nix::unistd::geteuid().as_raw());
        // The drill of a younger world may not have taken its lock yet.
        let is_old = || {
            fs::metadata(root.join(LOCK))
                .and_then(|m| m.modified())
                .is_ok_and(|at| at.elapsed().is_ok_and(|a| a > SETTLED))
        };
        let is_kept = || root.join(TIMELINE).exists();
        if name.to_string_lossy().starts_with(PREFIX)
            && is_ours()
            && is_old()
            && !is_kept()
            && let Ok(Some(_lock)) = os::lock_file(&root.join(LOCK))
        {
            end(&root);
            unmount(&root.join(FOLDER).join(HOME));
            let _ = fs::remove_dir_all(&root);
        }
    }
}

/// Returns tmux at that socket. A server that the drill starts reads no tmux.conf.
pub(super) fn tmux_at(socket: &Path) -> TmuxMux {
    let socket = Some(socket.display().to_string());
    TmuxMux::new(TmuxOptions { socket, config: Some("/dev/null".into()), ..TmuxOptions::default() })
}

fn make_root() -> Result<PathBuf> {
    let requested = std::env::var_os("TMPDIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let mut refused = Vec::new();
    for parent in requested.into_iter().chain(["/tmp".into(), "/var/tmp".into()]) {
        // Processes are found by the folder's real path, so links must be resolved.
        let parent = parent.canonicalize().unwrap_or(parent);
        let template = parent.join(format!("{PREFIX}XXXXXX"));
        if template.as_os_str().len() > LONGEST_ROOT {
            refused.push(format!("{} is too long for the path of a socket", parent.display()));
            continue;
        }
        match nix::unistd::mkdtemp(&template) {
            Ok(root) => return Ok(root),
            Err(e) => refused.push(format!("{}: {}", parent.display(), e.desc())),
        }
    }
    Err(Error::config(format!("there is no folder for a drill: {}", refused.join("; ")))
        .hint("set TMPDIR to a short folder that you can write to"))
}

/// Returns the caller's environment without the variables of another orch or tmux, and with an empty home, because the
/// user's tmux.conf may start anything.
fn environment(path: &Path, home: &Path) -> Vec<(OsString, OsString)> {
    let foreign = |name: &OsString| {
        let name = name.to_string_lossy();
        name.starts_with("ORCH_")
            || name.starts_with("TMUX")
            || name.starts_with("XDG_")
            || ["ENV", "BASH_ENV", "PWD", "OLDPWD", "_"].contains(&&*name)
    };
    let mut env: Vec<(OsString, OsString)> = std::env::vars_os().filter(|(name, _)| !foreign(name)).collect();
    let found = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let mut search = path.join("bin").into_os_string();
    search.push(":");
    search.push(found);
    let own: [(&str, OsString); 7] = [
        ("PATH", search),
        ("HOME", path.into()),
        ("XDG_CONFIG_HOME", path.join("config").into()),
        ("TMPDIR", path.join("tmp").into()),
        ("TMUX_TMPDIR", path.into()),
        ("ORCH_HOME", home.into()),
        ("SHELL", "/bin/sh".into()),
    ];
    for (name, value) in own {
        env.retain(|(there, _)| there != name);
        env.push((name.into(), value));
    }
    env
}

/// Returns a sessions.toml that permits more losses than any drill causes, because dead letters by loss are not tested.
fn sessions_toml(path: &Path, fleet: Fleet, agents: u32) -> String {
    let (leads, workers, keep, rest) = match fleet {
        Fleet::Changing => {
            let leads = (agents / 3).max(1);
            (leads, agents.saturating_sub(leads).max(1), "14d".to_owned(), "idle_timeout = \"2s\"".to_owned())
        }
        Fleet::Steady => (1, agents, "1m".to_owned(), format!("min = {agents}")),
    };
    // Waiting parents take no slot, but they are agents.
    let most = agents * 4 + 4;
    let env = format!("env = {{ DRILL = {:?} }}", path.display().to_string());
    format!(
        "name = \"drill\"\n\
         [supervisor]\nheartbeat = \"300ms\"\nlease = \"{}ms\"\nkill_grace = \"300ms\"\nmax_agents = {most}\nkeep = \"{keep}\"\nmin_free_disk = \"1M\"\n\
         [retry]\nretries = 3\nlost = 1000\nbase = \"50ms\"\ncap = \"400ms\"\n\
         [master]\nrole = \"opus\"\ndefault_role = \"worker\"\n\
         [roles.opus]\ndriver = \"console\"\n\
         [limits]\nmax_cost_usd_per_day = 900.0\n\
         [roles.worker]\ndriver = \"shell\"\nmax = {workers}\nmax_cost_usd_per_day = 800.0\nexpected_cost_usd = 0.01\n{rest}\ntask_timeout = \"30s\"\n{env}\n\
         [roles.lead]\ndriver = \"shell\"\nmax = {leads}\nidle_timeout = \"2s\"\ntask_timeout = \"60s\"\n{env}\n",
        LEASE.as_millis()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Env};

    #[test]
    fn its_sessions_toml_is_valid_for_any_number_of_agents() {
        let folder = tempfile::tempdir().unwrap();
        for agents in [1, 2, 6, 20, 100] {
            let toml = sessions_toml(Path::new("/tmp/x"), Fleet::Changing, agents);
            fs::write(folder.path().join("sessions.toml"), toml).unwrap();
            let env = Env { cwd: folder.path().into(), state_home: Some("/tmp".into()), ..Env::default() };
            let config = Config::load_with(&env, None).unwrap();
            assert_eq!(config.supervisor.lease, LEASE);
            let places = |role: &str| config.roles[role].max;
            assert_eq!(places("worker") + places("lead"), agents.max(2));

            let toml = sessions_toml(Path::new("/tmp/x"), Fleet::Steady, agents);
            fs::write(folder.path().join("sessions.toml"), toml).unwrap();
            assert_eq!(Config::load_with(&env, None).unwrap().roles["worker"].min, agents);
        }
    }

    #[test]
    fn its_environment_names_no_other_orch_or_tmux() {
        let env = environment(Path::new("/tmp/d/w"), Path::new("/tmp/d/w/home"));
        let of = |name: &str| env.iter().filter(|(n, _)| n == name).map(|(_, v)| v.clone()).collect::<Vec<_>>();
        assert_eq!((of("ORCH_HOME"), of("TMUX_TMPDIR")), (vec!["/tmp/d/w/home".into()], vec!["/tmp/d/w".into()]));
        let others = env.iter().filter(|(n, _)| n.to_string_lossy().starts_with("ORCH_")).count();
        assert!(others == 1 && of("TMUX").is_empty() && of("PATH")[0].to_string_lossy().starts_with("/tmp/d/w/bin:"));
    }

    #[test]
    fn abandoned_worlds_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let world = |name: &str, age: Duration| {
            let root = parent.path().join(format!("{PREFIX}{name}"));
            fs::create_dir(&root).unwrap();
            let lock = fs::File::create(root.join(LOCK)).unwrap();
            lock.set_modified(std::time::SystemTime::now() - age).unwrap();
            root
        };
        let (old, young) = (world("old", SETTLED * 2), world("young", Duration::ZERO));
        let (kept, held) = (world("kept", SETTLED * 2), world("held", SETTLED * 2));
        fs::write(kept.join(TIMELINE), "").unwrap();
        let mut left = std::process::Command::new("sleep").arg("1000").current_dir(&old).spawn().unwrap();
        let lock = os::lock_file(&held.join(LOCK)).unwrap();
        let long_ago = std::time::SystemTime::now() - SETTLED * 2;
        fs::File::options().write(true).open(held.join(LOCK)).unwrap().set_modified(long_ago).unwrap();

        sweep(parent.path());
        assert!(!old.exists() && young.exists() && kept.exists() && held.exists());
        assert!(!left.wait().unwrap().success(), "its process is killed");
        drop(lock);
    }
}
