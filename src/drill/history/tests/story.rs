//! Builds histories from a few moves; each move writes the records and events that the store would have written.

use crate::model::task::Spec;
use serde_json::json;

use crate::{
    drill::history::{Ack, Execution, History, Life, LivingAgent},
    model::{
        agent::AgentState,
        cause::Cause,
        event::Event,
        event::EventKind,
        id::TaskId,
        task::{Attempt, Task, TaskDetail, TaskResult, TaskState},
        time::Timestamp,
    },
    samples,
};

/// A history under construction; its clock ticks with each event.
#[derive(Default)]
pub struct Story {
    pub history: History,
    fence: u64,
    clock: u64,
}

/// Returns `t-000000000a` and so on, so that a violation shows which task it concerns.
pub fn id(letter: char) -> TaskId {
    format!("t-000000000{letter}").parse().unwrap()
}

impl Story {
    fn now(&self) -> Timestamp {
        Timestamp(1_000 + self.clock)
    }

    pub fn event(&mut self, kind: &str, task: Option<char>, agent: Option<&str>, reason: &str) -> &mut Event {
        self.clock += 1;
        let kind: EventKind = kind.parse().unwrap();
        self.history.events.push(Event {
            id: format!("{}-0", self.clock),
            at: self.now(),
            kind,
            code: kind.into(),
            task: task.map(|t| id(t).to_string()),
            agent: agent.map(str::to_owned),
            from: None,
            to: None,
            reason: reason.to_owned(),
            data: None,
        });
        self.history.events.last_mut().unwrap()
    }

    pub fn task(&mut self, letter: char) -> &mut TaskDetail {
        self.history.tasks.iter_mut().find(|t| t.task.id == id(letter)).unwrap()
    }

    fn move_task(&mut self, letter: char, to: TaskState, agent: Option<&str>, reason: &str) -> &mut Event {
        let task = &mut self.task(letter).task;
        let from = std::mem::replace(&mut task.state, to);
        let event = self.event(&format!("task.{to}"), Some(letter), agent, reason);
        (event.from, event.to) = (Some(from.to_string()), Some(to.to_string()));
        event
    }

    pub fn move_agent(&mut self, agent: &str, from: Option<AgentState>, to: AgentState) {
        let event = self.event(&format!("agent.{to}"), None, Some(agent), "a test");
        (event.from, event.to) = (from.map(|f| f.to_string()), Some(to.to_string()));
        let agents = self.history.agents.get_or_insert_default();
        agents.retain(|a| a.id != agent);
        if to.is_live() {
            agents.push(LivingAgent { id: agent.to_owned(), state: to });
        }
    }

    /// Adds a whole life of a supervisor: from now on, it is observed for `ticks` events.
    pub fn supervisor(&mut self, pid: u32, ticks: u64) {
        self.event("supervisor.started", None, None, &format!("supervisor {pid}"));
        let from = self.now();
        self.history.supervisors.push(Life { pid, from, until: Timestamp(from.0 + ticks) });
    }

    pub fn delegate(&mut self, letter: char, after: &[char], parent: Option<char>) {
        let state = if after.is_empty() { TaskState::Ready } else { TaskState::Blocked };
        let event = self.event(&format!("task.{state}"), Some(letter), None, "delegated by a test");
        event.to = Some(state.to_string());
        let at = self.now();
        self.history.acknowledged.push(Ack { at, id: id(letter), key: Some(format!("key of {letter}")) });
        self.history.tasks.push(TaskDetail::of(Task {
            id: id(letter),
            description: format!("do {letter}"),
            parent: parent.map(id),
            created_at: at,
            spec: Spec {
                after: after.iter().map(|a| id(*a)).collect(),
                key: Some(format!("key of {letter}")),
                retries: 1,
                lost_max: 1,
                ..samples::task(state).spec
            },
            ..samples::task(state)
        }));
    }

    /// The task declares what it writes and reads.
    pub fn locks(&mut self, letter: char, writes: &str, reads: Option<&str>) {
        let task = &mut self.task(letter).task;
        task.spec.writes = vec![writes.parse().unwrap()];
        task.spec.reads = reads.map(|path| path.parse().unwrap()).into_iter().collect();
    }

    pub fn spawn(&mut self, agent: &str) {
        let last = self.history.events.iter().rfind(|e| e.agent.as_deref() == Some(agent));
        let from = last.and_then(|e| e.to.as_deref()?.parse().ok());
        self.move_agent(agent, from, AgentState::Starting);
        self.move_agent(agent, Some(AgentState::Starting), AgentState::Idle);
    }

    /// The agent claims the task, and its program starts.
    pub fn claim(&mut self, letter: char, agent: &str) {
        self.fence += 1;
        let (fence, number) = (self.fence, self.task(letter).attempts.len() as u32 + 1);
        self.move_task(letter, TaskState::Running, Some(agent), &format!("attempt {number} claimed by {agent}"));
        self.move_agent(agent, Some(AgentState::Idle), AgentState::Busy);
        let started_at = self.now();
        self.task(letter).attempts.push(Attempt { fence, ..samples::attempt(number, agent, started_at) });
        self.history.executions.push(Execution {
            task: id(letter),
            attempt: number,
            agent: agent.to_owned(),
            fence: Some(fence),
            started_at,
            ended_at: None,
            exit_code: None,
            text: None,
        });
    }

    /// The task's program ends, and its attempt with it.
    pub fn finish(&mut self, letter: char, cause: Cause) {
        let now = self.now();
        let execution = self.history.executions.iter_mut().rfind(|e| e.task == id(letter)).unwrap();
        execution.ended_at = Some(now);
        execution.exit_code = Some(if cause == Cause::Success { 0 } else { 1 });
        execution.text = Some(format!("answer {letter}\n"));
        let agent = execution.agent.clone();
        self.end(letter, cause, &agent);
        self.task(letter).attempts.last_mut().unwrap().exit_code = Some(i32::from(cause != Cause::Success));
        self.move_agent(&agent, Some(AgentState::Busy), AgentState::Idle);
        let result = TaskResult { text: format!("answer {letter}"), ..TaskResult::default() };
        self.task(letter).result = Some(result);
    }

    /// The agent and its program die, and the attempt is lost.
    pub fn crash(&mut self, letter: char, agent: &str) {
        self.end(letter, Cause::Lost, agent);
        self.move_agent(agent, Some(AgentState::Busy), AgentState::Failed);
    }

    fn end(&mut self, letter: char, cause: Cause, agent: &str) {
        let now = self.now();
        let TaskDetail { task, attempts, .. } = self.task(letter);
        task.failures += u32::from(matches!(cause, Cause::Transient | Cause::Timeout | Cause::Permanent));
        task.lost += u32::from(cause == Cause::Lost);
        let to = TaskState::after(cause, task.failures, task.retries, task.lost, task.lost_max);
        if to != TaskState::Succeeded {
            (task.cause, task.reason) = (Some(cause), Some("a test".to_owned()));
        }
        let attempt = attempts.last_mut().unwrap();
        (attempt.ended_at, attempt.cause) = (Some(now), Some(cause));
        let number = attempt.number;
        self.move_task(letter, to, Some(agent), "a test").data = Some(json!({"cause": cause, "attempt": number}));
        if TaskState::after(cause, 1, 0, 1, 0) == TaskState::Failed && to == TaskState::Failed {
            self.history.outputs.get_or_insert_default().push((id(letter), number));
        }
    }

    pub fn make_ready(&mut self, letter: char, reason: &str) {
        self.move_task(letter, TaskState::Ready, None, reason);
    }

    pub fn retry(&mut self, letter: char) {
        self.make_ready(letter, "retried by a test");
        let task = &mut self.task(letter).task;
        (task.failures, task.lost, task.cause, task.reason) = (0, 0, None, None);
    }

    pub fn cancel(&mut self, letter: char) {
        self.move_task(letter, TaskState::Cancelled, None, "cancelled by a test");
        let task = &mut self.task(letter).task;
        (task.cause, task.reason) = (Some(Cause::Cancelled), Some("a test".to_owned()));
    }
}
