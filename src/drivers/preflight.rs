//! Whether an agent of a role could do anything at all, as far as that can be known without starting one.
//!
//! What is missing here no task is to blame for. So the supervisor starts nothing of such a role, and looks again: its tasks
//! wait, and are not failed one after the other.

use std::{env::split_paths, ffi::OsStr, path::PathBuf};

use super::{find, is_executable, of, settle, unheld_key};
use crate::config::{DriverKind, Role};

/// Why nothing of a role can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// In words.
    pub why: String,
    /// What to do about it.
    pub mend: String,
}

/// What keeps every agent of this role from its tasks; `order` is that of `auto`, `path` the search path of agents. A console
/// takes no tasks, and is fit for that.
pub fn unavailable(role: &Role, order: &[DriverKind], path: Option<&OsStr>) -> Option<Unfit> {
    let at = format!("under [roles.{}] in sessions.toml", role.name);
    let kind = settle(role.driver, order, path);
    if kind.program().is_some()
        && let Some(key) = unheld_key(role, kind)
    {
        let stands = if role.driver == DriverKind::Auto { " (which auto stands for here)" } else { "" };
        let why = format!("it sets {key}, which {kind}{stands} has no way to keep to");
        return Some(Unfit {
            why,
            mend: format!("name another driver {at}, or take {key} out; then: orch stop; orch start"),
        });
    }
    let (program, known) = match kind {
        DriverKind::Auto | DriverKind::Console | DriverKind::Shell => return None,
        DriverKind::Command => (role.command.first()?.as_str(), None),
        agent => (agent.program()?, of(agent)?.program()),
    };
    if program_of(role, program, path).is_some() || may_be_elsewhere(role, program, path) {
        return None;
    }
    let why = match program.contains('/') {
        true => format!("its program {program} is not there, or may not be executed"),
        false => format!("its program {program} is not on PATH"),
    };
    let mend = match known {
        Some(known) => format!("install it: {}; or set another driver {at}", known.install),
        None => format!("install it, or correct command {at}"),
    };
    Some(Unfit { why, mend })
}

/// The file that a role's program is. A path is one from the role's folder.
pub fn program_of(role: &Role, program: &str, path: Option<&OsStr>) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(role.cwd.join(program)).filter(|file| is_executable(file));
    }
    find(program, search_path(role, path))
}

/// Whether only an attempt can tell. Agents have orch itself first on their PATH; and what is relative on it is meant from the
/// folder of the task.
fn may_be_elsewhere(role: &Role, program: &str, path: Option<&OsStr>) -> bool {
    let by_name = !program.contains('/');
    by_name
        && (program == "orch" || search_path(role, path).is_some_and(|p| split_paths(p).any(|dir| !dir.is_absolute())))
}

/// The PATH of a role's agents.
fn search_path<'a>(role: &'a Role, path: Option<&'a OsStr>) -> Option<&'a OsStr> {
    role.env.get("PATH").map(OsStr::new).or(path)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, path::Path};

    use super::*;
    use crate::config::{Config, Env};

    fn roles(dir: &Path, text: &str) -> Config {
        std::fs::write(dir.join("sessions.toml"), text).unwrap();
        let env = Env { cwd: dir.into(), state_home: Some(dir.into()), ..Env::default() };
        Config::load_with(&env, None).unwrap()
    }

    fn install(file: &Path, mode: u32) {
        std::fs::write(file, "").unwrap();
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_only_an_attempt_can_find_keeps_no_role_from_its_tasks() {
        let dir = tempfile::tempdir().unwrap();
        let config = roles(
            dir.path(),
            "[roles.self]\ncommand = [\"orch\", \"version\"]\n\
             [roles.local]\ncommand = [\"tool\"]\nenv = { PATH = \"node_modules/.bin:/nowhere\" }",
        );
        for role in ["self", "local"] {
            let of_path = unavailable(&config.roles[role], &config.agents.order, Some(dir.path().as_os_str()));
            assert_eq!(of_path, None, "{role}");
        }
    }

    #[test]
    fn what_keeps_a_role_from_its_tasks_is_known_beforehand() {
        let dir = tempfile::tempdir().unwrap();
        let config = roles(
            dir.path(),
            "[roles.tool]\ncommand = [\"tool\"]\n[roles.own]\ncommand = [\"./own\", \"-x\"]\n\
             [roles.c]\ndriver = \"claude\"\n[roles.i]\ndriver = \"auto\"\nmode = \"interactive\"\n\
             [roles.me]\ndriver = \"console\"\n\
             [roles.else]\ncommand = [\"tool\"]\nenv = { PATH = \"/nowhere\" }\n[agents]\norder = [\"gemini\", \"claude\"]",
        );
        let path = Some(dir.path().as_os_str());
        let why = |role: &str| {
            unavailable(&config.roles[role], &config.agents.order, path).map(|unavailable| unavailable.why)
        };
        let missing = |program: &str| Some(format!("its program {program} is not on PATH"));
        assert_eq!((why("tool"), why("c")), (missing("tool"), missing("claude")));
        assert_eq!(why("own").as_deref(), Some("its program ./own is not there, or may not be executed"));
        assert_eq!(
            (why("shell"), why("me"), why("i")),
            (None, None, None),
            "nothing is installed: auto is the console"
        );

        install(&dir.path().join("tool"), 0o755);
        install(&dir.path().join("own"), 0o644);
        install(&dir.path().join("claude"), 0o755);
        assert_eq!((why("tool"), why("c"), why("i")), (None, None, None));
        assert_eq!(why("else"), missing("tool"), "by its own PATH");
        assert!(why("own").is_some(), "it may not be executed");
        install(&dir.path().join("own"), 0o755);
        assert_eq!(why("own"), None);

        install(&dir.path().join("gemini"), 0o755);
        assert!(
            why("i").unwrap().contains("it sets mode, which gemini (which auto stands for here) has no way to keep to"),
            "{:?}",
            why("i")
        );
    }
}
