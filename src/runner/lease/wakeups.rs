//! The two wake-up listeners: one for ready tasks of the agent's role, one for the agent's own directives. Each uses a
//! connection of its own and runs concurrently with everything else.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Notify, watch};

use crate::{
    home::launch::Launch,
    store::{Store, wake::Waker},
};

/// How long one blocking pop lasts. It bounds how long a dead connection or a lost wake-up goes unnoticed.
const POP: Duration = Duration::from_secs(15);

/// Receives wake-ups for ready tasks while the agent is idle.
pub(in crate::runner) struct Wakeups {
    idle: watch::Sender<bool>,
    role: Arc<Notify>,
}

impl Wakeups {
    pub fn start(store: Arc<Store>, launch: &Launch) -> Self {
        let idle = watch::Sender::new(false);
        let role = Arc::new(Notify::new());
        tokio::spawn(wait_for_role(store, launch.role.name.clone(), idle.subscribe(), role.clone()));
        Wakeups { idle, role }
    }

    /// Sets whether the agent could take a task now.
    pub fn set_idle(&self, idle: bool) {
        self.idle.send_if_modified(|now| std::mem::replace(now, idle) != idle);
    }
    /// Waits until a task of the role may be ready.
    pub async fn role(&self) {
        self.role.notified().await;
    }
}

async fn wait_for_role(store: Arc<Store>, role: String, mut idle: watch::Receiver<bool>, notify: Arc<Notify>) {
    let mut waker = store.role_waker(&role);
    while idle.wait_for(|idle| *idle).await.is_ok() {
        // In each case (marker, timeout, or an answer lost on its way) an idle agent checks for tasks.
        let came = wait(&mut waker).await;
        if *idle.borrow() {
            notify.notify_one();
        } else if came == Came::Marker
            && let Err(e) = store.pass_on(&role).await
        {
            // The pop was in flight when the agent became busy: this marker belongs to an idle agent. If it is lost,
            // that agent finds the task at its next poll.
            tracing::warn!("a wake-up could not be forwarded: {e}");
        }
    }
}

/// Notifies when a directive waits for the agent; the answer to the next heartbeat contains it.
pub(in crate::runner) async fn wait_for_inbox(store: Arc<Store>, agent: String, notify: Arc<Notify>) {
    let mut waker = store.agent_waker(&agent);
    loop {
        // Also when the connection broke: a Redis that comes back receives a heartbeat immediately, and need not wait
        // for the next interval to learn which agents are alive.
        if wait(&mut waker).await != Came::Nothing {
            notify.notify_one();
        }
    }
}

/// The result of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    /// A marker.
    Marker,
    /// No marker before the timeout.
    Nothing,
    /// The connection broke.
    Break,
}

async fn wait(waker: &mut Waker<'_>) -> Came {
    match waker.wait(POP).await {
        Ok(true) => Came::Marker,
        Ok(false) => Came::Nothing,
        Err(_) => {
            // Redis is unavailable; the heartbeat logs that. Markers written in the meantime are still there.
            tokio::time::sleep(Duration::from_millis(250)).await;
            Came::Break
        }
    }
}
