//! As written → as resolved: defaults, paths, files, and everything that depends on more than one key.

mod check;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    AgentOptions, AgentsConfig, Budget, Config, EscalationRule, MasterConfig, RedisConfig, ResourceLimits, Role,
    SupervisorConfig, TmuxConfig, delegation,
    diagnostics::{At, Diagnostics, dotted, no_role},
    discovery::{self, Env, Found},
    role::{AGENT_MEMORY, BUILTIN},
    schedules,
    written::{Written, WrittenDay, WrittenMaster, WrittenRetry, WrittenRole, WrittenSupervisor},
};
use crate::{
    drivers::DriverKind,
    error::Result,
    model::{approval::ApprovalRule, duration::human, retry::RetryPolicy},
};

/// Returns the whole configuration, or all errors in it.
pub(super) fn resolve(written: &Written, diagnostics: Diagnostics, env: &Env, found: Found) -> Result<Config> {
    let (root, order) = (&found.root, Vec::new());
    let place = match &written.name {
        Some(name) => discovery::state_folder(env, &name.value).map(|home| (name.value.clone(), home)),
        None => discovery::unnamed(env, &found.root),
    };
    let state = place.as_ref().map_or(Path::new("/nonexistent"), |(_, home)| home);
    let mut resolver = Resolver { diagnostics, env, root, state, order, texts: BTreeMap::new() };
    let supervisor = resolver.supervisor(&written.supervisor);
    let redis = resolver.redis(written);
    let retry = resolver.retry("retry", &written.retry, &RetryPolicy::default());
    let agents = resolver.agents(written);
    resolver.order.clone_from(&agents.order);
    let router = resolver.router(written);
    let master = resolver.master(&written.master, &written.roles);
    let roles = resolver.roles(written, &retry, &master);
    resolver.fits(written, &supervisor, &roles);
    delegation::check(&written.roles, &roles, &mut resolver.diagnostics);
    delegation::check_tiers(&written.roles, &roles, &mut resolver.diagnostics);
    let mut diagnostics = std::mem::replace(&mut resolver.diagnostics, Diagnostics::new("", ""));
    let schedules = schedules::resolve(&written.schedules, &roles, |path| resolver.absolute(path), &mut diagnostics);
    resolver.diagnostics = diagnostics;
    resolver.diagnostics.into_result()?;

    let (namespace, home) = place?;
    let mut master = master;
    if master.session == master.usual_session()
        && let Some(recorded) = discovery::recorded_session(&home)
    {
        master.session = recorded;
    }
    Ok(Config {
        home,
        namespace,
        file: found.file,
        root: found.root,
        redis,
        tmux: TmuxConfig { socket: value(&written.tmux_socket) },
        day_budget: day(&written.day),
        supervisor,
        retry,
        agents,
        router,
        master,
        roles,
        schedules,
    })
}

struct Resolver<'a> {
    diagnostics: Diagnostics,
    env: &'a Env,
    root: &'a Path,
    /// The state folder.
    state: &'a Path,
    /// The agent programs that `auto` may stand for.
    order: Vec<DriverKind>,
    /// Files of instructions that were already read, for roles that share one.
    texts: BTreeMap<PathBuf, Result<String, String>>,
}

impl Resolver<'_> {
    fn redis(&self, written: &Written) -> RedisConfig {
        let ca_file = value(&written.redis_ca_file).map(|path| self.absolute(&path));
        RedisConfig {
            url: value(&written.redis_url),
            ca_file,
            max_memory: pick(&written.redis_max_memory, RedisConfig::default().max_memory),
        }
    }

    fn supervisor(&mut self, written: &WrittenSupervisor) -> SupervisorConfig {
        let default = SupervisorConfig::default();
        let meant = SupervisorConfig {
            heartbeat: pick(&written.heartbeat, default.heartbeat),
            lease: pick(&written.lease, default.lease),
            max_agents: pick(&written.max_agents, default.max_agents),
            max_depth: pick(&written.max_depth, default.max_depth),
            max_children: pick(&written.max_children, default.max_children),
            kill_grace: pick(&written.kill_grace, default.kill_grace),
            max_queued: pick(&written.max_queued, default.max_queued),
            max_wait: pick(&written.max_wait, default.max_wait),
            keep: pick(&written.keep, default.keep),
            keep_failed: pick(&written.keep_failed, default.keep_failed),
            min_free_memory: pick(&written.min_free_memory, default.min_free_memory),
            min_free_disk: pick(&written.min_free_disk, default.min_free_disk),
            max_runs_disk: pick(&written.max_runs_disk, default.max_runs_disk),
            notify_command: pick(&written.notify_command, default.notify_command),
        };
        if let Some(at) = written.notify_command.as_ref().filter(|at| at.value.first().is_none_or(String::is_empty)) {
            let what = "must start with the program to run; remove the key to run none";
            self.diagnostics.add(at.line, "supervisor.notify_command", what);
        }
        let (heartbeat, lease) = ("supervisor.heartbeat", "supervisor.lease");
        if meant.lease < meant.heartbeat * 2 && !self.diagnostics.about(heartbeat) && !self.diagnostics.about(lease) {
            // One late heartbeat must not make an agent lose its lease.
            let (key, line) = match (&written.lease, &written.heartbeat) {
                (Some(at), _) => (lease, at.line),
                (None, at) => (heartbeat, line(at)),
            };
            let (beat, span) = (human(meant.heartbeat), human(meant.lease));
            self.diagnostics.add(
                line,
                key,
                format!("does not fit: the lease ({span}) must be at least two heartbeats (of {beat})"),
            );
        }
        meant
    }

    fn router(&mut self, written: &Written) -> Vec<String> {
        if let Some(at) = written.router.as_ref().filter(|at| at.value.first().is_none_or(String::is_empty)) {
            let what = "must start with the program to run; remove the key to run none";
            self.diagnostics.add(at.line, "routing.router", what);
        }
        value(&written.router).unwrap_or_default()
    }

    fn retry(&mut self, table: &str, written: &WrittenRetry, default: &RetryPolicy) -> RetryPolicy {
        let meant = RetryPolicy {
            retries: pick(&written.retries, default.retries),
            lost: pick(&written.lost, default.lost),
            base: pick(&written.base, default.base),
            factor: pick(&written.factor, default.factor),
            cap: pick(&written.cap, default.cap),
        };
        let (base, cap) = (dotted(table, "base"), dotted(table, "cap"));
        let is_reported = [&base, &cap, "retry.base", "retry.cap"].iter().any(|key| self.diagnostics.about(key));
        // Where neither is written here, the error is reported where they are.
        let written_here = written.base.is_some() || written.cap.is_some();
        if written_here && !is_reported && meant.base > meant.cap {
            let (key, line) = match (&written.base, &written.cap) {
                (Some(at), _) => (base, at.line),
                (None, at) => (cap, line(at)),
            };
            let what = format!("does not fit: base ({}) is more than cap ({})", human(meant.base), human(meant.cap));
            self.diagnostics.add(line, key, what);
        }
        meant
    }

    fn agents(&mut self, written: &Written) -> AgentsConfig {
        let Some(at) = &written.agents_order else { return AgentsConfig::default() };
        let mut order: Vec<DriverKind> = Vec::with_capacity(at.value.len());
        for program in &at.value {
            if order.contains(&program.value) {
                self.diagnostics.add(program.line, "agents.order", format!("names {} twice", program.value));
            }
            order.push(program.value);
        }
        AgentsConfig { order }
    }

    fn master(&mut self, written: &WrittenMaster, roles: &BTreeMap<String, WrittenRole>) -> MasterConfig {
        let default = MasterConfig::default();
        let role = pick(&written.role, default.role);
        let meant = MasterConfig {
            session: value(&written.session).unwrap_or_else(|| format!("{role}-master")),
            default_role: pick(&written.default_role, default.default_role),
            role,
        };
        let exists = |name: &str| roles.contains_key(name) || BUILTIN.iter().any(|role| role.name == name);
        for (key, at) in [("role", &written.role), ("default_role", &written.default_role)] {
            if let Some(at) = at.as_ref().filter(|at| !exists(&at.value)) {
                let names: Vec<&str> = names(roles).collect();
                self.diagnostics.add(at.line, dotted("master", key), no_role(&at.value, &names));
            }
        }
        if let Some(at) = &written.session
            && let Some((role, number)) = at.value.rsplit_once('-')
            && exists(role)
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
        {
            let what = format!("is taken: '{}' is the name of an agent of role {role}", at.value);
            self.diagnostics.add(at.line, "master.session", what);
        }
        meant
    }

    fn roles(&mut self, written: &Written, retry: &RetryPolicy, master: &MasterConfig) -> BTreeMap<String, Role> {
        let mut roles = BTreeMap::new();
        for name in names(&written.roles) {
            let nothing = WrittenRole::default();
            let role = self.role(name, written.roles.get(name).unwrap_or(&nothing), retry, master);
            roles.insert(name.to_owned(), role);
        }
        roles
    }

    fn role(&mut self, name: &str, written: &WrittenRole, retry: &RetryPolicy, master: &MasterConfig) -> Role {
        let table = dotted("roles", name);
        let key = |key: &str| dotted(&table, key);
        // The driver of a new role that sets none follows from its other keys.
        let driver = match () {
            () if written.command.is_some() => DriverKind::Command,
            () if name == master.role => DriverKind::Auto,
            () => DriverKind::Claude,
        };
        let mut role = Role::unwritten(name, driver, self.root.to_owned(), retry.clone());
        role.driver = pick(&written.driver, role.driver);
        role.command = pick(&written.command, role.command);
        role.model = value(&written.model).or(role.model);
        role.min = pick(&written.min, role.min);
        role.max = pick(&written.max, role.max);
        role.idle_timeout = pick(&written.idle_timeout, role.idle_timeout);
        role.task_timeout = pick(&written.task_timeout, role.task_timeout);
        role.stall_timeout = pick(&written.stall_timeout, role.stall_timeout);
        role.person_timeout = value(&written.person_timeout);
        role.tasks_per_agent = pick(&written.tasks_per_agent, role.tasks_per_agent);
        role.env = written.env.clone().unwrap_or(role.env);
        role.env_from = written.env_from.clone().unwrap_or(role.env_from);
        role.retry = self.retry(&key("retry"), &written.retry, retry);
        role.instructions = self.instructions(&table, written);
        role.delegates_to =
            written.delegates_to.as_ref().map(|at| at.value.iter().map(|role| role.value.clone()).collect());
        let texts = |list: &Option<At<Vec<At<String>>>>| -> Vec<String> {
            list.iter().flat_map(|at| &at.value).map(|text| text.value.clone()).collect()
        };
        (role.routes, role.tags) = (texts(&written.routes), texts(&written.tags));
        role.escalate_to = value(&written.escalate_to);
        role.sandbox = pick(&written.sandbox, role.sandbox);
        role.auth = value(&written.auth);
        role.inherit_env = pick(&written.inherit_env, super::InheritEnv::of_role(role.sandbox));
        for folder in written.sandbox_read.iter().flat_map(|at| &at.value) {
            role.sandbox_read.push(self.absolute(Path::new(&folder.value)));
        }
        role.network = pick(&written.network, role.network);
        // A list alone stays a limit.
        let otherwise = match role.delegates_to {
            Some(_) => EscalationRule::Refuse,
            None => EscalationRule::Approve,
        };
        role.escalation = pick(&written.escalation, otherwise);
        let is_agent_program = !matches!(role.driver, DriverKind::Shell | DriverKind::Command | DriverKind::Console);
        role.limits = ResourceLimits {
            memory: value(&written.memory_max).or(is_agent_program.then_some(AGENT_MEMORY)),
            cpu: value(&written.cpu_max),
            processes: value(&written.max_processes),
            output: pick(&written.max_output, role.limits.output),
        };
        role.task_budget = Budget {
            cost_usd: value(&written.max_task_cost_usd),
            tokens: value(&written.max_task_tokens).map(u64::from),
        };
        role.day_budget = day(&written.day);
        role.approval = pick(&written.approval, ApprovalRule::None);
        role.approval_timeout = value(&written.approval_timeout);
        role.approval_default = value(&written.approval_default);
        self.check_approval(&table, written);
        role.account_name = value(&written.account);
        role.max_concurrent = value(&written.max_concurrent);
        role.rate_limit = value(&written.rate_limit);
        role.max_window_use = value(&written.max_window_use);
        role.expected_use = Budget {
            cost_usd: value(&written.expected_cost_usd),
            tokens: value(&written.expected_tokens).map(u64::from),
        };
        if let Some(at) = &written.cwd {
            role.cwd = self.absolute(&at.value);
        }
        role.agent = agent_options(written);
        self.check_command(&table, written, &role);
        self.check_agent(&table, written, &role);
        self.check_sandbox(&table, written, &role);
        if name == master.role {
            self.check_master(&table, written, &role);
        }

        if role.max < role.min && !self.diagnostics.about(&key("min")) && !self.diagnostics.about(&key("max")) {
            let (named, line) = match (&written.max, &written.min) {
                (Some(at), _) => (key("max"), at.line),
                (None, at) => (key("min"), line(at)),
            };
            let what = format!("does not fit: max ({}) is less than min ({})", role.max, role.min);
            self.diagnostics.add(line, named, what);
        }
        role
    }

    fn instructions(&mut self, table: &str, written: &WrittenRole) -> Option<String> {
        let Some(at) = &written.instructions_file else {
            return value(&written.instructions);
        };
        if written.instructions.is_some() {
            let what = "cannot be combined with instructions; remove one of them";
            self.diagnostics.add(at.line, dotted(table, "instructions_file"), what);
            return None;
        }
        let path = self.absolute(&at.value);
        let read = |path: &PathBuf| {
            let text = String::from_utf8(discovery::read(path)?);
            text.map_err(|_| "is not UTF-8 text".to_owned())
        };
        match self.texts.entry(path).or_insert_with_key(read) {
            Ok(text) => Some(text.clone()),
            Err(why) => {
                let what = format!("is wrong: {} {why}", at.value.display());
                self.diagnostics.add(at.line, dotted(table, "instructions_file"), what);
                None
            }
        }
    }

    /// Returns a path as meant: `~/` is the user's home, any other relative path is relative to the project. It need not
    /// exist, so it is not made canonical.
    fn absolute(&self, path: &Path) -> PathBuf {
        match (path.strip_prefix("~"), &self.env.home) {
            (Ok(rest), Some(home)) => self.env.cwd.join(home).join(rest),
            // Components, so that "." and "./a" leave no trace.
            _ => self.root.join(path).components().collect(),
        }
    }
}

fn agent_options(written: &WrittenRole) -> AgentOptions {
    let default = AgentOptions::default();
    AgentOptions {
        mode: pick(&written.mode, default.mode),
        args: pick(&written.args, default.args),
        allowed_tools: pick(&written.allowed_tools, default.allowed_tools),
        permission_mode: value(&written.permission_mode),
        max_turns: value(&written.max_turns),
        max_cost_usd: value(&written.max_cost_usd),
        resume: pick(&written.resume, default.resume),
        hold_denied: pick(&written.on_denial, default.hold_denied),
        on_collision: value(&written.on_collision),
        prompt: value(&written.prompt),
        prompt_template: value(&written.prompt_template),
    }
}

/// Returns the names of all roles, written or built in, in order.
fn names(written: &BTreeMap<String, WrittenRole>) -> impl Iterator<Item = &str> {
    let mut names: Vec<&str> = written.keys().map(String::as_str).chain(BUILTIN.map(|role| role.name)).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter()
}

fn day(written: &WrittenDay) -> Budget {
    Budget { cost_usd: value(&written.max_cost_usd), tokens: value(&written.max_tokens).map(u64::from) }
}

fn pick<T: Clone>(written: &Option<At<T>>, default: T) -> T {
    value(written).unwrap_or(default)
}

fn value<T: Clone>(written: &Option<At<T>>) -> Option<T> {
    written.as_ref().map(|at| at.value.clone())
}

/// Returns the line of a value; 1 for a default, which is wrong only together with something that is written.
fn line<T>(written: &Option<At<T>>) -> usize {
    written.as_ref().map_or(1, |at| at.line)
}
