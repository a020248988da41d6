//! What a driver declares about its program, as data: `orch doctor`, the check of sessions.toml and the supervisor ask
//! here and need no program to run.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use super::{
    common::{login::LOGIN_TOKENS, program::Program},
    flags::Flags,
    options::Key,
};

/// What a driver declares about its program.
#[derive(Debug)]
pub struct Manifest {
    /// The agent program; `None` for a driver that runs whatever the role or the task names.
    pub program: Option<Program>,
    /// Whether messages, `auto` and `orch init` offer the driver. One that has not been tested with the real program yet
    /// works where a role names it, and is not offered to users.
    pub is_offered: bool,
    /// What the program can do.
    pub capabilities: Capabilities,
    /// What it reports as a total of its conversation.
    pub totals: Totals,
    /// The share of a processor core that the program uses at most while it waits for its model, and below what it uses while
    /// it reads a long answer. 0: any processor time is work.
    pub idle_share: f64,
    /// The keys that the program enforces, besides those that follow from its capabilities.
    pub keys: &'static [Key],
    /// The values of `permission_mode` that the driver knows; empty: the program's own, whatever they are.
    pub permission_modes: &'static [&'static str],
    /// The flags that a role's `args` must not contain.
    pub flags: Flags,
    /// Environment variables with secrets that the program needs to log in, besides those that `env_from` names.
    pub secrets: &'static [&'static str],
    /// Environment variables that configure the program: names, or beginnings of names with an asterisk. A role that inherits
    /// little gets them too, unless they look like secrets.
    pub settings: &'static [&'static str],
    /// Environment variables that the program gets in a sandbox, in addition.
    pub in_sandbox: &'static [(&'static str, &'static str)],
    /// What the program finds in its home folder in a sandbox, where that folder is otherwise empty.
    pub home: HomeFiles,
    /// Lines that `orch init` writes below the role of the driver, each with its line break.
    pub starter: &'static str,
}

/// The files of a program below the home folder, as far as it needs them to log in, to find its user's settings, and to
/// continue a conversation.
#[derive(Debug)]
pub struct HomeFiles {
    /// The variable that sets another folder for the program's files, and the folder that it replaces; empty: the home folder.
    pub moved_by: Option<(&'static str, &'static str)>,
    /// Paths below the home folder.
    pub files: &'static [(&'static str, Access)],
}

/// How a program in a sandbox finds a file of its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It can be read.
    Read,
    /// It can be written: a login that the program renews.
    Write,
    /// A copy, which the program may change and which is then discarded. Of a folder, that are its files; its folders can be
    /// read.
    Copy,
    /// A folder that is empty at first and kept for the attempts of the same task, or for the same master: conversations.
    Kept,
}

/// Variables that set other folders for what programs keep in a home folder, and the folders that they replace.
const OF_XDG: [(&str, &str); 4] = [
    ("XDG_CONFIG_HOME", ".config"),
    ("XDG_CACHE_HOME", ".cache"),
    ("XDG_DATA_HOME", ".local/share"),
    ("XDG_STATE_HOME", ".local/state"),
];
impl HomeFiles {
    /// No files.
    pub const NONE: HomeFiles = HomeFiles { moved_by: None, files: &[] };

    /// Returns where the program has one of its files, in an environment with these values.
    pub fn place<'a>(&self, name: &str, home: &Path, value: impl Fn(&str) -> Option<&'a OsStr>) -> PathBuf {
        let moved = self.moved_by.into_iter().chain(OF_XDG).find_map(|(variable, folder)| {
            let rest = Path::new(name).strip_prefix(folder).ok()?;
            Some(Path::new(value(variable)?).join(rest)).filter(|path| path.is_absolute())
        });
        moved.unwrap_or_else(|| home.join(name))
    }

    /// Returns in which of the folders a file is in which the program keeps its conversations: the folder's name below the
    /// home folder, the folder, and the rest of the path.
    pub fn kept<'a, 'b>(
        &self,
        file: &'b Path,
        value: impl Fn(&str) -> Option<&'a OsStr>,
    ) -> Option<(&'static str, PathBuf, &'b Path)> {
        let home = Path::new(value("HOME")?);
        self.files.iter().filter(|(_, access)| *access == Access::Kept).find_map(|(name, _)| {
            let folder = self.place(name, home, &value);
            let rest = file.strip_prefix(&folder).ok()?;
            Some((*name, folder, rest))
        })
    }
}

/// What a program can do, as far as orch makes use of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// It names its conversation and continues it later.
    pub conversation: bool,
    /// It takes the verbs of orch as MCP tools.
    pub mcp: bool,
    /// It runs `orch hook` at the turns of its work, so that a task can run on its own terminal.
    pub hooks: bool,
    /// It names the tools that it was not allowed to use.
    pub denials: bool,
    /// It reports what it has cost.
    pub money: bool,
    /// It reports the tokens that it has used.
    pub tokens: bool,
    /// It has a prompt for a person, so that it can be the master.
    pub interactive: bool,
}

/// What a program reports as the total of its whole conversation, also after the conversation was resumed. The rest it
/// reports per run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// What it has cost.
    pub money: bool,
    /// The tokens that it has used.
    pub tokens: bool,
}

/// The [`Manifest::idle_share`] of most programs: a timer of Node.js or tokio uses half of it, on a loaded machine nearly all.
/// In a sample of two seconds it is between two and three steps of the processor clock: most samples of a silent program have
/// one step.
pub const IDLE_SHARE: f64 = 0.011;

impl Totals {
    /// Everything is reported per run.
    pub const NONE: Totals = Totals { money: false, tokens: false };
}

impl Manifest {
    /// A driver without an agent program, which may report its usage in the result file.
    pub(super) const GENERIC: Manifest = Manifest {
        program: None,
        is_offered: true,
        capabilities: Capabilities {
            conversation: false,
            mcp: false,
            hooks: false,
            denials: false,
            money: true,
            tokens: true,
            interactive: false,
        },
        totals: Totals::NONE,
        idle_share: 0.0,
        keys: &[],
        permission_modes: &[],
        flags: Flags::NONE,
        secrets: &[],
        settings: &[],
        in_sandbox: &[],
        home: HomeFiles::NONE,
        starter: "",
    };

    /// Reports whether a variable configures the program.
    pub fn is_setting(&self, name: &str) -> bool {
        let is_it = |known: &&str| match known.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == *known,
        };
        self.settings.iter().any(is_it) || self.home.moved_by.is_some_and(|(moving, _)| moving == name)
    }

    /// Returns the variables with keys whose use is billed: those that belong to a stored login are none.
    pub fn keys_billed(&self) -> impl Iterator<Item = &'static str> {
        self.secrets.iter().copied().filter(|name| !LOGIN_TOKENS.contains(name))
    }

    /// Reports whether the driver honours a key. A limit that nothing enforces must not be accepted.
    pub fn knows(&self, key: Key) -> bool {
        let can = &self.capabilities;
        match key {
            Key::Args => self.program.is_some(),
            Key::Resume => can.conversation,
            Key::Auth => self.keys_billed().next().is_some(),
            Key::Mode => can.hooks,
            Key::OnDenial => can.denials,
            Key::MaxTaskCostUsd | Key::MaxCostUsdPerDay | Key::ExpectedCostUsd => can.money,
            Key::MaxTaskTokens | Key::MaxTokensPerDay | Key::ExpectedTokens => can.tokens,
            Key::AllowedTools
            | Key::PermissionMode
            | Key::MaxTurns
            | Key::MaxCostUsd
            | Key::OnCollision
            | Key::MaxWindowUse => self.keys.contains(&key),
            Key::Model | Key::Instructions | Key::InstructionsFile | Key::Prompt | Key::PromptTemplate => {
                self.program.is_some() || self.keys.contains(&key)
            }
        }
    }
}
