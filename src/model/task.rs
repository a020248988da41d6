//! A task: its states and their one table, its attempts, its result. The types serialize to the documented JSON of a task.

mod usage;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use usage::{Counted, Usage};

pub use super::spec::Spec;
use super::{cause::Cause, end_code::EndCode, id::TaskId, time::Timestamp, words};

/// Default of `max_wait`: how much later a task of a higher priority may be accepted and start before another one.
pub const MAX_WAIT: Duration = Duration::from_secs(15 * 60);

/// Returns by how much each level of priority brings a task forward.
pub fn priority_step(max_wait: Duration) -> Duration {
    max_wait * 2 / 5
}

/// Returns by how much the places of two roles' next tasks may differ before one role gives a slot to the other: agents are
/// not replaced for less. Two levels of priority and this make `max_wait`.
pub fn place_tolerance(max_wait: Duration) -> Duration {
    max_wait / 5
}

words! {
    /// The state of a task.
    TaskState: "task state" {
        /// Waits for another task.
        Blocked = "blocked",
        /// Waits for an agent.
        Ready = "ready",
        /// Is tried again at a known time.
        Delayed = "delayed",
        /// Waits for a person.
        Held = "held",
        /// An agent has claimed it and holds its lease.
        Running = "running",
        /// Done.
        Succeeded = "succeeded",
        /// Ended without success; kept as a dead letter.
        Failed = "failed",
        /// Cancelled by a person, or with its parent or its dependency.
        Cancelled = "cancelled",
        /// Not needed: how a task before it ended has decided so.
        Skipped = "skipped",
    }
}

/// The table of a task's transitions: from, to. The Lua transitions reject any other.
pub const TRANSITIONS: &[(TaskState, TaskState)] = {
    use TaskState::*;
    // From blocked, ready, delayed and held to failed only where a record is damaged, and quarantined.
    &[
        (Blocked, Ready),
        (Blocked, Failed),
        (Blocked, Cancelled),
        (Blocked, Skipped),
        (Ready, Running),
        // It has used what it may.
        (Ready, Held),
        // A person lets it come after another one.
        (Ready, Blocked),
        (Ready, Failed),
        (Ready, Cancelled),
        (Delayed, Ready),
        (Delayed, Failed),
        (Delayed, Cancelled),
        (Held, Ready),
        // A person approves a delegation that was held before it could wait for its dependencies.
        (Held, Blocked),
        // A person accepts its result.
        (Held, Succeeded),
        (Held, Failed),
        (Held, Cancelled),
        // It has yet to be approved, and is not needed.
        (Held, Skipped),
        (Running, Succeeded),
        (Running, Delayed),
        (Running, Held),
        // Its program has ended and left subtasks whose results it is to get.
        (Running, Blocked),
        (Running, Failed),
        (Running, Cancelled),
        (Failed, Ready),
        (Failed, Blocked),
        // A person removes a dead letter.
        (Failed, Cancelled),
        (Cancelled, Ready),
        (Cancelled, Blocked),
        (Skipped, Ready),
        (Skipped, Blocked),
        // Only where a person names a task of a plan to run again.
        (Succeeded, Ready),
        (Succeeded, Blocked),
    ]
};

impl TaskState {
    /// Returns whether the task has ended: nothing more happens to it unless a person retries it.
    pub fn is_terminal(self) -> bool {
        matches!(self, TaskState::Succeeded | TaskState::Failed | TaskState::Cancelled | TaskState::Skipped)
    }
    /// Returns whether the table has this transition.
    pub fn may_become(self, to: TaskState) -> bool {
        TRANSITIONS.contains(&(self, to))
    }
    /// Returns the state of a task whose attempt ended by this cause. `failures` and `lost` include this attempt where it counts; `retries` and
    /// `lost_max` are the task's bounds. The Lua function `end_attempt` implements the same table; a test compares them.
    pub fn after(cause: Cause, failures: u32, retries: u32, lost: u32, lost_max: u32) -> TaskState {
        match cause {
            Cause::Success => TaskState::Succeeded,
            Cause::Transient | Cause::Timeout if failures > retries => TaskState::Failed,
            Cause::Lost if lost > lost_max => TaskState::Failed,
            Cause::Transient | Cause::Timeout | Cause::Lost | Cause::RateLimited => TaskState::Delayed,
            Cause::Permanent | Cause::Deadline => TaskState::Failed,
            Cause::NeedsPerson => TaskState::Held,
            Cause::Cancelled => TaskState::Cancelled,
        }
    }
}

words! {
    /// Which ready task starts first. Within one priority, the oldest does.
    Priority: "priority" {
        /// After everything else.
        Low = "low",
        /// The default.
        Normal = "normal",
        /// Before everything else.
        High = "high",
    }
}

/// What an attempt's program answered.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskResult {
    /// The answer: the result file's text, else the last 64 KiB of what was printed.
    pub text: String,
    /// The program's exit code; `null` when a signal ended it.
    pub exit_code: Option<i32>,
    /// Structured data that the program left in its result file; as text where it is nested too deeply to be read.
    #[serde(serialize_with = "super::json::shallow")]
    pub data: Option<Value>,
    /// Tokens and money.
    pub usage: Option<Usage>,
    /// From the program's start to its end.
    pub duration_ms: u64,
    /// Whether `text` is only the end of a longer output.
    pub truncated: bool,
    /// The folder of this attempt: prompt, context, whole output, result. Empty where nothing was printed and no result left.
    pub path: String,
}

/// One try at a task by one agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// The agent that ran it.
    pub agent: String,
    /// The fence of its lease.
    pub fence: u64,
    /// When it was claimed.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it ended; `null` while it runs.
    pub cause: Option<Cause>,
    /// Why it ended, more exactly.
    #[serde(default)]
    pub code: Option<EndCode>,
    /// The reason as a sentence.
    pub reason: Option<String>,
    /// The program's exit code.
    pub exit_code: Option<i32>,
    /// When the next attempt is due, if there is one.
    pub next_retry_at: Option<Timestamp>,
    /// What it used, as far as its program reported it.
    pub usage: Option<Usage>,
    /// What was known when its agent ended with it.
    pub evidence: Option<Box<super::evidence::Evidence>>,
}

/// One unit of delegated work, as recorded. What it was delegated with reads as if it were its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// What it was delegated with.
    #[serde(flatten)]
    pub spec: Spec,
    /// Its state.
    pub state: TaskState,
    /// Whether it waits for its subtasks, as a running program (`running`) or without one (`blocked`); meanwhile it takes no
    /// slot of its role.
    pub waiting: bool,
    /// What is to be done: the text that was delegated.
    pub description: String,
    /// The task from within which it was delegated.
    pub parent: Option<TaskId>,
    /// Its subtasks.
    pub children: Vec<TaskId>,
    /// Structured data for the agent.
    pub context: Option<Value>,
    /// 0 for a person's own task, one more than its parent's otherwise.
    pub depth: u32,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it last became ready.
    pub ready_at: Option<Timestamp>,
    /// Since when it has been ready and has waited for a lock.
    #[serde(default)]
    pub parked_at: Option<Timestamp>,
    /// When it will be tried again (`delayed`).
    pub due_at: Option<Timestamp>,
    /// By when it must have ended. A retry sets it again.
    #[serde(default)]
    pub deadline_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When its last attempt began.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// How long its last attempt has taken so far, or took.
    #[serde(default)]
    pub running_ms: Option<u64>,
    /// Number of its attempts that failed.
    pub failures: u32,
    /// Number of its attempts that were lost.
    pub lost: u32,
    /// The agent that works on it now.
    pub agent: Option<String>,
    /// Whether it is to be cancelled and its agent has not stopped yet.
    pub cancelling: bool,
    /// Why it is in its state, as the last attempt's cause.
    pub cause: Option<Cause>,
    /// Why it is in its state, more exactly.
    #[serde(default)]
    pub code: Option<EndCode>,
    /// The reason as a sentence.
    pub reason: Option<String>,
}

impl std::ops::Deref for Task {
    type Target = Spec;
    fn deref(&self) -> &Spec {
        &self.spec
    }
}

impl std::ops::DerefMut for Task {
    fn deref_mut(&mut self) -> &mut Spec {
        &mut self.spec
    }
}

/// A task with everything recorded about it (`orch show`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskDetail {
    /// The task.
    #[serde(flatten)]
    pub task: Task,
    /// Every attempt, the oldest first.
    pub attempts: Vec<Attempt>,
    /// The answer, once there is one. A failed task shows its last output.
    pub result: Option<TaskResult>,
    /// What its programs have asked persons, the oldest first.
    #[serde(default)]
    pub questions: Vec<super::question::Question>,
    /// The messages it was sent, the oldest first.
    #[serde(default)]
    pub messages: Vec<super::message::Message>,
    /// What its attempts have used so far, as far as they reported it.
    #[serde(default)]
    pub usage: Usage,
    /// The same, with everything below it.
    #[serde(default)]
    pub tree_usage: Usage,
}

impl TaskDetail {
    /// A task of which nothing else is recorded.
    pub fn of(task: Task) -> Self {
        TaskDetail {
            task,
            attempts: Vec::new(),
            result: None,
            questions: Vec::new(),
            messages: Vec::new(),
            usage: Usage::default(),
            tree_usage: Usage::default(),
        }
    }

    /// Why the result of a task that has succeeded is only what its program printed, although it left a result file.
    #[must_use]
    pub fn unreadable_result(&self) -> Option<&str> {
        let last = self.attempts.last().filter(|last| last.code == Some(EndCode::ResultUnreadable))?;
        last.reason.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_next_state() {
        use TaskState::*;
        let first = |c: Cause| TaskState::after(c, 1, 3, 1, 3);
        let spent = |c: Cause| TaskState::after(c, 4, 3, 4, 3);
        assert_eq!(
            Cause::ALL.iter().map(|c| first(*c)).collect::<Vec<_>>(),
            [Succeeded, Delayed, Delayed, Failed, Delayed, Failed, Held, Delayed, Cancelled]
        );
        assert_eq!(
            Cause::ALL.iter().map(|c| spent(*c)).collect::<Vec<_>>(),
            [Succeeded, Failed, Failed, Failed, Delayed, Failed, Held, Failed, Cancelled]
        );
    }

    #[test]
    fn only_a_person_leaves_an_end_state() {
        for (from, to) in TRANSITIONS {
            let removes = (*from, *to) == (TaskState::Failed, TaskState::Cancelled);
            if from.is_terminal() && !removes {
                assert!(matches!(to, TaskState::Ready | TaskState::Blocked));
            }
        }
    }

    #[test]
    fn every_state_can_be_reached_and_every_open_one_left() {
        for state in TaskState::ALL {
            let reached = TRANSITIONS.iter().any(|(_, to)| to == state);
            let left = TRANSITIONS.iter().any(|(from, _)| from == state);
            assert!(reached, "{state} is never reached");
            assert!(left, "{state} is never left");
        }
    }
}
