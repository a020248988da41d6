//! Starts an agent: its record, its launch, its session.

use std::ffi::OsStr;

use super::Supervisor;
use crate::{
    config::{DriverKind, Role},
    error::{Error, Result},
    home::{Home, launch::Launch},
    launchers::preflight,
    model::{
        agent::AgentState,
        cause::Cause,
        end_code::EndCode,
        event::EventKind,
        evidence::{Evidence, Observer, Rule},
        id::{Process, new_incarnation},
        refusal::Refusal,
    },
    mux::{Opened, SessionSpec, Tags},
    os::{self, failpoint},
    store::{StoreError, agents::Ending, observe::Snapshot, requests::Request},
};

/// Columns and rows until somebody attaches.
const SIZE: (u16, u16) = (160, 48);

/// The environment variable by which an agent's processes are found wherever they went. It is no secret.
pub(super) const MARKER: &str = "ORCH_INCARNATION";

impl Supervisor {
    /// Starts an agent. What keeps it from starting is recorded with it and holds its role back for a while.
    pub(super) async fn spawn(
        &mut self,
        agent: &str,
        role: &str,
        master: bool,
        request: Option<&str>,
        reason: &str,
        snapshot: &Snapshot,
    ) -> Result<(), StoreError> {
        let incarnation = new_incarnation();
        match self.store.spawn_agent(agent, role, agent, &incarnation, master, reason, request).await {
            Err(e) if e.refusal() == Some(Refusal::Taken) => return Ok(()),
            other => other?,
        }
        failpoint!("spawn.recorded");
        self.observer.look_at_tmux();
        // Until its session stands and its runner is there, half of this has passed.
        tokio::task::spawn_blocking(os::expect_entry);
        let problem = match self.open(agent, role, master, &incarnation).await {
            Ok(opened) => return self.place(agent, incarnation, opened.pane_pid).await,
            Err(problem) => problem,
        };
        tracing::error!(agent, "not started: {problem}");
        // Nobody will take it, and there are secrets in it.
        let _ = std::fs::remove_file(self.home.launch(&incarnation));
        let reason = format!("its session could not be opened: {problem}");
        let evidence = Evidence::of(Rule::NotOpened, Observer::Supervisor, agent);
        let ending = Ending {
            to: AgentState::Failed,
            reason: &reason,
            cause: Cause::Lost,
            code: EndCode::SessionFailed,
            attempt_reason: &reason,
            orphans: None,
            evidence: Some(&evidence),
        };
        // Young and failed: that holds the role back for a while.
        self.store.end_agent(agent, &incarnation, &ending).await?;
        if master {
            self.start_has_failed(problem, snapshot).await?;
        }
        Ok(())
    }

    /// `orch start` that cannot start a master leaves nothing behind. But where agents have outlived a supervisor, they
    /// are looked after all the same, and the master is tried again.
    async fn start_has_failed(&mut self, problem: Error, snapshot: &Snapshot) -> Result<(), StoreError> {
        if !self.announcement.is_due() {
            return Ok(());
        }
        if !snapshot.agents.is_empty() {
            self.announcement.still_trying(problem);
            return Ok(());
        }
        let reason = format!("the start has failed: {problem}");
        self.announcement.fail_at_end(problem);
        self.store.request(&Request::Stop { drain: false }, EventKind::SupervisorStopping, &reason).await.map(drop)
    }

    async fn open(&mut self, agent: &str, role: &str, master: bool, incarnation: &str) -> Result<Opened> {
        let role = self.config.role(role)?.clone();
        let launch = self.launch(agent, &role, master, incarnation);
        let path = launch.write()?;
        failpoint!("spawn.launch_written");
        let program = own_program()?;
        // Where the folder is missing, the attempt says so; the agent itself can start anywhere.
        let mut env = os::failpoint::inherited();
        env.push((MARKER.to_owned(), incarnation.to_owned()));
        // The runner's alone: its program gets what stands in the launch.
        env.push((os::SMALL.0.to_owned(), os::SMALL.1.to_owned()));
        let cwd = if role.cwd.is_dir() { role.cwd } else { self.home.path().to_owned() };
        let spec = SessionSpec {
            name: agent.to_owned(),
            cwd,
            argv: vec![program.into(), "run-agent".into(), path.into()],
            size: SIZE,
            env,
            tags: self.tags(agent, incarnation),
        };
        let opened = self.mux.open(&spec).await?;
        failpoint!("spawn.opened");
        Ok(opened)
    }

    /// Notes the process of a session that was just opened. Where that fails its runner reports it, and one that has
    /// ended already is found by the next pass as one that did not report.
    async fn place(&mut self, agent: &str, incarnation: String, pane_pid: u32) -> Result<(), StoreError> {
        if let Some(process) = os::ProcessId::of(pane_pid) {
            self.store.place_agent(agent, &incarnation, &here(process)).await?;
            failpoint!("spawn.placed");
            self.watches.watch(incarnation, process);
        }
        Ok(())
    }

    fn launch(&self, agent: &str, role: &Role, master: bool, incarnation: &str) -> Launch {
        let path = super::environment::search_path(&self.environment);
        let driver = match preflight::resolve(role.driver, &self.config.agents.order, Some(OsStr::new(path))) {
            // A role whose program has no prompt for a person is led from the console.
            kind if master && !kind.manifest().is_some_and(|manifest| manifest.capabilities.interactive) => {
                DriverKind::Console
            }
            kind => kind,
        };
        let own = self.environment.clone();
        let (mut env, secrets) = super::environment::of_agent(&self.config, &self.home, role, driver, agent, own);
        // The program's processes must be found, too, when the runner that looks after them was killed.
        env.insert(MARKER.to_owned(), incarnation.to_owned());
        Launch {
            agent: agent.to_owned(),
            incarnation: incarnation.to_owned(),
            session: agent.to_owned(),
            master,
            namespace: self.config.namespace.clone(),
            home: self.config.home.clone(),
            redis: self.redis.at(),
            tmux_socket: self.config.tmux.socket.clone(),
            config: self.config.location().to_owned(),
            role: role.clone(),
            driver,
            heartbeat: self.config.supervisor.heartbeat,
            lease: self.config.supervisor.lease,
            kill_grace: self.config.supervisor.kill_grace,
            env,
            secrets,
        }
    }

    pub(super) fn tags(&self, agent: &str, incarnation: &str) -> Tags {
        let namespace = Tags::world(&self.config.namespace, &self.config.home);
        Tags { namespace, agent: agent.to_owned(), incarnation: incarnation.to_owned() }
    }
}

/// Our own program, also after an upgrade has replaced its file.
fn own_program() -> Result<std::path::PathBuf> {
    let path =
        std::env::current_exe().map_err(|e| Error::internal(format!("our own program is not to be found: {e}")))?;
    let text = path.to_string_lossy();
    Ok(text.strip_suffix(" (deleted)").map_or(path.clone(), Into::into))
}

/// Agents find `orch` on their PATH, and it is this one.
pub(super) fn put_on_path(home: &Home) -> Result<()> {
    let (program, link) = (own_program()?, home.bin().join("orch"));
    if std::fs::read_link(&link).is_ok_and(|there| there == program) {
        return Ok(());
    }
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink(program, &link).map_err(|e| crate::home::unusable(&link, &e))
}

/// A process of this machine and this boot.
pub(super) fn here(p: os::ProcessId) -> Process {
    Process { host: os::hostname(), boot_id: os::boot_id(), pid: p.pid, start_time: p.start_time }
}
