//! Starts an agent's program: its command line, its environment, its pipes or its terminal.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::{Child, Command};

use crate::runner::{Agent, attempt::workspace::Workspace};
use crate::{
    config::{Role, Sandbox},
    drivers::{Mcp, Start},
    home::{
        self,
        files::{self, For},
        launch::Launch,
    },
    launchers::{self, Invocation, Launcher, bwrap::proxy::Proxy, preflight},
    model::{event::EventKind, id::Capability, network::Network},
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

/// Where a program runs, besides what its driver and its role say.
pub(in crate::runner) struct Place<'a> {
    /// Its working folder.
    pub cwd: &'a Path,
    /// The folders of its files.
    pub files: Vec<&'a Path>,
    /// The folder that all attempts of its task, or all programs of the master, have in common.
    pub kept: &'a Path,
    /// Its way to the network, where its role may reach a list of destinations.
    pub proxy: Option<&'a Proxy>,
    /// The variables that describe its attempt.
    pub own: &'a [(&'static str, OsString)],
}

/// Starts the program without a terminal. Standard input is this file, or empty.
///
/// # Errors
/// Fails when the program cannot be started.
pub(in crate::runner) fn spawn(agent: &Agent, start: &Start, place: &Place, prompt: &Path) -> io::Result<Child> {
    let stdin = if start.prompt_on_stdin { Stdio::from(files::open(prompt, For::Reading)?) } else { Stdio::null() };
    // In a process group of its own: Ctrl-C in the pane reaches the runner, which ends the program and reports why.
    let mut command = command(agent, start, place, false)?;
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
pub(in crate::runner) fn spawn_on_terminal(agent: &Agent, start: &Start, place: &Place) -> io::Result<Child> {
    let mut command = command(agent, start, place, true)?;
    command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    os::as_before(|| command.spawn())
}

/// Returns the command that starts it where its role's programs run.
fn command(agent: &Agent, start: &Start, place: &Place, on_a_terminal: bool) -> io::Result<Command> {
    let launch = &agent.launch;
    let env = launch.env.iter().map(|(name, value)| (OsStr::new(name), OsStr::new(value)));
    let of_driver = start.env.iter().map(|(name, value)| (OsStr::new(name), value.as_os_str()));
    let of_attempt = place.own.iter().map(|(name, value)| (OsStr::new(name), value.as_os_str()));
    let invocation = Invocation {
        start,
        cwd: place.cwd,
        env: env.chain(of_driver).chain(of_attempt).collect(),
        role: &launch.role,
        driver: launch.driver,
        state: &launch.home,
        config: launch.policy.location(),
        files: place.files.clone(),
        kept: place.kept,
        on_a_terminal,
        proxy: place.proxy.map(Proxy::socket),
    };
    Ok(launcher(launch).command(&invocation)?.into())
}

/// Returns where the programs of this agent run.
pub(in crate::runner) fn launcher(launch: &Launch) -> &'static dyn Launcher {
    launchers::of(&launch.role, launch.driver)
}

/// Returns where a record is that a program of this agent has named; `kept` as in [`Place`]. `None`: elsewhere than where its
/// conversations are.
pub(in crate::runner) fn on_disk(launch: &Launch, kept: &Path, named: &Path) -> Option<PathBuf> {
    let value = |name: &str| launch.env.get(name).map(OsStr::new).filter(|value| !value.is_empty());
    launcher(launch).on_disk(launch.driver, &value, kept, named)
}

/// Serves the proxy of a role that may reach a list of destinations. What it refuses is shown in the pane and recorded.
///
/// # Errors
/// Fails when its socket cannot be created.
pub(in crate::runner) fn proxy(agent: &Agent) -> io::Result<Option<Proxy>> {
    let launch = &agent.launch;
    if !matches!(launch.role.network, Network::Only(_)) || launch.role.sandbox == Sandbox::None {
        return Ok(None);
    }
    let folder = agent.home.scratch(&launch.incarnation);
    home::create_dir(&folder)?;
    let (pane, store, name) = (agent.pane.clone(), agent.store.clone(), launch.agent.clone());
    let refused = move |what: &str| {
        let said = format!("{name}: its program may not reach {what} (network in sessions.toml)");
        tracing::warn!("{said}");
        pane.print(&format!("orch: {said}"));
        let store = store.clone();
        tokio::spawn(async move {
            if let Err(e) = store.note(EventKind::AgentNetworkRefused, &said).await {
                tracing::warn!("the event could not be recorded: {e}");
            }
        });
    };
    Proxy::serve(&folder.join("network.sock"), launch.role.network.clone(), refused).map(Some)
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
