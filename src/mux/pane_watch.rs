//! Notifies when an agent's pane ends, by watching the process through the kernel.
//!
//! tmux could report this too, to a control-mode client. But up to tmux 3.6 the server crashes with a null pointer
//! when any session is created, renamed or closed while such a client connects, and all sessions end with it: 104
//! crashes in 515 connections while sessions were created and closed (tmux 3.3a; the fix is "Do not notify clients if
//! not fully initialized", in 3.7). It crashes as well when a control client exits just as `destroy-unattached` ends
//! its session. The server is the user's, and every agent lives in it: orch never attaches a control client. A process
//! descriptor costs tmux nothing and misses no event.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::watch, task::JoinSet};

use crate::os::{ExitWatch, ProcessId};

/// The watched processes, and the counter that is incremented when one of them ends. Watches end when this is dropped.
#[derive(Debug)]
pub(super) struct PaneWatch {
    changes: watch::Sender<u64>,
    watched: Arc<Mutex<HashSet<ProcessId>>>,
    tasks: Mutex<JoinSet<()>>,
}

impl PaneWatch {
    pub(super) fn new() -> Self {
        PaneWatch { changes: watch::Sender::new(0), watched: Arc::default(), tasks: Mutex::default() }
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Watches the process, once, while there is a receiver.
    pub(super) fn add(&self, process: ProcessId) {
        if self.changes.receiver_count() == 0 || !lock(&self.watched).insert(process) {
            return;
        }
        let (watched, changes) = (self.watched.clone(), self.changes.clone());
        let ended = move || {
            lock(&watched).remove(&process);
            changes.send_modify(|count| *count += 1);
        };
        match ExitWatch::new(&process) {
            Ok(Some(mut watch)) => {
                let mut tasks = lock(&self.tasks);
                while tasks.try_join_next().is_some() {}
                tasks.spawn(async move {
                    watch.exited().await;
                    ended();
                });
            }
            Ok(None) => ended(),
            Err(error) => {
                // Receivers also poll from time to time.
                tracing::warn!(%process, %error, "the end of this pane's process will be noticed late");
                lock(&self.watched).remove(&process);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
