//! Locates the file and the state folders of a project whose sessions.toml cannot be used, without reading the file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Env, Owner,
    address::{has_login, without_login},
    discovery,
};

/// A project that was found by its file alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Its sessions.toml.
    pub file: PathBuf,
    /// The state folders that have recorded this file as theirs: that of ORCH_HOME, else those in the usual place.
    pub homes: Vec<PathBuf>,
}

impl Located {
    /// Finds the project that [`super::Config::load_with`] would load; `None` where it has no file.
    pub fn of(env: &Env, explicit: Option<&Path>) -> Option<Located> {
        let file = discovery::file_of(env, explicit)?;
        let root = file.parent()?.canonicalize().ok()?;
        let file = root.join(file.file_name()?);
        let is_its = |home: &PathBuf| {
            Owner::read(home).is_some_and(|owner| {
                // A project that was started without a file has none in its record, and this one has come since.
                (owner.project == root || owner.is_of(&root))
                    && owner.file.as_deref().is_none_or(|its| Some(its) == file.file_name())
            })
        };
        let homes = candidates(env).into_iter().filter(is_its).collect();
        Some(Located { file, homes })
    }

    /// Returns the address of Redis that the file names, if it is this one with a user or a password: for a record that was
    /// written without these.
    pub fn login_of(&self, address: &str) -> Option<String> {
        if !has_login(address) {
            return Some(address.to_owned());
        }
        let text = String::from_utf8(discovery::read(&self.file).ok()?).ok()?;
        let url = |text: &str| Some(text.parse::<toml::Table>().ok()?.get("redis")?.get("url")?.as_str()?.to_owned());
        let line = || {
            let line = text.lines().map(str::trim_start).find(|line| line.starts_with("url"))?;
            line.parse::<toml::Table>().ok()?.get("url")?.as_str().map(str::to_owned)
        };
        url(&text).or_else(line).filter(|url| without_login(url) == address)
    }
}

fn candidates(env: &Env) -> Vec<PathBuf> {
    if let Some(home) = &env.orch_home {
        return vec![env.cwd.join(home)];
    }
    let all = discovery::state_folders(env).and_then(|all| fs::read_dir(all).ok()).into_iter().flatten().flatten();
    // A link in there may lead to a folder of another user.
    all.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}
