//! `orch doctor`: whether this machine has what orch needs, and how to fix what it lacks.
//!
//! It changes nothing. The checks are independent, so that one that fails hides no other.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    sys::resource::{Resource, getrlimit},
    unistd::{AccessFlags, access},
};

use super::{Check, Ops};
use crate::{
    config::{DriverKind, Reach, Role, Sandbox},
    drivers::{self, Program},
    error::{Error, Kind},
    launchers::{
        bwrap,
        preflight::{self, Unavailable},
    },
    model::{
        size::human,
        text::{count, one_line},
    },
    mux::Mux,
    os::{self, Cgroup, LockOwner},
    redis_server::{self, Access, ServerSpec, User, check_version, find_program, socket_path},
    store::Store,
};

/// Agent programs without a driver of their own: the driver `command` runs them.
const OTHER_PROGRAMS: [&str; 6] = ["goose", "amp", "cursor-agent", "kimi", "vibe", "cline"];
/// Time limit of `--version`. Agent programs take up to 2 s for it on an idle machine.
const VERSION_TIMEOUT: Duration = Duration::from_secs(15);
/// Less free space than this is soon filled by logs.
const SPACE_WANTED: u64 = 1 << 30;
/// Descriptors per agent in the supervisor and in tmux.
const FILES_PER_AGENT: u64 = 16;
const FILES_BESIDES: u64 = 256;
/// Disagreements that are shown: one cause often affects many records.
const DISAGREEMENTS_SHOWN: usize = 3;

impl Ops {
    /// Every check with its result.
    pub async fn doctor(&self) -> Vec<Check> {
        let path = std::env::var_os("PATH");
        let mut checks = vec![self.tmux().await, self.redis_program().await];
        checks.extend([self.folder(), self.room(), self.socket(), self.configuration()]);
        let (order, path) = (&self.config.agents.order, path.as_deref());
        let programs = agent_programs(order, path).await;
        checks
            .extend(self.config.roles.values().map(|role| check_role(order, role, path, &programs, &self.config.home)));
        checks.extend(programs);
        checks.extend(self.environment(path));
        checks.push(self.rights());
        checks.extend([self.open_files(), cgroups()]);
        checks.extend(self.redis_configuration().await);
        checks.push(self.supervision().await);
        checks.extend(self.lost().await);
        checks.push(self.leftovers().await);
        checks.extend(self.records().await);
        checks
    }

    /// What of the environment programs get that `orch start` would pass on from here, by name. Roles that get the same are
    /// listed together.
    fn environment(&self, path: Option<&OsStr>) -> Vec<Check> {
        let env: Vec<(String, String)> =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
        let is_text =
            |(name, value): &(std::ffi::OsString, std::ffi::OsString)| name.to_str().and(value.to_str()).is_some();
        let not_text = std::env::vars_os().filter(|pair| !is_text(pair));
        let not_text: Vec<String> =
            not_text.map(|(name, _)| format!("{} (not UTF-8)", name.to_string_lossy())).collect();
        let mut found: Vec<(String, Vec<&str>)> = Vec::new();
        for role in self.config.roles.values() {
            let kind = preflight::resolve(role.driver, &self.config.agents.order, path);
            let (passed, mut withheld) = role.environment(kind, env.iter().map(|(n, v)| (n.as_str(), v.as_str())));
            withheld.extend(not_text.iter().map(String::as_str));
            let list = |names: Vec<&str>| if names.is_empty() { "nothing".to_owned() } else { names.join(" ") };
            let said = format!("passed: {}; withheld: {}", list(passed), list(withheld));
            match found.iter_mut().find(|(same, _)| *same == said) {
                Some((_, roles)) => roles.push(&role.name),
                None => found.push((said, vec![&role.name])),
            }
        }
        found.into_iter().map(|(said, roles)| ok("environment", format!("of {}: {said}", roles.join(", ")))).collect()
    }

    /// Which role reaches which right, by which chain of delegations.
    fn rights(&self) -> Check {
        let reached: Vec<String> = self.reached_rights().iter().map(Reach::sentence).collect();
        if reached.is_empty() {
            return ok("rights", "no role reaches a right that it lacks without a person's approval".to_owned());
        }
        let fix = "if that is not meant, take the role out of delegates_to in sessions.toml";
        warn_or_error("rights", "warning", reached.join("; "), fix.to_owned())
    }

    async fn tmux(&self) -> Check {
        let mux = self.mux();
        let tried = async {
            let version = mux.check().await?;
            mux.try_session(Path::new("/")).await?;
            Ok::<_, crate::mux::MuxError>(version)
        };
        match tried.await {
            Ok(version) => ok("tmux", format!("version {}; a session was opened and closed", version.text)),
            Err(e) => {
                let e = Error::from(e);
                // Its own hint leads here.
                let hint = e.hint.filter(|hint| !hint.contains("orch doctor"));
                let hint = hint.unwrap_or_else(|| {
                    "try: tmux new-session -d; if that fails too, look at tmux.conf and TMUX_TMPDIR".to_owned()
                });
                error("tmux", Error::new(e.kind, e.message).hint(hint))
            }
        }
    }

    async fn redis_program(&self) -> Check {
        if self.config.redis.url.is_some() {
            return match self.store().info().await.map_err(Error::from).and_then(|info| check_version(&info)) {
                Ok(version) => ok("redis", format!("version {version} at {}", self.store().address())),
                Err(e) => error("redis", e),
            };
        }
        match find_program() {
            Ok(program) => ok("redis", format!("{}, for a private server", program.in_words())),
            Err(e) => error("redis", e),
        }
    }

    /// Whether the private server is configured as intended. `None` while it does not answer.
    async fn redis_configuration(&self) -> Option<Check> {
        const NAME: &str = "redis configuration";
        if self.config.redis.url.is_some() {
            return None;
        }
        let compare = async || {
            let (home, namespace) = (&self.config.home, &self.config.namespace);
            let spec = ServerSpec::of_home(home, namespace)?.with_max_memory(self.config.redis.max_memory);
            let store = Store::private(home, namespace, User::Supervisor, Duration::ZERO)?;
            let Some(access) = Access::of_home(home)? else {
                store.info().await?;
                return Err(
                    Error::config("it was started by an earlier release, and has no passwords").hint("orch start")
                );
            };
            Ok::<_, Error>(store.compare(&spec.settings(), &access.rules(namespace)).await?)
        };
        match compare().await {
            Err(e) if e.kind == Kind::NotRunning => None,
            Err(e) => Some(error(NAME, e)),
            Ok(found) if found.differences.is_empty() => {
                Some(ok(NAME, "as intended: no port, synced at each write, three users with passwords".into()))
            }
            Ok(found) => {
                let what: Vec<String> = found.differences.iter().map(ToString::to_string).collect();
                let fix = "a supervisor puts it back within seconds; if this persists: orch stop, then orch start";
                Some(warn_or_error(NAME, "error", what.join("; "), fix.into()))
            }
        }
    }

    fn folder(&self) -> Check {
        let home = self.home.path();
        if let Some(e) = &self.unsafe_folder {
            return error("state folder", e.clone());
        }
        // Before the first start it does not exist: then its parent has to be writable.
        let existing = existing(home);
        match access(&existing, AccessFlags::W_OK | AccessFlags::X_OK) {
            Ok(()) if existing == home => ok("state folder", home.display().to_string()),
            Ok(()) => ok("state folder", format!("{}, created by the first start", home.display())),
            Err(why) => Check {
                name: "state folder".into(),
                state: "error",
                found: format!("{} is not writable: {}", existing.display(), why.desc()),
                fix: Some("make it writable, or set ORCH_HOME to another folder".into()),
            },
        }
    }

    fn room(&self) -> Check {
        let at = existing(self.home.path());
        let Some(free) = os::free_space(&at) else { return ok("disk", "the free space is unknown".into()) };
        let found = format!("{} free at {}", human(free), at.display());
        match free {
            0 => warn_or_error("disk", "error", found, "free some space: no task can be accepted".into()),
            _ if self.config.supervisor.short_of_disk(Some(free)).is_some() => {
                warn_or_error("disk", "error", found, "free some space: no agent is started (min_free_disk)".into())
            }
            _ if free < SPACE_WANTED => {
                warn_or_error("disk", "warning", found, "free some space: the output of agents is kept there".into())
            }
            _ => ok("disk", found),
        }
    }

    fn socket(&self) -> Check {
        if self.config.redis.url.is_some() {
            return ok("socket", "not used: redis.url is set".into());
        }
        match socket_path(&self.config.home) {
            Ok(path) => ok("socket", format!("{} ({} bytes)", path.display(), path.as_os_str().len())),
            Err(e) => error("socket", e),
        }
    }

    fn configuration(&self) -> Check {
        let name = &self.config.namespace;
        match &self.config.file {
            Some(file) => ok("configuration", format!("{} is valid; namespace {name}", file.display())),
            None => ok("configuration", format!("no sessions.toml: defaults (orch init writes one); namespace {name}")),
        }
    }

    fn open_files(&self) -> Check {
        let wanted = u64::from(self.config.supervisor.max_agents) * FILES_PER_AGENT + FILES_BESIDES;
        match getrlimit(Resource::RLIMIT_NOFILE) {
            Ok((_, hard)) if hard < wanted => warn_or_error(
                "open files",
                "warning",
                format!("at most {hard}; {} agents may need {wanted}", self.config.supervisor.max_agents),
                "raise the hard limit (ulimit -Hn, /etc/security/limits.conf), or lower max_agents in sessions.toml"
                    .into(),
            ),
            Ok((_, hard)) => ok("open files", format!("at most {hard}")),
            Err(why) => {
                warn_or_error("open files", "warning", format!("unknown: {}", why.desc()), "see ulimit -n".into())
            }
        }
    }

    async fn supervision(&self) -> Check {
        let redis = self.store().info().await;
        let elsewhere = self.supervised_from(self.store()).await;
        match (self.supervisor(), redis) {
            (Some(supervisor), Ok(_)) => {
                let passes = self.store().passes().await.unwrap_or_default();
                let running = format!(
                    "running, pid {}; Redis answers; the longest pass took {} ms, {} ms of it held up by disk or tmux",
                    supervisor.pid, passes.max_ms, passes.max_held_up_ms
                );
                ok("supervisor", running)
            }
            (Some(supervisor), Err(e)) => warn_or_error(
                "supervisor",
                "error",
                format!("running, pid {}, but {e}", supervisor.pid),
                format!("see {}; if this persists: orch stop, then orch start", self.home.supervisor_log().display()),
            ),
            (None, Ok(_)) if let Ok(Some(place)) = &elsewhere => {
                ok("supervisor", format!("none in this folder; the namespace is supervised from {place}"))
            }
            (None, Ok(_)) => warn_or_error(
                "supervisor",
                "warning",
                "not running, while Redis is".into(),
                "run orch start: it adopts what is running".into(),
            ),
            (None, Err(_)) => ok("supervisor", "not running (orch start)".into()),
        }
    }

    /// What a running fleet has lost: its sockets, its lock, its program. The supervisor mends it within seconds, so what is
    /// found here stays.
    async fn lost(&self) -> Vec<Check> {
        let owner = self.home.supervisor();
        let mut checks = Vec::new();
        if owner == LockOwner::Unseen {
            checks.push(error("lock", self.home.unseen()));
        }
        if let Some(process) = redis_server::running(self.home.path())
            && let Ok(socket) = socket_path(&self.config.home)
            && self.config.redis.url.is_none()
            && !socket.exists()
        {
            let found = format!("redis-server (pid {}) runs, and its socket {} is gone", process.pid, socket.display());
            let fix = match owner {
                LockOwner::Nobody => "orch start starts it again, with all its data",
                _ => "the supervisor starts it again within seconds, with all its data; otherwise: orch restart",
            };
            checks.push(warn_or_error("redis socket", "error", found, fix.into()));
        }
        checks.extend(self.unreachable_sessions().await);
        if let LockOwner::Process(supervisor) = owner
            && supervisor.runs_our_program() == Some(false)
        {
            let found = "the supervisor runs another program than this one: orch was replaced since it started";
            checks.push(warn_or_error("program", "warning", found.into(), "orch restart".into()));
        }
        checks
    }

    /// Agents that run, and whose sessions tmux does not show.
    async fn unreachable_sessions(&self) -> Option<Check> {
        let mux = self.mux();
        let sessions = mux.sessions().await.ok()?;
        let shown: Vec<u32> = sessions.iter().filter_map(|session| session.pane_pid).collect();
        let runners = self.home.living_runners().ok()?;
        let lost: Vec<&str> =
            runners.iter().filter(|r| !shown.contains(&r.process.pid)).map(|r| r.agent.as_str()).collect();
        if lost.is_empty() {
            return None;
        }
        let found = format!(
            "{} {} in a tmux server that cannot be reached: its socket {} was removed or replaced",
            lost.join(", "),
            if lost.len() == 1 { "runs" } else { "run" },
            mux.socket().display()
        );
        let fix = "the supervisor has a removed socket made again within seconds; where another tmux server has taken its \
                   place, end the agents with orch kill, or everything with orch stop";
        Some(warn_or_error("tmux sessions", "error", found, fix.into()))
    }

    /// Whether the stored structures agree. `None` while Redis does not answer.
    async fn records(&self) -> Option<Check> {
        let found = match self.store().audit().await {
            Ok(found) => found,
            Err(e) if e.is_unreachable() => return None,
            Err(e) => return Some(error("records", e.into())),
        };
        let more = found.len().saturating_sub(DISAGREEMENTS_SHOWN);
        let mut shown: Vec<String> = found.into_iter().take(DISAGREEMENTS_SHOWN).collect();
        if shown.is_empty() {
            return Some(ok("records", "the stored structures agree".into()));
        }
        if more > 0 {
            shown.push(format!("and {more} more"));
        }
        let fix = "this is a bug: please report it, with the output of orch events and orch show";
        Some(warn_or_error("records", "error", shown.join("; "), fix.into()))
    }

    /// What ended agents may have left, and results that were not recorded yet.
    async fn leftovers(&self) -> Check {
        let mut found = Vec::new();
        let reports = self.home.pending_reports().into_iter().chain(self.home.unacknowledged(|_| true));
        let reports =
            reports.map(|report| (report.task, report.attempt)).collect::<std::collections::HashSet<_>>().len();
        if reports > 0 {
            found.push(format!("{} not recorded in Redis yet", count(reports, "result", "results")));
        }
        if let Ok(snapshot) = self.store().observe(&[]).await {
            if !snapshot.orphans.is_empty() {
                let ended = count(snapshot.orphans.len(), "ended agent", "ended agents");
                found.push(format!("{ended} whose processes may still exist"));
            }
            found.extend(snapshot.damaged);
        }
        if self.supervisor().is_none() {
            let sessions = self.mux().sessions().await.unwrap_or_default();
            let ours = sessions.iter().filter(|s| self.is_ours(s)).count();
            if ours > 0 {
                found.push(format!("{} without a supervisor", count(ours, "tmux session", "tmux sessions")));
            }
        }
        if found.is_empty() {
            return ok("leftovers", "none".into());
        }
        let fix = match self.supervisor() {
            Some(_) => "the supervisor clears them within seconds; otherwise see its log",
            None => "orch start adopts or clears them; orch stop clears them",
        };
        warn_or_error("leftovers", "warning", found.join("; "), fix.into())
    }
}

/// Whether an agent of this role could be started; `programs` is what was found of the agent programs.
fn check_role(
    order: &[DriverKind],
    role: &Role,
    path: Option<&OsStr>,
    programs: &[Check],
    state_folder: &Path,
) -> Check {
    let name = format!("role {}", role.name);
    let at = format!("under [roles.{}] in sessions.toml", role.name);
    if !role.cwd.is_dir() {
        let found = format!("its folder {} does not exist", role.cwd.display());
        return warn_or_error(&name, "error", found, format!("create the folder, or correct cwd {at}"));
    }
    let kind = preflight::resolve(role.driver, order, path);
    if let Err(Unavailable { missing, fix }) = preflight::check(role, order, path) {
        // Most people use some of the built-in roles, and install only what these need.
        let state = if role.driver == kind && kind.program().is_some() { "warning" } else { "error" };
        return warn_or_error(&name, state, format!("{missing}: its tasks wait"), fix);
    }
    let unset: Vec<&str> = role.env_from.iter().filter(|v| std::env::var_os(v).is_none()).map(String::as_str).collect();
    let program = match kind {
        DriverKind::Console => return ok(&name, "the built-in prompt".into()),
        DriverKind::Auto => return ok(&name, "resolved when it starts".into()),
        DriverKind::Shell => "/bin/sh",
        DriverKind::Command => role.command.first().map_or("", String::as_str),
        agent => agent.program().unwrap_or_default(),
    };
    if !unset.is_empty() {
        return warn_or_error(
            &name,
            "warning",
            format!("env_from names variables that are not set here: {}", unset.join(", ")),
            format!("export it before orch start, or correct env_from {at}"),
        );
    }
    if role.sandbox == Sandbox::Bwrap
        && let Some(check) = check_view(role, path, state_folder)
    {
        return check;
    }
    let file = preflight::locate(role, program, path).unwrap_or_else(|| program.into());
    let found = format!("{} with {}", role.driver, file.display());
    let of_program = of_program(program);
    if kind.program().is_some() && programs.iter().any(|check| check.name == of_program && check.state != "ok") {
        // That check says how to fix it.
        return Check { state: "warning", ..ok(&name, format!("{found}: see {of_program}")) };
    }
    ok(&name, found)
}

/// What the sandbox of a role lacks although the configuration or PATH names it.
fn check_view(role: &Role, path: Option<&OsStr>, state_folder: &Path) -> Option<Check> {
    let name = format!("role {}", role.name);
    let at = format!("under [roles.{}] in sessions.toml", role.name);
    let list = |folders: &[&PathBuf]| folders.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ");
    let missing: Vec<&PathBuf> = role.sandbox_read.iter().filter(|folder| !folder.exists()).collect();
    if !missing.is_empty() {
        let found = format!("sandbox_read names what does not exist: {}", list(&missing));
        return Some(warn_or_error(&name, "warning", found, format!("create it, or correct sandbox_read {at}")));
    }
    let left_out = bwrap::left_out(role, path, state_folder);
    let left_out: Vec<&PathBuf> = left_out.iter().collect();
    (!left_out.is_empty()).then(|| {
        let found = format!(
            "its sandbox does not show {}, which is on PATH: a home folder or the state folder is in it",
            list(&left_out)
        );
        let fix = format!("move its programs to a folder of their own on PATH, or set env = {{ PATH = ... }} {at}");
        warn_or_error(&name, "warning", found, fix)
    })
}

/// The name of the check of an agent program.
fn of_program(program: &str) -> String {
    format!("agent {program}")
}

/// One check per installed agent program, the preferred ones first; a single one if there is none.
async fn agent_programs(order: &[DriverKind], path: Option<&OsStr>) -> Vec<Check> {
    let rest = DriverKind::agents().filter(|kind| !order.contains(kind));
    let known = order.iter().copied().chain(rest).filter_map(|kind| {
        let program = drivers::of(kind)?.program()?;
        Some(agent_program(program, preflight::find(program.name, path)?))
    });
    let mut checks = futures_util::future::join_all(known).await;
    let others: Vec<&str> =
        OTHER_PROGRAMS.into_iter().filter(|program| preflight::find(program, path).is_some()).collect();
    if !others.is_empty() {
        checks.push(ok("other programs", format!("{}: driver = \"command\" runs them", others.join(", "))));
    }
    if checks.is_empty() {
        let fix = "install one (claude, codex, gemini...), or use the shell and command drivers";
        checks.push(warn_or_error(
            "agent programs",
            "warning",
            "none of the supported ones is installed".into(),
            fix.into(),
        ));
    }
    checks
}

async fn agent_program(program: &Program, file: PathBuf) -> Check {
    let (name, at) = (of_program(program.name), file.display());
    let asked = tokio::process::Command::new(&file)
        .arg("--version")
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output();
    let why = match tokio::time::timeout(VERSION_TIMEOUT, asked).await {
        Ok(Ok(said)) if said.status.success() => {
            let said = String::from_utf8_lossy(&said.stdout);
            let Some(version) = drivers::version_in(&said) else {
                let found = format!("{at} --version prints no version: {:?}", one_line(&said, 60));
                let fix = format!(
                    "check that it is {}; install that ({}), or remove this file from PATH",
                    program.name, program.install
                );
                return warn_or_error(&name, "warning", found, fix);
            };
            let found = format!("{version} at {at}");
            if program.is_too_old(version) {
                let found = format!("{found}: older than {}, with which orch is tested", program.tested_with);
                return warn_or_error(&name, "warning", found, format!("update it: {}", program.install));
            }
            return ok(&name, found);
        }
        Ok(Ok(said)) => format!("{}: {}", said.status, one_line(&String::from_utf8_lossy(&said.stderr), 120)),
        Ok(Err(e)) => e.to_string(),
        Err(_) => format!("no answer within {} s", VERSION_TIMEOUT.as_secs()),
    };
    let found = format!("{at} does not say its version: {why}");
    let fix =
        format!("run {} --version by hand; reinstall it ({}), or remove it from PATH", program.name, program.install);
    warn_or_error(&name, "warning", found, fix)
}

/// Where the cgroups of agents that are started from here would be.
fn cgroups() -> Check {
    let found = match Cgroup::below_own("orch").as_ref().and_then(|group| group.path().parent()) {
        Some(place) => format!("in control groups below {}", place.display()),
        // Everything works without cgroups, so this is no warning.
        None => "none: control groups cannot be created here; limits are checked once per second".into(),
    };
    ok("cgroups", found)
}

/// The path, or the nearest existing folder above it.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/")).to_owned()
}

fn ok(name: &str, found: String) -> Check {
    Check { name: name.to_owned(), state: "ok", found, fix: None }
}

fn error(name: &str, e: Error) -> Check {
    Check { name: name.to_owned(), state: "error", found: e.message, fix: e.hint }
}

fn warn_or_error(name: &str, state: &'static str, found: String, fix: String) -> Check {
    Check { name: name.to_owned(), state, found, fix: Some(fix) }
}
