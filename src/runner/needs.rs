//! What the program asks its user for at this moment. Whoever notices it says so here: who reads its stream, its hooks or
//! its screen; and the heart, which hears of each change, passes it on at once. The pane's bell rings as well.
//!
//! Who asks is not hung, however long nobody answers.

use tokio::sync::watch;

use super::pane::Pane;
use crate::model::agent::Needs as What;

/// The one state, shared by its clones. The last word counts, whoever says it.
#[derive(Debug, Clone)]
pub(super) struct Needs(watch::Sender<Option<What>>);

impl Needs {
    /// Nothing is asked.
    pub fn new() -> Self {
        Needs(watch::Sender::new(None))
    }

    /// It asks for this from now on; `None`: it goes on. Saying the same again wakes nobody.
    pub fn set(&self, what: Option<What>) {
        self.0.send_if_modified(|now| std::mem::replace(now, what) != what);
    }

    /// What it asks for now.
    pub fn get(&self) -> Option<What> {
        *self.0.borrow()
    }

    /// Hears of changes from now on.
    pub fn changes(&self) -> Changes {
        Changes(self.0.subscribe())
    }
}

/// Who hears of changes.
pub(super) struct Changes(watch::Receiver<Option<What>>);

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
pub(super) async fn ring(needs: Needs, pane: Pane) {
    let mut changes = needs.changes();
    loop {
        changes.next().await;
        if needs.get().is_some() {
            pane.ring();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn hears(changes: &mut Changes) -> bool {
        tokio::time::timeout(Duration::from_millis(1), changes.next()).await.is_ok()
    }

    #[tokio::test]
    async fn a_change_is_heard_once_and_the_same_again_is_none() {
        let needs = Needs::new();
        let mut changes = needs.changes();
        needs.set(None);
        assert!(!hears(&mut changes).await);
        needs.clone().set(Some(What::Login));
        assert!(hears(&mut changes).await && !hears(&mut changes).await);
        assert_eq!(needs.get(), Some(What::Login));
        needs.set(Some(What::Login));
        assert!(!hears(&mut changes).await);
        needs.set(None);
        assert!(hears(&mut changes).await);
        drop(needs);
        assert!(!hears(&mut changes).await, "with nobody left to say anything it waits, and does not spin");
    }

    #[tokio::test]
    async fn the_bell_rings_once_each_time_something_is_asked() {
        let (pane, mut rung) = Pane::unwritten();
        let needs = Needs::new();
        let ringing = ring(needs.clone(), pane);
        tokio::pin!(ringing);
        let mut heard = Vec::new();
        for what in [None, Some(What::Login), Some(What::Login), None, Some(What::Login), Some(What::Input), None] {
            assert!(futures_util::poll!(&mut ringing).is_pending());
            needs.set(what);
            assert!(futures_util::poll!(&mut ringing).is_pending());
            heard.push(rung());
        }
        assert_eq!(heard, [&b""[..], b"\x07", b"", b"", b"\x07", b"\x07", b""]);
    }
}
