//! One world: its folder, its orch, and its tmux server.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    builder::Builder,
    processes::{self, Process},
    run::{self, Output, Running},
};

/// How long a condition may take to become true, on a loaded machine.
const RETRY_FOR: Duration = Duration::from_secs(30);

/// One world. Dropping it kills all its processes, also when the test has failed.
pub struct World {
    /// The world's folder; a test may put its own files here as well.
    pub path: PathBuf,
    /// The current folder of `orch`.
    pub project: PathBuf,
    /// The state folder, ORCH_HOME.
    pub home: PathBuf,
    /// The socket of the tmux server.
    pub socket: PathBuf,
    /// Additional environment variables of every program that a test starts here.
    pub env: BTreeMap<&'static str, String>,
    /// The user that its programs run as, if not the test's own.
    user: Option<u32>,
    _dir: tempfile::TempDir,
}

impl World {
    /// Returns a builder with short heartbeats, and with leases that are long enough for a loaded machine. A test of an
    /// expiring lease sets a shorter one.
    pub fn builder() -> Builder {
        Builder::new()
    }
    pub(super) fn at(
        dir: tempfile::TempDir,
        project: PathBuf,
        home: PathBuf,
        socket: PathBuf,
        user: Option<u32>,
    ) -> World {
        World { path: dir.path().to_owned(), project, home, socket, env: BTreeMap::new(), user, _dir: dir }
    }
    pub fn new() -> World {
        World::builder().build()
    }
    /// Starts a world with these tables.
    pub fn started(tables: &str) -> World {
        let world = World::builder().tables(tables).build();
        world.start();
        world
    }

    /// Gives everything in the world to the user that its programs run as.
    pub fn give_to_user(&self) {
        let Some(user) = self.user else { return };
        let owner = format!("{user}:{user}");
        let changed = Command::new("chown").args(["-R", &owner]).arg(&self.path).status().expect("chown");
        assert!(changed.success());
    }

    /// Returns the path of a file in the world's folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
    /// Returns the current lines of a file in the world's folder.
    pub fn lines(&self, name: &str) -> Vec<String> {
        fs::read_to_string(self.file(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }
    /// Creates an empty file in the world's folder.
    pub fn touch(&self, name: &str) {
        fs::write(self.file(name), "").expect("touch");
    }

    /// Writes a shell script into a folder on the PATH.
    pub fn program(&self, name: &str, script: &str) {
        let (bin, mode) = (self.file("bin"), fs::Permissions::from_mode(0o755));
        fs::create_dir_all(&bin).expect("bin");
        fs::write(bin.join(name), format!("#!/bin/sh\n{script}\n")).expect("program");
        fs::set_permissions(bin.join(name), mode).expect("executable");
    }

    /// Connects directly to the world's Redis, bypassing orch.
    pub fn redis(&self) -> redis::Connection {
        let url = orch::redis_server::url_with_password(&self.home, orch::redis_server::User::Supervisor);
        let url = url.unwrap_or_else(|e| panic!("Redis: {e}"));
        redis::Client::open(url).and_then(|client| client.get_connection()).unwrap_or_else(|e| panic!("Redis: {e}"))
    }

    /// Returns a command for any program, with exactly this world's environment.
    pub fn command(&self, program: &str) -> Command {
        let mut command = match self.user {
            None => Command::new(program),
            Some(user) => {
                let user = user.to_string();
                let mut command = Command::new("setpriv");
                command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--", program]);
                command
            }
        };
        command.env_clear().current_dir(&self.project).env("HOME", &self.path).env("ORCH_HOME", &self.home);
        // A test may put its own programs into `bin`.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(self.file("bin")).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(path).expect("PATH"));
        // The default tmux server is this world's, even if a test or a bug uses it.
        command.env("TMUX_TMPDIR", &self.path);
        command.envs(&self.env);
        command.env("TERM", "xterm-256color").env("SHELL", "/bin/sh").env("LANG", "C.UTF-8");
        command
    }
    /// Starts `orch` without waiting for its end.
    pub fn orch_started(&self, args: &[&str]) -> Running {
        run::start(self.orch_command(args))
    }
    /// Returns an `orch` command with these arguments, for a caller that changes its environment first.
    pub fn orch_command(&self, args: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_orch"));
        command.args(args);
        command
    }
    #[track_caller]
    pub fn orch(&self, args: &[&str]) -> Output {
        self.orch_started(args).end()
    }
    /// Runs `orch` with `--json`, asserts that it succeeded, and returns its output.
    #[track_caller]
    pub fn orch_json(&self, args: &[&str]) -> Value {
        self.orch(&[args, &["--json"]].concat()).ended(0).json()
    }
    #[track_caller]
    pub fn tmux(&self, args: &[&str]) -> Output {
        let mut command = self.command("tmux");
        command.arg("-S").arg(&self.socket).args(args);
        run::start(command).end()
    }

    #[track_caller]
    pub fn start(&self) {
        self.orch(&["start"]).ok();
    }
    /// Returns the output of `orch status --json`, with any exit code.
    pub fn status(&self) -> Value {
        self.orch(&["status", "--json"]).json()
    }
    /// Delegates a task, and returns its id.
    #[track_caller]
    pub fn delegate(&self, role: &str, text: &str) -> String {
        let answer = self.orch_json(&["delegate", "--role", role, text]);
        answer["id"].as_str().expect("id").to_owned()
    }
    /// Returns the output of `orch show ID --json`.
    #[track_caller]
    pub fn show(&self, id: &str) -> Value {
        self.orch_json(&["show", id])
    }
    /// Returns an agent as `status` shows it; `Null` if there is none.
    pub fn agent(&self, id: &str) -> Value {
        let status = self.status();
        let agents = status["agents"].as_array().cloned().unwrap_or_default();
        agents.into_iter().find(|agent| agent["id"] == id).unwrap_or_default()
    }
    /// Returns the live agents of a role.
    pub fn agents(&self, role: &str) -> Vec<Value> {
        let status = self.status();
        let agents = status["agents"].as_array().cloned().unwrap_or_default();
        agents.into_iter().filter(|agent| agent["role"] == role).collect()
    }
    /// Returns the last events, oldest first.
    pub fn events(&self) -> Vec<Value> {
        let out = self.orch(&["events", "-n", "1000", "--json"]);
        out.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
    /// Returns the last events of one kind.
    pub fn events_of(&self, kind: &str) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["kind"] == kind).collect()
    }
    /// Returns the text of an agent's pane.
    pub fn pane(&self, session: &str) -> String {
        self.tmux(&["capture-pane", "-p", "-S", "-", "-t", &format!("={session}:")]).stdout
    }
    /// Returns the names of all sessions.
    pub fn sessions(&self) -> Vec<String> {
        self.tmux(&["list-sessions", "-F", "#{session_name}"]).stdout.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    pub fn supervisor_pid(&self) -> u32 {
        self.status()["supervisor"]["pid"].as_u64().unwrap_or_else(|| self.fail("there is no supervisor")) as u32
    }
    #[track_caller]
    pub fn redis_pid(&self) -> u32 {
        self.redis_pid_if_any().unwrap_or_else(|| self.fail("there is no Redis"))
    }
    /// Returns the pid of the private Redis, if it runs.
    pub fn redis_pid_if_any(&self) -> Option<u32> {
        let lock = fs::read_to_string(self.home.join("redis/server.lock")).ok()?;
        Some(Process::of(lock.trim().parse().ok()?)?.pid)
    }
    #[track_caller]
    pub fn tmux_server_pid(&self) -> u32 {
        self.tmux(&["display-message", "-p", "#{pid}"]).ok().trim().parse().expect("a pid")
    }
    /// Returns the pid of an agent's runner.
    #[track_caller]
    pub fn runner_pid(&self, agent: &str) -> u32 {
        let pid = self.agent(agent)["pid"].as_u64();
        pid.unwrap_or_else(|| self.fail(&format!("agent {agent} has no process"))) as u32
    }
    /// The most memory that an agent's runner has had, in KiB: without the pages of its own program, of which a debug build has
    /// many.
    pub fn runner_peak(&self, agent: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.runner_pid(agent))).expect("its status");
        let of = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
            line.split_whitespace().next().expect("a number").parse().expect("a number")
        };
        of("VmHWM:").saturating_sub(of("RssFile:"))
    }
    /// Simulates a power failure: every process ends at the same moment, without any cleanup.
    pub fn lose_power(&self) {
        // tmux is stopped first, because it continues its stopped children, and killed last, because they would get a
        // HUP.
        let tmux = self.tmux_server_pid();
        processes::signal(tmux, processes::Signal::SIGSTOP);
        let others: Vec<Process> = self.processes().into_iter().filter(|p| p.pid != tmux).collect();
        for order in [processes::Signal::SIGSTOP, processes::Signal::SIGKILL] {
            for process in others.iter().filter(|p| p.is_alive()) {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(process.pid as i32), order);
            }
        }
        processes::end_world(&self.path);
    }
    pub fn processes(&self) -> Vec<Process> {
        processes::of_world(&self.path)
    }

    /// Returns the cgroups of the world's agents; none if cgroups cannot be created here.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let text = fs::read_to_string(self.home.join("cgroups")).unwrap_or_default();
        // Runners that start at the same time may each record their common group.
        let groups: std::collections::BTreeSet<PathBuf> = text.lines().map(PathBuf::from).collect();
        groups.into_iter().collect()
    }

    /// Returns the entries of the registry of runners.
    pub fn runners(&self) -> Vec<String> {
        let entries = fs::read_dir(self.home.join("runners")).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Waits until a condition is true.
    #[track_caller]
    pub fn wait_until(&self, what: &str, condition: impl FnMut() -> bool) {
        self.wait_until_within(RETRY_FOR, what, condition);
    }
    #[track_caller]
    pub fn wait_until_within(&self, limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
        let began = Instant::now();
        while !condition() {
            if began.elapsed() > limit {
                self.fail(&format!("not within {limit:?}: {what}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    /// Waits until a task is in this state, and returns it.
    #[track_caller]
    pub fn wait_for(&self, task: &str, state: &str) -> Value {
        let mut shown = Value::Null;
        self.wait_until(&format!("task {task} is {state}"), || {
            shown = self.show(task);
            shown["state"] == state
        });
        shown
    }
    /// Waits until an agent is in this state, and returns it.
    #[track_caller]
    pub fn wait_for_agent(&self, agent: &str, state: &str) -> Value {
        let mut shown = Value::Null;
        self.wait_until(&format!("agent {agent} is {state}"), || {
            shown = self.agent(agent);
            shown["state"] == state
        });
        shown
    }
    /// Fails the test with status, events, log and processes.
    #[track_caller]
    pub fn fail(&self, what: &str) -> ! {
        let events: Vec<String> = self.events().iter().map(Value::to_string).collect();
        let log = fs::read_to_string(self.home.join("supervisor.log")).unwrap_or_default();
        let log: Vec<&str> = log.lines().collect();
        panic!(
            "{what}\n── status\n{:#}\n── events\n{}\n── supervisor.log\n{}\n── processes\n{:#?}",
            self.orch(&["status", "--json"]).stdout,
            events[events.len().saturating_sub(60)..].join("\n"),
            log[log.len().saturating_sub(60)..].join("\n"),
            self.processes(),
        );
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let groups = self.cgroups();
        processes::end_world(&self.path);
        // After a failed test, some processes may be found only by their cgroup.
        groups.iter().for_each(|group| processes::end_group(group));
    }
}
