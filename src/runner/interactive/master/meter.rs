//! Measures what the master's program uses. The master has no task whose end would report it, so it is read from the
//! record that the program keeps of its conversation, at the end of each turn.
//!
//! The report contains the total of a conversation, and the store adds the difference. So a runner that dies, a store
//! that is unavailable for a while, and a conversation that is resumed another day are all corrected by the next
//! report. The report also contains the share of this run: a user may resume a conversation here that was started
//! elsewhere, and whose earlier usage is unknown.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::watch, task::JoinHandle};

use crate::runner::attempt::usage::used;
use crate::{
    drivers::{Driver, Hook},
    model::{task::Usage, time::Timestamp},
    store::Store,
};

/// A program reports the end of a turn before it has written the last message to its record (claude: 0.1 s).
const WRITTEN: Duration = Duration::from_secs(1);
/// Pause before a report is repeated after the store was unavailable.
const RETRY_PAUSE: Duration = Duration::from_secs(10);
/// A runner that leaves first reports the last turn, and waits at most this long.
const LAST_REPORT: Duration = Duration::from_secs(2);

/// A conversation, and the file in which the program records it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    conversation: String,
    path: PathBuf,
}

/// Reads records and reports the usage.
struct Reporter {
    driver: &'static dyn Driver,
    store: Arc<Store>,
    agent: String,
    role: String,
    /// When the program was started.
    since: Timestamp,
}

/// Returns where a record is that the program has named, if it is where its conversations are.
type Place = dyn Fn(&Path) -> Option<PathBuf> + Send;

/// The usage meter of one master.
pub(in crate::runner) struct Meter {
    /// The conversation and its record, as the program has named them.
    named: Option<(String, PathBuf)>,
    place: Box<Place>,
    /// What to read, and how often that was requested.
    due: watch::Sender<Option<(u64, Record)>>,
    reporter: Arc<Reporter>,
    reporting: JoinHandle<()>,
}

impl Meter {
    /// Creates the meter of a program with this driver.
    pub fn new(
        driver: &'static dyn Driver,
        store: Arc<Store>,
        agent: &str,
        role: &str,
        place: impl Fn(&Path) -> Option<PathBuf> + Send + 'static,
    ) -> Self {
        let (agent, role, since) = (agent.to_owned(), role.to_owned(), Timestamp::now());
        let reporter = Arc::new(Reporter { driver, store, agent, role, since });
        let (due, mut dues) = watch::channel(None::<(u64, Record)>);
        let reporting = tokio::spawn({
            let reporter = reporter.clone();
            async move {
                while dues.changed().await.is_ok() {
                    tokio::time::sleep(WRITTEN).await;
                    let Some((_, record)) = dues.borrow_and_update().clone() else { continue };
                    while !reporter.report(&record).await {
                        tokio::time::sleep(RETRY_PAUSE).await;
                    }
                }
            }
        });
        Meter { named: None, place: Box::new(place), due, reporter, reporting }
    }

    /// Handles a hook of the program.
    pub fn handle(&mut self, hook: &Hook) {
        match hook {
            Hook::Began { session: Some(conversation), record: Some(path), .. } => {
                self.named = Some((conversation.clone(), path.into()));
            }
            Hook::Ended { .. } | Hook::GoesOn { .. } | Hook::Failed { .. } | Hook::Interrupted | Hook::Left => {
                let Some(record) = self.record() else { return };
                self.due.send_modify(|due| *due = Some((due.as_ref().map_or(0, |(n, _)| n + 1), record)));
            }
            _ => {}
        }
    }

    /// The program has ended: reports what it has used since the last turn.
    pub async fn ended(&self) {
        if let Some(record) = self.record() {
            let _ = tokio::time::timeout(LAST_REPORT, self.reporter.report(&record)).await;
        }
    }

    /// Returns the record, if it is there: claude makes the folder of a project with the first prompt, after it has named it.
    fn record(&self) -> Option<Record> {
        let (conversation, named) = self.named.as_ref()?;
        Some(Record { conversation: conversation.clone(), path: (self.place)(named)? })
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.reporting.abort();
    }
}

impl Reporter {
    /// Returns whether the usage was reported, or there was nothing to report.
    async fn report(&self, record: &Record) -> bool {
        let (driver, path, since) = (self.driver, record.path.clone(), self.since);
        // A long conversation is a few megabytes. In this order, nothing written in between is counted twice.
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
                tracing::debug!("the usage could not be reported yet: {e}");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::DriverKind,
        drivers::{self, Source},
    };

    /// A meter of claude whose store does not answer; records are found where they are named.
    fn meter(dir: &Path) -> Meter {
        let store = Store::at_socket(&dir.join("no.sock"), None, "n", Duration::ZERO).unwrap();
        let driver = drivers::of(DriverKind::Claude).unwrap();
        Meter::new(driver, Arc::new(store), "opus-master", "master", |named| named.exists().then(|| named.to_owned()))
    }

    fn began(session: &str, path: &Path) -> Hook {
        let record = Some(path.display().to_string());
        Hook::Began { session: Some(session.into()), source: Source::Startup, record }
    }

    fn due(meter: &Meter) -> Option<(u64, String)> {
        meter.due.borrow().as_ref().map(|(n, record)| (*n, record.conversation.clone()))
    }

    #[tokio::test]
    async fn a_record_that_is_made_after_it_was_named_is_read_at_the_end_of_a_turn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record.jsonl");
        let mut meter = meter(dir.path());
        meter.handle(&Hook::Ended { said: None });
        meter.handle(&began("a", &path));
        meter.handle(&Hook::Ended { said: None });
        assert_eq!(due(&meter), None, "it does not exist yet");
        std::fs::write(&path, "").unwrap();
        meter.handle(&Hook::Prompt { text: "x".into() });
        assert_eq!(due(&meter), None, "the turn goes on");
        meter.handle(&Hook::Ended { said: None });
        assert_eq!(due(&meter), Some((0, "a".into())));
    }

    #[tokio::test]
    async fn every_end_of_a_turn_is_a_reason_to_read_the_record_of_the_latest_conversation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record.jsonl");
        std::fs::write(&path, "").unwrap();
        let mut meter = meter(dir.path());
        meter.handle(&began("a", &path));
        let ends = [
            Hook::Ended { said: None },
            Hook::GoesOn { said: None },
            Hook::Failed { why: "x".into() },
            Hook::Interrupted,
            Hook::Left,
        ];
        for (n, end) in ends.iter().enumerate() {
            meter.handle(end);
            assert_eq!(due(&meter), Some((n as u64, "a".into())), "{end:?}");
        }
        meter.handle(&began("b", &path));
        meter.handle(&Hook::Ended { said: None });
        assert_eq!(due(&meter), Some((ends.len() as u64, "b".into())));
    }

    #[tokio::test]
    async fn what_cannot_be_reported_yet_is_reported_again_and_nothing_is_no_report() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record.jsonl");
        std::fs::write(&path, "").unwrap();
        let meter = meter(dir.path());
        let record = Record { conversation: "a".into(), path: path.clone() };
        assert!(meter.reporter.report(&record).await, "an empty record has nothing");
        let line = r#"{"type":"assistant","timestamp":"2026-11-20T12:00:00.000Z","message":{"id":"m","usage":{"input_tokens":5,"output_tokens":1}}}"#;
        std::fs::write(&path, format!("{line}\n")).unwrap();
        assert!(!meter.reporter.report(&record).await, "the store does not answer");
    }
}
