//! Wakes the loop the moment a runner's process ends.

use std::{collections::HashMap, sync::Arc};

use tokio::{sync::Notify, task::AbortHandle};

use crate::os;

/// One watch per living runner.
pub(super) struct Watches {
    wake: Arc<Notify>,
    by_incarnation: HashMap<String, AbortHandle>,
}

impl Watches {
    pub fn new(wake: Arc<Notify>) -> Self {
        Watches { wake, by_incarnation: HashMap::new() }
    }

    /// Watches exactly these runners.
    pub fn keep<'a>(&mut self, runners: impl Iterator<Item = (&'a str, os::ProcessId)>) {
        let runners: HashMap<&str, os::ProcessId> = runners.collect();
        self.by_incarnation.retain(|incarnation, watch| {
            let stays = runners.contains_key(incarnation.as_str());
            if !stays {
                watch.abort();
            }
            stays
        });
        for (incarnation, process) in runners {
            if !self.by_incarnation.contains_key(incarnation) {
                self.watch(incarnation.to_owned(), process);
            }
        }
    }

    /// Watches one more process.
    pub fn watch(&mut self, incarnation: String, process: os::ProcessId) {
        match os::ExitWatch::new(&process) {
            Ok(Some(mut watch)) => {
                let wake = self.wake.clone();
                let task = tokio::spawn(async move {
                    watch.exited().await;
                    wake.notify_one();
                });
                self.by_incarnation.insert(incarnation, task.abort_handle());
            }
            // Gone already: the next look at processes says so.
            Ok(None) => self.wake.notify_one(),
            Err(e) => tracing::warn!(%process, "not watched: {e}"),
        }
    }
}
