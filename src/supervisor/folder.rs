//! Checks in each pass, with a few calls of `stat`, that what the supervisor owns is still there: its folder, its
//! lock, its Redis. It repairs what it can. Without its folder, the supervisor ends everything in order; if another
//! supervisor has the lock, it ends without touching anything.

use std::{ops::ControlFlow, path::PathBuf, sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{Pass, Supervisor};
use crate::{
    error::Error,
    home::{FolderState, Home},
    model::event::EventKind,
    mux::Tags,
    os,
    redis_server::Lost,
};

/// How long tmux may take to say which sessions there are.
const TMUX: Duration = Duration::from_secs(2);

/// Where a folder is that is not where it was.
#[derive(Debug, Clone)]
pub(super) struct Gone {
    /// Its new path; `None` where it was removed.
    pub moved_to: Option<PathBuf>,
}

impl Supervisor {
    /// Looks. `Break` ends the pass.
    pub(super) async fn look_at_folder(&mut self) -> ControlFlow<Pass> {
        if self.gone.is_some() {
            return ControlFlow::Continue(());
        }
        match self.lock.look(&self.home) {
            Ok(FolderState::InPlace) => {}
            Ok(FolderState::LockRestored) => {
                let lock = self.home.supervisor_lock();
                tracing::warn!("{} was removed: it is locked again", lock.display());
            }
            Ok(FolderState::LockLost) => return ControlFlow::Break(Pass::Replaced),
            Ok(FolderState::Gone(moved_to)) => {
                self.folder_is_gone(moved_to).await;
                return ControlFlow::Continue(());
            }
            // Too many open files, or a disk that fails: nothing is known.
            Err(e) => tracing::debug!("the state folder was not looked at: {e}"),
        }
        match self.redis.lost() {
            Some(lost) => ControlFlow::Break(self.replace_redis(lost).await),
            None => ControlFlow::Continue(()),
        }
    }

    async fn folder_is_gone(&mut self, moved_to: Option<PathBuf>) {
        let home = self.home.path().display();
        let why = match &moved_to {
            Some(path) => format!("the state folder {home} was moved to {}", path.display()),
            None => format!("the state folder {home} was removed"),
        };
        tracing::error!("{why}: everything ends");
        self.gone = Some(Gone { moved_to });
        self.leaving.ask_without_folder(why);
        // A runner that was started after the last pass is known to nobody once Redis has lost its data, too. All sessions are
        // this fleet's: the next one starts when they are closed.
        if let Ok(Ok(sessions)) = timeout(TMUX, self.jobs.mux.sessions()).await {
            let world = Tags::world(&self.config.namespace, self.home.path());
            let ours = sessions.into_iter().filter_map(|session| {
                let tags = session.tags.filter(|tags| tags.namespace == world)?;
                Some((tags.incarnation, os::ProcessId::of(session.pane_pid?)?))
            });
            self.leaving.remember_also(ours);
        }
    }

    async fn replace_redis(&mut self, lost: Lost) -> Pass {
        const AGAIN: Pass = Pass::Look(Duration::ZERO);
        let store = Arc::clone(&self.store);
        let what = match lost {
            Lost::Way => "its socket or its lock was removed",
            Lost::Data => "the folder of its data was removed",
        };
        tracing::warn!("redis-server: {what}: it is started again");
        let saved = match lost {
            Lost::Way => Ok(()),
            Lost::Data => self.redis.save_again(&store).await,
        };
        if let Err(e) = &saved {
            tracing::error!("redis-server: its data was not written again: {e}");
        }
        if !matches!(self.lock.look(&self.home), Ok(FolderState::InPlace | FolderState::LockRestored)) {
            // The whole folder is being removed: the server is needed until everything has ended.
            return AGAIN;
        }
        if self.redis.start_again().await && saved.is_ok() {
            let reason = format!("{what} while it ran; it was started again with all that it had");
            let _ = self.store.note(EventKind::RedisRestarted, &reason).await;
        }
        self.observer.disturbed();
        AGAIN
    }

    /// The folder as it can be reached now: for the last steps of a supervisor whose folder was moved. `None` where it was
    /// removed, or another one is in its place.
    pub(super) fn reachable_home(&self) -> Option<Home> {
        match &self.gone {
            None => Some(self.home.clone()),
            Some(gone) => gone.moved_to.clone().map(Home::new),
        }
    }

    /// The error of a supervisor that was replaced by another one.
    pub(super) fn replaced(&self) -> Error {
        let home = self.home.path().display();
        Error::conflict(format!(
            "another supervisor has the lock of {home}; this one (pid {}) ends",
            std::process::id()
        ))
        .hint("orch status")
    }

    /// Remembers what runs, for an end without the registry of a folder that is gone.
    pub(super) fn remember_runners(&self, runners: impl Iterator<Item = (String, os::ProcessId)>) {
        match self.gone {
            None => self.leaving.remember(runners.collect(), self.redis.process()),
            Some(_) => self.leaving.remember_also(runners),
        }
    }

    /// The last step of a supervisor whose folder is gone: what Redis did not know any more ends, too.
    pub(super) async fn end_known(&self) {
        let known = self.leaving.known();
        let _ = tokio::task::spawn_blocking(move || known.end(true)).await;
    }
}
