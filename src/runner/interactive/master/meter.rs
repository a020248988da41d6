//! What the master's program uses. It has no task whose end would tell it, so it is read from the record that the program
//! keeps of its conversation, at the end of each turn.
//!
//! Told is the total of a conversation, and the store adds what is new of it: a runner that dies, a store that is away for a
//! while, a conversation that goes on another day, all are settled by the next word. Told as well is how much of that is of
//! this run's time: a person may take up a conversation here that was led elsewhere, and nothing is known of.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle};

use crate::runner::attempt::usage::used;
use crate::{
    drivers::{Driver, Hook},
    model::{task::Usage, time::Timestamp},
    store::Store,
};

/// A program tells the end of a turn before it has written down what was said in it last (claude: 0.1 s).
const WRITTEN: Duration = Duration::from_secs(1);
/// How long after a store that was away it is told again.
const AGAIN: Duration = Duration::from_secs(10);
/// A runner that leaves tells the last turn first, and waits no longer for that.
const LAST_WORD: Duration = Duration::from_secs(2);

/// A conversation, and the file in which the program keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    conversation: String,
    path: PathBuf,
}

/// Reads and tells.
struct Teller {
    driver: &'static dyn Driver,
    store: Arc<Store>,
    agent: String,
    role: String,
    /// When the program was started.
    since: Timestamp,
}

/// The meter of one master.
pub(in crate::runner) struct Meter {
    record: Option<Record>,
    /// What is to be read, and how often that was said.
    due: watch::Sender<Option<(u64, Record)>>,
    teller: Arc<Teller>,
    telling: JoinHandle<()>,
}

impl Meter {
    /// Of a program with this driver.
    pub fn new(driver: &'static dyn Driver, store: Arc<Store>, agent: &str, role: &str) -> Self {
        let (agent, role, since) = (agent.to_owned(), role.to_owned(), Timestamp::now());
        let teller = Arc::new(Teller { driver, store, agent, role, since });
        let (due, mut dues) = watch::channel(None::<(u64, Record)>);
        let telling = tokio::spawn({
            let teller = teller.clone();
            async move {
                while dues.changed().await.is_ok() {
                    tokio::time::sleep(WRITTEN).await;
                    let Some((_, record)) = dues.borrow_and_update().clone() else { continue };
                    while !teller.tell(&record).await {
                        tokio::time::sleep(AGAIN).await;
                    }
                }
            }
        });
        Meter { record: None, due, teller, telling }
    }

    /// The program has told something.
    pub fn hear(&mut self, hook: &Hook) {
        match hook {
            Hook::Began { session: Some(conversation), record: Some(path), .. } => {
                self.record = Some(Record { conversation: conversation.clone(), path: path.into() });
            }
            Hook::Ended { .. } | Hook::GoesOn { .. } | Hook::Failed { .. } | Hook::Interrupted | Hook::Left => {
                let Some(record) = self.record.clone() else { return };
                self.due.send_modify(|due| *due = Some((due.as_ref().map_or(0, |(n, _)| n + 1), record)));
            }
            _ => {}
        }
    }

    /// The program has ended: what it has used since the last turn is told as well.
    pub async fn ended(&self) {
        if let Some(record) = &self.record {
            let _ = tokio::time::timeout(LAST_WORD, self.teller.tell(record)).await;
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.telling.abort();
    }
}

impl Teller {
    /// Whether it was told, or there was nothing to tell.
    async fn tell(&self, record: &Record) -> bool {
        let (driver, path, since) = (self.driver, record.path.clone(), self.since);
        // A long conversation is some megabytes. In this order nothing that comes in between counts twice.
        let read = move || {
            let own = used(driver, &path, since).unwrap_or_default();
            used(driver, &path, Timestamp(0)).map(|total| (total, own))
        };
        let Ok(Some((total, own))) = tokio::task::spawn_blocking(read).await else { return true };
        if total == Usage::default() {
            return true;
        }
        match self.store.meter(&self.agent, &self.role, &record.conversation, &total, &own).await {
            Ok(()) => true,
            Err(e) => {
                tracing::debug!("what was used is not told yet: {e}");
                false
            }
        }
    }
}
