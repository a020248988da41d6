//! Checks whether an agent of a role could work, as far as that can be known without starting one.
//!
//! If something is missing here, no task is to blame. So the supervisor starts no agent of such a role, and checks
//! again later: its tasks wait instead of failing one after the other.

use std::{env::split_paths, ffi::OsStr, path::PathBuf};

pub use super::programs::{Unavailable, find};
use super::{
    bwrap,
    programs::{is_executable, search_path},
};
use crate::{
    config::{Role, Sandbox},
    drivers::DriverKind,
};

/// Checks that agents of a role can be started: `order` is that of `auto`, `path` the search path of agents. The console
/// needs no program.
///
/// # Errors
/// What is missing.
pub fn check(role: &Role, order: &[DriverKind], path: Option<&OsStr>) -> Result<(), Unavailable> {
    let at = format!("under [roles.{}] in sessions.toml", role.name);
    if !role.cwd.is_dir() {
        let missing = format!("its folder {} does not exist", role.cwd.display());
        return Err(Unavailable { missing, fix: format!("create the folder, or correct cwd {at}") });
    }
    let kind = resolve(role.driver, order, path);
    if kind.program().is_some()
        && let Some(key) = kind.unsupported(&role.agent)
    {
        let stands = if role.driver == DriverKind::Auto { " (the choice of auto)" } else { "" };
        let missing = format!("it sets {key}, which {kind}{stands} does not support");
        let fix = format!("set another driver {at}, or remove {key}; then: orch reload");
        return Err(Unavailable { missing, fix });
    }
    let known = kind.driver().and_then(|driver| driver.program());
    let program = match (kind, known) {
        (_, Some(known)) => known.name,
        (DriverKind::Command, None) => role.command.first().map_or("", String::as_str),
        _ => "",
    };
    if role.sandbox == Sandbox::Bwrap && kind != DriverKind::Console {
        bwrap::check(role)?;
    }
    // The console, a shell: there is nothing to look for.
    if program.is_empty() || locate(role, program, path).is_some() || may_be_elsewhere(role, program, path) {
        return Ok(());
    }
    let missing = match program.contains('/') {
        true => format!("its program {program} does not exist or is not executable"),
        false => format!("its program {program} is not on PATH"),
    };
    let fix = match known {
        Some(known) => format!("install it: {}; or set another driver {at}", known.install),
        None => format!("install it, or correct command {at}"),
    };
    Err(Unavailable { missing, fix })
}

/// Returns what `auto` stands for on this machine: the first agent program in `order` that is installed, else the built-in
/// console. Any other kind stands for itself.
pub fn resolve(kind: DriverKind, order: &[DriverKind], path: Option<&OsStr>) -> DriverKind {
    if kind != DriverKind::Auto {
        return kind;
    }
    let is_installed = |kind: &&DriverKind| kind.program().is_some_and(|program| find(program, path).is_some());
    order.iter().find(is_installed).copied().unwrap_or(DriverKind::Console)
}

/// Returns the file of a role's program. A path is relative to the role's folder.
pub fn locate(role: &Role, program: &str, path: Option<&OsStr>) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(role.cwd.join(program)).filter(|file| is_executable(file));
    }
    find(program, search_path(role, path))
}

/// Reports whether only an attempt can find the program. Agents have orch itself first on their PATH, and a relative folder
/// on it is relative to the folder of the task.
fn may_be_elsewhere(role: &Role, program: &str, path: Option<&OsStr>) -> bool {
    let by_name = !program.contains('/');
    by_name
        && (program == "orch" || search_path(role, path).is_some_and(|p| split_paths(p).any(|dir| !dir.is_absolute())))
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
            let of_path = check(&config.roles[role], &config.agents.order, Some(dir.path().as_os_str()));
            assert_eq!(of_path, Ok(()), "{role}");
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
            check(&config.roles[role], &config.agents.order, path).err().map(|unavailable| unavailable.missing)
        };
        let missing = |program: &str| Some(format!("its program {program} is not on PATH"));
        assert_eq!((why("tool"), why("c")), (missing("tool"), missing("claude")));
        assert_eq!(why("own").as_deref(), Some("its program ./own does not exist or is not executable"));
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
            why("i").unwrap().contains("it sets mode, which gemini (the choice of auto) does not support"),
            "{:?}",
            why("i")
        );
    }

    #[test]
    fn auto_is_the_first_that_is_installed() {
        let dir = tempfile::tempdir().unwrap();
        let path = Some(dir.path().as_os_str());
        let agents: Vec<DriverKind> = DriverKind::agents().collect();
        assert_eq!(resolve(DriverKind::Auto, &agents, path), DriverKind::Console);
        for program in ["codex", "gemini"] {
            install(&dir.path().join(program), 0o755);
        }
        assert_eq!(resolve(DriverKind::Auto, &agents, path), DriverKind::Codex);
        assert_eq!(resolve(DriverKind::Auto, &[DriverKind::Gemini, DriverKind::Codex], path), DriverKind::Gemini);
        assert_eq!(resolve(DriverKind::Claude, &agents, path), DriverKind::Claude);
    }
}
