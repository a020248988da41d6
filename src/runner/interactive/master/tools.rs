//! Watches the tools of orch that the master's program has started (`orch mcp`). A program does not start a server of tools
//! again that has died, so it is restarted itself, in the same conversation, as soon as it is idle.

use std::{path::PathBuf, time::Duration};

use tokio::time::{Interval, MissedTickBehavior};

use crate::os;

/// How often the processes are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Looks in a row without the server after which it has died: a program may start another one on its own.
const MISSED: u32 = 2;

/// What is known of the server.
#[derive(Debug, Default)]
struct Seen {
    was_seen: bool,
    /// Whether it must have been there: the program has ended a turn, for which it had started its tools.
    is_due: bool,
    missed: u32,
}

impl Seen {
    /// Records whether it was seen. Returns whether it has died.
    fn look(&mut self, is_there: bool) -> bool {
        self.was_seen |= is_there;
        let is_missed = !is_there && (self.was_seen || self.is_due);
        self.missed = if is_missed { self.missed.saturating_add(1) } else { 0 };
        self.missed >= MISSED
    }
}

/// The server of one program.
pub(super) struct Tools {
    /// The program of orch, as the server is called.
    orch: PathBuf,
    seen: Seen,
    looks: Interval,
    is_dead: bool,
    /// Whether a server that was never seen counts as dead after a turn.
    may_be_due: bool,
}

impl Tools {
    /// Watches for a server that is started as this program. `may_be_due`: one that was never seen counts as dead once the
    /// program has ended a turn. It does not for a program that was started again for that: it would be started for ever,
    /// where its user has turned the tools off.
    pub fn new(orch: PathBuf, may_be_due: bool) -> Self {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Tools { orch, seen: Seen::default(), looks, is_dead: false, may_be_due }
    }

    /// Waits for the next look. Returns whether the server has died since the last one. Cancel safe.
    pub async fn next(&mut self) -> bool {
        self.looks.tick().await;
        let is_dead = self.seen.look(self.is_there());
        let was_dead = std::mem::replace(&mut self.is_dead, is_dead);
        self.is_dead && !was_dead
    }

    /// Records that the program has ended a turn, and looks for the server if it was not seen yet.
    pub fn turn_has_ended(&mut self) {
        if !self.seen.was_seen && self.is_there() {
            self.seen.look(true);
        }
        self.seen.is_due |= self.may_be_due;
    }

    /// Returns whether the server was ever seen.
    pub fn were_seen(&self) -> bool {
        self.seen.was_seen
    }

    /// Returns whether it is dead, as of the last look.
    pub fn are_dead(&self) -> bool {
        self.is_dead
    }

    fn is_there(&self) -> bool {
        let called = format!("{} mcp", self.orch.display());
        // What can't be determined is no reason to restart a program.
        let Ok(below) = os::descendants(&os::ProcessId::current()) else { return true };
        below.iter().filter_map(|pid| os::command_line(*pid)).any(|line| line.trim_end() == called)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_was_seen_and_is_missing_twice_has_died() {
        let mut seen = Seen::default();
        assert!([false, false, false].iter().all(|is_there| !seen.look(*is_there)), "it may start later");
        assert!([true, false, true, false].iter().all(|is_there| !seen.look(*is_there)), "it is there again");
        assert!(seen.look(false));
        assert!(!seen.look(true));
    }

    #[test]
    fn a_server_that_died_before_it_was_seen_is_missed_after_a_turn() {
        let mut seen = Seen::default();
        assert!([false, false, false].iter().all(|is_there| !seen.look(*is_there)), "it may start with the first turn");
        seen.is_due = true;
        assert!(!seen.look(false));
        assert!(seen.look(false));
        assert!(!seen.was_seen);
    }
}
