//! The agent programs that are installed, and their versions.

use std::{ffi::OsStr, path::PathBuf, time::Duration};

use super::{Check, ok, warn_or_error};
use crate::{
    config::DriverKind,
    drivers::{self, Program},
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
        Some(agent_program(program, preflight::find(program.name, path)?))
    });
    let mut checks = futures_util::future::join_all(known).await;
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

async fn agent_program(program: &Program, file: PathBuf) -> Check {
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
