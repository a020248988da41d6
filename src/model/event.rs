//! Events: every transition of a task or an agent, and every other fact worth recording, with its reason.
//!
//! An event is recorded in the same atomic step as the change that it reports.

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use super::event_kind::EventKind;
use super::{code::Code, time::Timestamp};

/// One recorded transition or fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the stream.
    pub id: String,
    /// When, by Redis's clock.
    pub at: Timestamp,
    /// What it reports.
    pub kind: EventKind,
    /// Why it happened, as a word: that of an end or of a refusal where there is one, else the kind.
    pub code: Code,
    /// The task it is about.
    pub task: Option<String>,
    /// The agent it is about.
    pub agent: Option<String>,
    /// The state before.
    pub from: Option<String>,
    /// The state after.
    pub to: Option<String>,
    /// Why it happened, in words.
    pub reason: String,
    /// Further facts.
    pub data: Option<Value>,
}

impl Event {
    /// Returns the plan that it is about, if it is about one.
    pub fn plan(&self) -> Option<&str> {
        self.data.as_ref()?.get("plan")?.as_str()
    }
}
