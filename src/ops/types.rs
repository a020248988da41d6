//! What verbs are asked and what they answer. Responses serialize to DESIGN section 6.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::Serialize;
use serde_json::Value;

use crate::model::{
    agent::Agent,
    evidence::Evidence,
    id::{Capability, TaskId},
    message::{Delivery, Message},
    question::Approval,
    task::{Priority, Task, TaskDetail, TaskState, Usage},
    time::Timestamp,
};
pub use crate::store::people::Answered;

/// Who asks: a person, or the program of an agent's attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Somebody at a terminal, or a script of theirs.
    Person,
    /// A program within an agent (`ORCH_AGENT`), and within an attempt of it if there is a capability. The master's
    /// program is within an agent, and within no attempt.
    Agent {
        /// The agent's id.
        agent: String,
        /// Its role, if the environment says it (`ORCH_ROLE`).
        role: Option<String>,
        /// Which attempt.
        attempt: Option<Capability>,
    },
}

/// `orch delegate`.
#[derive(Debug, Clone, Default)]
pub struct Delegate {
    /// What is to be done.
    pub text: String,
    /// Which role; absent: the master's default role.
    pub role: Option<String>,
    /// Which goes first.
    pub priority: Option<Priority>,
    /// One attempt's time; absent: the role's.
    pub timeout: Option<Duration>,
    /// Failures forgiven; absent: the role's.
    pub retries: Option<u32>,
    /// What must have succeeded before.
    pub after: Vec<TaskId>,
    /// Structured data for the agent.
    pub context: Option<Value>,
    /// Paths it is about.
    pub artifacts: Vec<String>,
    /// Idempotency key.
    pub key: Option<String>,
    /// For people and filters.
    pub labels: BTreeMap<String, String>,
    /// Its working folder, made absolute by the surface.
    pub cwd: Option<PathBuf>,
}

/// `orch ask`.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// What a person is asked.
    pub text: String,
    /// The answers to choose from; empty: any.
    pub options: Vec<String>,
    /// Whether to wait for the answer.
    pub wait: bool,
    /// For how long at most.
    pub timeout: Option<Duration>,
}

/// Where a question stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AskState {
    /// Nobody has answered yet.
    Open,
    /// A person has.
    Answered,
}

/// What `orch ask` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// The caller's own task.
    pub task: TaskId,
    /// The question's number within it.
    pub question: u32,
    /// Whether a person has answered.
    pub state: AskState,
    /// What they said.
    pub answer: Option<String>,
    /// Where they approved or denied.
    pub approval: Option<Approval>,
}

/// What a person says to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// In their own words, or one of the options.
    Text(String),
    /// Yes, and perhaps more.
    Approve(Option<String>),
    /// No, and perhaps why.
    Deny(Option<String>),
}

/// What `orch send` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// The message's id.
    pub id: String,
    /// The task it went to, or the master.
    pub to: String,
    /// What became of it so far.
    pub state: Delivery,
}

/// What `orch inbox` answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inbox {
    /// The oldest first.
    pub messages: Vec<Message>,
    /// How many more there are.
    pub left: u64,
}

/// How `orch costs` sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CostsBy {
    /// By role.
    Role,
    /// By agent.
    Agent,
    /// By day, UTC.
    Day,
    /// By task, without what is below it.
    Task,
}

/// One line of `orch costs`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CostRow {
    /// The role, agent, day or task.
    pub name: String,
    /// What it used.
    #[serde(flatten)]
    pub usage: Usage,
}

/// What `orch costs` answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Costs {
    /// What each row is about.
    pub by: CostsBy,
    /// Over how many days, today among them.
    pub days: u64,
    /// The most first; days in their order.
    pub rows: Vec<CostRow>,
    /// All together.
    pub total: Usage,
}

/// `orch wait`.
#[derive(Debug, Clone, Default)]
pub struct Wait {
    /// Which tasks.
    pub ids: Vec<TaskId>,
    /// Until one of them has ended, not all.
    pub any: bool,
    /// For how long at most.
    pub timeout: Option<Duration>,
}

/// What came of a wait.
#[derive(Debug, Clone)]
pub struct Waited {
    /// Those of the tasks that have ended, in the order asked for.
    pub ended: Vec<TaskDetail>,
    /// Those that have not.
    pub open: Vec<Task>,
    /// Whether the time was over first.
    pub timed_out: bool,
}

/// One step of a wait.
#[derive(Debug, Clone)]
pub enum WaitStep {
    /// The tasks as they are now: after each end of one of them, and every few seconds.
    Looked(Vec<Task>),
    /// A task has begun to wait for a person.
    Held(Task),
    /// The wait is over; no step follows.
    Done(Waited),
}

/// `orch tasks`.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    /// In this state.
    pub state: Option<TaskState>,
    /// Of this role.
    pub role: Option<String>,
    /// Delegated from within this task.
    pub parent: Option<TaskId>,
    /// With `parent`: also what was delegated within those, and so on.
    pub below: bool,
    /// The newest so many; absent: all.
    pub limit: Option<usize>,
}

/// What `orch tasks` answers.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The tasks, the newest first.
    pub tasks: Vec<Task>,
    /// What is wrong with the records that do not read, one sentence each.
    pub damaged: Vec<String>,
}

/// What `show` and `why` are asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `t-...`
    Task(TaskId),
    /// `sonnet-1`, `opus-master`
    Agent(String),
}

/// What `orch show` answers.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Shown {
    /// A task with its attempts and its result.
    Task(Box<TaskDetail>),
    /// An agent.
    Agent(Box<Agent>),
}

/// What `orch why` answers: sentences, each drawn from recorded facts.
#[derive(Debug, Clone, Serialize)]
pub struct Why {
    /// What was asked about.
    pub id: String,
    /// Its state.
    pub state: String,
    /// The explanation, the most important sentence first.
    pub sentences: Vec<String>,
    /// The next useful commands.
    pub hints: Vec<String>,
    /// What it waits for, and what that waits for in turn.
    pub chain: Vec<Link>,
    /// Where an agent has ended: what was known then, and the rule that decided.
    pub evidence: Option<Box<Evidence>>,
    /// Of a task: which of its attempts ended so. It may have been tried again since.
    pub evidence_attempt: Option<u32>,
    /// The facts behind the sentences: events about it, the oldest first.
    pub events: Vec<crate::model::event::Event>,
}

/// Of `why`: a task that is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// The task.
    pub id: TaskId,
    /// Its state before the call.
    pub from: TaskState,
    /// Its state now. Still `running` after a `cancel`: its agent was told to stop.
    pub state: TaskState,
    /// Whether the call did anything.
    pub changed: bool,
}

/// `orch status --json` (DESIGN section 6).
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The namespace.
    pub namespace: String,
    /// The supervisor.
    pub supervisor: SupervisorStatus,
    /// The Redis.
    pub redis: RedisStatus,
    /// The living agents, the master first.
    pub agents: Vec<Agent>,
    /// How many tasks are in each state.
    pub tasks: BTreeMap<&'static str, u64>,
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

/// Of `status`: the supervisor.
#[derive(Debug, Clone, Serialize)]
pub struct SupervisorStatus {
    /// `running` or `stopped`.
    pub state: &'static str,
    /// Its process.
    pub pid: Option<u32>,
    /// For how long it has been running.
    pub uptime_ms: Option<u64>,
    /// Whether `delegate` is accepted (not draining).
    pub accepting: bool,
    /// Whether everything is paused.
    pub paused: bool,
    /// Roles that are paused.
    pub paused_roles: Vec<String>,
}

/// Of `status`: the Redis.
#[derive(Debug, Clone, Serialize)]
pub struct RedisStatus {
    /// `ok` or `unreachable`.
    pub state: &'static str,
    /// `managed` (our own private server) or `external`.
    pub mode: &'static str,
    /// Its version, if it answers.
    pub version: Option<String>,
}

/// Of `status`: something that needs a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attention {
    /// What is the matter, in a sentence.
    pub what: String,
    /// What to type.
    #[serde(rename = "do")]
    pub do_: String,
}

/// `orch logs`.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Of this agent (its newest attempts).
    pub agent: Option<String>,
    /// Of this task (all its attempts).
    pub task: Option<TaskId>,
    /// The last so many lines.
    pub last: usize,
    /// Only lines that match.
    pub grep: Option<String>,
}

/// One line of `orch logs --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// When it was printed.
    pub at: Timestamp,
    /// By whose program.
    pub agent: String,
    /// For which task.
    pub task: TaskId,
    /// In which attempt.
    pub attempt: u32,
    /// `stdout` or `stderr`.
    pub stream: &'static str,
    /// The line, made safe for a terminal.
    pub text: String,
}

/// What `orch start` answers.
#[derive(Debug, Clone, Serialize)]
pub struct Started {
    /// Whether it was running already.
    pub already: bool,
    /// What runs.
    pub status: Status,
    /// The master's tmux session.
    pub session: String,
}

/// What `orch stop` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stopped {
    /// Whether anything was running.
    pub stopped: bool,
    /// How many tasks had not ended when it was told to stop at once; they are kept. `None`: nobody could say.
    pub open_tasks: Option<u64>,
}

/// One line of `orch doctor`.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// `ok`, `warning` or `error`.
    pub state: &'static str,
    /// What was found.
    pub found: String,
    /// How to mend it.
    pub mend: Option<String>,
}
