//! What happened, as written down by several who did not talk to each other, held together: whoever delegated, the
//! store, the event stream, and the agents' programs themselves. PURE: no clock, no file, no Redis.
//!
//! [`check`] says where they contradict each other or what is promised. Each promise is an [`Invariant`]: a name and a
//! function; [`INVARIANTS`] lists all of them. A violation names the invariant, what it is about, and the facts.
//!
//! A history may be taken at rest, or while work is going on (`unsettled`); of one whole life, or with its oldest
//! events dropped (`trimmed`). What was told by a Redis that lost data afterwards cannot be held against it: after an
//! event [`LOST_DATA`] only those invariants count that bind nevertheless ([`Invariant::survives_loss`]).

mod accepted;
mod attempts;
mod executions;
mod facts;
mod order;
mod paths;
mod supervisors;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use self::facts::Facts;
use crate::model::{event::Event, event::EventKind, id::TaskId, task::TaskDetail, time::Timestamp};

/// The kind of the event by which a supervisor records that Redis came back with less than it had acknowledged.
pub const LOST_DATA: EventKind = EventKind::RedisLostData;

/// Everything that was written down.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// Every delegate that was answered, in this order.
    pub acknowledged: Vec<Ack>,
    /// Every task that the store knows at the end, as `orch show --json` gives it.
    pub tasks: Vec<TaskDetail>,
    /// The living agents at the end (none, after `orch stop`); `None` where nobody looked.
    pub agents: Option<Vec<LivingAgent>>,
    /// The event stream as it is at the end, the oldest first.
    pub events: Vec<Event>,
    /// What the agents' programs noted of themselves, where they did.
    pub executions: Vec<Execution>,
    /// The attempts (task, number) whose output lies in the state folder; `None` where nobody looked.
    pub outputs: Option<Vec<(TaskId, u32)>>,
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
}

/// A living agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LivingAgent {
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
    /// Whether it binds only where everything has come to rest.
    pub needs_rest: bool,
    /// Whether it binds even where Redis lost data that it had acknowledged.
    pub survives_loss: bool,
    broken: fn(&Facts<'_>) -> Vec<Finding>,
}

/// What breaks a promise: what it is about, and the facts.
type Finding = (String, String);

impl Invariant {
    const fn new(name: &'static str, promise: &'static str, broken: fn(&Facts<'_>) -> Vec<Finding>) -> Self {
        Invariant { name, promise, needs_rest: false, survives_loss: true, broken }
    }
    const fn at_rest(self) -> Self {
        Invariant { needs_rest: true, ..self }
    }
    const fn unless_data_is_lost(self) -> Self {
        Invariant { survives_loss: false, ..self }
    }
}

/// Every promise, in the order in which a reader wants to hear of them.
pub const INVARIANTS: &[Invariant] = &[
    Invariant::new("accepted tasks are known", "every acknowledged task is known, once", accepted::unknown)
        .unless_data_is_lost(),
    Invariant::new("one key, one task", "the same idempotency key gives the same task", accepted::keys_of_several)
        .unless_data_is_lost(),
    Invariant::new(
        "every task comes to rest",
        "in the end every task has ended, or waits for a person",
        accepted::restless,
    )
    .at_rest(),
    Invariant::new(
        "an end explains itself",
        "what failed, was cancelled or is held has a cause that leads there, and a reason",
        accepted::unexplained,
    ),
    Invariant::new(
        "dead letters are whole",
        "a dead letter keeps its text and what its program printed",
        accepted::incomplete_dead_letters,
    ),
    Invariant::new("one success", "a task succeeds once at most, and then it is over", attempts::several_successes)
        .at_rest(),
    Invariant::new(
        "fences grow",
        "each lease has a greater fence than every one given before it",
        attempts::shrinking_fences,
    )
    .at_rest(),
    Invariant::new(
        "attempts are as told",
        "events and records agree on who tried, and on how it ended",
        attempts::disagreeing,
    )
    .at_rest(),
    Invariant::new(
        "an attempt ends once",
        "an attempt that has ended, as lost above all, has no later effect",
        attempts::late_effects,
    )
    .at_rest(),
    Invariant::new(
        "tries are bounded",
        "a task is given up after as many failures and losses as it is forgiven, neither earlier nor later",
        attempts::unbounded,
    ),
    Invariant::new(
        "dependencies come first",
        "no task starts before everything has succeeded that it waits for",
        order::too_early,
    )
    .unless_data_is_lost(),
    Invariant::new(
        "nothing stays blocked",
        "a blocked task waits for an open one; it is cancelled with what it waits for",
        order::stuck,
    )
    .at_rest(),
    Invariant::new("subtasks end with their parent", "who gives up a task gives up its subtasks", order::outliving),
    Invariant::new("tasks keep to the table", "the events of a task are a path through its table", paths::of_tasks),
    Invariant::new("agents keep to the table", "so are those of each incarnation of an agent", paths::of_agents),
    Invariant::new("the last event tells the state", "records and events agree on the end", paths::last_states)
        .at_rest(),
    Invariant::new("every event says why", "every event has a reason in words", paths::without_reason),
    Invariant::new("one supervisor", "no two supervisors are there at the same time", supervisors::two_at_once),
    Invariant::new(
        "an orderly end is one",
        "once everything has ended in order no agent lives, until the next supervisor starts",
        supervisors::after_the_end,
    )
    .unless_data_is_lost(),
    Invariant::new("programs run for attempts", "whatever ran, ran for a recorded attempt", executions::unknown)
        .at_rest()
        .unless_data_is_lost(),
    Invariant::new("an attempt runs once", "the program of an attempt is started once at most", executions::repeated),
    Invariant::new(
        "attempts do not overlap",
        "no attempt begins while an earlier one runs that was not given up as lost",
        executions::overlapping,
    )
    .unless_data_is_lost(),
    Invariant::new(
        "results are kept",
        "what succeeded is recorded so, or as lost; a task's result is what its program gave",
        executions::misreported,
    )
    .at_rest()
    .unless_data_is_lost(),
];

/// Every violation, in the order of [`INVARIANTS`].
pub fn check(history: &History) -> Vec<Violation> {
    let facts = Facts::of(history);
    let binds = |i: &&Invariant| !(i.needs_rest && history.unsettled) && (i.survives_loss || !facts.data_lost);
    let of = |i: &Invariant| {
        let told = (i.broken)(&facts).into_iter();
        told.map(|(subject, facts)| Violation { invariant: i.name, subject, facts }).collect::<Vec<_>>()
    };
    INVARIANTS.iter().filter(binds).flat_map(of).collect()
}
