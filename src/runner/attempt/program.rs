//! Starts an agent's program: its command line, its environment, its pipes or its terminal.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::Path,
    process::Stdio,
};

use tokio::process::{Child, Command};

use crate::runner::{Agent, attempt::workspace::Workspace};
use crate::{
    config::Role,
    drivers::{Mcp, Start},
    home::{
        files::{self, For},
        launch::Launch,
    },
    launchers::{self, Invocation, preflight},
    model::id::Capability,
    os,
    store::tasks::Claimed,
};

/// The variable that identifies an attempt's processes.
pub(in crate::runner) const CAPABILITY: &str = "ORCH_CAPABILITY";

/// Returns the variables that describe an attempt to its program.
pub(in crate::runner) fn own_variables(
    claimed: &Claimed,
    w: &Workspace,
    capability: &Capability,
) -> [(&'static str, OsString); 5] {
    [
        ("ORCH_TASK", claimed.task.id.as_str().into()),
        ("ORCH_ATTEMPT", claimed.attempt.to_string().into()),
        (CAPABILITY, capability.to_string().into()),
        ("ORCH_CONTEXT", w.context.clone().into()),
        ("ORCH_RESULT", w.result.clone().into()),
    ]
}

/// Starts the program without a terminal.
///
/// # Errors
/// Fails when the program cannot be started.
pub(in crate::runner) fn spawn(
    agent: &Agent,
    start: &Start,
    cwd: &Path,
    w: &Workspace,
    own: &[(&str, OsString)],
) -> io::Result<Child> {
    let stdin = if start.prompt_on_stdin { Stdio::from(files::open(&w.prompt, For::Reading)?) } else { Stdio::null() };
    // In a process group of its own: Ctrl-C in the pane reaches the runner, which ends the program and reports why.
    let mut command = command(agent, start, cwd, own);
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = os::as_before(|| command.spawn())?;
    // An agent program prints its answer last, in one line, and exits.
    child.stdout.iter().filter(|_| agent.launch.driver.program().is_some()).for_each(os::widen_pipe);
    Ok(child)
}

/// Starts the program on the pane's terminal, which it then has to itself: in the runner's own process group, which is
/// the terminal's foreground group.
///
/// # Errors
/// Fails when the program cannot be started.
pub(in crate::runner) fn spawn_on_terminal(
    agent: &Agent,
    start: &Start,
    cwd: &Path,
    own: &[(&str, OsString)],
) -> io::Result<Child> {
    let mut command = command(agent, start, cwd, own);
    command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    os::as_before(|| command.spawn())
}

/// Returns the command that starts it where its role's programs run.
fn command(agent: &Agent, start: &Start, cwd: &Path, own: &[(&str, OsString)]) -> Command {
    let launch = &agent.launch;
    let env = launch.env.iter().map(|(name, value)| (OsStr::new(name), OsStr::new(value)));
    let of_driver = start.env.iter().map(|(name, value)| (OsStr::new(name), value.as_os_str()));
    let of_attempt = own.iter().map(|(name, value)| (OsStr::new(name), value.as_os_str()));
    let env = env.chain(of_driver).chain(of_attempt).collect();
    launchers::of(&launch.role).command(&Invocation { start, cwd, env }).into()
}

/// Returns the verbs as tools, for the agent with this launch.
pub(in crate::runner) fn tools<'a>(orch: &'a Path, launch: &'a Launch) -> Mcp<'a> {
    let ours = launch.env.iter().filter(|(name, _)| name.starts_with("ORCH_"));
    Mcp { program: orch, env: ours.map(|(name, value)| (name.as_str(), value.clone())).collect() }
}

/// Returns what the program of this agent is missing now, and how a person can fix it.
pub(in crate::runner) fn missing(launch: &Launch) -> Option<String> {
    let path = launch.env.get("PATH").map(OsStr::new);
    let role = Role { driver: launch.driver, ..launch.role.clone() };
    let unavailable = preflight::check(&role, &[], path).err()?;
    tracing::warn!(?path, "{}", unavailable.missing);
    Some(unavailable.to_string())
}
