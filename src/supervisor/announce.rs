//! The one line on standard output that reports to `orch start` that everything is up, or why it is not.

use std::{io::Write, path::PathBuf};

use crate::{error::Error, home::Said, os::failpoint, store::observe::Breaker};

/// A start has failed once this many masters in a row have: the cause of one failure may be gone by the next attempt.
pub(super) const MASTERS: u32 = 3;

/// Prints the line, once.
#[derive(Debug, Default)]
pub(super) struct Announcement {
    due: bool,
    problem: Option<Error>,
}

impl Announcement {
    pub fn new(daemon: bool) -> Self {
        Announcement { due: daemon, problem: None }
    }
    /// Whether `orch start` still waits for the line.
    pub fn is_due(&self) -> bool {
        self.due
    }
    /// Prints the outcome as soon as there is one: the master has reported, or [`MASTERS`] have failed. `log` is the
    /// master's.
    pub fn master(&mut self, is_up: bool, breaker: Option<&Breaker>, log: impl FnOnce() -> PathBuf) {
        if !self.due {
            return;
        }
        if is_up {
            return self.ready();
        }
        let breaker = breaker.filter(|breaker| breaker.failures >= MASTERS);
        if let (Some(breaker), None) = (breaker, &self.problem) {
            let hint = format!("look at {}; orch doctor looks closer", log().display());
            self.still_trying(Error::config(format!("the master does not stay up: {}", breaker.reason)).hint(hint));
        }
    }
    /// It cannot be started; this is reported when everything that was started for it has ended.
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
    /// It is not, and the supervisor continues to try.
    pub fn still_trying(&mut self, e: Error) {
        self.say(&Said::StillTrying(e));
    }
    fn say(&mut self, said: &Said) {
        if !std::mem::take(&mut self.due) {
            return;
        }
        failpoint!("start.standing");
        let mut out = std::io::stdout();
        let line = serde_json::to_string(said).unwrap_or_default();
        // The caller may have gone; that changes nothing.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        // The pipe is its reader's; a later write of ours must never meet a closed one.
        if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
            let _ = nix::unistd::dup2_stdout(&null);
        }
    }
}
