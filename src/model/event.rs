//! Events: every transition with its reason, recorded in the same atomic step (DESIGN section 6).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::time::Timestamp;

/// One recorded transition or fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the stream.
    pub id: String,
    /// When, by Redis's clock.
    pub at: Timestamp,
    /// `task.ready`, `agent.failed`, `supervisor.started`...
    pub kind: String,
    /// The task it is about.
    pub task: Option<String>,
    /// The agent it is about.
    pub agent: Option<String>,
    /// The state before.
    pub from: Option<String>,
    /// The state after.
    pub to: Option<String>,
    /// Why, in words.
    pub reason: String,
    /// Further facts.
    pub data: Option<Value>,
}
