//! sessions.toml as written: every key optional, every value with its line. Errors that concern one key alone are found
//! here; those that depend on another key, on a default or on a file are found in `resolve`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use toml::de::DeTable;

use super::{
    EscalationRule, InheritEnv,
    diagnostics::{At, Diagnostics},
    role::Sandbox,
    section::{Either, Known, Reader, Section},
};
use crate::{
    drivers::{DriverKind, Mode, PromptForm},
    model::{name, network::Network, socket, suggest, template},
};

/// A shorter heartbeat has no use: the supervisor checks leases about this often.
const LEAST_HEARTBEAT: Duration = Duration::from_millis(50);
/// A client that waits for a task must still be able to read its result.
const LEAST_KEEP: Duration = Duration::from_secs(60);
/// Zero would end every task before it starts.
const LEAST_TIMEOUT: Duration = Duration::from_millis(1);
/// No useful program starts with less. Where the kernel enforces the limit, it includes the runner.
const LEAST_MEMORY: u64 = 16 << 20;
const LEAST_WAIT: Duration = Duration::from_secs(1);
/// A hundredth of a processor core.
const LEAST_CPU: f64 = 0.01;
/// A tenth of a cent. Zero would end every attempt before it starts.
const LEAST_COST: f64 = 0.001;

#[derive(Debug, Default)]
pub(super) struct Written {
    pub name: Option<At<String>>,
    pub redis_url: Option<At<String>>,
    pub redis_ca_file: Option<At<PathBuf>>,
    pub redis_max_memory: Option<At<u64>>,
    pub tmux_socket: Option<At<String>>,
    pub day: WrittenDay,
    pub supervisor: WrittenSupervisor,
    pub retry: WrittenRetry,
    pub agents_order: Option<At<Vec<At<DriverKind>>>>,
    pub master: WrittenMaster,
    pub roles: BTreeMap<String, WrittenRole>,
}

#[derive(Debug, Default)]
pub(super) struct WrittenSupervisor {
    pub heartbeat: Option<At<Duration>>,
    pub lease: Option<At<Duration>>,
    pub max_agents: Option<At<u32>>,
    pub max_depth: Option<At<u32>>,
    pub max_children: Option<At<u32>>,
    pub kill_grace: Option<At<Duration>>,
    pub max_queued: Option<At<u32>>,
    pub max_wait: Option<At<Duration>>,
    pub keep: Option<At<Duration>>,
    pub keep_failed: Option<At<Duration>>,
    pub min_free_memory: Option<At<u64>>,
    pub min_free_disk: Option<At<u64>>,
    pub max_runs_disk: Option<At<u64>>,
    pub notify_command: Option<At<Vec<String>>>,
}

#[derive(Debug, Default)]
pub(super) struct WrittenRetry {
    pub retries: Option<At<u32>>,
    pub lost: Option<At<u32>>,
    pub base: Option<At<Duration>>,
    pub factor: Option<At<f64>>,
    pub cap: Option<At<Duration>>,
}

#[derive(Debug, Default)]
pub(super) struct WrittenMaster {
    pub role: Option<At<String>>,
    pub session: Option<At<String>>,
    pub default_role: Option<At<String>>,
}

#[derive(Debug, Default)]
pub(super) struct WrittenRole {
    /// Line of the first mention.
    pub line: usize,
    pub driver: Option<At<DriverKind>>,
    pub command: Option<At<Vec<String>>>,
    pub model: Option<At<String>>,
    pub instructions: Option<At<String>>,
    pub instructions_file: Option<At<PathBuf>>,
    pub min: Option<At<u32>>,
    pub max: Option<At<u32>>,
    pub idle_timeout: Option<At<Duration>>,
    pub task_timeout: Option<At<Duration>>,
    pub stall_timeout: Option<At<Duration>>,
    pub person_timeout: Option<At<Duration>>,
    pub tasks_per_agent: Option<At<u32>>,
    pub env: Option<BTreeMap<String, String>>,
    pub env_from: Option<Vec<String>>,
    pub inherit_env: Option<At<InheritEnv>>,
    pub cwd: Option<At<PathBuf>>,
    pub retry: WrittenRetry,
    pub delegates_to: Option<At<Vec<At<String>>>>,
    pub sandbox: Option<At<Sandbox>>,
    pub sandbox_read: Option<At<Vec<At<String>>>>,
    pub network: Option<At<Network>>,
    pub escalation: Option<At<EscalationRule>>,
    pub memory_max: Option<At<u64>>,
    pub cpu_max: Option<At<f64>>,
    pub max_processes: Option<At<u32>>,
    pub max_output: Option<At<u64>>,
    pub max_task_cost_usd: Option<At<f64>>,
    pub max_task_tokens: Option<At<u32>>,
    pub day: WrittenDay,
    pub mode: Option<At<Mode>>,
    pub args: Option<At<Vec<String>>>,
    pub allowed_tools: Option<At<Vec<String>>>,
    pub permission_mode: Option<At<String>>,
    pub max_turns: Option<At<u32>>,
    pub max_cost_usd: Option<At<f64>>,
    pub resume: Option<At<bool>>,
    pub on_denial: Option<At<bool>>,
    pub prompt: Option<At<PromptForm>>,
    pub prompt_template: Option<At<String>>,
}

/// The budget per day.
#[derive(Debug, Default)]
pub(super) struct WrittenDay {
    pub max_cost_usd: Option<At<f64>>,
    pub max_tokens: Option<At<u32>>,
}

/// Reads `text`. The answer contains what could be understood even where there are errors, so that the rest of the file is
/// checked too.
pub(super) fn parse(text: &str, mut diagnostics: Diagnostics) -> (Written, Diagnostics) {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What the parser recovered is a guess; an error about it could concern something that is not in the file.
        for error in errors {
            let offset = error.span().map_or(text.len(), |span| span.start);
            diagnostics.syntax(text, offset, format!("not valid TOML: {}", error.message()));
        }
        return (Written::default(), diagnostics);
    }
    let mut reader = Reader::new(diagnostics);
    let written = file(reader.root(table.get_ref()));
    (written, reader.finish())
}

/// Every key that a file may have, with its shape, by the kind of table.
pub(super) fn keys(diagnostics: Diagnostics) -> Known {
    // One role is enough to see what is asked of each.
    let (table, _) = DeTable::parse_recoverable("[roles.any]");
    let mut reader = Reader::new(diagnostics);
    let _ = file(reader.root(table.get_ref()));
    reader.into_known()
}

fn file(mut top: Section<'_, '_>) -> Written {
    let name = top.checked("name", |text| name::check_namespace(text).map(|()| text.to_owned()));

    let mut redis = top.section("redis", "redis");
    let redis_url = redis.checked("url", redis_address);
    let redis_ca_file = redis.checked("ca_file", path);
    let redis_max_memory = redis.size("max_memory", 0);
    redis.finish();

    let mut tmux = top.section("tmux", "tmux");
    let tmux_socket = tmux.checked("socket", socket);
    tmux.finish();

    let mut limits = top.section("limits", "limits");
    let day = day(&mut limits);
    limits.finish();

    let supervisor = supervisor(top.section("supervisor", "supervisor"));
    let retry = retry(top.section("retry", "retry"));
    let mut agents = top.section("agents", "agents");
    let agents_order = agents.list_of("order", &agent_names(), agent_program);
    agents.finish();
    let master = master(top.section("master", "master"));
    let roles = top.section("roles", "roles").each("roles.NAME", role).into_iter().collect();
    top.finish();
    Written {
        name,
        redis_url,
        redis_ca_file,
        redis_max_memory,
        tmux_socket,
        day,
        supervisor,
        retry,
        agents_order,
        master,
        roles,
    }
}

fn supervisor(mut table: Section<'_, '_>) -> WrittenSupervisor {
    let written = WrittenSupervisor {
        heartbeat: table.duration("heartbeat", LEAST_HEARTBEAT),
        lease: table.duration("lease", LEAST_HEARTBEAT * 2),
        max_agents: table.count("max_agents", 1),
        max_depth: table.count("max_depth", 0),
        max_children: table.count("max_children", 0),
        kill_grace: table.duration("kill_grace", Duration::ZERO),
        max_queued: table.count("max_queued", 1),
        max_wait: table.duration("max_wait", LEAST_WAIT),
        keep: table.duration("keep", LEAST_KEEP),
        keep_failed: table.duration("keep_failed", LEAST_KEEP),
        min_free_memory: table.size("min_free_memory", 0),
        min_free_disk: table.size("min_free_disk", 0),
        max_runs_disk: table.size("max_runs_disk", 0),
        notify_command: words(table.list("notify_command", command_word)),
    };
    table.finish();
    written
}

fn day(table: &mut Section<'_, '_>) -> WrittenDay {
    WrittenDay {
        max_cost_usd: table.number("max_cost_usd_per_day", LEAST_COST),
        max_tokens: table.count("max_tokens_per_day", 1),
    }
}

fn retry(mut table: Section<'_, '_>) -> WrittenRetry {
    let written = WrittenRetry {
        retries: table.count("retries", 0),
        lost: table.count("lost", 0),
        base: table.duration("base", Duration::ZERO),
        factor: table.number("factor", 1.0),
        cap: table.duration("cap", Duration::ZERO),
    };
    table.finish();
    written
}

fn master(mut table: Section<'_, '_>) -> WrittenMaster {
    let written = WrittenMaster {
        role: table.text("role"),
        session: table.checked("session", |text| name::check(text).map(|()| text.to_owned())),
        default_role: table.text("default_role"),
    };
    table.finish();
    written
}

fn role(name: At<&str>, table: &mut Section<'_, '_>) -> (String, WrittenRole) {
    if let Err(why) = name::check_role(name.value) {
        table.report_table(name.line, format!("is wrong: {why}"));
    }
    let written = WrittenRole {
        line: name.line,
        driver: table.one_of("driver", &driver_names(), str::parse),
        command: words(table.list("command", command_word)),
        model: table.checked("model", |text| filled(text).map(str::to_owned)),
        instructions: table.text("instructions"),
        instructions_file: table.checked("instructions_file", path),
        prompt: table.one_of("prompt", &["full", "bare"], prompt),
        prompt_template: table.checked("prompt_template", |text| template::check(text).map(|()| text.to_owned())),
        min: table.count("min", 0),
        max: table.count("max", 1),
        idle_timeout: table.duration("idle_timeout", Duration::ZERO),
        task_timeout: table.duration("task_timeout", LEAST_TIMEOUT),
        stall_timeout: table.duration("stall_timeout", LEAST_TIMEOUT),
        person_timeout: table.duration("person_timeout", LEAST_TIMEOUT),
        tasks_per_agent: table.count("tasks_per_agent", 0),
        env: table.map("env", variable),
        env_from: table
            .list("env_from", |name| variable(name, ""))
            .map(|at| at.value.into_iter().map(|name| name.value).collect()),
        inherit_env: table.one_of("inherit_env", &InheritEnv::NAMES, str::parse),
        cwd: table.checked("cwd", path),
        retry: retry(table.section("retry", "roles.NAME.retry")),
        delegates_to: table.list("delegates_to", |_| Ok(())),
        sandbox: table.one_of("sandbox", &["none", "bwrap"], sandbox),
        sandbox_read: table.list("sandbox_read", |folder| path(folder).map(drop)),
        network: network(table),
        escalation: table.one_of("escalation", &["approve", "refuse"], escalation),
        memory_max: table.size("memory_max", LEAST_MEMORY),
        cpu_max: table.number("cpu_max", LEAST_CPU),
        max_processes: table.count("max_processes", 1),
        max_output: table.size("max_output", 1),
        max_task_cost_usd: table.number("max_task_cost_usd", LEAST_COST),
        max_task_tokens: table.count("max_task_tokens", 1),
        day: day(table),
        mode: table.one_of("mode", &["headless", "interactive"], mode),
        args: words(table.list("args", command_word)),
        allowed_tools: words(table.list("allowed_tools", |tool| word(tool).map(drop))),
        permission_mode: table.checked("permission_mode", |mode| word(mode).map(str::to_owned)),
        max_turns: table.count("max_turns", 1),
        max_cost_usd: table.number("max_cost_usd", LEAST_COST),
        resume: table.flag("resume"),
        on_denial: table.one_of("on_denial", &["hold", "accept"], on_denial),
    };
    (name.value.to_owned(), written)
}

fn words(list: Option<At<Vec<At<String>>>>) -> Option<At<Vec<String>>> {
    list.map(|at| At { line: at.line, value: at.value.into_iter().map(|word| word.value).collect() })
}

/// Checks a word that is passed to an agent program, which must not take it for an option.
fn word(text: &str) -> Result<&str, String> {
    match filled(text)? {
        text if text.starts_with('-') => {
            Err(format!("'{}' looks like an option; options go into args", suggest::printable(text)))
        }
        text => Ok(text),
    }
}

fn driver_names() -> Vec<&'static str> {
    DriverKind::all().map(DriverKind::as_str).collect()
}

fn agent_names() -> Vec<&'static str> {
    DriverKind::agents().map(DriverKind::as_str).collect()
}

fn agent_program(text: &str) -> Result<DriverKind, String> {
    let known = text.parse().ok().filter(|kind: &DriverKind| kind.program().is_some());
    known.ok_or_else(|| {
        let names = agent_names();
        let meant = suggest::nearest(text, names.iter().copied())
            .map_or(String::new(), |name| format!("; did you mean '{name}'?"));
        format!(
            "'{}' is no agent program that orch knows; there are {}{meant}",
            suggest::printable(text),
            names.join(", ")
        )
    })
}

fn sandbox(text: &str) -> Result<Sandbox, String> {
    match text {
        "none" => Ok(Sandbox::None),
        "bwrap" => Ok(Sandbox::Bwrap),
        _ => Err(format!("'{}' is neither \"none\" nor \"bwrap\"", suggest::printable(text))),
    }
}

fn network(table: &mut Section<'_, '_>) -> Option<At<Network>> {
    let word = |text: &str| match text {
        "all" => Ok(Network::All),
        "none" => Ok(Network::None),
        _ => Err(format!(
            "'{}' is neither \"all\" nor \"none\"; a list names destinations, such as [\"api.example.com:443\"]",
            suggest::printable(text)
        )),
    };
    let At { line, value } = table.one_of_or_list("network", &["all", "none"], word, str::parse)?;
    let value = match value {
        Either::Word(network) => network,
        Either::List(list) if list.is_empty() => Network::None,
        Either::List(list) => Network::Only(list.into_iter().map(|at| at.value).collect()),
    };
    Some(At { line, value })
}

/// Reads what becomes of a delegation to a role with more rights.
fn escalation(text: &str) -> Result<EscalationRule, String> {
    match text {
        "approve" => Ok(EscalationRule::Approve),
        "refuse" => Ok(EscalationRule::Refuse),
        _ => Err(format!("'{}' is neither \"approve\" nor \"refuse\"", suggest::printable(text))),
    }
}

/// Reads whether a task is held when a tool was denied.
fn on_denial(text: &str) -> Result<bool, String> {
    match text {
        "hold" => Ok(true),
        "accept" => Ok(false),
        _ => Err(format!("'{}' is neither \"hold\" nor \"accept\"", suggest::printable(text))),
    }
}

/// Reads what an agent gets for a task.
fn prompt(text: &str) -> Result<PromptForm, String> {
    match text {
        "full" => Ok(PromptForm::Full),
        "bare" => Ok(PromptForm::Bare),
        _ => Err(format!("'{}' is neither \"full\" nor \"bare\"", suggest::printable(text))),
    }
}

fn mode(text: &str) -> Result<Mode, String> {
    match text {
        "headless" => Ok(Mode::Headless),
        "interactive" => Ok(Mode::Interactive),
        _ => Err(format!("'{}' is neither \"headless\" nor \"interactive\"", suggest::printable(text))),
    }
}

/// Checks an address of Redis. The address is not in the message, because it may contain a password.
fn redis_address(text: &str) -> Result<String, String> {
    let known = ["redis://", "rediss://", "unix://", "redis+unix://"];
    if !known.iter().any(|scheme| text.starts_with(scheme)) {
        return Err(format!("an address of Redis begins with one of {}", known.join(", ")));
    }
    if let Some((_, path)) = text.split_once("unix://")
        && !path.starts_with('/')
    {
        return Err("after unix:// comes the absolute path of a socket: unix:///run/redis.sock".to_owned());
    }
    Ok(text.to_owned())
}

/// Checks what `tmux -L` (a name) or `tmux -S` (a path) accepts.
fn socket(text: &str) -> Result<String, String> {
    let shown = suggest::printable(text);
    if text.is_empty() || text == "." || text == ".." || text.chars().any(char::is_control) {
        return Err(format!("'{shown}' is neither a socket's name nor its absolute path"));
    }
    if text.contains('/') && !Path::new(text).is_absolute() {
        return Err(format!("'{shown}' is neither a name (without '/') nor an absolute path"));
    }
    let longest = socket::LONGEST_PATH;
    if text.len() > longest {
        return Err(format!("'{shown}' is longer than the {longest} bytes that a socket's path can have"));
    }
    Ok(text.to_owned())
}

fn path(text: &str) -> Result<PathBuf, String> {
    filled(text).map(PathBuf::from)
}

fn filled(text: &str) -> Result<&str, String> {
    match text {
        "" => Err("it is empty; leave the key out for its default".to_owned()),
        text if text.contains('\0') => Err("it contains a NUL".to_owned()),
        text => Ok(text),
    }
}

fn command_word(text: &str) -> Result<(), String> {
    if text.contains('\0') { Err("a word contains a NUL".to_owned()) } else { Ok(()) }
}

/// Checks an environment variable (environ(7)). The variables `ORCH_...` identify an agent, so no role may set them.
fn variable(name: &str, value: &str) -> Result<(), String> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(format!("'{}' can't name an environment variable", suggest::printable(name)));
    }
    if value.contains('\0') {
        return Err("its value contains a NUL".to_owned());
    }
    if name.starts_with("ORCH_") {
        return Err(format!("orch sets the variables ORCH_... itself; rename '{}'", suggest::printable(name)));
    }
    Ok(())
}
