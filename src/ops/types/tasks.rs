//! Tasks: which ones, waiting for them, the explanation of one, and changes.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::model::{
    agent::Agent,
    evidence::Evidence,
    id::{PlanId, TaskId},
    plan::{PlanDetail, PlanSummary},
    routing::Routing,
    task::{Task, TaskDetail, TaskState},
    words,
};

/// `orch wait`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Wait {
    /// The tasks.
    pub ids: Vec<TaskId>,
    /// The plans.
    #[serde(default)]
    pub plans: Vec<PlanId>,
    /// Until one of them has ended, not all.
    pub any: bool,
    /// Longest time to wait.
    pub timeout: Option<Duration>,
}

/// The outcome of a wait.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Waited {
    /// Those of the tasks that have ended, in the order asked for.
    pub ended: Vec<TaskDetail>,
    /// Those that have not.
    pub open: Vec<Task>,
    /// Those of the plans that have ended, in the order asked for.
    #[serde(default)]
    pub plans: Vec<PlanSummary>,
    /// Those that have not.
    #[serde(default)]
    pub open_plans: Vec<PlanSummary>,
    /// Whether the time was over first.
    pub timed_out: bool,
}

/// What `orch wait --json` lists.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Ended {
    /// A task with its attempts and its result.
    Task(Box<TaskDetail>),
    /// A plan with how many of its tasks are in each state.
    Plan(PlanSummary),
}

/// One step of a wait.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum WaitStep {
    /// The tasks as they are now, those of plans among them: after each end of one of them, and every few seconds.
    Looked(Vec<Task>),
    /// A task has begun to wait for a person.
    Held(Box<Task>),
    /// A ready task waits for the lock of a person: in a sentence, and what releases it.
    Locked {
        /// The task.
        task: TaskId,
        /// Which lock, whose, and for how long.
        what: String,
        /// The command that releases it.
        command: String,
    },
    /// The wait is over; no step follows.
    Done(Waited),
}

/// `orch tasks`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TaskFilter {
    /// In any of these; none: in any state.
    pub states: Vec<StateFilter>,
    /// With each of these labels; without a value: with any.
    pub labels: Vec<(String, Option<String>)>,
    /// Whose text matches this regular expression.
    pub grep: Option<String>,
    /// Delegated within this time.
    pub since: Option<Duration>,
    /// Of this role.
    pub role: Option<String>,
    /// Delegated from within this task.
    pub parent: Option<TaskId>,
    /// With `parent`: also the subtasks of its subtasks, at any depth.
    pub below: bool,
    /// Of this plan.
    #[serde(default)]
    pub plan: Option<PlanId>,
    /// How many, the newest first; absent: all.
    pub limit: Option<usize>,
}

words! {
    /// A state of tasks to list, or what is more to the point than one.
    StateFilter: "state" {
        /// Waits for another task.
        Blocked = "blocked",
        /// Waits for an agent.
        Ready = "ready",
        /// Is tried again at a known time.
        Delayed = "delayed",
        /// Waits for a person.
        Held = "held",
        /// An agent works on it, or it waits for its subtasks.
        Running = "running",
        /// Runs, and waits for its subtasks.
        Waiting = "waiting",
        /// Has an open question.
        Asks = "asks",
        /// Has not ended.
        Open = "open",
        /// Done.
        Succeeded = "succeeded",
        /// Ended without success.
        Failed = "failed",
        /// Cancelled.
        Cancelled = "cancelled",
        /// Not needed.
        Skipped = "skipped",
        /// Has ended.
        Ended = "ended",
    }
}

impl StateFilter {
    /// The states of the tasks that it lists. Those with open questions may be in any.
    pub fn states(self) -> Vec<TaskState> {
        let of =
            |is_ended: bool| TaskState::ALL.iter().copied().filter(|state| state.is_terminal() == is_ended).collect();
        match self {
            StateFilter::Waiting => vec![TaskState::Running],
            StateFilter::Asks => Vec::new(),
            StateFilter::Open => of(false),
            StateFilter::Ended => of(true),
            one => one.as_str().parse().ok().into_iter().collect(),
        }
    }
}

impl From<TaskState> for StateFilter {
    fn from(state: TaskState) -> StateFilter {
        let same = StateFilter::ALL.iter().find(|filter| filter.as_str() == state.as_str());
        same.copied().unwrap_or(StateFilter::Open)
    }
}

/// What `orch tasks` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Listed {
    /// The tasks, the newest first.
    pub tasks: Vec<Task>,
    /// What is wrong with records that cannot be read, one sentence each.
    pub damaged: Vec<String>,
    /// Whether there are more that match.
    #[serde(default)]
    pub more: bool,
    /// How many tasks are kept, whether they match or not.
    #[serde(default)]
    pub total: u64,
}

/// What `show` and `why` are asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// `t-...`
    Task(TaskId),
    /// `sonnet-1`, `opus-master`
    Agent(String),
    /// `p-...`
    Plan(PlanId),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Task(task) => task.fmt(f),
            Target::Agent(agent) => agent.fmt(f),
            Target::Plan(plan) => plan.fmt(f),
        }
    }
}

/// What `orch show` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Shown {
    /// A task with its attempts and its result.
    Task(Box<TaskDetail>),
    /// An agent.
    Agent(Box<Agent>),
    /// A plan with its tasks.
    Plan(Box<PlanDetail>),
}

/// What `orch why` answers: sentences, each based on recorded facts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Why {
    /// What was asked about.
    pub id: String,
    /// Its state.
    pub state: String,
    /// The explanation, the most important sentence first.
    pub sentences: Vec<String>,
    /// The next useful commands.
    pub hints: Vec<String>,
    /// The tasks that it waits for, and those that they wait for.
    pub chain: Vec<Link>,
    /// If an agent has ended: what was known then, and the rule that decided.
    pub evidence: Option<Box<Evidence>>,
    /// For a task: the attempt that ended so. There may be later ones.
    pub evidence_attempt: Option<u32>,
    /// For a task that was delegated to `auto`: which roles were considered.
    #[serde(default)]
    pub routing: Option<Routing>,
    /// The facts behind the sentences: events about it, the oldest first.
    pub events: Vec<crate::model::event::Event>,
}

/// In `why`: a task that is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// 1 for what the asked-for task waits for, 2 for what that waits for...
    pub depth: usize,
    /// The task.
    pub id: TaskId,
    /// Its state.
    pub state: TaskState,
    /// Why it has not ended yet.
    pub why: String,
}

/// One task's answer to `cancel` or `retry`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The task.
    pub id: TaskId,
    /// Its state before the call.
    pub from: TaskState,
    /// Its state now. Still `running` after a `cancel`: its agent was asked to stop it.
    pub state: TaskState,
    /// Whether the call did anything.
    pub changed: bool,
    /// What a `retry` has revived with it: tasks that were cancelled because it had ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<TaskId>,
}

/// What `orch approve --allow` has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// The tools, in the words of the task's program.
    pub tools: Vec<String>,
    /// The role whose tasks may all use them, with `--role`.
    pub role: Option<String>,
    /// The file to which they were added, with `--role`; `null`: it has them already.
    pub file: Option<PathBuf>,
    /// Whether the supervisor has read the file since.
    pub reloaded: bool,
    /// What became of the task.
    #[serde(flatten)]
    pub task: Changed,
}

/// Which ended tasks are to be forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prune {
    /// Those that ended longer ago than this; `None`: than they are kept anyway.
    pub older: Option<Duration>,
    /// Those of this state; `None`: succeeded and cancelled ones.
    pub state: Option<TaskState>,
    /// Forget nothing, and only say what would be forgotten.
    pub dry_run: bool,
}

/// What `orch prune` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// The tasks that were forgotten, or would be.
    pub tasks: Vec<TaskId>,
    /// Whether nothing was forgotten.
    pub dry_run: bool,
}
