//! Checks the installed agent programs and their versions.

use std::{ffi::OsStr, path::PathBuf, time::Duration};

use super::{super::account, Check, ok, warn_or_error};
use crate::{
    config::DriverKind,
    drivers::{self, Login, Program},
    launchers::preflight,
    model::text::one_line,
};

/// Agent programs without a driver of their own: the driver `command` runs them.
const OTHER_PROGRAMS: [&str; 6] = ["goose", "amp", "cursor-agent", "kimi", "vibe", "cline"];
/// Time limit of `--version`. Agent programs take up to 2 s for it on an idle machine.
const VERSION_TIMEOUT: Duration = Duration::from_secs(15);

/// The name of the check of an agent program.
pub(super) fn of_program(program: &str) -> String {
    format!("agent {program}")
}

/// One check per installed agent program, the preferred ones first; a single one if there is none.
pub(super) async fn agent_programs(order: &[DriverKind], path: Option<&OsStr>) -> Vec<Check> {
    let rest = DriverKind::agents().filter(|kind| !order.contains(kind));
    let known = order.iter().copied().chain(rest).filter_map(|kind| {
        let program = drivers::of(kind)?.program()?;
        Some(agent_program(kind, program, preflight::find(program.name, path)?))
    });
    let mut checks: Vec<Check> = futures_util::future::join_all(known).await.into_iter().flatten().collect();
    let others: Vec<&str> =
        OTHER_PROGRAMS.into_iter().filter(|program| preflight::find(program, path).is_some()).collect();
    if !others.is_empty() {
        checks.push(ok("other programs", format!("{}: driver = \"command\" runs them", others.join(", "))));
    }
    if checks.is_empty() {
        let fix = "install one (claude, codex, gemini...), or use the shell and command drivers";
        checks.push(warn_or_error(
            "agent programs",
            "warning",
            "none of the supported ones is installed".into(),
            fix.into(),
        ));
    }
    checks
}

/// Its version, and what is to be said about its login.
async fn agent_program(kind: DriverKind, program: &Program, file: PathBuf) -> Vec<Check> {
    let mut check = version(program, file).await;
    let login = account::login_here(kind);
    if let Some(login) = login.as_ref().filter(|_| check.state == "ok") {
        check.found = format!("{} · {}", check.found, account::in_words(login));
    }
    let questionable = login.and_then(|login| questionable(program, &login));
    [check].into_iter().chain(questionable).collect()
}

/// A login with which agents do nothing, or which costs what its user may not expect.
fn questionable(program: &Program, login: &Login) -> Option<Check> {
    let name = format!("login of {}", program.name);
    match login {
        Login::Missing => {
            let found = "not logged in, and no key is set".to_owned();
            Some(warn_or_error(&name, "warning", found, program.how_to_log_in().to_owned()))
        }
        Login::Key(key, Some(stored)) => {
            let found = format!("{key} is set and will be billed, although it is also logged in: {stored}");
            let fix = format!("to use the login: auth = \"login\" under the role in sessions.toml, or unset {key}");
            Some(warn_or_error(&name, "warning", found, fix))
        }
        Login::Key(_, None) | Login::Stored(_) => None,
    }
}

async fn version(program: &Program, file: PathBuf) -> Check {
    let (name, at) = (of_program(program.name), file.display());
    let asked = tokio::process::Command::new(&file)
        .arg("--version")
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output();
    let why = match tokio::time::timeout(VERSION_TIMEOUT, asked).await {
        Ok(Ok(said)) if said.status.success() => {
            let said = String::from_utf8_lossy(&said.stdout);
            let Some(version) = drivers::version_in(&said) else {
                let found = format!("{at} --version prints no version: {:?}", one_line(&said, 60));
                let fix = format!(
                    "check that it is {}; install that ({}), or remove this file from PATH",
                    program.name, program.install
                );
                return warn_or_error(&name, "warning", found, fix);
            };
            let found = format!("{version} at {at}");
            if program.is_too_old(version) {
                let found = format!("{found}: older than {}, with which orch is tested", program.tested_with);
                return warn_or_error(&name, "warning", found, format!("update it: {}", program.install));
            }
            if program.is_newer(version) {
                let newest = program.tested_with;
                return ok(&name, format!("{found} (newer than {newest}, the newest with which orch is tested)"));
            }
            return ok(&name, found);
        }
        Ok(Ok(said)) => format!("{}: {}", said.status, one_line(&String::from_utf8_lossy(&said.stderr), 120)),
        Ok(Err(e)) => e.to_string(),
        Err(_) => format!("no answer within {} s", VERSION_TIMEOUT.as_secs()),
    };
    let found = format!("{at} does not say its version: {why}");
    let fix =
        format!("run {} --version by hand; reinstall it ({}), or remove it from PATH", program.name, program.install);
    warn_or_error(&name, "warning", found, fix)
}
