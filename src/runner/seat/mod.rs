//! The master's seat: its program has the pane's terminal for itself and talks to a person. It takes no tasks.
//!
//! What it does is known from its hooks, and from its screen where no hook tells ([`turn`]). That is how it is known that
//! it asks its user for something, and that it is idle while something waits for it; and it is how its [`conversation`]
//! goes on after a crash.

mod conversation;
mod line;
mod turn;

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    process::{Child, Command},
    sync::watch,
};

use self::{
    conversation::Conversation,
    line::Line,
    turn::{Doing, Turn},
};
use super::{
    Agent, Leave,
    beats::{Beat, Beats},
    hooks::Hooks,
    mail,
    scratch::Scratch,
    signals::{Signal, Signals},
    typing::{Pace, Typist},
};
use crate::{
    config::DriverKind,
    drivers::{self, Driver, Hook, Mcp, Noted, Start},
    home::{self, Home, launch::Launch},
    mux::{Mux, Tags, TmuxMux, TmuxOptions},
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

/// How often a program is looked at that is in a turn, of which no hook may tell the end. One that is idle is not.
const LOOK: Duration = Duration::from_millis(1_500);

/// Keeps the master's program running until told to leave. A person who leaves it is let out of the session, and finds
/// it again at the next attach: leaving stops nothing.
pub(super) async fn serve(agent: &Agent, mut signals: Signals) -> Leave {
    let mut beats = Beats::start(agent);
    let mut seat = match Seat::of(agent) {
        Ok(seat) => seat,
        Err(why) => return Leave::Broken(why),
    };
    let (mut failed, mut pause) = (0, Duration::ZERO);
    loop {
        let began = Instant::now();
        let (program, child) = match seat.start() {
            Ok(started) => started,
            Err(why) => return Leave::Broken(why),
        };
        let status = match seat.sit(child, &mut beats, &mut signals).await {
            Ok(status) => status,
            Err(leave) => return leave,
        };
        let at_once = began.elapsed() < AT_ONCE;
        let has_failed = at_once && !status.is_ok_and(|status| status.success());
        if has_failed && seat.begin_anew() {
            continue;
        }
        failed = if has_failed { failed + 1 } else { 0 };
        if failed >= TRIES {
            return Leave::Broken(format!("{program} ends at once, {TRIES} times in a row"));
        }
        seat.let_out().await;
        pause = if at_once { (pause * 2).clamp(PAUSES.0, PAUSES.1) } else { Duration::ZERO };
        if let Err(leave) = wait(tokio::time::sleep(pause), &mut beats, &mut signals).await {
            return leave;
        }
    }
}

/// Where the program sits.
struct Seat<'a> {
    agent: &'a Agent,
    driver: Option<&'static dyn Driver>,
    /// Of its files.
    dir: PathBuf,
    mux: Arc<dyn Mux>,
    /// tmux's own id of the pane; `None` where tmux has not said it.
    pane: Option<String>,
    /// Whether conversations go on.
    resumes: bool,
    conversation: Conversation,
    turn: Turn,
    hooks: Option<Hooks>,
    /// The beginning of a line of the hooks' file.
    line: Vec<u8>,
    /// Of the program; it goes with the seat.
    scratch: Option<Scratch>,
    line_to_idle: Option<Line>,
    /// How many messages wait.
    mail: watch::Receiver<u64>,
}

impl<'a> Seat<'a> {
    fn of(agent: &'a Agent) -> Result<Self, String> {
        let launch = &agent.launch;
        let dir = agent.home.agent_files(&launch.agent);
        home::create_dir(&dir).map_err(|e| format!("its folder {} could not be made: {e}", dir.display()))?;
        let mux = TmuxMux::new(TmuxOptions { socket: launch.tmux_socket.clone(), ..TmuxOptions::default() });
        let mux: Arc<dyn Mux> = Arc::new(mux);
        let (driver, pane) = (drivers::of(launch.driver), std::env::var("TMUX_PANE").ok());
        let typist =
            pane.clone().map(|pane| Typist { mux: mux.clone(), pane, tags: tags(launch), pace: Pace::default() });
        let line =
            typist.zip(driver).map(|(typist, driver)| Line::new(typist, driver, agent.store.clone(), &launch.agent));
        let mail = line.is_some().then(|| mail::unread(agent.store.clone(), launch.agent.clone(), Reader::Master));
        let conversation = Conversation::of(&dir, launch.driver);
        Ok(Seat {
            agent,
            driver,
            dir,
            mux,
            pane,
            resumes: launch.role.agent.resume,
            conversation,
            turn: Turn::default(),
            hooks: None,
            line: Vec::new(),
            scratch: None,
            line_to_idle: line,
            mail: mail.unwrap_or_else(|| watch::channel(0).1),
        })
    }

    /// Starts the program; its name, for whoever is told that it failed.
    fn start(&mut self) -> Result<(String, Child), String> {
        let mut start = self.program()?;
        let name = start.program.to_string_lossy().into_owned();
        let in_dir = |e: std::io::Error| format!("its files could not be written to {}: {e}", self.dir.display());
        start.files.iter().try_for_each(|(path, bytes)| home::write_new(path, bytes)).map_err(in_dir)?;
        if let Some(driver) = self.driver {
            // What the last program has left in its own goes first.
            self.scratch = None;
            self.scratch = Scratch::make(driver, &self.agent.launch.role, &self.dir).map_err(in_dir)?;
            start.env.extend(self.scratch.as_ref().map(Scratch::variable));
        }
        (self.turn, self.line) = (Turn::default(), Vec::new());
        self.hooks = Some(Hooks::of_new_program(&Home::hooks(&self.dir)).map_err(in_dir)?);
        let child = spawn(self.agent, &start).map_err(|e| format!("{name} could not be started: {e}"))?;
        Ok((name, child))
    }

    fn program(&self) -> Result<Start, String> {
        let launch = &self.agent.launch;
        if launch.driver == DriverKind::Console {
            let own = std::env::current_exe().map_err(|e| format!("our own program is not to be found: {e}"))?;
            return Ok(Start { program: own.into(), args: vec!["console".into()], ..Start::default() });
        }
        let orch = self.agent.home.bin().join("orch");
        let new_session = uuid::Uuid::new_v4().to_string();
        let seat = drivers::Seat {
            role: &launch.role,
            dir: &self.dir,
            mcp: &tools(&orch, launch),
            new_session: &new_session,
            resume: self.conversation.to_resume().filter(|_| self.resumes),
            prompt: None,
        };
        self.driver
            .and_then(|driver| driver.interactive(&seat))
            .ok_or_else(|| format!("driver {} has no prompt for a person: it cannot be the master's", launch.driver))
    }

    /// Where a conversation was to go on, and could not: the next program has a new one. Whether it was so.
    fn begin_anew(&mut self) -> bool {
        let was_to_go_on = self.resumes && self.conversation.to_resume().is_some();
        if was_to_go_on {
            tracing::warn!("the program ended at once where its conversation was to go on: it begins anew");
            self.conversation.forget();
        }
        was_to_go_on
    }

    /// Follows the program to its end, which nothing that it has started outlives.
    async fn sit(
        &mut self,
        mut child: Child,
        beats: &mut Beats,
        signals: &mut Signals,
    ) -> Result<std::io::Result<ExitStatus>, Leave> {
        let needs = beats.needs();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let ended = loop {
            tokio::select! {
                status = child.wait() => break Ok(status),
                piece = next_hooks(&mut self.hooks) => {
                    self.hear(&piece);
                    look.reset();
                }
                _ = look.tick(), if self.driver.is_some() && self.turn.doing() != Doing::Idle => self.look().await,
                Ok(()) = self.mail.changed() => {}
                typed = ready(&mut self.line_to_idle) => {
                    let waiting = *self.mail.borrow();
                    if let Some(line) = &mut self.line_to_idle {
                        line.act(typed, waiting);
                    }
                }
                leave = told(beats, signals) => break Err(leave),
            }
            needs.set(self.turn.needs());
            let waiting = *self.mail.borrow();
            if let Some(line) = &mut self.line_to_idle {
                line.observe(self.turn.doing(), waiting);
            }
        };
        needs.set(None);
        end(self.agent, &mut child).await;
        ended
    }

    /// Takes what the hooks have left: a piece of lines.
    fn hear(&mut self, piece: &[u8]) {
        self.line.extend_from_slice(piece);
        let mut lines = std::mem::take(&mut self.line);
        let rest = lines.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        self.line = lines.split_off(rest);
        for line in lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            // Whoever writes there otherwise says nothing to us.
            if let Ok(noted) = serde_json::from_slice::<Noted>(line) {
                self.hear_one(&noted.hook);
            }
        }
    }

    fn hear_one(&mut self, hook: &Hook) {
        self.turn.hear(hook);
        if let (Hook::Prompt { .. }, Some(line)) = (hook, &self.line_to_idle) {
            line.submitted();
        }
        if self.resumes {
            self.conversation.hear(hook);
        }
    }

    /// Looks at the terminal. A tmux that does not answer says nothing about the program.
    async fn look(&mut self) {
        let (Some(driver), Some(pane)) = (self.driver, &self.pane) else { return };
        match self.mux.screen(pane).await {
            Ok(screen) => self.turn.see(driver.see(&screen.title, &screen.text)),
            Err(e) => tracing::debug!("the screen can't be seen: {e}"),
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

/// What hooks have told; never again once the file can't be read.
async fn next_hooks(hooks: &mut Option<Hooks>) -> Vec<u8> {
    match hooks {
        Some(file) => match file.next().await {
            Ok(piece) => piece,
            Err(e) => {
                tracing::warn!("what the program's hooks tell is not heard any more: {e}");
                *hooks = None;
                Vec::new()
            }
        },
        None => std::future::pending().await,
    }
}

/// What the line to an idle program wants done.
async fn ready(line: &mut Option<Line>) -> Option<super::typing::Typed> {
    match line {
        Some(line) => line.ready().await,
        None => std::future::pending().await,
    }
}

/// The verbs as tools, for who has this launch.
pub(super) fn tools<'a>(orch: &'a Path, launch: &'a Launch) -> Mcp<'a> {
    let ours = launch.env.iter().filter(|(name, _)| name.starts_with("ORCH_"));
    Mcp { program: orch, env: ours.map(|(name, value)| (name.as_str(), value.clone())).collect() }
}

fn spawn(agent: &Agent, start: &Start) -> std::io::Result<Child> {
    Command::new(&start.program)
        .args(&start.args)
        .current_dir(&agent.launch.role.cwd)
        .env_clear()
        .envs(&agent.launch.env)
        .envs(start.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::inherit())
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit())
        .spawn()
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
    if os::has_children() {
        // `orch start` may have been typed here: the supervisor is our descendant then, and not the program's own.
        let keep: Vec<u32> = os::read_lock_holder(&agent.home.supervisor_lock()).map(|p| p.pid).into_iter().collect();
        let (grace, limit) = (Duration::from_millis(200), Duration::from_secs(5));
        let ended = tokio::task::spawn_blocking(move || os::end_children(&keep, grace, limit));
        if let Ok(Err(e)) = ended.await {
            tracing::error!("what the master's program left behind: {e}");
        }
    }
}
