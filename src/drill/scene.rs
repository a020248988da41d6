//! The shared state of a running drill. The drill has one thread, so plain cells suffice.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    history::{Ack, Life, Violation},
    world::{Output, World},
};
use crate::{
    model::{
        id::TaskId,
        task::{TaskDetail, TaskState},
        time::Timestamp,
    },
    os::ProcessId,
    store::agents::Record,
};

/// The time after which a simulated person types `orch start` when no supervisor runs, in ms.
const NOTICED_WITHIN_MS: (u64, u64) = (0, 400);
/// The exit codes of a command that finds nothing running, and of an internal error.
const NOT_RUNNING: i32 = 3;
const BUG: i32 = 70;
const SUCCEEDS_OR_REPORTS: &str = "a command succeeds, or reports that nothing answers";
/// The interval between two checks of the supervisor's lock.
const GLANCE: Duration = Duration::from_millis(20);

/// An action or observation of the drill, for the timeline.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Note {
    pub at: Timestamp,
    pub what: String,
}

/// One drill while it runs.
pub(super) struct Scene {
    pub world: World,
    pub notes: RefCell<Vec<Note>>,
    /// Every acknowledged `orch delegate`.
    pub acks: RefCell<Vec<Ack>>,
    /// The dependency and the message of every `orch delegate` that was rejected because of its dependency.
    pub too_late: RefCell<Vec<(TaskId, String)>>,
    /// The number of `orch delegate` calls without an acknowledgement.
    pub unanswered: Cell<usize>,
    pub violations: RefCell<Vec<Violation>>,
    /// The observed holders of the supervisor's lock.
    pub lives: RefCell<Vec<Life>>,
    /// The supervisors that the drill has killed.
    pub killed: RefCell<BTreeSet<ProcessId>>,
    /// The agents as last read, which are the targets while Redis is unreachable.
    pub agents: RefCell<Vec<Record>>,
    /// Whether faults are injected: only then may a command fail.
    pub troubled: bool,
}

impl Scene {
    pub fn new(world: World, troubled: bool) -> Self {
        Scene {
            world,
            troubled,
            notes: RefCell::default(),
            acks: RefCell::default(),
            too_late: RefCell::default(),
            unanswered: Cell::new(0),
            violations: RefCell::default(),
            lives: RefCell::default(),
            killed: RefCell::default(),
            agents: RefCell::default(),
        }
    }

    pub fn note(&self, what: impl Into<String>) {
        self.notes.borrow_mut().push(Note { at: Timestamp::now(), what: what.into() });
    }

    pub fn violated(&self, invariant: &'static str, subject: impl Into<String>, facts: impl Into<String>) {
        let violation = Violation { invariant, subject: subject.into(), facts: facts.into() };
        self.note(format!("VIOLATION {violation}"));
        self.violations.borrow_mut().push(violation);
    }

    /// Delegates with the real command line, and returns the task if it was acknowledged. `after` is the task's
    /// dependency: if it ended without success, the delegate is rejected.
    pub async fn delegate(&self, words: &[String], key: Option<&str>, after: Option<&TaskId>) -> Option<TaskId> {
        #[derive(serde::Deserialize)]
        struct Answer {
            id: TaskId,
        }
        let output = self.world.orch(words).await;
        let answer = serde_json::from_str::<Answer>(&output.stdout).ok().filter(|_| output.code == 0);
        if let Some(Answer { id }) = answer {
            let ack = Ack { at: Timestamp::now(), id: id.clone(), key: key.map(str::to_owned) };
            self.acks.borrow_mut().push(ack);
            return Some(id);
        }
        match after {
            Some(task) if output.code == 1 => {
                self.note(format!("orch delegate: {}", output.complaint()));
                self.too_late.borrow_mut().push((task.clone(), output.complaint()));
            }
            _ => {
                self.unanswered.set(self.unanswered.get() + 1);
                self.refused("orch delegate", &output);
            }
        }
        None
    }

    /// Submits a plan with the real command line. Each of its tasks counts as acknowledged. Returns the last one.
    pub async fn submit(&self, words: &[String]) -> Option<TaskId> {
        #[derive(serde::Deserialize)]
        struct Answer {
            tasks: Vec<Planned>,
        }
        #[derive(serde::Deserialize)]
        struct Planned {
            key: String,
            id: TaskId,
        }
        let output = self.world.orch(words).await;
        let answer = serde_json::from_str::<Answer>(&output.stdout).ok().filter(|_| output.code == 0);
        let Some(Answer { tasks }) = answer else {
            self.unanswered.set(self.unanswered.get() + 1);
            self.refused("orch plan submit", &output);
            return None;
        };
        let at = Timestamp::now();
        self.acks.borrow_mut().extend(tasks.iter().map(|task| Ack { at, id: task.id.clone(), key: None }));
        tasks.into_iter().find(|task| task.key == "last").map(|task| task.id)
    }

    /// Checks that every rejected dependency had ended without success. That is final, because a drill retries only
    /// held tasks.
    pub fn check_too_late(&self, tasks: &[TaskDetail]) {
        for (after, message) in self.too_late.take() {
            let state = tasks.iter().find(|t| t.task.id == after).map(|t| t.task.state);
            if !matches!(state, Some(TaskState::Failed | TaskState::Cancelled | TaskState::Skipped)) {
                self.violated(SUCCEEDS_OR_REPORTS, "orch delegate", message);
            }
        }
    }

    /// Checks a command that failed: while faults are injected, it may report that nothing answers, and nothing else.
    pub fn refused(&self, what: &str, output: &Output) {
        self.refused_but_for(&[], what, output);
    }

    /// Checks a command that failed, and that may also fail with these exit codes.
    pub fn refused_but_for(&self, codes: &[i32], what: &str, output: &Output) {
        let message = output.complaint();
        self.note(format!("{what}: {message}"));
        if !(codes.contains(&output.code) || self.troubled && output.code == NOT_RUNNING) {
            self.violated(SUCCEEDS_OR_REPORTS, what, message);
        }
    }

    /// Observes the supervisors, for as long as the future is polled.
    pub async fn watch_supervisors(&self) {
        let mut current: Option<ProcessId> = None;
        loop {
            let seen = self.world.supervisor();
            if let Some(before) = current.filter(|before| seen != Some(*before)) {
                self.supervisor_ended(&before);
            }
            if let Some(process) = seen {
                let (now, mut lives) = (Timestamp::now(), self.lives.borrow_mut());
                match lives.last_mut().filter(|_| current == seen) {
                    Some(life) => life.until = now,
                    None => lives.push(Life { pid: process.pid, from: now, until: now }),
                }
            }
            current = seen;
            tokio::time::sleep(GLANCE).await;
        }
    }

    fn supervisor_ended(&self, process: &ProcessId) {
        if !self.killed.borrow().contains(process) {
            let facts = "it ended, and the drill had not killed it (see supervisor.log)";
            self.violated("no supervisor ends unexpectedly", format!("supervisor {}", process.pid), facts);
        }
    }

    /// Runs `orch start` whenever no supervisor runs, like a person, until it succeeds.
    pub async fn keep_started(&self, mut rng: super::rng::Rng) {
        loop {
            tokio::time::sleep(GLANCE).await;
            if self.world.supervisor().is_some() {
                continue;
            }
            tokio::time::sleep(rng.ms(NOTICED_WITHIN_MS.0, NOTICED_WITHIN_MS.1)).await;
            self.note("orch start");
            let output = self.world.orch(&["start", "--json"]).await;
            if output.code != 0 {
                // A start may fail because of a fault. The drill waits until a later one succeeds.
                self.note(format!("orch start: {}", output.complaint()));
                if output.code == BUG {
                    self.violated("orch reports no internal error", "orch start", output.complaint());
                }
            }
        }
    }

    /// Reads the agents repeatedly.
    pub async fn watch_agents(&self) {
        loop {
            self.look_at_agents().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Returns the current agents, or those of the last read if Redis does not answer immediately.
    pub async fn look_at_agents(&self) -> Vec<Record> {
        let looked = tokio::time::timeout(Duration::from_millis(200), self.world.store.agents()).await;
        if let Ok(Ok(agents)) = looked {
            *self.agents.borrow_mut() = agents;
        }
        self.agents.borrow().clone()
    }

    /// Waits until all tasks have ended. Held tasks are retried on the way, as a person would do.
    pub async fn quiet(&self, limit: Duration) {
        let began = Instant::now();
        loop {
            let counts = self.world.store.task_counts().await.unwrap_or_default();
            let of = |state: TaskState| counts.iter().find(|(s, _)| *s == state).map_or(1, |(_, n)| *n);
            let (held, blocked) = (of(TaskState::Held), of(TaskState::Blocked));
            let open: u64 = TaskState::ALL.iter().filter(|s| !s.is_terminal()).map(|s| of(*s)).sum();
            match open {
                0 if self.world.supervisor().is_some() => return,
                _ if held > 0 && open == held + blocked => self.release_held().await,
                _ if began.elapsed() > limit => return self.not_quiet(limit, &counts).await,
                _ => {}
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    async fn release_held(&self) {
        let held = self.world.store.task_ids(Some(TaskState::Held)).await.unwrap_or_default();
        if held.is_empty() {
            return;
        }
        let words: Vec<String> =
            std::iter::once("retry".to_owned()).chain(held.iter().map(TaskId::to_string)).collect();
        let output = self.world.orch(&words).await;
        if output.code != 0 {
            self.refused("orch retry", &output);
        }
    }

    async fn not_quiet(&self, limit: Duration, counts: &[(TaskState, u64)]) {
        let open = |state: &&TaskState| !state.is_terminal();
        for state in TaskState::ALL.iter().filter(open) {
            for task in self.world.store.first_tasks(*state, 3).await.unwrap_or_default() {
                let why = self.world.orch(&["why", task.id.as_str()]).await;
                let why = why.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
                let facts = format!("{state} {limit:?} after the last fault: {why}");
                self.violated("every accepted task ends", task.id.to_string(), facts);
            }
        }
        let counts: Vec<String> = counts.iter().map(|(state, n)| format!("{n} {state}")).collect();
        self.note(format!("not all tasks end: {}", counts.join(", ")));
        if counts.is_empty() {
            self.violated(
                "everything recovers",
                "Redis",
                format!("Redis does not answer {limit:?} after the last fault"),
            );
        }
    }
}
