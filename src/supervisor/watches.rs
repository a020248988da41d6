//! Wakes the loop the moment a runner's process ends.

use std::{collections::HashMap, sync::Arc};

use tokio::{sync::Notify, task::AbortHandle};

use crate::{os, store::agents::Record};

/// One watch a living agent.
pub(super) struct Watches {
    wake: Arc<Notify>,
    by_incarnation: HashMap<String, AbortHandle>,
}

impl Watches {
    pub fn new(wake: Arc<Notify>) -> Self {
        Watches { wake, by_incarnation: HashMap::new() }
    }

    /// Watches exactly these agents' runners.
    pub fn keep(&mut self, agents: &[Record]) {
        self.by_incarnation.retain(|incarnation, watch| {
            let living = agents.iter().any(|r| r.agent.incarnation == *incarnation);
            if !living {
                watch.abort();
            }
            living
        });
        for agent in agents.iter().map(|r| &r.agent) {
            if agent.process.pid != 0 && !self.by_incarnation.contains_key(&agent.incarnation) {
                let process = os::ProcessId { pid: agent.process.pid, start_time: agent.process.start_time };
                self.watch(agent.incarnation.clone(), process);
            }
        }
    }

    /// Watches one process more.
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
            // Gone already, or on another machine: the look at processes and heartbeats says so.
            Ok(None) => self.wake.notify_one(),
            Err(e) => tracing::warn!(%process, "not watched: {e}"),
        }
    }
}
