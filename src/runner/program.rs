//! Starts an attempt's program: its command line, its environment, its pipes.

use std::{ffi::OsStr, io, path::Path, process::Stdio};

use tokio::process::{Child, Command};

use super::{Agent, workspace::Workspace};
use crate::{
    drivers::{self, Start},
    model::id::Capability,
    store::tasks::Claimed,
};

/// Starts it.
///
/// # Errors
/// What the system says.
pub(super) fn spawn(agent: &Agent, start: &Start, cwd: &Path, claimed: &Claimed, w: &Workspace) -> io::Result<Child> {
    let launch = &agent.launch;
    let capability = Capability {
        task: claimed.task.id.clone(),
        attempt: claimed.attempt,
        fence: claimed.fence,
        incarnation: launch.incarnation.clone(),
    };
    let stdin = if start.prompt_on_stdin { Stdio::from(std::fs::File::open(&w.prompt)?) } else { Stdio::null() };
    // A vfork is what makes a no-op task cheap. The standard library uses one where there is no `pre_exec`, and where it
    // need not look for the program on the PATH of an environment that is not ours: so we look.
    let name = start.program.to_str().filter(|name| !name.contains('/'));
    let found = name.and_then(|name| drivers::find(name, launch.env.get("PATH").map(OsStr::new)));
    // In a process group of its own: Ctrl-C in the pane reaches the runner, which ends the program and says why.
    Command::new(found.as_deref().map_or(&*start.program, Path::as_os_str))
        .arg0(&start.program)
        .args(&start.args)
        .current_dir(cwd)
        .env_clear()
        .envs(&launch.env)
        .env("ORCH_TASK", claimed.task.id.as_str())
        .env("ORCH_ATTEMPT", claimed.attempt.to_string())
        .env("ORCH_CAPABILITY", capability.to_string())
        .env("ORCH_CONTEXT", &w.context)
        .env("ORCH_RESULT", &w.result)
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}
