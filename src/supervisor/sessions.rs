//! What tmux reports about the sessions. It is asked in the background, so a server that does not answer delays no
//! decision. Until it answers, the state of the sessions is unknown, which says nothing about the agents.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::background::Background;
use crate::mux::{self, Mux, SessionInfo};

/// tmux reports changes; this finds those that it did not report.
const LOOK_AGAIN: Duration = Duration::from_secs(15);
/// How soon a server that did not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The last answer, and whether it is still valid.
pub(super) struct Sessions {
    mux: Arc<dyn Mux>,
    asked: Background<mux::Result<Vec<SessionInfo>>>,
    asked_at: Option<Instant>,
    /// What was listed last.
    listed: Vec<SessionInfo>,
    /// When that was asked.
    listed_at: Option<Instant>,
    /// Whether the list is up to date.
    is_known: bool,
    /// Something may have changed since tmux was asked last.
    is_stale: bool,
    /// Why it did not answer, where it did not.
    failed: Option<String>,
}

impl Sessions {
    pub fn new(mux: Arc<dyn Mux>, wake: Arc<Notify>) -> Self {
        Sessions {
            mux,
            asked: Background::new(wake),
            asked_at: None,
            listed: Vec::new(),
            listed_at: None,
            is_known: false,
            is_stale: true,
            failed: None,
        }
    }

    /// The sessions may have changed.
    pub fn changed(&mut self) {
        (self.is_stale, self.is_known) = (true, false);
    }

    /// Asks tmux if that is due, and takes its answer if there is one.
    pub async fn look(&mut self) {
        if let Some(answer) = self.asked.take().await {
            self.note(answer);
        }
        if self.asked.is_running() || !self.is_due() {
            return;
        }
        // A change from here on may be missing in the answer.
        (self.is_stale, self.asked_at) = (false, Some(Instant::now()));
        let mux = self.mux.clone();
        self.asked.begin(async move { mux.sessions().await });
        if let Some(answer) = self.asked.take().await {
            self.note(answer);
        }
    }

    fn is_due(&self) -> bool {
        let every = if self.failed.is_some() { ASK_AGAIN } else { LOOK_AGAIN };
        (self.is_stale && self.failed.is_none()) || self.asked_at.is_none_or(|at| at.elapsed() > every)
    }

    fn note(&mut self, answer: mux::Result<Vec<SessionInfo>>) {
        match answer {
            Ok(sessions) => {
                (self.listed, self.listed_at) = (sessions, self.asked_at);
                (self.is_known, self.failed) = (!self.is_stale, None);
            }
            Err(e) => {
                let why = Some(e.to_string());
                if self.failed != why {
                    tracing::warn!("tmux: {e}");
                }
                (self.is_known, self.failed) = (false, why);
            }
        }
    }

    /// Returns the sessions as they are now; `None` where that is unknown.
    pub fn known(&self) -> Option<Vec<SessionInfo>> {
        self.is_known.then(|| self.listed.clone())
    }

    /// The names that were taken when they were listed last.
    pub fn names(&self) -> Vec<String> {
        self.listed.iter().map(|session| session.name.clone()).collect()
    }

    /// For how long tmux was waited for since the last call.
    pub fn take_waited(&mut self) -> Duration {
        self.asked.take_waited()
    }

    /// How old the last list is.
    pub fn age(&self) -> Duration {
        self.listed_at.map_or(Duration::ZERO, |at| at.elapsed())
    }
}
