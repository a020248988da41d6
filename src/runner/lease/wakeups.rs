//! The two waiters for wake-ups: "a task of your role is ready", and "you are told something". Each waits on a
//! connection of its own, beside everything else.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Notify, watch};

use crate::{
    home::launch::Launch,
    store::{Store, wake::Waker},
};

/// How long one blocking pop lasts: a connection that died unseen is found out by then, and a wake-up that was lost.
const POP: Duration = Duration::from_secs(15);

/// Hears of ready tasks while the agent is idle.
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

    /// Says whether a task could be taken now.
    pub fn set_idle(&self, idle: bool) {
        self.idle.send_if_modified(|now| std::mem::replace(now, idle) != idle);
    }
    /// A task of the role may be ready.
    pub async fn role(&self) {
        self.role.notified().await;
    }
}

async fn wait_for_role(store: Arc<Store>, role: String, mut idle: watch::Receiver<bool>, notify: Arc<Notify>) {
    let mut waker = store.role_waker(&role);
    while idle.wait_for(|idle| *idle).await.is_ok() {
        // Whether a marker came, none did for a long time, or the answer was lost on its way: an idle agent looks.
        let came = wait(&mut waker).await;
        if *idle.borrow() {
            notify.notify_one();
        } else if came == Came::Marker
            && let Err(e) = store.pass_on(&role).await
        {
            // The pop was under way when we became busy: this marker belongs to an idle agent. If it is lost, that one
            // looks again by itself.
            tracing::warn!("a wake-up could not be passed on: {e}");
        }
    }
}

/// Notifies whenever we are told something: the answer to the next heartbeat says what.
pub(in crate::runner) async fn wait_for_inbox(store: Arc<Store>, agent: String, notify: Arc<Notify>) {
    let mut waker = store.agent_waker(&agent);
    loop {
        // Also when the connection broke: a Redis that comes back hears of us at once, and need not wait for the next
        // heartbeat to learn who lives.
        if wait(&mut waker).await != Came::Nothing {
            notify.notify_one();
        }
    }
}

/// What a wait came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    /// A marker.
    Marker,
    /// None for a long time.
    Nothing,
    /// The connection broke.
    Break,
}

async fn wait(waker: &mut Waker<'_>) -> Came {
    match waker.wait(POP).await {
        Ok(true) => Came::Marker,
        Ok(false) => Came::Nothing,
        Err(_) => {
            // Redis is away; the heartbeat says so in the log. Markers that were written meanwhile are still there.
            tokio::time::sleep(Duration::from_millis(250)).await;
            Came::Break
        }
    }
}
