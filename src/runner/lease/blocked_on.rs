//! What the program waits for at this moment: for its user, or for its service. Whoever notices it says so here: who reads its
//! stream, its hooks or its screen; and the heart, which hears of each change, passes it on at once. The pane's bell rings
//! as well where a person is asked.
//!
//! Who asks is not hung, however long nobody answers.

use std::sync::Arc;

use tokio::sync::watch;

use crate::model::wait::Wait;
use crate::runner::{output::pane::Pane, output::redact::Redactor};

/// The one state, shared by its clones. The last word counts, whoever says it.
#[derive(Debug, Clone)]
pub(in crate::runner) struct Waits {
    now: watch::Sender<Option<Wait>>,
    redactor: Arc<Redactor>,
}

impl Waits {
    /// For nothing. What is said from now on passes through the redactor before anybody hears of it.
    pub fn new(redactor: Redactor) -> Self {
        Waits { now: watch::Sender::new(None), redactor: Arc::new(redactor) }
    }

    /// It waits for this from now on; `None`: it goes on. Saying the same again wakes nobody.
    pub fn set(&self, what: Option<Wait>) {
        let what = what.map(|what| what.shown(|text| self.redactor.wrapped(text)));
        self.now.send_if_modified(|now| {
            *now != what && {
                *now = what;
                true
            }
        });
    }

    /// What it waits for now.
    pub fn get(&self) -> Option<Wait> {
        self.now.borrow().clone()
    }

    /// Whether that is a person.
    pub fn is_for_person(&self) -> bool {
        matches!(*self.now.borrow(), Some(Wait::Person(_)))
    }

    /// Hears of changes from now on.
    pub fn changes(&self) -> Changes {
        Changes(self.now.subscribe())
    }
}

/// Who hears of changes.
pub(in crate::runner) struct Changes(watch::Receiver<Option<Wait>>);

impl Changes {
    /// Waits until it is another than when this was last called. Several in between are one.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody is left who could say anything.
            std::future::pending().await
        }
    }
}

/// Rings the bell whenever something is newly asked for, once each time.
pub(in crate::runner) async fn ring(waits: Waits, pane: Pane) {
    let mut changes = waits.changes();
    loop {
        changes.next().await;
        if waits.is_for_person() {
            pane.ring();
        }
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
        Some(Wait::Service(Retry { attempt: Some(attempt), of: Some(10), why: "overloaded".into() }))
    }

    async fn hears(changes: &mut Changes) -> bool {
        tokio::time::timeout(Duration::from_millis(1), changes.next()).await.is_ok()
    }

    #[tokio::test]
    async fn a_change_is_heard_once_and_the_same_again_is_none() {
        let waits = Waits::new(Redactor::default());
        let mut changes = waits.changes();
        waits.set(None);
        assert!(!hears(&mut changes).await);
        waits.clone().set(asks(Needs::Login, "no key"));
        assert!(hears(&mut changes).await && !hears(&mut changes).await);
        assert_eq!(waits.get(), asks(Needs::Login, "no key"));
        waits.set(asks(Needs::Login, "no\tkey "));
        assert!(!hears(&mut changes).await);
        for other in [asks(Needs::Login, "a bad one"), tries(1), tries(2), None] {
            waits.set(other);
            assert!(hears(&mut changes).await);
        }
        drop(waits);
        assert!(!hears(&mut changes).await, "with nobody left to say anything it waits, and does not spin");
    }

    #[tokio::test]
    async fn the_bell_rings_once_each_time_something_is_asked() {
        let (pane, mut rung) = Pane::unwritten();
        let waits = Waits::new(Redactor::default());
        let ringing = ring(waits.clone(), pane);
        tokio::pin!(ringing);
        let mut heard = Vec::new();
        let (login, input) = (asks(Needs::Login, ""), asks(Needs::Input, ""));
        for what in [None, login.clone(), login.clone(), None, tries(1), login, input, None] {
            assert!(futures_util::poll!(&mut ringing).is_pending());
            waits.set(what);
            assert!(futures_util::poll!(&mut ringing).is_pending());
            heard.push(rung());
        }
        assert_eq!(heard, [&b""[..], b"\x07", b"", b"", b"", b"\x07", b"\x07", b""]);
    }

    #[test]
    fn a_secret_is_none_of_what_is_asked() {
        let waits = Waits::new(Redactor::new(["hunter2-hunter2"].into_iter()));
        waits.set(asks(Needs::Permission, "run Bash: login --password hunter2-hunter2"));
        assert_eq!(waits.get(), asks(Needs::Permission, "run Bash: login --password [redacted]"));
        // A screen has wrapped it, perhaps in the middle.
        waits.set(asks(Needs::Permission, "use Shell: login --password hunter2-h unter2 --now"));
        assert_eq!(waits.get(), asks(Needs::Permission, "use Shell: login --password [redacted] --now"));
        // Where it is too long to be shown, its beginning is none either.
        waits.set(asks(Needs::Permission, &format!("run Bash: {} hunter2-hunter2", "x".repeat(100))));
        assert!(waits.get().is_some_and(|wait| !format!("{wait:?}").contains("hunt")));
    }
}
