//! Checks the machine: folders, disk, open files, cgroups, and the environment of this shell.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use nix::{
    sys::resource::{Resource, getrlimit},
    unistd::{AccessFlags, access},
};

use super::{Check, Ops, error, ok, warn_or_error};
use crate::{
    launchers::preflight,
    model::size::human,
    os::{self, Cgroup},
    redis_server::socket_path,
};

/// Less free space than this is soon filled by logs.
const SPACE_WANTED: u64 = 1 << 30;
/// Descriptors per agent in the supervisor and in tmux.
const FILES_PER_AGENT: u64 = 16;
const FILES_BESIDES: u64 = 256;

impl Ops {
    /// What of the environment programs get that `orch start` would pass on from here, by name. Roles that get the same are
    /// listed together.
    pub(super) fn environment(&self, path: Option<&OsStr>) -> Vec<Check> {
        let env: Vec<(String, String)> =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
        let is_text =
            |(name, value): &(std::ffi::OsString, std::ffi::OsString)| name.to_str().and(value.to_str()).is_some();
        let not_text = std::env::vars_os().filter(|pair| !is_text(pair));
        let not_text: Vec<String> =
            not_text.map(|(name, _)| format!("{} (not UTF-8)", name.to_string_lossy())).collect();
        let mut found: Vec<(String, Vec<&str>)> = Vec::new();
        for role in self.config.roles.values() {
            let kind = preflight::resolve(role.driver, &self.config.agents.order, path);
            let (passed, mut withheld) = role.environment(kind, env.iter().map(|(n, v)| (n.as_str(), v.as_str())));
            withheld.extend(not_text.iter().map(String::as_str));
            let list = |names: Vec<&str>| if names.is_empty() { "nothing".to_owned() } else { names.join(" ") };
            let said = format!("passed: {}; withheld: {}", list(passed), list(withheld));
            match found.iter_mut().find(|(same, _)| *same == said) {
                Some((_, roles)) => roles.push(&role.name),
                None => found.push((said, vec![&role.name])),
            }
        }
        found.into_iter().map(|(said, roles)| ok("environment", format!("of {}: {said}", roles.join(", ")))).collect()
    }

    pub(super) fn folder(&self) -> Check {
        let home = self.home.path();
        if let Some(e) = &self.unsafe_folder {
            return error("state folder", e.clone());
        }
        // Before the first start it does not exist: then its parent has to be writable.
        let existing = existing(home);
        match access(&existing, AccessFlags::W_OK | AccessFlags::X_OK) {
            Ok(()) if existing == home => ok("state folder", home.display().to_string()),
            Ok(()) => ok("state folder", format!("{}, created by the first start", home.display())),
            Err(why) => Check {
                name: "state folder".into(),
                state: "error",
                found: format!("{} is not writable: {}", existing.display(), why.desc()),
                fix: Some("make it writable, or set ORCH_HOME to another folder".into()),
            },
        }
    }

    pub(super) fn room(&self) -> Check {
        let at = existing(self.home.path());
        let Some(free) = os::free_space(&at) else { return ok("disk", "the free space is unknown".into()) };
        let found = format!("{} free at {}", human(free), at.display());
        match free {
            0 => warn_or_error("disk", "error", found, "free some space: no task can be accepted".into()),
            _ if self.config.supervisor.short_of_disk(Some(free)).is_some() => {
                warn_or_error("disk", "error", found, "free some space: no agent is started (min_free_disk)".into())
            }
            _ if free < SPACE_WANTED => {
                warn_or_error("disk", "warning", found, "free some space: the output of agents is kept there".into())
            }
            _ => ok("disk", found),
        }
    }

    pub(super) fn socket(&self) -> Check {
        if self.config.redis.url.is_some() {
            return ok("socket", "not used: redis.url is set".into());
        }
        match socket_path(&self.config.home) {
            Ok(path) => ok("socket", format!("{} ({} bytes)", path.display(), path.as_os_str().len())),
            Err(e) => error("socket", e),
        }
    }

    pub(super) fn open_files(&self) -> Check {
        let wanted = u64::from(self.config.supervisor.max_agents) * FILES_PER_AGENT + FILES_BESIDES;
        match getrlimit(Resource::RLIMIT_NOFILE) {
            Ok((_, hard)) if hard < wanted => warn_or_error(
                "open files",
                "warning",
                format!("at most {hard}; {} agents may need {wanted}", self.config.supervisor.max_agents),
                "raise the hard limit (ulimit -Hn, /etc/security/limits.conf), or lower max_agents in sessions.toml"
                    .into(),
            ),
            Ok((_, hard)) => ok("open files", format!("at most {hard}")),
            Err(why) => {
                warn_or_error("open files", "warning", format!("unknown: {}", why.desc()), "see ulimit -n".into())
            }
        }
    }
}

/// Where the cgroups of agents that are started from here would be.
pub(super) fn cgroups() -> Check {
    let found = match Cgroup::below_own("orch").as_ref().and_then(|group| group.path().parent()) {
        Some(place) => format!("in cgroups below {}", place.display()),
        // Everything works without cgroups, so this is no warning.
        None => "none: control groups cannot be created here; limits are checked once per second".into(),
    };
    ok("cgroups", found)
}

/// The path, or the nearest existing folder above it.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/")).to_owned()
}
