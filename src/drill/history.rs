//! The history of a run from independent records: the callers of `orch delegate`, the store, the event stream, and the
//! agents' programs. Pure: no clock, no file, no Redis.
//!
//! [`check`] reports contradictions between the records, and broken promises. Each promise is an [`Invariant`]: a name
//! and a function; [`INVARIANTS`] lists all of them. A violation names the invariant, its subject, and the facts.
//!
//! A history may be taken after all work has ended or during work (`unsettled`), and completely or with its oldest
//! events dropped (`trimmed`). Records of a Redis that lost data afterwards prove nothing: after an event
//! [`LOST_DATA`], only the invariants with [`Invariant::survives_loss`] apply.

mod accepted;
mod attempts;
mod executions;
mod facts;
mod locks;
mod occurrences;
mod order;
mod paths;
mod plans;
mod supervisors;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use self::facts::Facts;
use crate::model::{event::Event, event::EventKind, id::TaskId, task::TaskDetail, time::Timestamp};

/// The kind of the event by which a supervisor records that Redis came back with less than it had acknowledged.
pub const LOST_DATA: EventKind = EventKind::RedisLostData;

/// All records of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// Every acknowledged `orch delegate`, oldest first.
    pub acknowledged: Vec<Ack>,
    /// Every task that the store contains at the end, as `orch show --json` prints it.
    pub tasks: Vec<TaskDetail>,
    /// The live agents at the end (none after `orch stop`); `None` if they were not read.
    pub agents: Option<Vec<LivingAgent>>,
    /// The event stream at the end, oldest first.
    pub events: Vec<Event>,
    /// The notes of the agents' programs, if they take any.
    pub executions: Vec<Execution>,
    /// The attempts (task, number) whose output is in the state folder; `None` if it was not checked.
    pub outputs: Option<Vec<(TaskId, u32)>>,
    /// The supervisors, as observed from outside.
    pub supervisors: Vec<Life>,
    /// Whether the history was taken during work, so that tasks may still be open.
    pub unsettled: bool,
    /// Whether the stream's oldest events were dropped before it was read.
    pub trimmed: bool,
    /// Whether Redis lost acknowledged data without an event that records it.
    pub data_lost: bool,
}

/// The acknowledgement of an `orch delegate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// When it was received, by the caller's clock.
    pub at: Timestamp,
    /// The accepted task.
    pub id: TaskId,
    /// The idempotency key of the request.
    #[serde(default)]
    pub key: Option<String>,
}

/// A live agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LivingAgent {
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: crate::model::agent::AgentState,
}

/// One run of an agent's program, recorded by the program itself at its start and right before its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// The task (`ORCH_TASK`).
    pub task: TaskId,
    /// The attempt's number (`ORCH_ATTEMPT`).
    pub attempt: u32,
    /// The agent (`ORCH_AGENT`).
    pub agent: String,
    /// The fence of its lease (from `ORCH_CAPABILITY`), if it was recorded.
    #[serde(default)]
    pub fence: Option<u64>,
    /// When it began, by the program's clock.
    pub started_at: Timestamp,
    /// When it ended; `None` if it was killed before it could record its end.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// The exit code with which it was about to end.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// Its result.
    #[serde(default)]
    pub text: Option<String>,
}

/// The lifetime of a supervisor, as observed from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// The process.
    pub pid: u32,
    /// When it was first observed as the holder of the lock.
    pub from: Timestamp,
    /// When it was last observed as the holder of the lock.
    pub until: Timestamp,
}

/// A violated invariant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Violation {
    /// The invariant's name.
    pub invariant: &'static str,
    /// The task, the agent, or the id of the event that it concerns.
    pub subject: String,
    /// The facts, in one sentence.
    pub facts: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.invariant, self.subject, self.facts)
    }
}

/// An invariant: one promise of orch.
#[derive(Debug, Clone, Copy)]
pub struct Invariant {
    /// Its name, as a violation shows it.
    pub name: &'static str,
    /// What it promises, in one sentence.
    pub promise: &'static str,
    /// Whether it applies only after all work has ended.
    pub needs_rest: bool,
    /// Whether it applies even if Redis lost acknowledged data.
    pub survives_loss: bool,
    broken: fn(&Facts<'_>) -> Vec<Finding>,
}

/// The subject of a violation, and the facts.
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

/// All invariants, the most important first.
pub const INVARIANTS: &[Invariant] = &[
    Invariant::new("accepted tasks are known", "every acknowledged task is stored exactly once", accepted::unknown)
        .unless_data_is_lost(),
    Invariant::new(
        "one occurrence, one decision",
        "each occurrence of a schedule runs once, or is skipped for a reason",
        occurrences::decided_twice,
    )
    .unless_data_is_lost(),
    Invariant::new("one key, one task", "the same idempotency key gives the same task", accepted::keys_of_several)
        .unless_data_is_lost(),
    Invariant::new(
        "every task ends or waits for a person",
        "no task is open at the end, except those that wait for a person",
        accepted::restless,
    )
    .at_rest(),
    Invariant::new(
        "every end has a cause and a reason",
        "a failed, cancelled or held task has a matching cause and a reason",
        accepted::unexplained,
    ),
    Invariant::new(
        "dead letters are complete",
        "a dead letter keeps its text and its program's output",
        accepted::incomplete_dead_letters,
    ),
    Invariant::new("one success", "a task succeeds at most once, and then it has ended", attempts::several_successes)
        .at_rest(),
    Invariant::new(
        "fences grow",
        "each lease has a greater fence than every earlier lease",
        attempts::shrinking_fences,
    )
    .at_rest(),
    Invariant::new(
        "attempts match their events",
        "events and records agree on the agent and the end of each attempt",
        attempts::disagreeing,
    )
    .at_rest(),
    Invariant::new(
        "an attempt ends once",
        "an attempt that has ended, in particular as lost, has no later effect",
        attempts::late_effects,
    )
    .at_rest(),
    Invariant::new(
        "attempts are bounded",
        "a task fails after exactly its permitted numbers of failures and losses",
        attempts::unbounded,
    ),
    Invariant::new(
        "dependencies come first",
        "no task starts before all its dependencies have succeeded",
        order::too_early,
    )
    .unless_data_is_lost(),
    Invariant::new(
        "nothing stays blocked",
        "a blocked task waits for an open one, and is cancelled together with it",
        order::stuck,
    )
    .at_rest(),
    Invariant::new(
        "plans keep their bound",
        "no more tasks of a plan run at the same time than its max_parallel allows",
        plans::too_many_at_once,
    )
    .unless_data_is_lost(),
    Invariant::new(
        "subtasks end with their parent",
        "a task that fails or is cancelled cancels its subtasks",
        order::outliving,
    ),
    Invariant::new(
        "locks exclude each other",
        "no two tasks run whose locks exclude each other, unless one is above the other",
        locks::overlapping,
    )
    .unless_data_is_lost(),
    Invariant::new(
        "only what locks waits for a lock",
        "a task that declares no path waits for no lock",
        locks::undeclared,
    ),
    Invariant::new(
        "tasks follow the transition table",
        "the events of a task are a path through its transition table",
        paths::of_tasks,
    ),
    Invariant::new(
        "agents follow the transition table",
        "the events of each incarnation of an agent are a path through its transition table",
        paths::of_agents,
    ),
    Invariant::new(
        "the last event matches the state",
        "the last event of a task or agent has the same state as its record",
        paths::last_states,
    )
    .at_rest(),
    Invariant::new("every event has a reason", "no event has an empty reason", paths::without_reason),
    Invariant::new("one supervisor", "no two supervisors run at the same time", supervisors::two_at_once),
    Invariant::new(
        "a clean stop is complete",
        "no agent lives between a clean stop and the start of the next supervisor",
        supervisors::after_the_end,
    )
    .unless_data_is_lost(),
    Invariant::new("programs run for attempts", "every execution belongs to a recorded attempt", executions::unknown)
        .at_rest()
        .unless_data_is_lost(),
    Invariant::new("an attempt runs once", "the program of an attempt is started at most once", executions::repeated),
    Invariant::new(
        "attempts do not overlap",
        "no attempt begins while an earlier one runs that is not lost",
        executions::overlapping,
    )
    .unless_data_is_lost(),
    Invariant::new(
        "results are kept",
        "a successful execution is recorded as one, or as lost, and its result is the task's",
        executions::misreported,
    )
    .at_rest()
    .unless_data_is_lost(),
];

/// Returns all violations, in the order of [`INVARIANTS`].
pub fn check(history: &History) -> Vec<Violation> {
    let facts = Facts::of(history);
    let binds = |i: &&Invariant| !(i.needs_rest && history.unsettled) && (i.survives_loss || !facts.data_lost);
    let of = |i: &Invariant| {
        let told = (i.broken)(&facts).into_iter();
        told.map(|(subject, facts)| Violation { invariant: i.name, subject, facts }).collect::<Vec<_>>()
    };
    INVARIANTS.iter().filter(binds).flat_map(of).collect()
}
