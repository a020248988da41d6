//! Which variables of the environment of `orch start` an agent's program inherits, and which of their values are
//! secrets.

use std::{collections::BTreeSet, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Config, DriverKind, Role, Sandbox};
use crate::model::{
    secret::{known_values, looks_secret},
    suggest::printable,
};

/// What of the environment of `orch start` reaches a role's programs (`inherit_env`), besides `env`, `env_from` and the login
/// of their driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InheritEnv {
    /// Everything that does not look like a secret, by its name or its value.
    #[default]
    Safe,
    /// Only what nearly every program needs (paths, language, time zone, certificates, proxies), and the settings of its own
    /// program.
    Minimal,
    /// Everything.
    All,
}

impl InheritEnv {
    /// The names, as sessions.toml writes them.
    pub const NAMES: [&'static str; 3] = ["safe", "minimal", "all"];

    /// Returns what a role inherits that does not say it. A sandboxed role inherits less: what its program reads it can send
    /// wherever its network reaches.
    pub(super) fn of_role(sandbox: Sandbox) -> Self {
        match sandbox {
            Sandbox::None => InheritEnv::Safe,
            Sandbox::Bwrap => InheritEnv::Minimal,
        }
    }
}

/// With which account the program of a role works (`auth`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// With the login that its user has stored: it gets no key that is billed.
    Login,
    /// With a key of the environment: without one it is not started.
    Key,
}

impl FromStr for InheritEnv {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "safe" => Ok(InheritEnv::Safe),
            "minimal" => Ok(InheritEnv::Minimal),
            "all" => Ok(InheritEnv::All),
            other => Err(format!("'{}' is not one of {}", printable(other), InheritEnv::NAMES.join(", "))),
        }
    }
}

/// Variables that are passed with `minimal`.
const MINIMAL: [&str; 18] = [
    "PATH",
    "HOME",
    "LANG",
    "LANGUAGE",
    "TZ",
    "USER",
    "LOGNAME",
    "SHELL",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

/// Variables of the terminal and of orch: those of the caller of `orch start` are not an agent's.
fn is_of_caller(name: &str) -> bool {
    name.starts_with("ORCH_")
        || name.starts_with("TMUX")
        || ["TERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "COLUMNS", "LINES", "_", "OLDPWD", "PWD"].contains(&name)
}

/// Variables that tie git to one repository (`git rev-parse --local-env-vars`, and those of its receiving hooks). git sets
/// them for its hooks; an `orch start` in a hook must not send every agent's git to that repository.
const OF_REPOSITORY: [&str; 19] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_PUSH_OPTION_COUNT",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// Returns whether a variable ties git to one repository. Only a role that names it in `env_from` gets it.
pub fn is_of_repository(name: &str) -> bool {
    OF_REPOSITORY.contains(&name)
        || ["GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_", "GIT_PUSH_OPTION_"].iter().any(|begin| name.starts_with(begin))
}

impl Role {
    /// Returns whether this role names a variable: in `env_from`, or by its driver, which logs in with it. `driver` is the one
    /// that `auto` has become.
    pub fn is_granted(&self, driver: DriverKind, name: &str) -> bool {
        self.env_from.iter().any(|granted| granted == name)
            || driver.manifest().is_some_and(|manifest| manifest.secrets.contains(&name))
    }

    /// Returns whether a variable is a key that is billed and that its programs don't get, because they use a stored login.
    fn leaves_to_login(&self, driver: DriverKind, name: &str) -> bool {
        self.auth == Some(Auth::Login)
            && !self.env_from.iter().any(|granted| granted == name)
            && driver.manifest().is_some_and(|manifest| manifest.keys_billed().any(|key| key == name))
    }

    /// Returns the keys of which its program needs one, if it may work with none of its user's logins.
    pub fn needs_key(&self, driver: DriverKind) -> Vec<&'static str> {
        let keys = driver.manifest().filter(|_| self.auth == Some(Auth::Key));
        keys.into_iter().flat_map(|manifest| manifest.keys_billed()).collect()
    }

    /// Returns whether its programs get a variable of the environment of `orch start`.
    pub fn inherits(&self, driver: DriverKind, name: &str, value: &str) -> bool {
        if self.leaves_to_login(driver, name) {
            return false;
        }
        if self.is_granted(driver, name) {
            return true;
        }
        if is_of_caller(name) || is_of_repository(name) {
            return false;
        }
        match self.inherit_env {
            InheritEnv::All => true,
            // A process that reaches the ssh agent's socket can log in with every key of the user.
            InheritEnv::Safe if name == "SSH_AUTH_SOCK" => self.sandbox == Sandbox::None,
            InheritEnv::Safe => !looks_secret(name, value),
            InheritEnv::Minimal => {
                let of_its_program = || driver.manifest().is_some_and(|manifest| manifest.is_setting(name));
                (MINIMAL.contains(&name) || name.starts_with("LC_") || name.starts_with("XDG_") || of_its_program())
                    && !looks_secret(name, value)
            }
        }
    }

    /// Returns the names of the variables that its programs get, and of those that are withheld from them. What belongs to the
    /// caller's terminal and to orch is in neither.
    pub fn environment<'a>(
        &self,
        driver: DriverKind,
        env: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> (Vec<&'a str>, Vec<&'a str>) {
        let (mut passed, mut withheld): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for (name, value) in env.filter(|(name, _)| !is_of_caller(name)) {
            if self.inherits(driver, name, value) { passed.push(name) } else { withheld.push(name) }
        }
        passed.sort_unstable();
        withheld.sort_unstable();
        (passed, withheld)
    }
}

impl Config {
    /// Returns whether a variable is a secret to any role: it looks like one, or a role names it in `env_from`, or a driver
    /// logs in with it.
    pub fn is_secret(&self, name: &str, value: &str) -> bool {
        self.is_named_secret(name) || looks_secret(name, value)
    }

    fn is_named_secret(&self, name: &str) -> bool {
        let logs_in = |kind: DriverKind| kind.manifest().is_some_and(|manifest| manifest.secrets.contains(&name));
        self.roles.values().any(|role| role.is_granted(role.driver, name)) || DriverKind::all().any(logs_in)
    }

    /// Returns the values of all secrets that this configuration and an environment hold, of whatever role. They are removed
    /// from everything that orch stores, shows or sends.
    pub fn secrets<'a>(&self, env: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
        let mut values = BTreeSet::new();
        for (name, value) in env {
            match self.is_named_secret(name) {
                true => drop(values.insert(value.to_owned())),
                false => values.extend(known_values(name, value)),
            }
        }
        for (name, value) in self.roles.values().flat_map(|role| &role.env) {
            values.extend(known_values(name, value));
        }
        values.extend(
            self.redis.url.iter().flat_map(|url| known_values("REDIS_URL", url)).filter(|v| !v.contains("://")),
        );
        values.into_iter().collect()
    }
}
