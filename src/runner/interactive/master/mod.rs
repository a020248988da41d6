//! The master: its program has the pane's terminal to itself and talks to a user. It takes no tasks.
//!
//! Its state is known from its hooks, and from its screen where no hook reports ([`super::follow`]). From these the
//! runner learns that the program asks its user something, that it is idle while messages wait, and how to resume its
//! [`conversation`] after a crash.

mod conversation;
mod line;
mod meter;
mod tools;

use std::{
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{process::Child, sync::watch};

use self::{conversation::Conversation, line::Line, meter::Meter, tools::Tools};
use crate::runner::{
    Agent, Leave,
    attempt::program::{self, Place},
    attempt::scratch::Scratch,
    interactive::follow::{self, Follow},
    interactive::mail,
    interactive::turn::{Doing, Turn},
    interactive::typing::{Pace, Typist},
    lease::blocked_on::BlockedOn,
    lease::heartbeat::{Heartbeat, Reply},
    signals::{Signal, Signals},
};
use crate::{
    config::DriverKind,
    drivers::{self, Driver, Hook, InteractiveJob, Start},
    home::{self, Home},
    launchers::bwrap::proxy::Proxy,
    model::{event::EventKind, text::one_line, time::Timestamp},
    mux::{Mux, TmuxMux},
    os,
    store::{agents::Directive, people::Reader},
};

/// The folder of what is kept of the home folder of its sandbox.
const KEPT: &str = "home";
/// A program that ends sooner than this was not ended by a user.
const EARLY_END: Duration = Duration::from_secs(2);
/// After this many early ends in a row the agent is broken.
const TRIES: u32 = 3;

/// A program that ends early with exit code 0 is restarted after a pause: the first pause is this long, and each
/// further one doubles, up to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// Keeps the master's program running until there is a reason to leave. A user who exits the program is detached from
/// the session and finds it again at the next attach: exiting stops nothing.
pub(in crate::runner) async fn serve(agent: &Agent, mut signals: Signals) -> Leave {
    let mut heartbeat = Heartbeat::start(agent);
    agent.socket.admit(None);
    let mut terminal = match Terminal::of(agent) {
        Ok(terminal) => terminal,
        Err(why) => return Leave::Broken(why),
    };
    let (mut failed, mut pause) = (0, Duration::ZERO);
    loop {
        let began = Instant::now();
        let mut program = match terminal.start(heartbeat.blocked_on()) {
            Ok(started) => started,
            Err(why) => return Leave::Broken(why),
        };
        let ended = match terminal.follow(&mut program, &mut heartbeat, &mut signals).await {
            Ok(ended) => ended,
            Err(leave) => {
                if leave != Leave::DeclaredLost {
                    // A program that was stopped on purpose is not told to continue when it is started again.
                    terminal.conversation.set_in_turn(false);
                }
                return leave;
            }
        };
        let Ended::Itself(status) = ended else {
            terminal.note(&format!("{} is started again, because its tools of orch had died", program.name)).await;
            continue;
        };
        let ended_early = began.elapsed() < EARLY_END;
        // A program that never started a turn has failed, however long that took on a busy machine. One that was ended
        // by a signal proves nothing about its conversation.
        let never_began = terminal.driver.is_some() && !program.follow.has_begun();
        let ended_badly = !status.as_ref().is_ok_and(ExitStatus::success);
        let by_itself = status.is_ok_and(|status| status.code().is_some());
        let has_failed = ended_badly && (ended_early || never_began);
        if has_failed && program.resumed && never_began && by_itself {
            terminal.start_new_conversation();
            continue;
        }
        failed = if has_failed { failed + 1 } else { 0 };
        if failed >= TRIES {
            let lines = program.follow.last_lines().await.join("\n");
            let lines = agent.redactor.wrapped(lines).replace('\n', " / ");
            let shown = if lines.is_empty() { lines } else { format!("; it shows: {}", one_line(&lines, 300)) };
            return Leave::Broken(format!("{} ends immediately, {TRIES} times in a row{shown}", program.name));
        }
        match by_itself {
            true => terminal.detach_clients().await,
            // Attached clients stay: the program is restarted immediately, in the same conversation.
            false => terminal.note(&format!("{} was killed, and is started again", program.name)).await,
        }
        pause = if ended_early || has_failed { (pause * 2).clamp(PAUSES.0, PAUSES.1) } else { Duration::ZERO };
        if let Err(leave) = wait(tokio::time::sleep(pause), &mut heartbeat, &mut signals).await {
            return leave;
        }
    }
}

/// The terminal on which the master's programs run, one after the other.
struct Terminal<'a> {
    agent: &'a Agent,
    driver: Option<&'static dyn Driver>,
    /// The folder of its files.
    dir: PathBuf,
    mux: Arc<TmuxMux>,
    /// Whether conversations are resumed.
    resumes: bool,
    conversation: Conversation,
    /// For a program whose hooks report submitted prompts.
    line: Option<Line>,
    meter: Option<Meter>,
    /// Whether the last program was ended because it had no tools, and none were ever seen.
    was_without_tools: bool,
}

/// How a program has ended.
enum Ended {
    /// Not by its runner.
    Itself(std::io::Result<ExitStatus>),
    /// By its runner, because its tools had died.
    WithoutTools,
}

/// A program that runs there.
struct Program {
    /// Its name, for messages about a failure.
    name: String,
    child: Child,
    follow: Follow,
    /// Whether it was started to resume a conversation.
    resumed: bool,
    _scratch: Option<Scratch>,
    _proxy: Option<Proxy>,
}

impl<'a> Terminal<'a> {
    fn of(agent: &'a Agent) -> Result<Self, String> {
        let launch = &agent.launch;
        let dir = agent.home.agent_files(&launch.agent);
        let conversation = Conversation::of(&dir, launch.driver);
        let (driver, mux) = (drivers::of(launch.driver), Arc::new(follow::mux(launch)));
        // The console needs no files.
        if driver.is_some() {
            home::create_dir(&dir).map_err(|e| format!("its folder {} could not be created: {e}", dir.display()))?;
        }
        let line = driver.zip(std::env::var("TMUX_PANE").ok()).map(|(driver, pane)| {
            let typist = Typist { mux: mux.clone(), pane, tags: follow::tags(launch), pace: Pace::default() };
            let mail = mail::unread(agent.store.clone(), launch.agent.clone(), Reader::Master);
            Line::new(typist, driver, agent.store.clone(), &launch.agent, mail)
        });
        let place = {
            let (launch, kept) = (launch.clone(), dir.join(KEPT));
            move |named: &Path| program::on_disk(&launch, &kept, named)
        };
        let meter = driver.map(|d| Meter::new(d, agent.store.clone(), &launch.agent, &launch.role.name, place));
        let (resumes, was_without_tools) = (launch.role.agent.resume, false);
        Ok(Terminal { agent, driver, dir, mux, resumes, conversation, line, meter, was_without_tools })
    }

    fn start(&mut self, blocked_on: BlockedOn) -> Result<Program, String> {
        let go_on = if self.resumes { self.conversation.go_on() } else { None };
        let (mut start, launch) = (self.program(go_on)?, &self.agent.launch);
        let name = start.program.to_string_lossy().into_owned();
        let in_dir = |e: std::io::Error| format!("its files could not be written to {}: {e}", self.dir.display());
        program::launcher(&self.agent.launch).prepare(&start.files).map_err(in_dir)?;
        let scratch = self.driver.map(|driver| Scratch::make(driver, &self.agent.launch.role, &self.dir)).transpose();
        let scratch = scratch.map_err(in_dir)?.flatten();
        start.env.extend(scratch.as_ref().map(Scratch::variable));
        let mut follow =
            Follow::new(self.agent, &self.dir, self.driver, Turn::default(), blocked_on).map_err(in_dir)?;
        let proxy = program::proxy(self.agent).map_err(in_dir)?;
        let kept = self.dir.join(KEPT);
        let place = Place {
            cwd: &launch.role.cwd,
            files: self.driver.map(|_| self.dir.as_path()).into_iter().collect(),
            kept: &kept,
            proxy: proxy.as_ref(),
            own: &[],
        };
        // A person types there. What the console starts has another process, and is the agent's.
        let console = (launch.driver == DriverKind::Console).then(|| self.agent.socket.console());
        let child = program::spawn_on_terminal(self.agent, &start, &place)
            .map_err(|e| program::missing(launch).unwrap_or_else(|| format!("{name} could not be started: {e}")))?;
        if let Some(mut console) = console {
            *console = child.id().and_then(os::ProcessId::of);
        }
        follow.has_started(launch, child.id());
        let resumed = self.to_resume().is_some();
        Ok(Program { name, child, follow, resumed, _scratch: scratch, _proxy: proxy })
    }

    /// Returns how to start the program, which is given this first prompt.
    fn program(&self, prompt: Option<&str>) -> Result<Start, String> {
        let launch = &self.agent.launch;
        if launch.driver == DriverKind::Console {
            let own = std::env::current_exe()
                .map_err(|e| format!("the path of the orch program could not be determined: {e}"))?;
            return Ok(Start { program: own.into(), args: vec!["console".into()], ..Start::default() });
        }
        let orch = self.agent.home.bin().join("orch");
        let new_session = uuid::Uuid::new_v4().to_string();
        let job = InteractiveJob {
            role: launch.role.settings(),
            dir: &self.dir,
            mcp: &program::tools(&orch, launch),
            new_session: &new_session,
            resume: self.to_resume(),
            prompt,
        };
        self.driver
            .and_then(|driver| driver.interactive(&job))
            .ok_or_else(|| format!("driver {} has no interactive prompt: it cannot run the master", launch.driver))
    }

    /// Returns the conversation that the next program resumes.
    fn to_resume(&self) -> Option<&str> {
        self.conversation.to_resume().filter(|_| self.resumes)
    }

    /// Handles a conversation that could not be resumed: the next program starts a new one. This does not apply when
    /// the program that started the conversation ended early: that conversation exists.
    fn start_new_conversation(&mut self) {
        tracing::warn!("the program ended immediately when it was to resume its conversation: a new one is started");
        self.conversation.forget();
    }

    /// Follows the program to its end, and ends all processes that it has started.
    async fn follow(
        &mut self,
        program: &mut Program,
        heartbeat: &mut Heartbeat,
        signals: &mut Signals,
    ) -> Result<Ended, Leave> {
        let (mut doing, mut turns) = (program.follow.doing(), program.follow.doing());
        let launcher = program::launcher(&self.agent.launch);
        let mut tools = Tools::new(self.agent.home.bin().join("orch"), !self.was_without_tools);
        let (mut limit, mut was_in_turn) = (program.follow.limit(), false);
        let ended = loop {
            tokio::select! {
                status = program.child.wait() => break Ok(Ended::Itself(status.and_then(|status| launcher.status(status)))),
                output = program.follow.next() => {
                    output.hooks.iter().for_each(|hook| self.handle(hook));
                    if output.hooks.iter().any(|hook| matches!(hook, Hook::Ended { .. })) {
                        tools.turn_has_ended();
                    }
                }
                () = drive(&mut self.line, &mut doing, &mut limit) => {}
                Ok(()) = turns.changed() => {
                    let in_turn = matches!(*turns.borrow_and_update(), Doing::Working | Doing::Asking(_));
                    if was_in_turn && !in_turn {
                        tools.turn_has_ended();
                    }
                    was_in_turn = in_turn;
                    self.conversation.set_in_turn(in_turn);
                }
                have_died = tools.next() => {
                    if have_died {
                        self.note("orch mcp, which serves its tools, has died: the master is restarted when it is idle").await;
                    }
                    if tools.are_dead() && program.follow.is_idle() && self.is_free().await {
                        break Ok(Ended::WithoutTools);
                    }
                }
                leave = reason_to_leave(heartbeat, signals) => break Err(leave),
            }
        };
        // One that starts no server at all is started again once.
        self.was_without_tools =
            !tools.were_seen() && (self.was_without_tools || matches!(ended, Ok(Ended::WithoutTools)));
        program.follow.has_ended();
        end(self.agent, &mut program.child).await;
        *self.agent.socket.console() = None;
        // Its questions were read, and may contain secrets.
        let _ = std::fs::remove_file(Home::hooks(&self.dir));
        if let Some(meter) = &self.meter {
            meter.ended().await;
        }
        ended
    }

    /// Returns whether nothing would be lost if the program ended now.
    async fn is_free(&self) -> bool {
        match &self.line {
            Some(line) => line.is_free().await,
            None => false,
        }
    }

    fn handle(&mut self, hook: &Hook) {
        if let (Hook::Prompt { .. }, Some(line)) = (hook, &self.line) {
            line.submitted();
        }
        if let Some(meter) = &mut self.meter {
            meter.handle(hook);
        }
        if self.resumes {
            self.conversation.handle(hook);
        }
    }

    /// Records an event that explains what happened to the conversation.
    async fn note(&self, what: &str) {
        tracing::warn!("{what}");
        let said = format!("{}: {what}", self.agent.launch.agent);
        if let Err(e) = self.agent.store.note(EventKind::AgentProgramEnded, &said).await {
            tracing::warn!("the event could not be recorded: {e}");
        }
    }

    /// Detaches the clients of a program that its user has just exited.
    async fn detach_clients(&self) {
        if let Err(e) = self.mux.detach_clients(&self.agent.launch.session, &follow::tags(&self.agent.launch)).await {
            tracing::warn!("the clients of the master's session could not be detached: {e}");
        }
    }
}

async fn drive(
    line: &mut Option<Line>,
    doing: &mut watch::Receiver<Doing>,
    limit: &mut watch::Receiver<Option<Timestamp>>,
) {
    match line {
        Some(line) => line.drive(doing, limit).await,
        None => std::future::pending().await,
    }
}

/// Waits for a future, or for a reason to leave.
async fn wait<T>(what: impl Future<Output = T>, heartbeat: &mut Heartbeat, signals: &mut Signals) -> Result<T, Leave> {
    tokio::select! {
        done = what => Ok(done),
        leave = reason_to_leave(heartbeat, signals) => Err(leave),
    }
}

/// Waits for a reason to leave.
async fn reason_to_leave(heartbeat: &mut Heartbeat, signals: &mut Signals) -> Leave {
    loop {
        tokio::select! {
            beat = heartbeat.next() => match beat {
                Reply::Directive(_, Directive::Stop(reason)) => return Leave::Requested(reason),
                Reply::AgentLost => return Leave::DeclaredLost,
                _ => {}
            },
            signal = signals.next() => match signal {
                // The terminal sends it to the program as well, which handles it.
                Signal::Interrupt => {}
                Signal::Hangup => return Leave::SessionClosed,
                Signal::Terminate => return Leave::Terminated,
            },
        }
    }
}

/// Ends the program, if it still runs, and all that it has started.
async fn end(agent: &Agent, child: &mut Child) {
    let launcher = program::launcher(&agent.launch);
    if let Some(pid) = child.id() {
        launcher.signal(pid, nix::sys::signal::Signal::SIGTERM, true);
        if tokio::time::timeout(agent.launch.kill_grace, child.wait()).await.is_err() {
            launcher.signal(pid, nix::sys::signal::Signal::SIGKILL, true);
            let _ = child.kill().await;
        }
    }
    if launcher.is_alive() {
        // `orch start` may have been run here: then the supervisor is our descendant, and does not belong to the
        // program.
        let keep: Vec<u32> = os::read_lock_holder(&agent.home.supervisor_lock()).map(|p| p.pid).into_iter().collect();
        let (grace, limit) = (Duration::from_millis(200), Duration::from_secs(5));
        let ended = tokio::task::spawn_blocking(move || launcher.end(&keep, grace, limit));
        if let Ok(Err(e)) = ended.await {
            tracing::error!("processes left by the master's program: {e}");
        }
    }
}
