//! Starts an agent: its record, its launch, its session.

use std::{collections::BTreeMap, ffi::OsStr, time::Duration};

use super::{
    Supervisor,
    announce::MASTERS,
    background::{Hold, Jobs},
    environment,
    program::own_program,
};
use crate::{
    config::{Config, DriverKind},
    error::{Error, Kind, Result},
    home::{
        Home, MARKER,
        launch::{Launch, RedisAt},
    },
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

/// Columns and rows until a terminal attaches.
const SIZE: (u16, u16) = (160, 48);

impl Supervisor {
    /// Records an agent that is to start, and opens its session in the background.
    pub(super) async fn spawn(
        &mut self,
        agent: &str,
        role: &str,
        master: bool,
        request: Option<&str>,
        probation: Duration,
        reason: &str,
    ) -> Result<(), StoreError> {
        let incarnation = new_incarnation();
        // Before the record, so that no pass sees the record without knowing that its session is being opened.
        let Some(hold) = self.jobs.opening.take(&incarnation) else { return Ok(()) };
        match self.store.spawn_agent(agent, role, agent, &incarnation, master, reason, request).await {
            Err(e) if e.refusal() == Some(Refusal::Taken) => return Ok(()),
            other => other?,
        }
        failpoint!("spawn.recorded");
        let plan = Plan {
            agent: agent.to_owned(),
            role: role.to_owned(),
            master,
            probation,
            incarnation,
            environment: self.environment.clone(),
            redis: self.redis.at(),
        };
        self.jobs.open(plan, hold);
        Ok(())
    }

    /// `orch start` that cannot start a master leaves nothing behind. But where agents have outlived a supervisor, they
    /// are looked after all the same, and the master is tried again.
    pub(super) async fn start_has_failed(&mut self, problem: Error, snapshot: &Snapshot) -> Result<(), StoreError> {
        let is_over = !matches!(problem.kind, Kind::NotRunning | Kind::TimedOut);
        let tried = snapshot.breakers.get(&self.config.master.session).map_or(1, |breaker| breaker.failures);
        // A tmux server may end, or be busy, at the moment at which it is asked.
        if !self.announcement.is_due() || !(is_over || tried >= MASTERS) {
            return Ok(());
        }
        if snapshot.agents.iter().any(|r| !r.agent.master) {
            self.announcement.still_trying(problem);
            return Ok(());
        }
        let reason = format!("the start has failed: {problem}");
        self.announcement.fail_at_end(problem);
        self.store.request(&Request::Stop { drain: false }, EventKind::SupervisorStopping, &reason).await.map(drop)
    }
}

/// An agent whose session is to be opened.
struct Plan {
    agent: String,
    role: String,
    master: bool,
    probation: Duration,
    incarnation: String,
    /// That of `orch start`.
    environment: BTreeMap<String, String>,
    redis: RedisAt,
}

impl Plan {
    /// What its runner is given. Programs are looked for on PATH.
    fn launch(self, config: &Config, home: &Home) -> Result<Launch> {
        let role = config.role(&self.role)?.clone();
        let path = environment::search_path(&self.environment);
        let driver = match preflight::resolve(role.driver, &config.agents.order, Some(OsStr::new(path))) {
            // A role whose program has no prompt for a person is led from the console.
            kind if self.master && !kind.manifest().is_some_and(|manifest| manifest.capabilities.interactive) => {
                DriverKind::Console
            }
            kind => kind,
        };
        let secrets = environment::secrets(config, &self.environment);
        let withheld = environment::withheld(&role, driver, &self.environment);
        let mut env = environment::of_agent(home, &role, driver, &self.agent, self.environment);
        // The program's processes must be found, too, when the runner that looks after them was killed.
        env.insert(MARKER.to_owned(), self.incarnation.clone());
        Ok(Launch {
            session: self.agent.clone(),
            agent: self.agent,
            incarnation: self.incarnation,
            master: self.master,
            probation: self.probation,
            namespace: config.namespace.clone(),
            home: config.home.clone(),
            redis: self.redis,
            tmux_socket: config.tmux.socket.clone(),
            policy: config.clone(),
            generation: config.agents_fingerprint(),
            role,
            driver,
            heartbeat: config.supervisor.heartbeat,
            lease: config.supervisor.lease,
            kill_grace: config.supervisor.kill_grace,
            env,
            attributes: os::attributes(),
            withheld,
            secrets,
        })
    }

    /// Writes its launch, and says which session to open.
    fn write(self, config: &Config, home: &Home, tags: Tags) -> Result<SessionSpec> {
        put_on_path(home)?;
        let launch = self.launch(config, home)?;
        let path = launch.write()?;
        failpoint!("spawn.launch_written");
        let mut env = os::failpoint::inherited();
        env.push((MARKER.to_owned(), launch.incarnation));
        // The runner's alone: its program gets what stands in the launch.
        env.push((os::SMALL.0.to_owned(), os::SMALL.1.to_owned()));
        // Where the folder is missing, the attempt says so; the agent itself can start anywhere.
        let cwd = if launch.role.cwd.is_dir() { launch.role.cwd } else { home.path().to_owned() };
        let argv = vec![own_program(home)?.into(), "run-agent".into(), path.into()];
        Ok(SessionSpec { name: launch.agent, cwd, argv, size: SIZE, env, tags })
    }
}

impl Jobs {
    /// Opens the session of an agent that is recorded. What keeps it from starting is recorded with it, and holds its
    /// role back for a while.
    fn open(&self, plan: Plan, hold: Hold) {
        let jobs = self.clone();
        tokio::spawn(async move {
            let slot = jobs.opening_slots.acquire().await;
            // Until its session stands and its runner is there, half of this has passed.
            tokio::task::spawn_blocking(os::expect_entry);
            let (agent, incarnation, master) = (plan.agent.clone(), plan.incarnation.clone(), plan.master);
            let opened = jobs.open_session(plan).await;
            drop(slot);
            jobs.change_sessions();
            let noted = match opened {
                Ok(opened) => jobs.place(&agent, &incarnation, opened.pane_pid).await,
                Err(problem) => jobs.was_not_opened(&agent, &incarnation, master, problem).await,
            };
            if let Err(e) = noted {
                // Its runner registers without this; an agent whose runner does not is ended as one that did not report.
                tracing::warn!(agent, "what became of its session could not be recorded: {e}");
            }
            drop(hold);
            jobs.wake.notify_one();
        });
    }

    async fn was_not_opened(
        &self,
        agent: &str,
        incarnation: &str,
        master: bool,
        problem: Error,
    ) -> Result<(), StoreError> {
        tracing::error!(agent, "not started: {problem}");
        let launch = self.home.launch(incarnation);
        // No runner will take it, and it holds secrets.
        let _ = tokio::task::spawn_blocking(move || std::fs::remove_file(launch)).await;
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
        self.store.end_agent(agent, incarnation, &ending).await?;
        if master {
            self.note_masters_problem(problem);
        }
        Ok(())
    }

    async fn open_session(&self, plan: Plan) -> Result<Opened> {
        let (config, home, tags) = (self.config.clone(), self.home.clone(), self.tags(&plan.agent, &plan.incarnation));
        let written = tokio::task::spawn_blocking(move || plan.write(&config, &home, tags)).await;
        let spec = written.map_err(|e| Error::internal(format!("its launch: {e}")))??;
        let opened = self.mux.open(&spec).await?;
        failpoint!("spawn.opened");
        Ok(opened)
    }

    /// Records the process of a session that was just opened. Where that fails its runner reports it, and one that has
    /// ended already is found by the next pass as one that did not report.
    async fn place(&self, agent: &str, incarnation: &str, pane_pid: u32) -> Result<(), StoreError> {
        if let Some(process) = os::ProcessId::of(pane_pid) {
            self.store.place_agent(agent, incarnation, &here(process)).await?;
            failpoint!("spawn.placed");
        }
        Ok(())
    }

    pub(super) fn tags(&self, agent: &str, incarnation: &str) -> Tags {
        let namespace = Tags::world(&self.config.namespace, &self.config.home);
        Tags { namespace, agent: agent.to_owned(), incarnation: incarnation.to_owned() }
    }
}

/// Agents find `orch` on their PATH, and it is this one; nothing else is there.
pub(super) fn put_on_path(home: &Home) -> Result<()> {
    home.put_on_path(&own_program(home)?).map_err(|e| crate::home::unusable(&home.bin(), &e))
}

/// A process of this machine and this boot.
pub(super) fn here(p: os::ProcessId) -> Process {
    Process { host: os::hostname(), boot_id: os::boot_id(), pid: p.pid, start_time: p.start_time }
}
