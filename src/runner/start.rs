//! The beginning of an attempt: its folder, what its program is told, and the program itself.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::Path,
    process::Stdio,
};

use tokio::process::{Child, Command};

use super::{
    Agent, Leave, output::Output, redact::Redactor, session::Earlier, transcript::Reading, workspace::Workspace,
};
use crate::{
    drivers::{self, Driver, Job, Refusal, Start, Verdict},
    home,
    model::{cause::Cause, id::Capability},
    os::failpoint,
    store::tasks::Claimed,
};

/// The variable by which an attempt's processes are told from those of all others.
pub(super) const CAPABILITY: &str = "ORCH_CAPABILITY";

/// An attempt whose program runs.
pub(super) struct Running<'a> {
    pub agent: &'a Agent,
    pub workspace: Workspace,
    pub child: Child,
    pub output: Output,
    /// Whether a conversation goes on.
    pub resumed: bool,
    /// Whether the conversation has been written down.
    pub session_known: bool,
    /// What only this attempt's processes carry.
    pub capability: Capability,
}

/// Why an attempt ended before its program ran.
pub(super) struct NotBegun {
    pub verdict: Verdict,
    pub leave: Option<Leave>,
}

impl NotBegun {
    /// The task is to blame.
    fn permanent(reason: String) -> Box<Self> {
        Box::new(NotBegun { verdict: Verdict::of(Cause::Permanent, reason), leave: None })
    }

    /// This machine is: it is short of something. The task waits for as long as its role's tasks ever do, and the agent
    /// leaves as broken, which holds its role back. Were it to go on, it would lose one task after another.
    fn machine(agent: &Agent, reason: String) -> Box<Self> {
        let retry_after = Some(agent.launch.role.retry.cap);
        let leave = Some(Leave::Broken(reason.clone()));
        Box::new(NotBegun { verdict: Verdict { retry_after, ..Verdict::of(Cause::Lost, reason) }, leave })
    }
}

/// Makes the folder and starts the program.
pub(super) fn begin<'a>(
    agent: &'a Agent,
    driver: &dyn Driver,
    claimed: &Claimed,
    earlier: Option<&Earlier>,
) -> Result<Running<'a>, Box<NotBegun>> {
    let (role, launch) = (&agent.launch.role, &agent.launch);
    let prompt = earlier.map_or(&claimed.task.description, |earlier| &earlier.prompt);
    let workspace = Workspace::create(&agent.home, claimed, prompt)
        .map_err(|e| NotBegun::machine(agent, format!("the attempt's folder could not be written: {e}")))?;
    failpoint!("claim.folder_made");
    let cwd = claimed.task.cwd.as_ref().map_or(role.cwd.clone(), Into::into);
    if !cwd.is_dir() {
        return Err(NotBegun::permanent(format!("its working folder {} is not there", cwd.display())));
    }
    let capability = Capability {
        task: claimed.task.id.clone(),
        attempt: claimed.attempt,
        fence: claimed.fence,
        incarnation: launch.incarnation.clone(),
    };
    let own = own_variables(claimed, &workspace, &capability);
    let resume = earlier.map(|earlier| earlier.session.as_str());
    let start = start(agent, driver, &workspace, prompt, resume, &own);
    let start = start.map_err(|refusal| NotBegun::permanent(refusal.0))?;
    let mut child = spawn(agent, &start, &cwd, &workspace, &own).map_err(|e| could_not_start(&e, &start, agent))?;
    failpoint!("claim.started");
    let reading = driver.transcript().map(|transcript| Reading::new(transcript, &workspace.dir));
    let secrets = agent.launch.secrets.iter().filter_map(|name| agent.launch.env.get(name)).map(String::as_str);
    let pane = agent.pane.clone();
    let output = Output::new(&mut child, &workspace.dir, pane, Redactor::new(secrets), reading, role.limits.output);
    let resumed = earlier.is_some();
    Ok(Running { agent, workspace, child, output, resumed, session_known: false, capability })
}

/// What an attempt's program is told about itself.
fn own_variables(claimed: &Claimed, w: &Workspace, capability: &Capability) -> [(&'static str, OsString); 5] {
    [
        ("ORCH_TASK", claimed.task.id.as_str().into()),
        ("ORCH_ATTEMPT", claimed.attempt.to_string().into()),
        (CAPABILITY, capability.to_string().into()),
        ("ORCH_CONTEXT", w.context.clone().into()),
        ("ORCH_RESULT", w.result.clone().into()),
    ]
}

/// How the driver wants its program to be started.
fn start(
    agent: &Agent,
    driver: &dyn Driver,
    workspace: &Workspace,
    prompt: &str,
    resume: Option<&str>,
    own: &[(&'static str, OsString)],
) -> Result<Start, Refusal> {
    let orch = agent.home.bin().join("orch");
    let mut mcp = super::interactive::tools(&orch, &agent.launch);
    mcp.env.extend(own.iter().map(|(name, value)| (*name, value.to_string_lossy().into_owned())));
    let new_session = uuid::Uuid::new_v4().to_string();
    driver.start(&Job {
        role: &agent.launch.role,
        prompt,
        prompt_file: &workspace.prompt,
        dir: &workspace.dir,
        mcp: &mcp,
        new_session: &new_session,
        resume,
    })
}

fn spawn(agent: &Agent, start: &Start, cwd: &Path, w: &Workspace, own: &[(&str, OsString)]) -> io::Result<Child> {
    let launch = &agent.launch;
    for (path, bytes) in &start.files {
        home::write_new(path, bytes)?;
    }
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
        .envs(start.env.iter().map(|(name, value)| (name, value)))
        .envs(own.iter().map(|(name, value)| (name, value)))
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

/// What is not there now will not be there in a second either; a machine that is short of something may recover.
fn could_not_start(e: &io::Error, start: &Start, agent: &Agent) -> Box<NotBegun> {
    use io::ErrorKind::{ArgumentListTooLong, NotFound, OutOfMemory, PermissionDenied, StorageFull, WouldBlock};
    let program = start.program.to_string_lossy();
    let path = agent.launch.env.get("PATH").map_or("which is empty", String::as_str);
    let is_short_of_something = matches!(e.kind(), OutOfMemory | WouldBlock | StorageFull)
        || matches!(e.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
    match e.kind() {
        _ if is_short_of_something => NotBegun::machine(agent, format!("{program} could not be started: {e}")),
        NotFound if !program.contains('/') => {
            // The whole PATH would fill every list that shows the reason.
            tracing::warn!(path, "{program} is not there");
            NotBegun::permanent(format!(
                "the program {program} is not on PATH: install it, or change the role's driver or command"
            ))
        }
        NotFound => NotBegun::permanent(format!("the program {program} is not there, or its interpreter is not")),
        PermissionDenied => NotBegun::permanent(format!("the program {program} may not be executed")),
        ArgumentListTooLong => NotBegun::permanent(format!("the arguments of {program} are too long")),
        _ => NotBegun::permanent(format!("{program} could not be started: {e}")),
    }
}
