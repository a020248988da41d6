//! What a role's agents may do, computed from the configuration, and the partial order between roles.

use std::{cmp::Ordering, collections::BTreeSet, fmt, path::PathBuf};

use super::{InheritEnv, Role, Sandbox};
use crate::{
    drivers::{Commands, DriverKind, Key},
    model::network::Network,
};

/// What the agents of a role may do without a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Rights {
    /// How far its program may run commands.
    pub commands: Commands,
    /// Whether its program may change files in its folder.
    pub edits: bool,
    /// Tools that its program may use without asking, as the program calls them.
    pub allowed_tools: BTreeSet<String>,
    /// Variables of the caller's environment that it gets.
    pub secrets: BTreeSet<String>,
    /// What else of that environment it gets.
    pub inherit_env: InheritEnv,
    /// The folder in which it works, absolute; empty: none.
    pub folder: PathBuf,
    /// Where its program runs.
    pub sandbox: Sandbox,
    /// Folders that its program sees in a sandbox, besides its own.
    pub sees: BTreeSet<PathBuf>,
    /// What its program reaches of the network.
    pub network: Network,
    /// What it may use.
    pub spending: Spending,
}

/// The most that a role may use, of each kind: infinite where it has no limit, 0 where its program reports nothing that
/// could be limited.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spending {
    task_usd: f64,
    task_tokens: f64,
    day_usd: f64,
    day_tokens: f64,
}

/// A right that one role has and another lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    /// It may run commands further than the other.
    Commands(Commands),
    /// It may change files without asking.
    Edits,
    /// It may use this tool without asking.
    Tool(String),
    /// It gets this variable.
    Secret(String),
    /// It inherits this of the environment of `orch start`.
    Environment(InheritEnv),
    /// It works in this folder, which is not within the other's.
    Folder(PathBuf),
    /// It runs in no sandbox, and the other does.
    Unsandboxed,
    /// It sees this folder in its sandbox.
    Sees(PathBuf),
    /// It reaches this of the network.
    Network(Network),
    /// It may use more: of what, and how much.
    Spending(String),
}

impl fmt::Display for Right {
    /// Completes the sentence "it may ...".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Right::Commands(commands) => f.write_str(match commands {
                Commands::Asks => "ask to run commands",
                Commands::Listed => "run the commands that its allowed_tools list",
                Commands::Sandboxed => "run commands in its program's own sandbox",
                Commands::Any => "run any command",
            }),
            Right::Edits => f.write_str("change files without asking"),
            Right::Tool(tool) => write!(f, "use the tool {tool}"),
            Right::Secret(name) => write!(f, "read the variable {name}"),
            Right::Environment(InheritEnv::All) => f.write_str("read the whole environment of orch start"),
            Right::Environment(_) => f.write_str("read the environment of orch start, without its secrets"),
            Right::Folder(folder) => write!(f, "work in {}", folder.display()),
            Right::Unsandboxed => f.write_str("run outside a sandbox"),
            Right::Sees(folder) => write!(f, "read {}", folder.display()),
            Right::Network(Network::All) => f.write_str("reach any host"),
            Right::Network(network) => write!(f, "reach {network}"),
            Right::Spending(what) => write!(f, "spend {what}"),
        }
    }
}

impl Rights {
    /// The rights of a role that is run by `program`, which is its driver once `auto` is resolved.
    pub fn of(role: &Role, program: DriverKind) -> Rights {
        let driver = program.driver();
        Rights {
            // The console is a person's; what `auto` stands for is not known yet.
            commands: driver.map_or(Commands::Any, |driver| driver.commands(&role.agent)),
            edits: driver.is_none_or(|driver| driver.edits(&role.agent)),
            allowed_tools: role.agent.allowed_tools.iter().cloned().collect(),
            secrets: role.env_from.iter().cloned().collect(),
            inherit_env: role.inherit_env,
            folder: role.cwd.clone(),
            sandbox: role.sandbox,
            sees: role.sandbox_read.iter().cloned().collect(),
            network: role.network.clone(),
            spending: Spending::of(role, program),
        }
    }

    /// The rights of a role that is not configured: none, in no folder.
    pub fn none() -> Rights {
        Rights {
            commands: Commands::Asks,
            edits: false,
            allowed_tools: BTreeSet::new(),
            secrets: BTreeSet::new(),
            inherit_env: InheritEnv::Minimal,
            folder: PathBuf::new(),
            sandbox: Sandbox::Bwrap,
            sees: BTreeSet::new(),
            network: Network::None,
            spending: Spending::default(),
        }
    }

    /// Whether its program reaches whatever its user does: it needs no right to a folder or a budget.
    pub fn runs_anything(&self) -> bool {
        self.commands == Commands::Any && self.sandbox == Sandbox::None
    }

    /// Returns the rights that these have and `other` lacks. A role that may run any command needs no tool right for it.
    pub fn beyond(&self, other: &Rights) -> Vec<Right> {
        let mut more = Vec::new();
        if self.commands.partial_cmp(&other.commands).is_none_or(Ordering::is_gt) {
            more.push(Right::Commands(self.commands));
        }
        if other.commands != Commands::Any {
            // Whatever runs any command changes files, too.
            let edits = self.edits && !other.edits && self.commands != Commands::Any;
            more.extend(edits.then_some(Right::Edits));
            more.extend(self.allowed_tools.difference(&other.allowed_tools).cloned().map(Right::Tool));
        }
        more.extend(self.secrets.difference(&other.secrets).cloned().map(Right::Secret));
        if extent(self.inherit_env) > extent(other.inherit_env) {
            more.push(Right::Environment(self.inherit_env));
        }
        if !other.runs_anything() {
            if other.folder.as_os_str().is_empty() || !self.folder.starts_with(&other.folder) {
                more.push(Right::Folder(self.folder.clone()));
            }
            more.extend(self.spending.beyond(&other.spending));
        }
        if self.sandbox == Sandbox::None && other.sandbox != Sandbox::None {
            more.push(Right::Unsandboxed);
        }
        if other.sandbox != Sandbox::None {
            let is_seen = |folder: &&PathBuf| {
                let mut shown = other.sees.iter().chain(Some(&other.folder).filter(|own| !own.as_os_str().is_empty()));
                shown.any(|shown| folder.starts_with(shown))
            };
            more.extend(self.sees.iter().filter(|folder| !is_seen(folder)).cloned().map(Right::Sees));
        }
        if !self.network.is_within(&other.network) {
            more.push(Right::Network(self.network.clone()));
        }
        more
    }
}

/// How much a role inherits, for comparison.
fn extent(inherits: InheritEnv) -> u8 {
    match inherits {
        InheritEnv::Minimal => 0,
        InheritEnv::Safe => 1,
        InheritEnv::All => 2,
    }
}

impl Spending {
    fn of(role: &Role, program: DriverKind) -> Spending {
        let most = |key, limit: Option<f64>| if program.knows(key) { limit.unwrap_or(f64::INFINITY) } else { 0.0 };
        let tokens = |tokens: Option<u64>| tokens.map(|tokens| tokens as f64);
        Spending {
            task_usd: most(Key::MaxTaskCostUsd, role.task_budget.cost_usd),
            task_tokens: most(Key::MaxTaskTokens, tokens(role.task_budget.tokens)),
            day_usd: most(Key::MaxCostUsdPerDay, role.day_budget.cost_usd),
            day_tokens: most(Key::MaxTokensPerDay, tokens(role.day_budget.tokens)),
        }
    }

    /// What these allow and `other` does not.
    fn beyond(&self, other: &Spending) -> Option<Right> {
        let in_words = |amount: f64, of: &str| match amount.is_infinite() {
            true => format!("{of} without a limit"),
            false => format!("up to {amount} {of}"),
        };
        let kinds = [
            (self.task_usd, other.task_usd, "US dollars per task"),
            (self.task_tokens, other.task_tokens, "tokens per task"),
            (self.day_usd, other.day_usd, "US dollars per day"),
            (self.day_tokens, other.day_tokens, "tokens per day"),
        ];
        // What the other's program does not report was never limited.
        let (amount, _, of) = kinds.into_iter().find(|(mine, its, _)| *its > 0.0 && mine > its)?;
        Some(Right::Spending(in_words(amount, of)))
    }
}
