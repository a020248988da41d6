//! The one line on standard output by which `orch start` learns that all is up, or why not.

use std::io::Write;

use crate::{error::Error, home::Said, os::failpoint, store::observe::Snapshot};

/// Says it once.
#[derive(Debug, Default)]
pub(super) struct Announcement {
    due: bool,
    problem: Option<Error>,
}

impl Announcement {
    pub fn new(daemon: bool) -> Self {
        Announcement { due: daemon, problem: None }
    }
    /// Whether somebody still waits for the line.
    pub fn is_due(&self) -> bool {
        self.due
    }
    /// The master has reported.
    pub fn master(&mut self, snapshot: &Snapshot, session: &str) {
        use crate::model::agent::AgentState::{Busy, Idle};
        if self.due && snapshot.agents.iter().any(|r| r.agent.id == session && matches!(r.agent.state, Idle | Busy)) {
            self.ready();
        } else if let (Some(breaker), None) = (snapshot.breakers.get(session), &self.problem) {
            let hint = "look at its log in the agents folder of the state folder; orch doctor looks closer";
            self.failed(&Error::config(format!("the master does not stay up: {}", breaker.reason)).hint(hint));
        }
    }
    /// It will not stand; that is said when everything that was started for it has ended.
    pub fn fail_at_end(&mut self, e: Error) {
        self.problem = Some(e);
    }
    /// All is as it was asked for; or all has ended because it could not be.
    pub fn ready(&mut self) {
        let said = self.problem.take().map_or(Said::Ready, Said::Failed);
        self.say(&said);
    }
    /// It is not.
    pub fn failed(&mut self, e: &Error) {
        self.say(&Said::Failed(e.clone()));
    }
    fn say(&mut self, said: &Said) {
        if !std::mem::take(&mut self.due) {
            return;
        }
        failpoint!("start.standing");
        let mut out = std::io::stdout();
        let line = serde_json::to_string(said).unwrap_or_default();
        // Whoever asked may have gone: that changes nothing.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        // The pipe is its reader's; a later write of ours must never meet a closed one.
        if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
            let _ = nix::unistd::dup2_stdout(&null);
        }
    }
}
