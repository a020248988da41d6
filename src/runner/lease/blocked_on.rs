//! What the program is blocked on now: its user, or its service; else whether it works. The readers of its stream, hooks and screen record it
//! here; the heartbeat sends each change immediately. When a person is asked, the pane's bell rings as well.
//!
//! A program that waits for an answer is not considered hung, however long the answer takes.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    model::{secret::Redactor, wait::Wait},
    runner::output::pane::Pane,
};

/// What is recorded.
#[derive(Debug, Clone, Default, PartialEq)]
struct Now {
    wait: Option<Wait>,
    works: bool,
}

/// The state, shared by its clones. The last write wins.
#[derive(Debug, Clone)]
pub(in crate::runner) struct BlockedOn {
    now: watch::Sender<Now>,
    redactor: Arc<Redactor>,
}

impl BlockedOn {
    /// Starts unblocked. The redactor is applied to everything that is recorded.
    pub fn new(redactor: Redactor) -> Self {
        BlockedOn { now: watch::Sender::new(Now::default()), redactor: Arc::new(redactor) }
    }

    /// Records what the program is blocked on; `None`: it continues. Recording the same value again wakes no receiver.
    pub fn set(&self, what: Option<Wait>) {
        let what = what.map(|what| what.shown(|text| self.redactor.wrapped(text)));
        self.now.send_if_modified(|now| {
            now.wait != what && {
                now.wait = what;
                true
            }
        });
    }

    /// Records whether the program is in a turn.
    pub fn set_works(&self, works: bool) {
        self.now.send_if_modified(|now| std::mem::replace(&mut now.works, works) != works);
    }

    /// Returns whether it is in a turn.
    pub fn works(&self) -> bool {
        self.now.borrow().works
    }

    /// Returns what it is blocked on now.
    pub fn get(&self) -> Option<Wait> {
        self.now.borrow().wait.clone()
    }

    /// Returns whether it waits for a person.
    pub fn is_for_person(&self) -> bool {
        matches!(self.now.borrow().wait, Some(Wait::Person(_)))
    }

    /// Returns a receiver of changes from now on.
    pub fn changes(&self) -> Changes {
        Changes(self.now.subscribe())
    }
}

/// A receiver of changes.
pub(in crate::runner) struct Changes(watch::Receiver<Now>);

impl Changes {
    /// Waits until the value differs from the last call. Several changes in between count as one.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // All senders are gone: no change can come.
            std::future::pending().await
        }
    }
}

/// Rings the bell each time the program asks for something new, once per question.
pub(in crate::runner) async fn ring(blocked_on: BlockedOn, pane: Pane) {
    let (mut changes, mut last) = (blocked_on.changes(), None);
    loop {
        changes.next().await;
        let wait = blocked_on.get();
        if matches!(wait, Some(Wait::Person(_))) && wait != last {
            pane.ring();
        }
        last = wait;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{
        wait::Needs,
        wait::{Need, Retry},
    };

    fn asks(what: Needs, of: &str) -> Option<Wait> {
        Some(Wait::Person(Need { what, of: of.into() }))
    }

    fn tries(attempt: u64) -> Option<Wait> {
        Some(Wait::Service(Retry {
            attempt: Some(attempt),
            of: Some(10),
            why: "overloaded".into(),
            limited_until: None,
        }))
    }

    async fn receives(changes: &mut Changes) -> bool {
        tokio::time::timeout(Duration::from_millis(1), changes.next()).await.is_ok()
    }

    #[tokio::test]
    async fn a_change_is_received_once_and_a_repeated_value_is_no_change() {
        let blocked_on = BlockedOn::new(Redactor::default());
        let mut changes = blocked_on.changes();
        blocked_on.set(None);
        assert!(!receives(&mut changes).await);
        blocked_on.clone().set(asks(Needs::Login, "no key"));
        assert!(receives(&mut changes).await && !receives(&mut changes).await);
        assert_eq!(blocked_on.get(), asks(Needs::Login, "no key"));
        blocked_on.set(asks(Needs::Login, "no\tkey "));
        assert!(!receives(&mut changes).await);
        for other in [asks(Needs::Login, "a bad one"), tries(1), tries(2), None] {
            blocked_on.set(other);
            assert!(receives(&mut changes).await);
        }
        drop(blocked_on);
        assert!(!receives(&mut changes).await, "without a sender it waits, and does not spin");
    }

    #[tokio::test]
    async fn the_bell_rings_once_each_time_something_is_asked() {
        let (pane, mut rung) = Pane::unwritten();
        let blocked_on = BlockedOn::new(Redactor::default());
        let ringing = ring(blocked_on.clone(), pane);
        tokio::pin!(ringing);
        let mut bells = Vec::new();
        let (login, input) = (asks(Needs::Login, ""), asks(Needs::Input, ""));
        for what in [None, login.clone(), login.clone(), None, tries(1), login, input, None] {
            assert!(futures_util::poll!(&mut ringing).is_pending());
            blocked_on.set(what);
            assert!(futures_util::poll!(&mut ringing).is_pending());
            bells.push(rung());
        }
        assert_eq!(bells, [&b""[..], b"\x07", b"", b"", b"", b"\x07", b"\x07", b""]);
    }

    #[test]
    fn secrets_are_redacted_from_questions() {
        let blocked_on = BlockedOn::new(Redactor::new(["hunter2-hunter2"].into_iter()));
        blocked_on.set(asks(Needs::Permission, "run Bash: login --password hunter2-hunter2"));
        assert_eq!(blocked_on.get(), asks(Needs::Permission, "run Bash: login --password [redacted]"));
        // A screen has wrapped it, possibly in the middle.
        blocked_on.set(asks(Needs::Permission, "use Shell: login --password hunter2-h unter2 --now"));
        assert_eq!(blocked_on.get(), asks(Needs::Permission, "use Shell: login --password [redacted] --now"));
        // If the text is too long to be shown, its beginning contains no secret either.
        blocked_on.set(asks(Needs::Permission, &format!("run Bash: {} hunter2-hunter2", "x".repeat(100))));
        assert!(blocked_on.get().is_some_and(|wait| !format!("{wait:?}").contains("hunt")));
    }
}
