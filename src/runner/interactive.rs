//! The master: its program has the pane's terminal for itself and talks to a person. It takes no tasks.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::process::{Child, Command};

use super::{
    Agent, Leave,
    beats::{Beat, Beats},
    signals::{Signal, Signals},
};
use crate::{
    config::DriverKind,
    drivers::{self, Start},
    mux::{Mux, Tags, TmuxMux, TmuxOptions},
    os,
    store::agents::Directive,
};

/// A program that ends sooner than this was not left by a person.
const AT_ONCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_secs(1);
/// So many times in a row, and the agent is broken.
const TRIES: u32 = 3;

/// Keeps the master's program running until told to leave. A person who leaves it is let out of the session, and finds
/// it again at the next attach: leaving stops nothing.
pub(super) async fn serve(agent: &Agent, mut signals: Signals) -> Leave {
    let start = match program(agent) {
        Ok(start) => start,
        Err(why) => return Leave::Broken(why),
    };
    let mut beats = Beats::start(agent.store.clone(), agent.launch.clone());
    let mut failed = 0;
    loop {
        let began = Instant::now();
        let mut child = match spawn(agent, &start) {
            Ok(child) => child,
            Err(e) => return Leave::Broken(format!("{} could not be started: {e}", start.program.to_string_lossy())),
        };
        let status = match watch(agent, &mut child, &mut beats, &mut signals).await {
            Ok(status) => status,
            Err(leave) => {
                end(agent, &mut child).await;
                return leave;
            }
        };
        end(agent, &mut child).await;
        failed = if began.elapsed() < AT_ONCE && !status.is_ok_and(|s| s.success()) { failed + 1 } else { 0 };
        if failed >= TRIES {
            return Leave::Broken(format!("{} ends at once, {TRIES} times in a row", start.program.to_string_lossy()));
        }
        let_out(agent).await;
        if began.elapsed() < AT_ONCE {
            // Perhaps its terminal gives it nothing but an end: not faster than this, then.
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn program(agent: &Agent) -> Result<Start, String> {
    if agent.launch.driver == DriverKind::Console {
        let own = std::env::current_exe().map_err(|e| format!("our own program is not to be found: {e}"))?;
        return Ok(Start { program: own.into(), args: vec!["console".into()], prompt_on_stdin: false });
    }
    drivers::of(agent.launch.driver)
        .and_then(|driver| driver.interactive(&agent.launch.role))
        .ok_or_else(|| format!("driver {} has no prompt for a person: it cannot be the master's", agent.launch.driver))
}

fn spawn(agent: &Agent, start: &Start) -> std::io::Result<Child> {
    Command::new(&start.program)
        .args(&start.args)
        .current_dir(&agent.launch.role.cwd)
        .env_clear()
        .envs(&agent.launch.env)
        .stdin(Stdio::inherit())
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit())
        .spawn()
}

async fn watch(
    agent: &Agent,
    child: &mut Child,
    beats: &mut Beats,
    signals: &mut Signals,
) -> Result<std::io::Result<std::process::ExitStatus>, Leave> {
    loop {
        tokio::select! {
            status = child.wait() => return Ok(status),
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
        tracing::debug!(agent = %agent.launch.agent, "the master goes on");
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
        namespace: agent.launch.namespace.clone(),
        agent: agent.launch.agent.clone(),
        incarnation: agent.launch.incarnation.clone(),
    };
    if let Err(e) = mux.detach_clients(&agent.launch.session, &tags).await {
        tracing::warn!("the master's session was left, and its clients could not be detached: {e}");
    }
}
