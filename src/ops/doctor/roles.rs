//! Checks whether an agent of each role could be started, and which rights a role reaches.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use super::{super::account, Check, Ops, ok, programs::of_program, warn_or_error};
use crate::{
    config::{DriverKind, Reach, Role, Sandbox},
    launchers::{
        bwrap,
        preflight::{self, Unavailable},
    },
};

impl Ops {
    /// Which role reaches which right, by which chain of delegations.
    pub(super) fn rights(&self) -> Check {
        let reached: Vec<String> = self.reached_rights().iter().map(Reach::sentence).collect();
        if reached.is_empty() {
            return ok("rights", "no role reaches a right that it lacks without a person's approval".to_owned());
        }
        let fix = "if that is not meant, take the role out of delegates_to in sessions.toml";
        warn_or_error("rights", "warning", reached.join("; "), fix.to_owned())
    }
}

/// Whether an agent of this role could be started; `programs` is what was found of the agent programs.
pub(super) fn check_role(
    order: &[DriverKind],
    role: &Role,
    path: Option<&OsStr>,
    programs: &[Check],
    state_folder: &Path,
) -> Check {
    let name = format!("role {}", role.name);
    let at = format!("under [roles.{}] in sessions.toml", role.name);
    let kind = preflight::resolve(role.driver, order, path);
    if let Err(Unavailable { missing, fix }) = preflight::check(role, order, path) {
        // Most people use some of the built-in roles, and install only what these need.
        let state =
            if role.driver == kind && kind.program().is_some() && role.cwd.is_dir() { "warning" } else { "error" };
        return warn_or_error(&name, state, format!("{missing}: its tasks wait"), fix);
    }
    let unset: Vec<&str> = role.env_from.iter().filter(|v| std::env::var_os(v).is_none()).map(String::as_str).collect();
    let program = match kind {
        DriverKind::Console => return ok(&name, "the built-in prompt".into()),
        DriverKind::Auto => return ok(&name, "resolved when it starts".into()),
        DriverKind::Shell => "/bin/sh",
        DriverKind::Command => role.command.first().map_or("", String::as_str),
        agent => agent.program().unwrap_or_default(),
    };
    if !unset.is_empty() {
        return warn_or_error(
            &name,
            "warning",
            format!("env_from names variables that are not set here: {}", unset.join(", ")),
            format!("export it before orch start, or correct env_from {at}"),
        );
    }
    if role.sandbox == Sandbox::Bwrap
        && let Some(check) = check_view(role, path, state_folder)
    {
        return check;
    }
    let file = preflight::locate(role, program, path).unwrap_or_else(|| program.into());
    let found = format!("{} with {}", role.driver, file.display());
    let of_program = of_program(program);
    if kind.program().is_some() && programs.iter().any(|check| check.name == of_program && check.state != "ok") {
        // That check says how to fix it.
        return Check { state: "warning", ..ok(&name, format!("{found}: see {of_program}")) };
    }
    let login =
        account::login_of(role, kind).map(|login| format!(", {}", account::in_words(&login))).unwrap_or_default();
    let model = role.model.as_ref().map(|model| format!(", model {model}")).unwrap_or_default();
    ok(&name, format!("{found}{model}{login}"))
}

/// What the sandbox of a role lacks although the configuration or PATH names it.
fn check_view(role: &Role, path: Option<&OsStr>, state_folder: &Path) -> Option<Check> {
    let name = format!("role {}", role.name);
    let at = format!("under [roles.{}] in sessions.toml", role.name);
    let list = |folders: &[&PathBuf]| folders.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ");
    let missing: Vec<&PathBuf> = role.sandbox_read.iter().filter(|folder| !folder.exists()).collect();
    if !missing.is_empty() {
        let found = format!("sandbox_read names what does not exist: {}", list(&missing));
        return Some(warn_or_error(&name, "warning", found, format!("create it, or correct sandbox_read {at}")));
    }
    let left_out = bwrap::left_out(role, path, state_folder);
    let left_out: Vec<&PathBuf> = left_out.iter().collect();
    (!left_out.is_empty()).then(|| {
        let found = format!(
            "its sandbox does not show {}, which is on PATH: a home folder or the state folder is in it",
            list(&left_out)
        );
        let fix = format!("move its programs to a folder of their own on PATH, or set env = {{ PATH = ... }} {at}");
        warn_or_error(&name, "warning", found, fix)
    })
}
