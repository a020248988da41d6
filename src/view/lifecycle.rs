//! The answers of `orch start` and `orch stop`.

use super::{Style, View, status};
use crate::{
    model::text::count,
    ops::types::{Reloaded, Restarted, Started, Stopped},
};

/// A start: what runs, how to see it, what to type next.
pub fn started(started: &Started, attach: &str, view: &View) -> String {
    let mut out = view.paint(if started.already { "running already" } else { "started" }, Style::Green);
    out.push('\n');
    out.push_str(&status::page(&started.status, attach, view));
    if !started.reached_rights.is_empty() {
        out.push_str(&format!("\n{}\n", view.paint("without a person's approval:", Style::Yellow)));
        out.extend(started.reached_rights.iter().map(|sentence| view.hanging("  ", sentence)));
    }
    if !started.already && !started.runs_by_itself.is_empty() {
        out.push_str("\nsessions.toml starts automatically:\n");
        started.runs_by_itself.iter().for_each(|what| out.push_str(&view.hanging("  ", what)));
    }
    if !started.not_passed.is_empty() {
        let names = started.not_passed.join(", ");
        out.push_str(&view.hanging("\nnot UTF-8, so agents do not get it: ", &names));
    }
    if !started.other_projects.is_empty() {
        out.push_str("\nother projects on this machine (orch status --all):\n");
        started.other_projects.iter().for_each(|what| out.push_str(&view.hanging("  ", what)));
    }
    if started.status.tasks.values().any(|n| *n > 0) {
        out.push('\n');
        out.push_str(&status::first_steps(attach, view));
    }
    out
}

/// What a reload changes, and for whom.
pub fn reloaded(reloaded: &Reloaded, view: &View) -> String {
    let mut out = match (reloaded.applied, reloaded.changes.is_empty()) {
        (_, true) => return "sessions.toml says what the supervisor has loaded already\n".to_owned(),
        (true, false) => "reloaded sessions.toml:\n".to_owned(),
        (false, false) => "orch reload would change:\n".to_owned(),
    };
    reloaded.changes.iter().for_each(|change| out.push_str(&view.hanging("  ", &change.in_words())));
    let agents = |n| count(n, "agent", "agents");
    match (reloaded.replaced, reloaded.busy) {
        (0, 0) => {}
        (idle, 0) => out.push_str(&format!("{} replaced now\n", count(idle, "idle agent is", "idle agents are"))),
        (0, busy) => out.push_str(&format!("{} at work: replaced after their attempts\n", agents(busy))),
        (idle, busy) => out.push_str(&format!("{} replaced now, {busy} after their attempts\n", agents(idle))),
    }
    if let Some(master) = &reloaded.master {
        out.push_str(&format!("the master keeps what it was started with until: orch kill {master}\n"));
    }
    out
}

/// A restart of the supervisor.
pub fn restarted(restarted: &Restarted) -> String {
    let pid = restarted.pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
    let agents = count(restarted.agents as u64, "agent continues", "agents continue");
    format!("the supervisor was replaced{pid}; it is orch {}; {agents}\n", restarted.version)
}

/// A stop, and what it has left for the next start.
pub fn stopped(stopped: &Stopped) -> String {
    let kept = match stopped.open_tasks.unwrap_or(0) {
        0 => String::new(),
        n => {
            let open = count(n, "task has not ended; it is", "tasks have not ended; they are");
            format!("{open} kept for the next orch start\n")
        }
    };
    let left: String = stopped.left.iter().map(|what| format!("{what}\n")).collect();
    match (&stopped.emergency, stopped.stopped) {
        (Some(why), _) => {
            let processes = count(stopped.ended_processes.unwrap_or(0) as u64, "process was", "processes were");
            format!(
                "stopped by force, because it could not be done in order: {why}\n{processes} ended, and nothing is left \
                 running; the next orch start records it and continues the tasks\n{left}"
            )
        }
        (None, true) => format!("stopped; nothing is left running\n{kept}{left}"),
        (None, false) => format!("nothing was running\n{left}"),
    }
}
