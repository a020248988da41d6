//! A project of its own for a group of figures: folder, sessions.toml, state, private Redis, private tmux server.

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
    ops::{
        Ops,
        types::{Caller, Delegate},
    },
    redis_server::socket_path,
    store::Store,
};

use crate::{Result, processes};

/// The folders of all worlds that were made: what has to be ended when a group does not come to its own end, and removed
/// at the very end.
static MADE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Where worlds are made if TMPDIR does not say otherwise. `/tmp` is memory on some systems, where a synced write costs
/// nothing; and where it is not, it is the folder in which most files of a machine come and go, which some file systems
/// make new ones pay for.
const ON_DISK: &str = "/var/tmp";
/// Names another build of orch than the one that was made with this program: to compare the two.
const PROGRAM: &str = "ORCH_BENCH_PROGRAM";
/// What every world's master is: orch's own prompt, whatever is installed here.
const MASTER: &str = "[roles.opus]\ndriver = \"console\"\n";
/// What is waited for here takes a fraction of this, also on a loaded machine.
const LIMIT: Duration = Duration::from_secs(60);

pub struct World {
    pub dir: PathBuf,
    pub ops: Ops,
    pub store: Store,
    runtime: tokio::runtime::Runtime,
}

impl World {
    /// A world with these sections in its sessions.toml; nothing runs in it yet.
    pub fn new(sections: &str) -> Result<World> {
        World::new_in(&std::env::var_os("TMPDIR").map_or_else(|| ON_DISK.into(), PathBuf::from), sections)
    }

    /// The same with its folder in this one.
    pub fn new_in(place: &Path, sections: &str) -> Result<World> {
        let dir = tempfile::Builder::new().prefix("orch-bench-").tempdir_in(place)?.keep();
        MADE.lock().unwrap_or_else(PoisonError::into_inner).push(dir.clone());
        let toml = format!("name = \"bench\"\n[tmux]\nsocket = {:?}\n{MASTER}{sections}", dir.join("tmux"));
        fs::write(dir.join("sessions.toml"), toml)?;
        let env = Env { cwd: dir.clone(), orch_home: Some(dir.join("home")), ..Env::default() };
        let config = Config::load_with(&env, None)?;
        // The private server's address can be known before it runs.
        let store = Store::at_socket(&socket_path(&config.home)?, &config.namespace, Duration::from_secs(5))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(World { dir, ops: Ops::new(config, Caller::Person)?, store, runtime })
    }

    /// A call of ops or store, to its end.
    pub fn wait<T, E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        &self,
        call: impl Future<Output = std::result::Result<T, E>>,
    ) -> Result<T> {
        self.runtime.block_on(call).map_err(Into::into)
    }

    /// The real program, in this world.
    pub fn orch(&self, words: &[&str]) -> Command {
        orch(&self.dir, words)
    }

    /// Runs the real program to its end, which has to be a good one.
    pub fn run(&self, words: &[&str]) -> Result<()> {
        let output = self.orch(words).stdin(Stdio::null()).output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("orch {}: {} {}", words.join(" "), output.status, said.trim()).into())
    }

    pub fn tmux(&self, words: &[&str]) -> Command {
        tmux(&self.dir, words)
    }

    /// Accepts a task without a process for it.
    pub fn delegate(&self, role: &str, text: &str) -> Result<TaskId> {
        self.ask(Delegate { role: Some(role.into()), text: text.into(), ..Delegate::default() })
    }

    pub fn ask(&self, what: Delegate) -> Result<TaskId> {
        Ok(self.wait(self.ops.delegate(what))?.id)
    }

    /// The living agents, the master excepted.
    pub fn agents(&self) -> Result<Vec<Agent>> {
        let records = self.wait(self.store.agents())?;
        Ok(records.into_iter().map(|record| record.agent).filter(|agent| !agent.master).collect())
    }

    /// How many tasks are in a state.
    pub fn count(&self, state: TaskState) -> Result<u64> {
        let counts = self.wait(self.store.task_counts())?;
        Ok(counts.into_iter().find(|(s, _)| *s == state).map_or(0, |(_, n)| n))
    }

    /// Where the event stream ends now.
    pub fn last_event(&self) -> Result<String> {
        Ok(self.wait(self.store.events_last(1))?.pop().map_or_else(|| "0".to_owned(), |event| event.id))
    }

    /// The first event after `after` that is the one.
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

    /// Looks until it holds. Coarse on purpose: a look costs the machine something, and is not what is measured.
    pub fn until(&self, what: &str, holds: impl FnMut() -> Result<bool>) -> Result<()> {
        self.until_by(what, Duration::from_millis(5), holds)
    }

    /// The same, with its own time between two looks.
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

/// Ends every world that still stands.
pub fn end_all() {
    let made = MADE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    made.iter().for_each(|dir| end(dir));
}

/// Ends every world and removes all folders. Not one by one: ext4 without a journal passes over the places of files that
/// were removed in the last minutes, and looks at each of them again for each new file. The next world's tasks, with five
/// new files and folders each, would take twice as long.
pub fn remove_all() {
    end_all();
    for dir in MADE.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        let _ = fs::remove_dir_all(dir);
    }
}

/// Ends a world in order, then whatever did not end so. Its folder stays.
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
    // Whoever measures may be an agent at work.
    for name in ["ORCH_AGENT", "ORCH_ROLE", "ORCH_TASK", "ORCH_ATTEMPT", "ORCH_CAPABILITY", "ORCH_LOG", "TMUX"] {
        command.env_remove(name);
    }
    command
}

fn tmux(dir: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("tmux");
    command.arg("-S").arg(dir.join("tmux")).args(words).env_remove("TMUX").stdin(Stdio::null());
    command
}
