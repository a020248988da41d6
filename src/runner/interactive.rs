//! The master: its program has the pane's terminal for itself and talks to a person. It takes no tasks.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::process::{Child, Command};

use super::{
    Agent, Leave,
    beats::{Beat, Beats},
    scratch::Scratch,
    signals::{Signal, Signals},
};
use crate::{
    config::DriverKind,
    drivers::{self, Mcp, Seat, Start},
    home::{self, launch::Launch},
    mux::{Mux, Tags, TmuxMux, TmuxOptions},
    os,
    store::agents::Directive,
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
pub(super) async fn serve(agent: &Agent, mut signals: Signals) -> Leave {
    // The folder goes when this is left.
    let (start, _scratch) = match program(agent) {
        Ok(started) => started,
        Err(why) => return Leave::Broken(why),
    };
    let mut beats = Beats::start(agent);
    let (mut failed, mut pause) = (0, Duration::ZERO);
    loop {
        let began = Instant::now();
        let mut child = match spawn(agent, &start) {
            Ok(child) => child,
            Err(e) => return Leave::Broken(format!("{} could not be started: {e}", start.program.to_string_lossy())),
        };
        let status = match watch(child.wait(), &mut beats, &mut signals).await {
            Ok(status) => status,
            Err(leave) => {
                end(agent, &mut child).await;
                return leave;
            }
        };
        end(agent, &mut child).await;
        let at_once = began.elapsed() < AT_ONCE;
        failed = if at_once && !status.is_ok_and(|s| s.success()) { failed + 1 } else { 0 };
        if failed >= TRIES {
            return Leave::Broken(format!("{} ends at once, {TRIES} times in a row", start.program.to_string_lossy()));
        }
        let_out(agent).await;
        pause = if at_once { (pause * 2).clamp(PAUSES.0, PAUSES.1) } else { Duration::ZERO };
        if let Err(leave) = watch(tokio::time::sleep(pause), &mut beats, &mut signals).await {
            return leave;
        }
    }
}

fn program(agent: &Agent) -> Result<(Start, Option<Scratch>), String> {
    if agent.launch.driver == DriverKind::Console {
        let own = std::env::current_exe().map_err(|e| format!("our own program is not to be found: {e}"))?;
        return Ok((Start { program: own.into(), args: vec!["console".into()], ..Start::default() }, None));
    }
    let (dir, orch) = (agent.home.agent_files(&agent.launch.agent), agent.home.bin().join("orch"));
    let seat = Seat { role: &agent.launch.role, dir: &dir, mcp: &tools(&orch, &agent.launch) };
    let driver = drivers::of(agent.launch.driver);
    let (driver, mut start) =
        driver.and_then(|driver| Some((driver, driver.interactive(&seat)?))).ok_or_else(|| {
            format!("driver {} has no prompt for a person: it cannot be the master's", agent.launch.driver)
        })?;
    let write = || {
        home::create_dir(&dir)?;
        start.files.iter().try_for_each(|(path, bytes)| home::write_new(path, bytes))?;
        Scratch::make(driver, &agent.launch.role, &dir)
    };
    let scratch = write().map_err(|e| format!("its files could not be written to {}: {e}", dir.display()))?;
    start.env.extend(scratch.as_ref().map(Scratch::variable));
    Ok((start, scratch))
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
async fn watch<T>(what: impl Future<Output = T>, beats: &mut Beats, signals: &mut Signals) -> Result<T, Leave> {
    tokio::pin!(what);
    loop {
        tokio::select! {
            done = &mut what => return Ok(done),
            beat = beats.next() => match beat {
                Beat::Directive(_, Directive::Stop(reason)) => return Err(Leave::Told(reason)),
                Beat::Gone => return Err(Leave::GivenUp),
                _ => {}
            },
            signal = signals.next() => match signal {
                // The terminal sends it to the program as well, which knows what to do with it.
                Signal::Interrupt => {}
                Signal::Hangup => return Err(Leave::SessionClosed),
                Signal::Terminate => return Err(Leave::Terminated),
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

/// Whoever has just left the program wants to be out of its session too.
async fn let_out(agent: &Agent) {
    let mux = TmuxMux::new(TmuxOptions { socket: agent.launch.tmux_socket.clone(), ..TmuxOptions::default() });
    let tags = Tags {
        namespace: Tags::world(&agent.launch.namespace, &agent.launch.home),
        agent: agent.launch.agent.clone(),
        incarnation: agent.launch.incarnation.clone(),
    };
    if let Err(e) = mux.detach_clients(&agent.launch.session, &tags).await {
        tracing::warn!("the master's session was left, and its clients could not be detached: {e}");
    }
}
