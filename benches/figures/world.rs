//! A separate project for a group of figures: folder, sessions.toml, state, private Redis, private tmux server.

use std::{
    fs,
    future::Future,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use orch::{
    config::{Config, Env},
    model::{agent::Agent, event::Event, id::TaskId, task::TaskState},
    ops::{Caller, Ops, Person, types::Delegate},
    redis_server::User,
    store::Store,
};

use crate::{Result, processes};

/// The folders of all worlds. A world is ended here if its group did not end it, and all folders are removed at the
/// end.
static MADE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// The parent folder of worlds unless TMPDIR is set. `/tmp` is in memory on some systems, where a synced write costs
/// nothing. Elsewhere most files of a machine are created and removed in it, which makes some file systems slower.
const ON_DISK: &str = "/var/tmp";
/// The environment variable that names another build of orch, to compare it with this one.
const PROGRAM: &str = "ORCH_BENCH_PROGRAM";
/// The master of every world: orch's own console, independent of the installed programs.
const MASTER: &str = "[roles.opus]\ndriver = \"console\"\n";
/// The time limit of every wait. Waits take a fraction of it, also on a loaded machine.
const LIMIT: Duration = Duration::from_secs(60);

pub struct World {
    pub dir: PathBuf,
    pub ops: Ops,
    pub store: Store,
    runtime: tokio::runtime::Runtime,
}

impl World {
    /// Creates a world with these sections in its sessions.toml. Nothing runs in it yet.
    pub fn new(sections: &str) -> Result<World> {
        World::new_in(&std::env::var_os("TMPDIR").map_or_else(|| ON_DISK.into(), PathBuf::from), sections)
    }

    /// Creates a world below this folder.
    pub fn new_in(parent: &Path, sections: &str) -> Result<World> {
        let dir = tempfile::Builder::new().prefix("orch-bench-").tempdir_in(parent)?.keep();
        MADE.lock().unwrap_or_else(PoisonError::into_inner).push(dir.clone());
        let toml = format!("name = \"bench\"\n[tmux]\nsocket = {:?}\n{MASTER}{sections}", dir.join("tmux"));
        fs::write(dir.join("sessions.toml"), toml)?;
        let env = Env { cwd: dir.clone(), orch_home: Some(dir.join("home")), ..Env::default() };
        let config = Config::load_with(&env, None)?;
        // The private server's address is known before the server runs.
        let store = Store::private(&config.home, &config.namespace, User::Supervisor, Duration::from_secs(5))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(World { dir, ops: Ops::new(config, Caller::Person(Person::default()))?, store, runtime })
    }

    /// Runs a future of ops or store to completion.
    pub fn wait<T, E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        &self,
        call: impl Future<Output = std::result::Result<T, E>>,
    ) -> Result<T> {
        self.runtime.block_on(call).map_err(Into::into)
    }

    /// Returns a command for the real `orch` in this world.
    pub fn orch(&self, words: &[&str]) -> Command {
        orch(&self.dir, words)
    }

    /// Runs the real `orch`, which must succeed.
    pub fn run(&self, words: &[&str]) -> Result<()> {
        let output = self.orch(words).stdin(Stdio::null()).output()?;
        if output.status.success() {
            return Ok(());
        }
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("orch {}: {} {}", words.join(" "), output.status, stderr.trim()).into())
    }

    pub fn tmux(&self, words: &[&str]) -> Command {
        tmux(&self.dir, words)
    }

    /// Delegates a task in this process, without starting `orch`.
    pub fn delegate(&self, role: &str, text: &str) -> Result<TaskId> {
        self.ask(Delegate { role: Some(role.into()), text: text.into(), ..Delegate::default() })
    }

    pub fn ask(&self, what: Delegate) -> Result<TaskId> {
        Ok(self.wait(self.ops.delegate(what))?.id)
    }

    /// Returns the live agents except the master.
    pub fn agents(&self) -> Result<Vec<Agent>> {
        let records = self.wait(self.store.agents())?;
        Ok(records.into_iter().map(|record| record.agent).filter(|agent| !agent.master).collect())
    }

    /// Returns the number of tasks in a state.
    pub fn count(&self, state: TaskState) -> Result<u64> {
        let counts = self.wait(self.store.task_counts())?;
        Ok(counts.into_iter().find(|(s, _)| *s == state).map_or(0, |(_, n)| n))
    }

    /// Returns the id of the last event.
    pub fn last_event(&self) -> Result<String> {
        Ok(self.wait(self.store.events_last(1))?.pop().map_or_else(|| "0".to_owned(), |event| event.id))
    }

    /// Waits for the first event after `after` that matches.
    pub fn event_after(&self, after: &str, is_it: impl Fn(&Event) -> bool) -> Result<Event> {
        let (began, mut after) = (Instant::now(), after.to_owned());
        while began.elapsed() < LIMIT {
            for event in self.wait(self.store.next_events(&after, Duration::from_secs(1)))? {
                if is_it(&event) {
                    return Ok(event);
                }
                after = event.id;
            }
        }
        Err("what was waited for did not happen".into())
    }

    /// Polls until a condition is true. The interval is coarse, because polling costs processor time and is not
    /// measured.
    pub fn until(&self, what: &str, holds: impl FnMut() -> Result<bool>) -> Result<()> {
        self.until_by(what, Duration::from_millis(5), holds)
    }

    /// Polls until a condition is true, with this interval.
    pub fn until_by(&self, what: &str, pause: Duration, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
        let began = Instant::now();
        while !holds()? {
            if began.elapsed() > LIMIT {
                return Err(format!("it did not come to this: {what}").into());
            }
            std::thread::sleep(pause);
        }
        Ok(())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        end(&self.dir);
    }
}

/// Ends every world that still runs.
pub fn end_all() {
    let made = MADE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    made.iter().for_each(|dir| end(dir));
}

/// Ends every world and removes all folders. The folders are not removed after each group, because ext4 without a
/// journal skips the inodes of recently removed files, and checks each of them again for each new file. The tasks of
/// the next world, with five new files and folders each, would take twice as long.
pub fn remove_all() {
    end_all();
    for dir in MADE.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        let _ = fs::remove_dir_all(dir);
    }
}

/// Ends a world in order, and then kills the remaining processes. Its folder is kept.
fn end(dir: &Path) {
    if !processes::of_folder(dir).is_empty() {
        let stop = orch(dir, &["stop"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        if let Ok(mut stop) = stop
            && ended_within(&mut stop, LIMIT).is_none()
        {
            let _ = stop.kill().and_then(|()| stop.wait());
        }
        let _ = tmux(dir, &["kill-server"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
    let began = Instant::now();
    while began.elapsed() < LIMIT {
        let left = processes::of_folder(dir);
        if left.is_empty() {
            break;
        }
        for pid in left {
            let _ = kill(Pid::from_raw(pid as i32), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn ended_within(child: &mut std::process::Child, limit: Duration) -> Option<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < limit {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

fn orch(dir: &Path, words: &[&str]) -> Command {
    let program = std::env::var_os(PROGRAM).unwrap_or_else(|| env!("CARGO_BIN_EXE_orch").into());
    let mut command = Command::new(program);
    command.args(words).current_dir(dir).env("ORCH_HOME", dir.join("home")).env("ORCH_CONFIG", dir);
    // The benchmark itself may run inside an agent's task.
    for name in
        ["ORCH_AGENT", "ORCH_ROLE", "ORCH_TASK", "ORCH_ATTEMPT", "ORCH_CAPABILITY", "ORCH_LOG", "ORCH_SOCKET", "TMUX"]
    {
        command.env_remove(name);
    }
    command
}

fn tmux(dir: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("tmux");
    command.arg("-S").arg(dir.join("tmux")).args(words).env_remove("TMUX").stdin(Stdio::null());
    command
}
