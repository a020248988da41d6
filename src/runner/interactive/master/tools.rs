//! Watches the tools of orch that the master's program has started (`orch mcp`). A program does not start a server of tools
//! again that has died, so it is restarted itself, in the same conversation, as soon as it is idle.

use std::{path::PathBuf, time::Duration};

use tokio::time::{Interval, MissedTickBehavior};

use crate::os;

/// How often the processes are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Looks in a row without the server after which it has died: a program may start another one by itself.
const MISSED: u32 = 2;

/// What is known of the server.
#[derive(Debug, Default)]
struct Seen {
    was_seen: bool,
    missed: u32,
}

impl Seen {
    /// Records whether it was seen. Returns whether it has died.
    fn look(&mut self, is_there: bool) -> bool {
        self.was_seen |= is_there;
        self.missed = if is_there || !self.was_seen { 0 } else { self.missed.saturating_add(1) };
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
}

impl Tools {
    /// Watches for a server that is started as this program.
    pub fn new(orch: PathBuf) -> Self {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Tools { orch, seen: Seen::default(), looks, is_dead: false }
    }

    /// Waits for the next look. Returns whether the server has died since the last one. Cancel safe.
    pub async fn next(&mut self) -> bool {
        self.looks.tick().await;
        let is_dead = self.seen.look(self.is_there());
        let was_dead = std::mem::replace(&mut self.is_dead, is_dead);
        self.is_dead && !was_dead
    }

    /// Notices the server, if it is there.
    pub fn see(&mut self) {
        if !self.seen.was_seen && self.is_there() {
            self.seen.look(true);
        }
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
}
