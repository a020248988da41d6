//! orch's share of the time until a real agent program works: from just before the start of `orch delegate` to the
//! first instruction of `claude`, which then completes its task with a scripted model service on loopback.
//! `scripts/test-agents` must have installed claude. The user's configuration and keys are not used.
//!
//! Also how soon a permission that claude asks for on its screen is in `orch status`.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Stdio,
    time::Instant,
};

use orch::model::{agent::AgentState, task::TaskState, wait::Needs};
use serde_json::json;

use crate::{
    Result,
    clock::{self, Stamps},
    median,
    model_server::{Answer, Server, tool, when},
    table::{Goal, Row, Unit},
    world::World,
};

const WARM_UP: usize = 2;
const RUNS: usize = 15;
/// The number of runs with a permission request.
const ASKED: usize = 5;
const SEEN: Goal = Goal::AtMost(2_000.0);
const KEY: &str = "sk-ant-none-000000000000000000000000";
/// The maximum of orch's share of the time until a program calls its model.
const SHARE: Goal = Goal::AtMost(60.0);

pub fn measure() -> Result<Vec<Row>> {
    let Some(claude) = installed()? else {
        eprintln!(
            "bench: agents is left out: there is no claude in the target folder (scripts/test-agents installs it)"
        );
        return Ok(Vec::new());
    };
    let idle = until_it_works(&claude, "max = 1\nmin = 1", true)?;
    let launched = until_it_works(&claude, "max = 5\ntasks_per_agent = 1", false)?;
    let row = |name: &str, goal, of: &[f64]| Row::new(name, Unit::Ms, goal, median(of), RUNS);
    Ok(vec![
        row("delegate until claude starts, agent idle, p50", SHARE, &idle.started),
        row("delegate until claude asks its model, agent idle, p50", Goal::None, &idle.asked),
        row("delegate until claude starts, agent launched, p50", SHARE, &launched.started),
        row("delegate until claude asks its model, agent launched, p50", Goal::None, &launched.asked),
        // May be negative: the hook may run before the screen shows the question.
        Row::new(
            "permission prompt shown until it is in status, p50",
            Unit::Ms,
            SEEN,
            median(&until_seen(&claude)?),
            ASKED,
        ),
    ])
}

/// Returns the claude that `scripts/test-agents` installed in the target folder of this binary.
fn installed() -> Result<Option<PathBuf>> {
    let own = std::env::current_exe()?;
    let agents = own.ancestors().map(|folder| folder.join("agents")).find(|agents| agents.is_dir());
    let folders = agents.into_iter().filter_map(|agents| fs::read_dir(agents).ok()).flatten().flatten();
    let programs = folders
        .filter(|folder| folder.file_name().to_string_lossy().starts_with("claude-"))
        .map(|folder| folder.path().join("node_modules/.bin/claude"));
    Ok(programs.filter(|program| program.exists()).max())
}

/// Times since the start of `orch delegate`, in ms.
#[derive(Default)]
struct Times {
    started: Vec<f64>,
    asked: Vec<f64>,
}

fn until_it_works(claude: &Path, role: &str, idle: bool) -> Result<Times> {
    let model = Server::start(vec![when("").answer(Answer::text("hello"))]);
    let world = World::new(&format!("[roles.worker]\ndriver = \"claude\"\nmodel = \"sonnet\"\n{role}\n"))?;
    let mut stamps = Stamps::new(&world.dir)?;
    let bin = world.dir.join("bin");
    fs::create_dir(&bin)?;
    // This binary replaces claude: it reports its start time, and then executes the real one.
    symlink(std::env::current_exe()?, bin.join(clock::CLAUDE))?;
    start(&world, &model, &bin, &[(clock::STAMPS, stamps.path.as_os_str()), (clock::CLAUDE_AT, claude.as_os_str())])?;
    let mut times = Times::default();
    for run in 0..WARM_UP + RUNS {
        world.until("the last task is done, and the agents are ready for the next", || {
            let agents = world.agents()?;
            let is_ready = if idle {
                agents.iter().any(|agent| agent.state == AgentState::Idle)
            } else {
                agents.is_empty() && world.wait(world.store.observe(&[]))?.orphans.is_empty()
            };
            Ok(is_ready && world.count(TaskState::Running)? == 0)
        })?;
        std::thread::sleep(std::time::Duration::from_millis(100));
        let text = format!("say hello {run}");
        let (began, began_at) = (clock::now(), Instant::now());
        world.run(&["delegate", "--role", "worker", &text])?;
        let started = clock::ms(stamps.next()? - began);
        world.until("the task is done", || Ok(world.count(TaskState::Succeeded)? == run as u64 + 1))?;
        let requests = model.requests();
        let first = requests.iter().find(|r| r.asked.as_ref().is_some_and(|asked| asked.text.contains(&text)));
        let asked = first.ok_or("claude has not asked")?.at.duration_since(began_at);
        if run >= WARM_UP {
            times.started.push(started);
            times.asked.push(clock::in_ms(asked));
        }
    }
    Ok(times)
}

/// Returns the times from a permission request on claude's screen to its record in the agent's state, in ms.
fn until_seen(claude: &Path) -> Result<Vec<f64>> {
    let model = Server::start(vec![when("").answer(tool("Bash", json!({ "command": "touch made" })))]);
    let role = "driver = \"claude\"\nmode = \"interactive\"\npermission_mode = \"manual\"\nmax = 1";
    let world = World::new(&format!("[roles.worker]\n{role}\n"))?;
    let bin = world.dir.join("bin");
    fs::create_dir(&bin)?;
    symlink(claude, bin.join(clock::CLAUDE))?;
    // The settings that claude asks for at its first start.
    let answered = json!({
        "hasCompletedOnboarding": true, "theme": "dark", "hasSeenAutoDefaultNotice": true,
        "customApiKeyResponses": { "approved": [&KEY[KEY.len() - 20..]], "rejected": [] },
        "projects": { world.dir.canonicalize()?.to_string_lossy(): { "hasTrustDialogAccepted": true } },
    });
    fs::write(world.dir.join(".claude.json"), answered.to_string())?;
    start(&world, &model, &bin, &[])?;
    let mut times = Vec::new();
    for _ in 0..ASKED {
        let task = world.delegate("worker", "make it")?;
        let (mut shown, mut recorded) = (None, None);
        world.until("claude asks for a permission", || {
            let agents = world.agents()?;
            if recorded.is_none() && agents.iter().any(|agent| agent.needs == Some(Needs::Permission)) {
                recorded = Some(clock::now());
            }
            let screen = world.tmux(&["capture-pane", "-p", "-t", "=worker-1:"]).output()?;
            if shown.is_none() && String::from_utf8_lossy(&screen.stdout).contains("Do you want to proceed?") {
                shown = Some(clock::now());
            }
            Ok(shown.is_some() && recorded.is_some())
        })?;
        times.extend(recorded.zip(shown).map(|(recorded, shown)| clock::ms(recorded - shown)));
        world.run(&["cancel", task.as_str()])?;
        world.until("the task has ended", || Ok(world.count(TaskState::Running)? == 0))?;
    }
    Ok(times)
}

/// Runs `orch start` with a clean environment: without the user's keys, proxies and settings.
fn start(world: &World, model: &Server, bin: &Path, extra: &[(&str, &OsStr)]) -> Result<()> {
    let mut path = OsString::from(bin);
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = world.orch(&["start"]);
    command.env_clear().env("PATH", path).env("HOME", &world.dir).env("TERM", "xterm-256color");
    command.env("ORCH_HOME", world.dir.join("home")).env("ORCH_CONFIG", &world.dir);
    command.env("ANTHROPIC_BASE_URL", model.url()).env("ANTHROPIC_API_KEY", KEY);
    // claude refuses some modes to root unless this variable declares a sandbox.
    command.env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1").env("IS_SANDBOX", "1");
    command.envs(extra.iter().copied());
    let output = command.stdin(Stdio::null()).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("orch start: {}", String::from_utf8_lossy(&output.stderr).trim()).into()),
    }
}
