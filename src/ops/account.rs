//! The account with which a role's program works, and whether the program first asks its user something, for `orch
//! doctor` and `orch start`. Reads only files of this user, and keeps no secret.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use super::Ops;
use crate::{
    config::{Mode, Role},
    drivers::{self, DriverKind, Login},
    launchers::preflight,
};

/// Larger files of programs are not read.
const LARGEST: u64 = 8 << 20;

/// Returns what a program of this kind finds in one of its files, in this process's environment.
fn file_of(kind: DriverKind, name: &str) -> Option<String> {
    let home = std::env::var_os("HOME").map(PathBuf::from)?;
    let env: Vec<(String, OsString)> =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect();
    let value = |name: &str| env.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_os_str());
    let file = File::open(kind.manifest()?.home.place(name, &home, value)).ok()?;
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// Returns how a program logs in, where `gets` says which variables it has.
fn login_with(kind: DriverKind, gets: impl Fn(&str) -> bool) -> Option<Login> {
    drivers::login(kind, gets, |name| serde_json::from_str(&file_of(kind, name)?).ok())
}

/// Returns how a program logs in that gets the keys of this environment.
pub(super) fn login_here(kind: DriverKind) -> Option<Login> {
    login_with(kind, is_set)
}

/// Returns how the program of a role logs in, as `orch start` would start it from here. `kind` is the driver that `auto` stands
/// for.
pub(super) fn login_of(role: &Role, kind: DriverKind) -> Option<Login> {
    let gets = |name: &str| {
        let own = role.env.get(name).map(|value| !value.is_empty());
        own.unwrap_or_else(|| is_set(name) && role.inherits(kind, name, &std::env::var(name).unwrap_or_default()))
    };
    login_with(kind, gets)
}

/// A login in a few words.
pub(super) fn in_words(login: &Login) -> String {
    match login {
        Login::Key(key, _) => format!("{key} is set and will be billed"),
        Login::Stored(stored) => format!("logged in: {stored}"),
        Login::Missing => "not logged in".to_owned(),
    }
}

impl Ops {
    /// What a program with a screen of its own asks its user before it does anything.
    pub(super) fn asks_first(&self, role: &Role) -> Option<String> {
        let path = std::env::var_os("PATH");
        let kind = preflight::resolve(role.driver, &self.config.agents.order, path.as_deref());
        if role.name != self.config.master.role && role.agent.mode != Mode::Interactive {
            return None;
        }
        // Its own folder is the same one, however it was reached.
        let folder = fs::canonicalize(&role.cwd).unwrap_or_else(|_| role.cwd.clone());
        let trusts = |folder: &Path| drivers::trusts(kind, folder, |name| file_of(kind, name));
        trusts(&folder)?;
        // A folder above it is enough.
        let is_trusted = folder.ancestors().any(|folder| trusts(folder) == Some(true));
        (!is_trusted).then(|| format!("{kind} asks first whether you trust {}", folder.display()))
    }
}
