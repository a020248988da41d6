//! Requests and responses of the verbs. Responses serialize to the JSON that `--json` prints.

use std::{borrow::Cow, collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

pub use super::delegation::Delegate;
use crate::config::Difference;
pub use crate::model::attention::Attention;
use crate::model::{
    agent::Agent,
    evidence::Evidence,
    id::TaskId,
    message::{Delivery, Message},
    question::Approval,
    task::{Task, TaskDetail, TaskState, Usage},
    time::Timestamp,
    words,
};
pub use crate::store::people::Answered;

/// `orch ask`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Ask {
    /// The question.
    pub text: String,
    /// The answers to choose from; empty: any.
    pub options: Vec<String>,
    /// Whether to wait for the answer.
    pub wait: bool,
    /// Longest time to wait.
    pub timeout: Option<Duration>,
}

/// The state of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskState {
    /// Not answered yet.
    Open,
    /// Answered by a person.
    Answered,
}

/// What `orch ask` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The caller's own task.
    pub task: TaskId,
    /// The question's number within it.
    pub question: u32,
    /// Whether a person has answered.
    pub state: AskState,
    /// The answer.
    pub answer: Option<String>,
    /// Whether the person approved or denied, if one of the two.
    pub approval: Option<Approval>,
}

/// A person's answer to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// In their own words, or one of the options.
    Text(String),
    /// Yes, and perhaps more.
    Approve(Option<String>),
    /// No, and perhaps why.
    Deny(Option<String>),
}

/// What `orch send` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The message's id.
    pub id: String,
    /// The task it went to, or the master.
    pub to: String,
    /// Its delivery so far.
    pub state: Delivery,
}

/// What `orch inbox` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inbox {
    /// The oldest first.
    pub messages: Vec<Message>,
    /// How many more there are.
    pub left: u64,
}

/// What each line of `orch costs` is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostsBy {
    /// By role.
    Role,
    /// By agent.
    Agent,
    /// By day, UTC.
    Day,
    /// By task, without its subtasks.
    Task,
}

/// One line of `orch costs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostRow {
    /// The role, agent, day or task.
    pub name: String,
    /// What it used.
    #[serde(flatten)]
    pub usage: Usage,
}

/// What `orch costs` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// What each row is about.
    pub by: CostsBy,
    /// Over how many days, today among them.
    pub days: u64,
    /// The most expensive first; days in their order.
    pub rows: Vec<CostRow>,
    /// The sum.
    pub total: Usage,
    /// The days whose sums an earlier release began, which counted a conversation again each time that it was resumed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overcounted: Vec<String>,
}

/// `orch wait`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Wait {
    /// The tasks.
    pub ids: Vec<TaskId>,
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
    /// Whether the time was over first.
    pub timed_out: bool,
}

/// One step of a wait.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum WaitStep {
    /// The tasks as they are now: after each end of one of them, and every few seconds.
    Looked(Vec<Task>),
    /// A task has begun to wait for a person.
    Held(Box<Task>),
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
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Task(task) => task.fmt(f),
            Target::Agent(agent) => agent.fmt(f),
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

/// What `orch status` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The namespace.
    pub namespace: String,
    /// The supervisor.
    pub supervisor: SupervisorStatus,
    /// The Redis.
    pub redis: RedisStatus,
    /// The living agents, the master first.
    pub agents: Vec<Agent>,
    /// The roles whose number of agents a person has set, until `orch scale ROLE auto`.
    #[serde(default)]
    pub scaled: BTreeMap<String, u32>,
    /// How many tasks are in each state.
    pub tasks: BTreeMap<Cow<'static, str>, u64>,
    /// What was used today (UTC), as far as it was reported.
    pub usage_today: Usage,
    /// What needs a person.
    pub attention: Vec<Attention>,
}

impl Status {
    /// The same status some time later, if nothing has changed: the supervisor has been up for longer.
    #[must_use]
    pub fn after(&self, passed: Duration) -> Status {
        let mut later = self.clone();
        later.supervisor.uptime_ms = later.supervisor.uptime_ms.map(|ms| ms.saturating_add(passed.as_millis() as u64));
        later
    }
}

/// In `status`: the supervisor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SupervisorStatus {
    /// `running`, `frozen` (it was stopped by a signal, and does nothing) or `stopped`.
    pub state: Cow<'static, str>,
    /// Its process.
    pub pid: Option<u32>,
    /// How long it has been running.
    pub uptime_ms: Option<u64>,
    /// Whether `delegate` is accepted (not draining).
    pub accepting: bool,
    /// Whether everything is paused.
    pub paused: bool,
    /// Roles that are paused.
    pub paused_roles: Vec<String>,
    /// What its passes have taken.
    pub passes: crate::store::passes::Passes,
}

/// In `status`: Redis.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RedisStatus {
    /// `ok` or `unreachable`.
    pub state: Cow<'static, str>,
    /// `managed` (our own private server) or `external`.
    pub mode: Cow<'static, str>,
    /// Its version, if it answers.
    pub version: Option<String>,
}

/// `orch logs`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LogQuery {
    /// Of this agent.
    pub agent: Option<String>,
    /// Of this task (all its attempts).
    pub task: Option<TaskId>,
    /// How many of the last lines.
    pub last: usize,
    /// Only lines that match.
    pub grep: Option<String>,
}

/// One line of `orch logs --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was printed.
    pub at: Timestamp,
    /// The agent whose program printed it.
    pub agent: String,
    /// For which task.
    pub task: TaskId,
    /// In which attempt.
    pub attempt: u32,
    /// `stdout` or `stderr`.
    pub stream: Cow<'static, str>,
    /// The line without escape sequences. It ends with a carriage return where the line ended in CRLF.
    pub text: String,
}

/// An item of a search in the output of attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFound {
    /// A line.
    Line(LogLine),
    /// The search is over; nothing follows.
    Looked(Looked),
}

/// How far a search in the output of attempts has looked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// How many attempts with output were read.
    pub attempts: u64,
    /// How many tasks' folders these are of, and how many there are. 0 where they were not counted.
    pub tasks: u64,
    /// The number of tasks' folders that are kept; 0 where they were not counted.
    pub of_tasks: u64,
    /// When the oldest of these attempts printed last.
    pub back_to: Option<Timestamp>,
    /// Whether nothing that is kept was left out.
    pub complete: bool,
}

/// What `orch start` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Started {
    /// Whether it was running already.
    pub already: bool,
    /// What runs.
    pub status: Status,
    /// The master's tmux session.
    pub session: String,
    /// The rights that roles reach by `delegates_to` and lack, in sentences.
    pub reached_rights: Vec<String>,
    /// What the configuration runs without being asked, in sentences.
    pub runs_by_itself: Vec<String>,
    /// The other projects that run on this machine, in sentences.
    #[serde(default)]
    pub other_projects: Vec<String>,
    /// Variables that reach no agent, because they are not UTF-8.
    #[serde(default)]
    pub not_passed: Vec<String>,
}

/// What `orch reload` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Whether it was applied, and not only compared.
    pub applied: bool,
    /// What differs from what the supervisor had loaded.
    pub changes: Vec<Difference>,
    /// How many idle agents are replaced now.
    pub replaced: u64,
    /// How many agents are replaced when their attempts have ended.
    pub busy: u64,
    /// The master, where its own role has changed: it keeps what it was started with.
    pub master: Option<String>,
}

/// A project of this user on this machine (`orch status --all`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineProject {
    /// Its namespace.
    pub namespace: String,
    /// Its sessions.toml, or its folder where it has none.
    pub folder: PathBuf,
    /// Its state folder.
    pub home: PathBuf,
    /// `running` or `stopped`.
    pub state: Cow<'static, str>,
    /// The supervisor's process.
    pub pid: Option<u32>,
    /// The master's tmux session; `None` where its configuration cannot be read.
    pub master: Option<String>,
    /// How many agents live; `None`: unknown.
    pub agents: Option<u64>,
    /// How many tasks there are in each state that is not final.
    pub tasks: BTreeMap<Cow<'static, str>, u64>,
    /// How many things need a person; `None`: unknown.
    pub needs_person: Option<u64>,
    /// Whether it is the project that was asked.
    pub is_this: bool,
    /// Why it could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What `orch restart` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarted {
    /// The process of the new supervisor.
    pub pid: Option<u32>,
    /// Its version.
    pub version: String,
    /// How many agents go on, the master included.
    pub agents: usize,
}

/// What `orch stop` answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Whether anything was running.
    pub stopped: bool,
    /// How many tasks had not ended when the stop was requested; they are kept. `None`: unknown.
    pub open_tasks: Option<u64>,
    /// Why this was an emergency stop: everything was ended by its processes, and the next start records it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency: Option<String>,
    /// How many processes the emergency stop has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_processes: Option<usize>,
    /// What could not be closed, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

/// One line of `orch doctor`.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// `ok`, `warning` or `error`.
    pub state: &'static str,
    /// What was found.
    pub found: String,
    /// How to fix it.
    #[serde(rename = "mend")]
    pub fix: Option<String>,
}
