//! `start`, and the part of it that `stop` uses. No other verb starts a process.

use std::{
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tokio::io::{AsyncBufReadExt, BufReader};

use super::{Caller, Ops, Started};
use crate::{
    config::{DriverKind, Reach},
    error::{Error, Kind, Result},
    home::{self, Said},
    model::{agent::AgentState, event::EventKind, text::count},
    mux::{Mux, MuxError, SessionInfo},
    os::{self, FileLock, ProcessId, failpoint},
    redis_server::check_version,
    store::requests::Request,
};

/// How long a start may take: a large Redis file is loaded before anything else happens.
const START: Duration = Duration::from_secs(120);
/// How long a supervisor that has printed its outcome may take to exit.
const LAST_BREATH: Duration = Duration::from_secs(10);
/// How long to wait for the master of a supervisor that runs already.
const MASTER: Duration = Duration::from_secs(15);
/// How long to wait for another `orch start` or `orch stop`.
const TURN: Duration = Duration::from_secs(180);
/// Variables without which agents and their programs would be at another place, or not start.
const NEEDED: [&str; 5] = ["PATH", "HOME", "TMUX_TMPDIR", "XDG_RUNTIME_DIR", "USER"];

impl Ops {
    /// Starts the supervisor, and with it Redis and the master; returns when the master stands. Where it is running
    /// already, that is said, and nothing is started twice. With `paused`, no task starts until a person resumes. With `adopt`,
    /// the state folder of a project that was moved or renamed becomes this one's, or orch begins with another Redis.
    ///
    /// # Errors
    /// What keeps any of the three from starting.
    pub async fn start(&self, paused: bool, adopt: bool) -> Result<Started> {
        self.refuse_within_attempt("start")?;
        self.refuse_other_name()?;
        if self.home.owner().is_none() {
            self.await_end_of_removed_folder().await?;
        }
        let not_passed = self.check_environment()?;
        self.home.create()?;
        let _turn = self.turn().await?;
        failpoint!("start.turn_taken");
        let before = if adopt { self.adopt().await? } else { None };
        let started = self.start_in_turn(paused, adopt).await;
        if let (Err(_), Some(before)) = (&started, before) {
            self.give_back(&before);
        }
        let already = started?;
        if already && paused {
            self.pause(None).await?;
        }
        let reached_rights = self.reached_rights().iter().map(Reach::sentence).collect();
        let (status, session) = (self.status().await?, self.config.master.session.clone());
        let (runs_by_itself, other_projects) = (self.runs_by_itself(), self.masters_of_other_projects());
        Ok(Started { already, status, session, reached_rights, runs_by_itself, other_projects, not_passed })
    }

    /// Returns whether everything runs already.
    async fn start_in_turn(&self, paused: bool, adopt: bool) -> Result<bool> {
        let options: Vec<&str> =
            [(paused, "--paused"), (adopt, "--adopt")].iter().filter(|o| o.0).map(|o| o.1).collect();
        let mut has_moved = false;
        loop {
            self.await_visible_supervisor().await?;
            if let Some(supervisor) = self.supervisor() {
                if !has_moved && self.replace_after_a_move(&supervisor).await? {
                    has_moved = true;
                    continue;
                }
                if self.await_master(&supervisor).await? {
                    return Ok(true);
                }
            }
            self.may_start().await?;
            if self.launch_supervisor(&options).await?.is_none() {
                return Ok(has_moved);
            }
        }
    }

    /// Variables that are not UTF-8 reach no agent, and without some nothing would work.
    pub(super) fn check_environment(&self) -> Result<Vec<String>> {
        let broken = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            (name.to_str().is_none() || value.to_str().is_none()).then(|| name.to_string_lossy().into_owned())
        };
        let mut names: Vec<String> = std::env::vars_os().filter_map(broken).collect();
        names.sort();
        match names.iter().find(|name| NEEDED.contains(&name.as_str())) {
            Some(name) => {
                Err(Error::config(format!("{name} has a byte that is not UTF-8: agents would be without it"))
                    .hint(format!("set {name} to a value without that byte, then: orch start")))
            }
            None => Ok(names),
        }
    }

    /// What sessions.toml runs without a task: the master, agents that are always there, the notifier.
    fn runs_by_itself(&self) -> Vec<String> {
        let master = &self.config.master;
        let mut out = Vec::new();
        if let Ok(role) = self.config.role(&master.role)
            && role.driver != DriverKind::Console
        {
            let model = role.model.as_ref().map(|model| format!(", model {model}")).unwrap_or_default();
            let first = self.asks_first(role).map(|asks| format!("; {asks}: orch attach")).unwrap_or_default();
            out.push(format!("master {}: driver {} (role {}{model}){first}", master.session, role.driver, role.name));
        }
        for role in self.config.roles.values().filter(|role| role.min > 0) {
            let agents = count(role.min, "agent", "agents");
            out.push(format!("role {}: at least {agents} with driver {}", role.name, role.driver));
        }
        out.extend(self.config.schedules.values().map(|one| format!("schedule {}: {}", one.name, one.when())));
        if !self.config.supervisor.notify_command.is_empty() {
            out.push(format!("notify_command: {}", self.config.supervisor.notify_command.join(" ")));
        }
        out
    }

    /// The supervisor of a state folder that was removed ends its agents first.
    async fn await_end_of_removed_folder(&self) -> Result<()> {
        let began = Instant::now();
        while self.has_sessions().await.unwrap_or(false) {
            if began.elapsed() > MASTER {
                let home = self.home.path().display();
                return Err(Error::timed_out(format!("agents of a state folder {home} that was removed still run"))
                    .hint("orch stop"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// What a person has to fix first is reported before anything is started.
    pub(super) async fn may_start(&self) -> Result<()> {
        let mux = self.mux();
        mux.check().await?;
        let master = &self.config.master.session;
        let sessions = mux.sessions().await?;
        if let Some(session) = sessions.iter().find(|s| s.name == *master) {
            self.must_be_ours(session, &sessions)?;
        }
        if self.config.redis.url.is_some() {
            check_version(&self.ask(|s| s.info()).await?)?;
        }
        Ok(())
    }

    /// The session in the master's place: one of an earlier supervisor of ours is adopted, any other is in the way.
    fn must_be_ours(&self, session: &SessionInfo, all: &[SessionInfo]) -> Result<()> {
        if self.is_ours(session) {
            return Ok(());
        }
        let elsewhere = |name: &str| match name == self.config.namespace {
            true => " with another state folder (ORCH_HOME)",
            false => "",
        };
        match &session.tags {
            Some(tags) => Err(Error::conflict(format!(
                "the tmux session {} is the master of another project, {}{}",
                session.name,
                tags.name_of_world(),
                elsewhere(tags.name_of_world())
            ))
            .hint(format!(
                "name this project's own in sessions.toml: [master] session = \"{}\"",
                free_name(&self.config.namespace, all)
            ))),
            None => Err(MuxError::NameTaken(session.name.clone()).into()),
        }
    }

    pub(super) fn refuse_within_attempt(&self, verb: &str) -> Result<()> {
        match &self.caller {
            Caller::Agent { attempt: Some(attempt), .. } => {
                Err(Error::failed(format!("orch {verb} is not for the program of an attempt (task {})", attempt.task))
                    .hint("ask the person, or the master"))
            }
            _ => Ok(()),
        }
    }

    /// One start or stop at a time; the others wait for it and then see its result.
    pub(super) async fn turn(&self) -> Result<FileLock> {
        self.turn_within(TURN).await
    }

    /// The same, for at most this long.
    pub(super) async fn turn_within(&self, limit: Duration) -> Result<FileLock> {
        let (path, began) = (self.home.start_lock(), Instant::now());
        loop {
            if let Some(lock) = os::lock_file(&path)? {
                return Ok(lock);
            }
            if began.elapsed() > limit {
                let holder = os::read_lock_holder(&path).map_or_else(String::new, |p| format!(" (pid {})", p.pid));
                return Err(Error::timed_out(format!("another orch start or orch stop{holder} takes very long"))
                    .hint(format!("look at {}", self.home.supervisor_log().display())));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the master of a running supervisor stands. `false` where that supervisor has ended meanwhile: it was
    /// about to stop.
    async fn await_master(&self, supervisor: &ProcessId) -> Result<bool> {
        let stop = Request::Stop { drain: false };
        let began = Instant::now();
        let mut withdrawn = false;
        while supervisor.is_alive() {
            let agents = self.ask(async |store| {
                if !withdrawn {
                    store.withdraw(std::slice::from_ref(&stop), EventKind::SupervisorResumed, "orch start").await?;
                }
                Ok((store.agents().await?, store.is_recovering().await?))
            });
            match agents.await {
                // What was recovered is there when the start returns.
                Ok((_, true)) => withdrawn = true,
                Ok((agents, false)) => {
                    withdrawn = true;
                    let stands = |state| matches!(state, AgentState::Idle | AgentState::Busy);
                    if agents.iter().any(|r| r.agent.master && stands(r.agent.state)) {
                        return Ok(true);
                    }
                }
                // Its Redis ends before it does.
                Err(e) if supervisor.is_alive() && began.elapsed() > MASTER => return Err(e),
                Err(_) => {}
            }
            if began.elapsed() > MASTER {
                return Err(Error::timed_out(format!(
                    "the supervisor (pid {}) runs, but its master {} does not come up",
                    supervisor.pid, self.config.master.session
                ))
                .hint(format!("orch why {}", self.config.master.session)));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(false)
    }

    /// Starts a supervisor in the background and waits for its one line. Some other one where that was quicker to take
    /// the lock: a start that was killed may have left one behind that is only coming up.
    pub(super) async fn launch_supervisor(&self, options: &[&str]) -> Result<Option<ProcessId>> {
        let path = self.home.supervisor_log();
        let log = home::open_log(&path).map_err(|e| home::unusable(&path, &e))?;
        let log_began = log.metadata().map_or(0, |m| m.len());
        let own =
            std::env::current_exe().map_err(|e| Error::internal(format!("our own program is not to be found: {e}")))?;
        let mut command = Command::new(own);
        command.arg("--config").arg(self.config.location()).args(["supervise", "--daemon"]);
        command.arg("--state").arg(&self.config.home).args(options);
        for name in ["ORCH_AGENT", "ORCH_ROLE", "ORCH_TASK", "ORCH_ATTEMPT", "ORCH_CAPABILITY", "ORCH_INCARNATION"] {
            command.env_remove(name);
        }
        // Within an agent TMUX_TMPDIR is the agent's own; the sessions are where it pointed outside.
        match std::env::var_os(home::OUTER_TMUX_TMPDIR) {
            Some(outer) if outer.is_empty() => drop(command.env_remove("TMUX_TMPDIR")),
            Some(outer) => drop(command.env("TMUX_TMPDIR", outer)),
            None => {}
        }
        command.env_remove(home::OUTER_TMUX_TMPDIR);
        // What a person has set of it is theirs.
        let (tunables, small) = os::SMALL;
        if std::env::var_os(tunables).is_none() {
            command.env(tunables, small);
        }
        command.env("ORCH_HOME", &self.config.home).current_dir("/").stdout(Stdio::piped()).stderr(log);
        os::detach(&mut command);
        let mut child = tokio::process::Command::from(command)
            .spawn()
            .map_err(|e| Error::internal(format!("the supervisor could not be started: {e}")))?;
        failpoint!("start.launched");
        let stdout = child.stdout.take().ok_or_else(|| Error::internal("the supervisor has no standard output"))?;
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        match tokio::time::timeout(START, stdout.read_line(&mut line)).await {
            Err(_) => Err(Error::timed_out(format!("orch is not up after {}", crate::model::duration::human(START)))
                .hint(format!("it goes on; look at {}", path.display()))),
            Ok(Ok(n)) if n > 0 => match serde_json::from_str::<Said>(&line) {
                Ok(Said::Failed(error)) => {
                    last_breath(&mut child).await;
                    match self.supervisor() {
                        Some(quicker) if error.kind == Kind::Conflict => Ok(Some(quicker)),
                        _ => Err(error),
                    }
                }
                Ok(Said::StillTrying(error)) => Err(error),
                Ok(Said::Ready) if options.contains(&"--to-stop") => {
                    last_breath(&mut child).await;
                    Ok(None)
                }
                Ok(Said::Ready) => Ok(None),
                Err(_) => Err(Error::internal(format!("the supervisor said '{}'", line.trim()))),
            },
            Ok(_) => {
                let ended = tokio::time::timeout(Duration::from_secs(1), child.wait()).await;
                if let Ok(Ok(status)) = ended
                    && let Some(signal) = status.signal()
                {
                    return Err(killed(signal));
                }
                let said = std::fs::read(&path).unwrap_or_default();
                let said = crate::model::text::plain(said.get(log_began as usize..).unwrap_or_default());
                let last = said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it said nothing").to_owned();
                Err(Error::internal(format!("the supervisor ended immediately: {last}"))
                    .hint(format!("look at {}", path.display())))
            }
        }
    }
}

/// A supervisor reports its end before it exits: what it holds is free only once it has exited.
async fn last_breath(supervisor: &mut tokio::process::Child) {
    let _ = tokio::time::timeout(LAST_BREATH, supervisor.wait()).await;
}

/// The supervisor was killed while it started: by a person, or by the kernel because memory was short.
fn killed(signal: i32) -> Error {
    let name = nix::sys::signal::Signal::try_from(signal).map_or("", |s| s.as_str());
    Error::not_running(format!("the supervisor was ended by signal {signal} {name} before it was up"))
        .hint("what runs already is kept: orch start")
}

/// A session's name for the master of a namespace, whose own name may hold more than a session's may.
pub(super) fn masters_name(namespace: &str) -> String {
    const ROOM: usize = 40;
    let plain: String = namespace.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(ROOM).collect();
    match plain.trim_matches('-') {
        name if name.starts_with(|c: char| c.is_ascii_lowercase()) => format!("{name}-master"),
        name => format!("p{name}-master"),
    }
}

/// The first such name that no session has.
fn free_name(namespace: &str, sessions: &[SessionInfo]) -> String {
    let usual = masters_name(namespace);
    let others = (2..).map(|n| format!("{usual}-{n}"));
    let mut names = std::iter::once(usual.clone()).chain(others);
    names.find(|name| sessions.iter().all(|session| session.name != *name)).unwrap_or(usual)
}

#[cfg(test)]
mod tests {
    use super::masters_name;
    use crate::model::name;

    #[test]
    fn every_namespace_has_a_name_for_its_master() {
        assert_eq!(masters_name("shop-1a2b3c"), "shop-1a2b3c-master");
        assert_eq!(masters_name("my_app.v2-78f675"), "my-app-v2-78f675-master");
        for namespace in ["7up", "a.", "_x", "a", &"n".repeat(64), &format!("{}_-x", "n".repeat(38))] {
            assert!(name::check(&masters_name(namespace)).is_ok(), "{}", masters_name(namespace));
        }
    }
}
