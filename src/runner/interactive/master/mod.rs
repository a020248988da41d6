//! The master: its program has the pane's terminal to itself and talks to a person. It takes no tasks.
//!
//! What it does is known from its hooks, and from its screen where no hook tells ([`super::follow`]). That is how it is known
//! that it asks its user for something, and that it is idle while something waits for it; and it is how its
//! [`conversation`] goes on after a crash.

mod conversation;
mod line;
mod meter;

use std::{
    path::PathBuf,
    process::ExitStatus,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{process::Child, sync::watch};

use self::{conversation::Conversation, line::Line, meter::Meter};
use crate::runner::{
    Agent, Leave,
    attempt::program,
    attempt::scratch::Scratch,
    interactive::follow::{self, Follow},
    interactive::mail,
    interactive::turn::{Doing, Turn},
    interactive::typing::{Pace, Typist},
    lease::blocked_on::Waits,
    lease::heartbeat::{Beat, Beats},
    output::redact::Redactor,
    signals::{Signal, Signals},
};
use crate::{
    config::DriverKind,
    drivers::{self, Driver, Hook, InteractiveJob, Start},
    home::{self, Home, launch::Launch},
    launchers,
    model::{event::EventKind, text::one_line},
    mux::{Mux, Tags, TmuxMux},
    os,
    store::{agents::Directive, people::Reader},
};

/// A program that ends sooner than this was not left by a person.
const AT_ONCE: Duration = Duration::from_secs(2);
/// So many times in a row, and the agent is broken.
const TRIES: u32 = 3;

/// A program that ends at once all the same, and says that all is well, is started again after a pause: the first one,
/// each further one twice as long, up to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// Keeps the master's program running until told to leave. A person who leaves it is let out of the session, and finds
/// it again at the next attach: leaving stops nothing.
pub(in crate::runner) async fn serve(agent: &Agent, mut signals: Signals) -> Leave {
    let mut beats = Beats::start(agent);
    let mut terminal = match Terminal::of(agent) {
        Ok(terminal) => terminal,
        Err(why) => return Leave::Broken(why),
    };
    let (mut failed, mut pause) = (0, Duration::ZERO);
    loop {
        let began = Instant::now();
        let mut program = match terminal.start(beats.waits()) {
            Ok(started) => started,
            Err(why) => return Leave::Broken(why),
        };
        let status = match terminal.follow(&mut program, &mut beats, &mut signals).await {
            Ok(status) => status,
            Err(leave) => return leave,
        };
        let at_once = began.elapsed() < AT_ONCE;
        // One that never began has failed, however long that took on a busy machine. One that a signal has ended says nothing
        // about its conversation.
        let never_began = terminal.driver.is_some() && !program.follow.has_begun();
        let ended_badly = !status.as_ref().is_ok_and(ExitStatus::success);
        let by_itself = status.is_ok_and(|status| status.code().is_some());
        let has_failed = ended_badly && (at_once || never_began);
        if has_failed && program.resumed && never_began && by_itself {
            terminal.begin_anew();
            continue;
        }
        failed = if has_failed { failed + 1 } else { 0 };
        if failed >= TRIES {
            let lines = program.follow.last_lines().await.join("\n");
            let lines = Redactor::of(&agent.launch).wrapped(lines).replace('\n', " / ");
            let shown = if lines.is_empty() { lines } else { format!("; it shows: {}", one_line(&lines, 300)) };
            return Leave::Broken(format!("{} ends at once, {TRIES} times in a row{shown}", program.name));
        }
        match by_itself {
            true => terminal.let_out().await,
            // Whoever is attached stays: another one comes at once, in the same conversation.
            false => terminal.note(&format!("{} was killed, and is started again", program.name)).await,
        }
        pause = if at_once || has_failed { (pause * 2).clamp(PAUSES.0, PAUSES.1) } else { Duration::ZERO };
        if let Err(leave) = wait(tokio::time::sleep(pause), &mut beats, &mut signals).await {
            return leave;
        }
    }
}

/// The terminal on which the master's program runs, one program after the other.
struct Terminal<'a> {
    agent: &'a Agent,
    driver: Option<&'static dyn Driver>,
    /// Of its files.
    dir: PathBuf,
    mux: Arc<TmuxMux>,
    /// Whether conversations go on.
    resumes: bool,
    conversation: Conversation,
    /// Of a program that is told by hooks that a prompt was submitted.
    line: Option<Line>,
    meter: Option<Meter>,
}

/// A program that runs there.
struct Program {
    /// For whoever is told that it failed.
    name: String,
    child: Child,
    follow: Follow,
    /// Whether it was told to go on with a conversation.
    resumed: bool,
    _scratch: Option<Scratch>,
}

impl<'a> Terminal<'a> {
    fn of(agent: &'a Agent) -> Result<Self, String> {
        let launch = &agent.launch;
        let dir = agent.home.agent_files(&launch.agent);
        let conversation = Conversation::of(&dir, launch.driver);
        let (driver, mux) = (drivers::of(launch.driver), Arc::new(follow::mux(launch)));
        // The console needs no file.
        if driver.is_some() {
            home::create_dir(&dir).map_err(|e| format!("its folder {} could not be made: {e}", dir.display()))?;
        }
        let line = driver.zip(std::env::var("TMUX_PANE").ok()).map(|(driver, pane)| {
            let typist = Typist { mux: mux.clone(), pane, tags: tags(launch), pace: Pace::default() };
            let mail = mail::unread(agent.store.clone(), launch.agent.clone(), Reader::Master);
            Line::new(typist, driver, agent.store.clone(), &launch.agent, mail)
        });
        let meter = driver.map(|d| Meter::new(d, agent.store.clone(), &launch.agent, &launch.role.name));
        Ok(Terminal { agent, driver, dir, mux, resumes: launch.role.agent.resume, conversation, line, meter })
    }

    fn start(&self, waits: Waits) -> Result<Program, String> {
        let mut start = self.program()?;
        let name = start.program.to_string_lossy().into_owned();
        let in_dir = |e: std::io::Error| format!("its files could not be written to {}: {e}", self.dir.display());
        launchers::of(&self.agent.launch.role).prepare(&start.files).map_err(in_dir)?;
        let scratch = self.driver.map(|driver| Scratch::make(driver, &self.agent.launch.role, &self.dir)).transpose();
        let scratch = scratch.map_err(in_dir)?.flatten();
        start.env.extend(scratch.as_ref().map(Scratch::variable));
        let mut follow = Follow::new(self.agent, &self.dir, self.driver, Turn::default(), waits).map_err(in_dir)?;
        let child = program::spawn_on_terminal(self.agent, &start, &self.agent.launch.role.cwd, &[]).map_err(|e| {
            program::missing(&self.agent.launch).unwrap_or_else(|| format!("{name} could not be started: {e}"))
        })?;
        follow.has_started(&self.agent.launch, child.id());
        Ok(Program { name, child, follow, resumed: self.to_resume().is_some(), _scratch: scratch })
    }

    fn program(&self) -> Result<Start, String> {
        let launch = &self.agent.launch;
        if launch.driver == DriverKind::Console {
            let own = std::env::current_exe().map_err(|e| format!("our own program is not to be found: {e}"))?;
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
            prompt: None,
        };
        self.driver
            .and_then(|driver| driver.interactive(&job))
            .ok_or_else(|| format!("driver {} has no prompt for a person: it cannot be the master's", launch.driver))
    }

    /// The conversation that the next program is to go on with.
    fn to_resume(&self) -> Option<&str> {
        self.conversation.to_resume().filter(|_| self.resumes)
    }

    /// A conversation was to go on, and could not: the next program has a new one. Not where the program that began it has
    /// ended at once: that one's conversation is there.
    fn begin_anew(&mut self) {
        tracing::warn!("the program ended at once where its conversation was to go on: it begins anew");
        self.conversation.forget();
    }

    /// Follows the program to its end, which nothing that it has started outlives.
    async fn follow(
        &mut self,
        program: &mut Program,
        beats: &mut Beats,
        signals: &mut Signals,
    ) -> Result<std::io::Result<ExitStatus>, Leave> {
        let mut doing = program.follow.doing();
        let ended = loop {
            tokio::select! {
                status = program.child.wait() => break Ok(status),
                heard = program.follow.next() => heard.hooks.iter().for_each(|hook| self.hear(hook)),
                () = drive(&mut self.line, &mut doing) => {}
                leave = told(beats, signals) => break Err(leave),
            }
        };
        program.follow.has_ended();
        end(self.agent, &mut program.child).await;
        // What it has asked was read, and may hold secrets.
        let _ = std::fs::remove_file(Home::hooks(&self.dir));
        if let Some(meter) = &self.meter {
            meter.ended().await;
        }
        ended
    }

    fn hear(&mut self, hook: &Hook) {
        if let (Hook::Prompt { .. }, Some(line)) = (hook, &self.line) {
            line.submitted();
        }
        if let Some(meter) = &mut self.meter {
            meter.hear(hook);
        }
        if self.resumes {
            self.conversation.hear(hook);
        }
    }

    /// Among the events, for who wonders what has happened to the conversation.
    async fn note(&self, what: &str) {
        tracing::warn!("{what}");
        let said = format!("{}: {what}", self.agent.launch.agent);
        if let Err(e) = self.agent.store.note(EventKind::AgentProgramEnded, &said).await {
            tracing::warn!("it is not among the events: {e}");
        }
    }

    /// Whoever has just left the program wants to be out of its session too.
    async fn let_out(&self) {
        if let Err(e) = self.mux.detach_clients(&self.agent.launch.session, &tags(&self.agent.launch)).await {
            tracing::warn!("the master's session was left, and its clients could not be detached: {e}");
        }
    }
}

fn tags(launch: &Launch) -> Tags {
    Tags {
        namespace: Tags::world(&launch.namespace, &launch.home),
        agent: launch.agent.clone(),
        incarnation: launch.incarnation.clone(),
    }
}

async fn drive(line: &mut Option<Line>, doing: &mut watch::Receiver<Doing>) {
    match line {
        Some(line) => line.drive(doing).await,
        None => std::future::pending().await,
    }
}

/// Waits for something, or for a reason to leave.
async fn wait<T>(what: impl Future<Output = T>, beats: &mut Beats, signals: &mut Signals) -> Result<T, Leave> {
    tokio::select! {
        done = what => Ok(done),
        leave = told(beats, signals) => Err(leave),
    }
}

/// Until there is a reason to leave.
async fn told(beats: &mut Beats, signals: &mut Signals) -> Leave {
    loop {
        tokio::select! {
            beat = beats.next() => match beat {
                Beat::Directive(_, Directive::Stop(reason)) => return Leave::Told(reason),
                Beat::Gone => return Leave::GivenUp,
                _ => {}
            },
            signal = signals.next() => match signal {
                // The terminal sends it to the program as well, which knows what to do with it.
                Signal::Interrupt => {}
                Signal::Hangup => return Leave::SessionClosed,
                Signal::Terminate => return Leave::Terminated,
            },
        }
    }
}

/// Ends the program, if it has not ended, and all it has started.
async fn end(agent: &Agent, child: &mut Child) {
    if let Some(pid) = child.id() {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::Signal::SIGTERM);
        if tokio::time::timeout(agent.launch.kill_grace, child.wait()).await.is_err() {
            let _ = child.kill().await;
        }
    }
    let launcher = launchers::of(&agent.launch.role);
    if launcher.is_alive() {
        // `orch start` may have been typed here: the supervisor is our descendant then, and not the program's own.
        let keep: Vec<u32> = os::read_lock_holder(&agent.home.supervisor_lock()).map(|p| p.pid).into_iter().collect();
        let (grace, limit) = (Duration::from_millis(200), Duration::from_secs(5));
        let ended = tokio::task::spawn_blocking(move || launcher.end(&keep, grace, limit));
        if let Ok(Err(e)) = ended.await {
            tracing::error!("what the master's program left behind: {e}");
        }
    }
}
