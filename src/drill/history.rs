//! What happened, as written down by several who did not talk to each other, held together: whoever delegated, the
//! store, the event stream, and the agents' programs themselves. PURE: no clock, no file, no Redis.
//!
//! [`check`] says where they contradict each other or what is promised. Each promise is an [`Invariant`]: a name and a
//! function; [`INVARIANTS`] lists all of them. A violation names the invariant, what it is about, and the facts.
//!
//! A history may be taken at rest, or while work is going on (`unsettled`); of one whole life, or with its oldest
//! events dropped (`trimmed`). What was told by a Redis that lost data afterwards cannot be held against it: after an
//! event [`LOST_DATA`] only those invariants count that bind nevertheless ([`Invariant::survives_loss`]).

mod facts;
mod paths;

use serde::{Deserialize, Serialize};

use self::facts::Facts;
use crate::model::{event::Event, id::TaskId, task::TaskDetail, time::Timestamp};

/// The kind of the event by which a supervisor records that Redis came back with less than it had acknowledged.
pub const LOST_DATA: &str = "redis.lost_data";

/// Everything that was written down.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// Every delegate that was answered, in this order.
    pub acknowledged: Vec<Ack>,
    /// Every task that the store knows at the end, as `orch show --json` gives it.
    pub tasks: Vec<TaskDetail>,
    /// Every agent that the store knows at the end.
    pub agents: Vec<LastSeen>,
    /// The event stream, the oldest first.
    pub events: Vec<Event>,
    /// What the agents' programs noted of themselves, where they did.
    pub executions: Vec<Execution>,
    /// Supervisors as somebody beside them saw them.
    pub supervisors: Vec<Life>,
    /// Taken while work was going on: tasks may still be open.
    pub unsettled: bool,
    /// The stream's oldest events were dropped before it was read.
    pub trimmed: bool,
    /// Redis lost data that it had acknowledged, and no event says so.
    pub data_lost: bool,
}

/// A delegate's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// When it was heard, by the caller's clock.
    pub at: Timestamp,
    /// The task it named.
    pub id: TaskId,
    /// The idempotency key it was asked with.
    #[serde(default)]
    pub key: Option<String>,
    /// Whether it said that this call made the task.
    #[serde(default)]
    pub created: bool,
}

/// An agent's state at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSeen {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: crate::model::agent::AgentState,
}

/// One run of an agent's program, noted by the program itself: when it began, and again right before it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// The task (`ORCH_TASK`).
    pub task: TaskId,
    /// The attempt's number (`ORCH_ATTEMPT`).
    pub attempt: u32,
    /// The agent (`ORCH_AGENT`).
    pub agent: String,
    /// The fence of its lease, if it was noted (it is in `ORCH_CAPABILITY`).
    #[serde(default)]
    pub fence: Option<u64>,
    /// When it began, by the program's clock.
    pub started_at: Timestamp,
    /// When it ended; `None` where it was ended before it could say so.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// The exit code it was about to end with.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// What it gave as its result.
    #[serde(default)]
    pub text: Option<String>,
}

/// How long somebody was there, as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// The process.
    pub pid: u32,
    /// When it was first seen with the lock in its hand.
    pub from: Timestamp,
    /// When it was last seen so.
    pub until: Timestamp,
}

/// A promise that a history breaks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Violation {
    /// The invariant's name.
    pub invariant: &'static str,
    /// The task, the agent, or the event's id it is about.
    pub subject: String,
    /// The facts, in one sentence.
    pub facts: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.invariant, self.subject, self.facts)
    }
}

/// One promise.
#[derive(Debug, Clone, Copy)]
pub struct Invariant {
    /// Its name, as a violation shows it.
    pub name: &'static str,
    /// What it promises, in one sentence.
    pub promise: &'static str,
    /// Whether it binds even where Redis lost data that it had acknowledged.
    pub survives_loss: bool,
    broken: fn(&Facts<'_>) -> Vec<Finding>,
}

/// What breaks a promise: what it is about, and the facts.
type Finding = (String, String);

/// Every promise, in the order in which a reader wants to hear of them.
pub const INVARIANTS: &[Invariant] = &[Invariant {
    name: "every event says why",
    promise: "every event has a reason in words",
    survives_loss: true,
    broken: paths::without_reason,
}];

/// Every violation, in the order of [`INVARIANTS`].
pub fn check(history: &History) -> Vec<Violation> {
    let facts = Facts::of(history);
    let binding = INVARIANTS.iter().filter(|i| i.survives_loss || !facts.data_lost);
    binding
        .flat_map(|i| {
            let told = (i.broken)(&facts).into_iter();
            told.map(|(subject, facts)| Violation { invariant: i.name, subject, facts })
        })
        .collect()
}
