//! sessions.toml as written: every key optional, every value with its line. Errors that concern one key alone are found
//! here; those that depend on another key, on a default or on a file are found in `resolve`.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use toml::de::DeTable;

use super::{
    Auth, EscalationRule, InheritEnv,
    diagnostics::{At, Diagnostics},
    reader::{Known, Reader},
    role::Sandbox,
    schedules::{self, WrittenSchedule},
    section::Section,
    values,
};
use crate::{
    drivers::{DriverKind, Mode, PromptForm},
    model::{
        approval::ApprovalRule, collision::CollisionRule, name, network::Network, pace::Pace, question::Approval, size,
        template,
    },
};

/// A shorter heartbeat has no use: the supervisor checks leases about this often.
const LEAST_HEARTBEAT: Duration = Duration::from_millis(50);
/// A client that waits for a task must still be able to read its result.
const LEAST_KEEP: Duration = Duration::from_secs(60);
/// Zero would end every task before it starts.
const LEAST_TIMEOUT: Duration = Duration::from_millis(1);
/// No useful program starts with less. Where the kernel enforces the limit, it includes the runner.
const LEAST_MEMORY: u64 = 16 << 20;
/// An empty Redis takes 1 MB: with little more it would accept a few tasks, and then none.
const LEAST_REDIS_MEMORY: u64 = 16 << 20;
const LEAST_WAIT: Duration = Duration::from_secs(1);
/// A hundredth of a processor core.
const LEAST_CPU: f64 = 0.01;
/// A tenth of a cent. Zero would end every attempt before it starts.
pub(super) const LEAST_COST: f64 = 0.001;

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
    pub router: Option<At<Vec<String>>>,
    pub master: WrittenMaster,
    pub roles: BTreeMap<String, WrittenRole>,
    pub schedules: BTreeMap<String, WrittenSchedule>,
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
    pub auth: Option<At<Auth>>,
    pub cwd: Option<At<PathBuf>>,
    pub retry: WrittenRetry,
    pub delegates_to: Option<At<Vec<At<String>>>>,
    pub routes: Option<At<Vec<At<String>>>>,
    pub tags: Option<At<Vec<At<String>>>>,
    pub escalate_to: Option<At<String>>,
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
    pub approval: Option<At<ApprovalRule>>,
    pub approval_timeout: Option<At<Duration>>,
    pub approval_default: Option<At<Approval>>,
    pub account: Option<At<String>>,
    pub max_concurrent: Option<At<u32>>,
    pub rate_limit: Option<At<Pace>>,
    pub max_window_use: Option<At<f64>>,
    pub expected_cost_usd: Option<At<f64>>,
    pub expected_tokens: Option<At<u32>>,
    pub day: WrittenDay,
    pub mode: Option<At<Mode>>,
    pub args: Option<At<Vec<String>>>,
    pub allowed_tools: Option<At<Vec<String>>>,
    pub permission_mode: Option<At<String>>,
    pub max_turns: Option<At<u32>>,
    pub max_cost_usd: Option<At<f64>>,
    pub resume: Option<At<bool>>,
    pub on_denial: Option<At<bool>>,
    pub on_collision: Option<At<CollisionRule>>,
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
    // One of each is enough to see what is asked of all.
    let (table, _) = DeTable::parse_recoverable("[roles.any]\n[schedules.any]");
    let mut reader = Reader::new(diagnostics);
    let _ = file(reader.root(table.get_ref()));
    reader.into_known()
}

fn file(mut top: Section<'_, '_>) -> Written {
    let name = top.checked("name", |text| name::check_namespace(text).map(|()| text.to_owned()));

    let mut redis = top.section("redis", "redis");
    let redis_url = redis.checked("url", values::redis_address);
    let redis_ca_file = redis.checked("ca_file", values::path);
    let mut redis_max_memory = redis.size("max_memory", 0);
    if let Some(At { line, value }) = redis_max_memory.take_if(|at| (1..LEAST_REDIS_MEMORY).contains(&at.value)) {
        let [least, given] = [LEAST_REDIS_MEMORY, value].map(size::human);
        redis.report(line, "max_memory", format!("must be at least {least}, or \"0\" for no limit, not {given}"));
    }
    redis.finish();

    let mut tmux = top.section("tmux", "tmux");
    let tmux_socket = tmux.checked("socket", values::socket);
    tmux.finish();

    let mut limits = top.section("limits", "limits");
    let day = day(&mut limits);
    limits.finish();

    let supervisor = supervisor(top.section("supervisor", "supervisor"));
    let retry = retry(top.section("retry", "retry"));
    let mut agents = top.section("agents", "agents");
    let agents_order = agents.list_of("order", &values::agent_names(), values::agent_program);
    agents.finish();
    let mut routing = top.section("routing", "routing");
    let router = words(routing.list("router", values::command_word));
    routing.finish();
    let master = master(top.section("master", "master"));
    let roles = top.section("roles", "roles").each("roles.NAME", role).into_iter().collect();
    let schedules = top.section("schedules", "schedules").each("schedules.NAME", schedules::read).into_iter().collect();
    // Templates of plans: `plan/read` reports what is wrong with one when it is used.
    top.pass_over("plans");
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
        router,
        master,
        roles,
        schedules,
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
        notify_command: words(table.list("notify_command", values::command_word)),
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
        driver: table.one_of("driver", &values::driver_names(), str::parse),
        command: words(table.list("command", values::command_word)),
        model: table.checked("model", |text| values::filled(text).map(str::to_owned)),
        instructions: table.text("instructions"),
        instructions_file: table.checked("instructions_file", values::path),
        prompt: table.one_of("prompt", &["full", "bare"], values::prompt),
        prompt_template: table.checked("prompt_template", |text| template::check(text).map(|()| text.to_owned())),
        min: table.count("min", 0),
        max: table.count("max", 1),
        idle_timeout: table.duration("idle_timeout", Duration::ZERO),
        task_timeout: table.duration("task_timeout", LEAST_TIMEOUT),
        stall_timeout: table.duration("stall_timeout", LEAST_TIMEOUT),
        person_timeout: table.duration("person_timeout", LEAST_TIMEOUT),
        tasks_per_agent: table.count("tasks_per_agent", 0),
        env: table.map("env", values::variable),
        env_from: table
            .list("env_from", |name| values::variable(name, ""))
            .map(|at| at.value.into_iter().map(|name| name.value).collect()),
        inherit_env: table.one_of("inherit_env", &InheritEnv::NAMES, str::parse),
        auth: table.one_of("auth", &["login", "key"], values::auth),
        cwd: table.checked("cwd", values::path),
        retry: retry(table.section("retry", "roles.NAME.retry")),
        delegates_to: table.list("delegates_to", |_| Ok(())),
        routes: table.list("routes", values::route),
        tags: table.list("tags", values::tag),
        escalate_to: table.text("escalate_to"),
        sandbox: table.one_of("sandbox", &["none", "bwrap"], values::sandbox),
        sandbox_read: table.list("sandbox_read", |folder| values::path(folder).map(drop)),
        network: values::network(table),
        escalation: table.one_of("escalation", &["approve", "refuse"], values::escalation),
        memory_max: table.size("memory_max", LEAST_MEMORY),
        cpu_max: table.number("cpu_max", LEAST_CPU),
        max_processes: table.count("max_processes", 1),
        max_output: table.size("max_output", 1),
        max_task_cost_usd: table.number("max_task_cost_usd", LEAST_COST),
        max_task_tokens: table.count("max_task_tokens", 1),
        approval: table.one_of("approval", &["none", "before", "after"], values::approval),
        approval_timeout: table.duration("approval_timeout", LEAST_TIMEOUT),
        approval_default: table.one_of("approval_default", &["approve", "deny"], values::approval_default),
        account: table.checked("account", values::account),
        max_concurrent: table.count("max_concurrent", 1),
        rate_limit: table.checked("rate_limit", str::parse),
        max_window_use: table.checked("max_window_use", values::share),
        expected_cost_usd: table.number("expected_cost_usd", LEAST_COST),
        expected_tokens: table.count("expected_tokens", 1),
        day: day(table),
        mode: table.one_of("mode", &["headless", "interactive"], values::mode),
        args: words(table.list("args", values::command_word)),
        allowed_tools: words(table.list("allowed_tools", |tool| values::word(tool).map(drop))),
        permission_mode: table.checked("permission_mode", |mode| values::word(mode).map(str::to_owned)),
        max_turns: table.count("max_turns", 1),
        max_cost_usd: table.number("max_cost_usd", LEAST_COST),
        resume: table.flag("resume"),
        on_denial: table.one_of("on_denial", &["hold", "accept"], values::on_denial),
        on_collision: table.one_of("on_collision", &["warn", "deny", "off"], values::on_collision),
    };
    (name.value.to_owned(), written)
}

fn words(list: Option<At<Vec<At<String>>>>) -> Option<At<Vec<String>>> {
    list.map(|at| At { line: at.line, value: at.value.into_iter().map(|word| word.value).collect() })
}
