//! The answers to requests to the supervisor.

use super::View;

/// Everything or a role was paused.
pub fn paused(role: Option<&str>, changed: bool, view: &View) -> String {
    let undo = view.typed(&role.map_or_else(|| "orch resume".to_owned(), |role| format!("orch resume {role}")));
    let what = role.unwrap_or("everything");
    format!("paused {what}: nothing new starts, tasks are accepted ({undo} undoes it){}\n", already(changed))
}

/// A pause, a drain or a limit was taken back.
pub fn resumed(role: Option<&str>, changed: bool) -> String {
    format!("resumed {}{}\n", role.unwrap_or("everything"), already(changed))
}

/// No new tasks are accepted.
pub fn draining(changed: bool) -> String {
    let what = "draining: no new tasks are accepted, open ones are finished (orch resume undoes it)";
    format!("{what}{}\n", already(changed))
}

/// What was reported about Redis is shown no more.
pub fn dismissed(changed: bool) -> String {
    if changed { "dismissed\n" } else { "nothing to dismiss\n" }.to_owned()
}

fn already(changed: bool) -> &'static str {
    if changed { "" } else { "; this was already the case" }
}
