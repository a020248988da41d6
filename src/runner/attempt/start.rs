//! The beginning of an attempt: its folder, how its driver starts the program, and why a start may fail.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::PathBuf,
};

use tokio::process::Child;

use crate::runner::{
    Agent, Leave,
    attempt::brief::Brief,
    attempt::program::{self, Place, own_variables, spawn, spawn_on_terminal},
    attempt::scratch::Scratch,
    attempt::workspace::Workspace,
    interactive::follow::Follow,
    interactive::session::Earlier,
    interactive::turn::Turn,
    lease::blocked_on::BlockedOn,
    output::metering::Metering,
    output::pane::Lent,
    output::transcript::Reading,
    output::{From, Output},
};
use crate::{
    config::Mode,
    drivers::{Driver, HookTranscript, InteractiveJob, Job, Key, Refusal, RoleSettings, Start, Totals, Verdict},
    launchers::{bwrap::proxy::Proxy, preflight},
    model::{cause::Cause, end_code::EndCode, id::Capability, task::Usage, wait::Wait, window::Window},
    os::failpoint,
    store::{inputs::Inputs, tasks::Claimed},
};

/// An attempt whose program runs.
pub(in crate::runner) struct Running<'a> {
    pub agent: &'a Agent,
    pub workspace: Workspace,
    pub scratch: Option<Scratch>,
    /// The folder that is kept for all attempts of the task ([`Place::kept`]).
    pub kept: PathBuf,
    /// Its way to the network, for as long as it runs.
    pub proxy: Option<Proxy>,
    pub child: Child,
    pub output: Output,
    /// The pane's terminal, where the program has it to itself.
    pub terminal: Option<Lent>,
    /// Whether a conversation is resumed.
    pub resumed: bool,
    /// The conversation that has been recorded.
    pub session: Option<String>,
    /// What the program has reported that it waits for.
    pub waits_for: Option<Wait>,
    /// What has been recorded of the windows of its subscription.
    pub windows: Vec<Window>,
    /// The marker that only this attempt's processes carry.
    pub capability: Capability,
}

/// Why an attempt ended before its program ran.
pub(in crate::runner) struct NotBegun {
    pub verdict: Verdict,
    pub leave: Option<Leave>,
}

impl NotBegun {
    /// The task is the reason.
    fn permanent(code: EndCode, reason: String) -> Box<Self> {
        Box::new(NotBegun { verdict: Verdict::of(Cause::Permanent, code, reason), leave: None })
    }

    /// The machine is the reason: it is short of something. The task is retried after the longest delay of its role,
    /// and the agent leaves as broken, which suspends the role. If it continued, it would lose one task after another.
    fn machine(agent: &Agent, code: EndCode, reason: String) -> Box<Self> {
        let retry_after = Some(agent.launch.role.retry.cap);
        let leave = Some(Leave::Broken(reason.clone()));
        Box::new(NotBegun { verdict: Verdict { retry_after, ..Verdict::of(Cause::Lost, code, reason) }, leave })
    }
}

/// Returns what only the programs of this attempt have.
pub(in crate::runner) fn capability_of(agent: &Agent, claimed: &Claimed) -> Capability {
    Capability {
        task: claimed.task.id.clone(),
        attempt: claimed.attempt,
        fence: claimed.fence,
        incarnation: agent.launch.incarnation.clone(),
    }
}

/// Creates the folder and starts the program; on the terminal, if that was lent for it.
pub(in crate::runner) fn begin<'a>(
    agent: &'a Agent,
    driver: &'static dyn Driver,
    claimed: &Claimed,
    inputs: &Inputs,
    earlier: Option<&Earlier>,
    terminal: Option<Lent>,
    blocked_on: BlockedOn,
) -> Result<Running<'a>, Box<NotBegun>> {
    let (role, launch) = (&agent.launch.role, &agent.launch);
    let workspace = if launch.driver.program().is_some() {
        Workspace::in_own_folder(&agent.home, claimed)
    } else {
        Workspace::in_runners_folder(&agent.home, &launch.incarnation, claimed)
    };
    let brief = Brief::new(claimed, inputs, role, launch.driver, workspace.files());
    let prompt = brief.prompt(earlier.map(|earlier| earlier.prompt.as_str()));
    let written = brief.context().and_then(|context| {
        workspace.write(&agent.home, prompt.as_bytes(), &context, brief.files())?;
        agent.journal().begun(&claimed.task, claimed.attempt)
    });
    written.map_err(|e| {
        NotBegun::machine(agent, EndCode::SpawnFailed, format!("the attempt's files could not be written: {e}"))
    })?;
    let prompt = prompt.as_str();
    if let Err(e) = agent.home.remove_strangers_from_path() {
        tracing::warn!("what is not from orch stays on the path of agents: {e}");
    }
    failpoint!("claim.folder_made");
    let cwd = claimed.task.cwd.as_ref().map_or(role.cwd.clone(), Into::into);
    if !cwd.is_dir() {
        let missing = format!("its working folder {} does not exist", cwd.display());
        // That of its role is no task's fault: the role starts nothing until it is there (launchers::preflight).
        let cause = if claimed.task.cwd.is_some() { Cause::Permanent } else { Cause::Transient };
        let verdict = Verdict::of(cause, EndCode::FolderMissing, missing);
        return Err(Box::new(NotBegun { verdict, leave: None }));
    }
    // Where a folder on its way became a link since the task was accepted, it leads to what nobody has approved.
    if claimed.task.cwd.is_some() && cwd.canonicalize().ok().as_ref() != Some(&cwd) {
        let moved = format!("its working folder {} leads to another place than when it was delegated", cwd.display());
        let verdict = Verdict::of(Cause::Permanent, EndCode::FolderMissing, moved);
        return Err(Box::new(NotBegun { verdict, leave: None }));
    }
    if let Some(why) = lacks_key(agent) {
        return Err(Box::new(NotBegun {
            verdict: Verdict::of(Cause::NeedsPerson, EndCode::LoginNeeded, why),
            leave: None,
        }));
    }
    let capability = capability_of(agent, claimed);
    agent.socket.admit(Some(capability.clone()));
    let own = own_variables(claimed, &workspace, &capability);
    let resume = earlier.map(|earlier| earlier.session.as_str());
    let start = start(agent, driver, &workspace, prompt, resume, &own, claimed);
    let mut start = start.map_err(|refusal| NotBegun::permanent(EndCode::NotSupported, refusal.0))?;
    let scratch = Scratch::make(driver, role, &workspace.dir).map_err(|e| {
        NotBegun::machine(agent, EndCode::SpawnFailed, format!("the program's own folder could not be created: {e}"))
    })?;
    start.env.extend(scratch.as_ref().map(Scratch::variable));
    let could_not_start = |e: io::Error| could_not_start(&e, &start, agent);
    let proxy = program::proxy(agent).map_err(could_not_start)?;
    let kept = agent.home.task_runs(&claimed.task.id).join("home");
    let place = Place { cwd: &cwd, files: vec![workspace.files()], kept: &kept, proxy: proxy.as_ref(), own: &own };
    program::launcher(launch).prepare(&start.files).map_err(could_not_start)?;
    let (child, sources, transcript) = if terminal.is_some() {
        // Before the program can report anything.
        let mut follow =
            Follow::new(agent, &workspace.dir, Some(driver), Turn::with_task(), blocked_on).map_err(|e| {
                NotBegun::machine(
                    agent,
                    EndCode::SpawnFailed,
                    format!("the output of its program could not be followed: {e}"),
                )
            })?;
        let child = spawn_on_terminal(agent, &start, &place).map_err(could_not_start)?;
        follow.has_started(launch, child.id());
        let transcript = Some(Box::<HookTranscript>::default() as Box<_>);
        (child, [From::Hooks(Box::new(follow)), From::Nowhere], transcript)
    } else {
        let mut child = spawn(agent, &start, &place, &workspace.prompt).map_err(could_not_start)?;
        let pipes = From::pipes(&mut child);
        (child, pipes, driver.transcript(&role.agent))
    };
    failpoint!("claim.started");
    // On a terminal, usage is read from the program's records, by their times.
    let totals = driver.manifest().totals;
    let totals = if terminal.is_some() { Totals::NONE } else { totals };
    let metering = Metering::new(totals, claimed.counted.clone());
    let reading =
        transcript.map(|transcript| Reading::new(transcript, &workspace.dir, start.session.clone(), metering));
    let pane = agent.pane.clone();
    let output = Output::new(sources, &workspace.dir, pane, agent.redactor.clone(), reading, role.limits.output);
    let resumed = earlier.is_some();
    let session = None;
    Ok(Running {
        kept,
        agent,
        workspace,
        scratch,
        proxy,
        child,
        output,
        terminal,
        resumed,
        session,
        waits_for: None,
        windows: Vec::new(),
        capability,
    })
}

/// Returns why a program whose role wants a key cannot work: it would fall back on a login.
fn lacks_key(agent: &Agent) -> Option<String> {
    let keys = agent.launch.role.needs_key(agent.launch.driver);
    let has = |key: &&str| agent.launch.env.get(*key).is_some_and(|value| !value.is_empty());
    (!keys.is_empty() && !keys.iter().any(has)).then(|| {
        format!(
            "role {} has auth = \"key\", and none of {} was set when orch started: export one, then orch stop, orch start \
             and orch retry",
            agent.launch.role.name,
            keys.join(", ")
        )
    })
}

/// Returns how the driver wants its program to be started.
fn start(
    agent: &Agent,
    driver: &dyn Driver,
    workspace: &Workspace,
    prompt: &str,
    resume: Option<&str>,
    own: &[(&'static str, OsString)],
    claimed: &Claimed,
) -> Result<Start, Refusal> {
    let orch = agent.home.bin().join("orch");
    let mut mcp = program::tools(&orch, &agent.launch);
    mcp.env.extend(own.iter().map(|(name, value)| (*name, value.to_string_lossy().into_owned())));
    let new_session = uuid::Uuid::new_v4().to_string();
    let mut options = agent.launch.role.agent.clone();
    let of_task = claimed.task.allowed_tools.iter();
    options.allowed_tools.extend(of_task.filter(|tool| !agent.launch.role.agent.allowed_tools.contains(tool)).cloned());
    let kind = agent.launch.driver;
    if kind.knows(Key::MaxCostUsd) {
        options.max_cost_usd = most_cost(options.max_cost_usd, claimed, resume);
    }
    let role = RoleSettings { options: &options, ..agent.launch.role.settings() };
    if role.options.mode == Mode::Interactive {
        let (dir, prompt) = (workspace.dir.as_path(), Some(prompt));
        let job = InteractiveJob { role, dir, mcp: &mcp, new_session: &new_session, resume, prompt };
        return driver.interactive(&job).filter(|_| kind.knows(Key::Mode)).ok_or_else(|| {
            Refusal(format!(
                "role {} sets mode = \"interactive\", which {kind} does not support: choose another driver, or remove the key",
                role.name
            ))
        });
    }
    driver.start(&Job {
        role,
        prompt,
        prompt_file: &workspace.prompt,
        dir: &workspace.dir,
        mcp: &mcp,
        new_session: &new_session,
        resume,
    })
}

/// Returns what a program that ends at a price may cost in this attempt: what its role says, and no more than its task has left.
/// A program that resumes a conversation counts from the beginning of that.
fn most_cost(of_role: Option<f64>, claimed: &Claimed, resume: Option<&str>) -> Option<f64> {
    let counted = claimed.counted.as_ref().filter(|counted| Some(counted.conversation.as_str()) == resume);
    let before = counted.map_or(0, |counted| counted.usage.micro_usd());
    let left = claimed.left.micro_usd.map(|left| Usage::of_micro_usd(left + before));
    of_role.into_iter().chain(left).reduce(f64::min)
}

/// A file that is missing now will still be missing in a second; a machine that is short of something may recover.
fn could_not_start(e: &io::Error, start: &Start, agent: &Agent) -> Box<NotBegun> {
    use io::ErrorKind::{ArgumentListTooLong, NotFound, OutOfMemory, PermissionDenied, StorageFull, WouldBlock};
    let program = start.program.to_string_lossy();
    let launch = &agent.launch;
    let is_short_of_something = matches!(e.kind(), OutOfMemory | WouldBlock | StorageFull)
        || matches!(e.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
    if is_short_of_something {
        return NotBegun::machine(agent, EndCode::SpawnFailed, format!("{program} could not be started: {e}"));
    }
    // It existed when this agent was started. The supervisor's preflight finds the same, and starts no agents for the
    // other tasks.
    if let Some(missing) = program::missing(launch) {
        return NotBegun::machine(agent, EndCode::ProgramMissing, missing);
    }
    let path = launch.env.get("PATH").map(OsStr::new);
    let code =
        if matches!(e.kind(), NotFound | PermissionDenied) { EndCode::ProgramMissing } else { EndCode::SpawnFailed };
    NotBegun::permanent(
        code,
        match e.kind() {
            NotFound if preflight::find(&program, path).is_some() => {
                format!("the program {program} exists, but its interpreter (named in its first line) does not")
            }
            NotFound => format!("the program {program} or its interpreter does not exist"),
            PermissionDenied => format!("the program {program} is not executable"),
            ArgumentListTooLong => {
                let longest = start.args.iter().map(|arg| arg.len()).max().unwrap_or_default();
                format!(
                    "an argument of {program} is too long, with {longest} bytes: in mode = \"interactive\" the task's text is \
                 one (name a file in it instead, or use mode = \"headless\"); else shorten instructions or args"
                )
            }
            _ => format!("{program} could not be started: {e}"),
        },
    )
}
