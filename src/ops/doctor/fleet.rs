//! Checks what runs: the supervisor, what a fleet has lost, and what ended agents have left.

use super::{Check, Ops, error, ok, warn_or_error};
use crate::{
    model::text::count,
    mux::Mux,
    os::LockOwner,
    redis_server::{self, socket_path},
};

/// Disagreements that are shown: one cause often affects many records.
const DISAGREEMENTS_SHOWN: usize = 3;

impl Ops {
    pub(super) async fn supervision(&self) -> Check {
        let redis = self.store().info().await;
        let elsewhere = self.supervised_from(self.store()).await;
        match (self.supervisor(), redis) {
            (Some(supervisor), Ok(_)) => {
                let passes = self.store().passes().await.unwrap_or_default();
                let running = format!(
                    "running, pid {}; Redis answers; the longest pass took {} ms, {} ms of it held up by disk or tmux",
                    supervisor.pid, passes.max_ms, passes.max_held_up_ms
                );
                ok("supervisor", running)
            }
            (Some(supervisor), Err(e)) => warn_or_error(
                "supervisor",
                "error",
                format!("running, pid {}, but {e}", supervisor.pid),
                format!("see {}; if this persists: orch stop, then orch start", self.home.supervisor_log().display()),
            ),
            (None, Ok(_)) if let Ok(Some(place)) = &elsewhere => {
                ok("supervisor", format!("none in this folder; the namespace is supervised from {place}"))
            }
            (None, _) if self.is_supervised() => {
                ok("supervisor", "running where it cannot be seen from here: see lock".into())
            }
            (None, Ok(_)) => warn_or_error(
                "supervisor",
                "warning",
                "not running, while Redis is".into(),
                "run orch start: it adopts what is running".into(),
            ),
            (None, Err(_)) => ok("supervisor", "not running (orch start)".into()),
        }
    }

    /// What a running fleet has lost: its sockets, its lock, its program. The supervisor mends it within seconds, so what is
    /// found here stays.
    pub(super) async fn lost(&self) -> Vec<Check> {
        let owner = self.home.supervisor();
        let mut checks = Vec::new();
        if owner == LockOwner::Unseen {
            checks.push(error("lock", self.home.unseen()));
        }
        if let Some(process) = redis_server::running(self.home.path())
            && let Ok(socket) = socket_path(&self.config.home)
            && self.config.redis.url.is_none()
            && !socket.exists()
        {
            let found = format!("redis-server (pid {}) runs, and its socket {} is gone", process.pid, socket.display());
            let fix = match owner {
                LockOwner::Nobody => "orch start starts it again, with all its data",
                _ => "the supervisor starts it again within seconds, with all its data; otherwise: orch restart",
            };
            checks.push(warn_or_error("redis socket", "error", found, fix.into()));
        }
        checks.extend(self.unreachable_sessions().await);
        if let LockOwner::Process(supervisor) = owner
            && supervisor.runs_our_program() == Some(false)
        {
            let found = "the supervisor runs another program than this one: orch was replaced since it started";
            checks.push(warn_or_error("program", "warning", found.into(), "orch restart".into()));
        }
        checks
    }

    /// Agents that run, and whose sessions tmux does not show.
    pub(super) async fn unreachable_sessions(&self) -> Option<Check> {
        let mux = self.mux();
        let sessions = mux.sessions().await.ok()?;
        let shown: Vec<u32> = sessions.iter().filter_map(|session| session.pane_pid).collect();
        let runners = self.home.living_runners().ok()?;
        let lost: Vec<&str> =
            runners.iter().filter(|r| !shown.contains(&r.process.pid)).map(|r| r.agent.as_str()).collect();
        if lost.is_empty() {
            return None;
        }
        let found = format!(
            "{} {} in a tmux server that cannot be reached: its socket {} was removed or replaced",
            lost.join(", "),
            if lost.len() == 1 { "runs" } else { "run" },
            mux.socket().display()
        );
        let fix = match self.displaced_agents().await.is_empty() {
            true => "the supervisor has it made again within seconds; otherwise: orch stop".to_owned(),
            false => self.ways_back(),
        };
        Some(warn_or_error("tmux sessions", "error", found, fix))
    }

    /// Whether the stored structures agree. `None` while Redis does not answer.
    pub(super) async fn records(&self) -> Option<Check> {
        let found = match self.store().audit().await {
            Ok(found) => found,
            Err(e) if e.is_unreachable() => return None,
            Err(e) => return Some(error("records", e.into())),
        };
        let more = found.len().saturating_sub(DISAGREEMENTS_SHOWN);
        let mut shown: Vec<String> = found.into_iter().take(DISAGREEMENTS_SHOWN).collect();
        if shown.is_empty() {
            return Some(ok("records", "the stored structures agree".into()));
        }
        if more > 0 {
            shown.push(format!("and {more} more"));
        }
        let fix = "this is a bug: please report it, with the output of orch events and orch show";
        Some(warn_or_error("records", "error", shown.join("; "), fix.into()))
    }

    /// What ended agents may have left, and results that were not recorded yet.
    pub(super) async fn leftovers(&self) -> Check {
        let mut found = Vec::new();
        let reports = self.home.pending_reports().into_iter().chain(self.home.unacknowledged(|_| true));
        let reports =
            reports.map(|report| (report.task, report.attempt)).collect::<std::collections::HashSet<_>>().len();
        if reports > 0 {
            found.push(format!("{} not recorded in Redis yet", count(reports, "result", "results")));
        }
        if let Ok(snapshot) = self.store().observe(&[]).await {
            if !snapshot.orphans.is_empty() {
                let ended = count(snapshot.orphans.len(), "ended agent", "ended agents");
                found.push(format!("{ended} whose processes may still exist"));
            }
            found.extend(snapshot.damaged);
        }
        if !self.is_supervised() {
            let sessions = self.mux().sessions().await.unwrap_or_default();
            let ours = sessions.iter().filter(|s| self.is_ours(s)).count();
            if ours > 0 {
                found.push(format!("{} without a supervisor", count(ours, "tmux session", "tmux sessions")));
            }
        }
        if found.is_empty() {
            return ok("leftovers", "none".into());
        }
        let fix = match self.is_supervised() {
            true => "the supervisor clears them within seconds; otherwise see its log",
            false => "orch start adopts or clears them; orch stop clears them",
        };
        warn_or_error("leftovers", "warning", found.join("; "), fix.into())
    }
}
