//! What all parts of a running drill see and write to. One thread, so plain cells do.

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

/// How long a person who sees that nothing supervises needs to type `orch start`, at most.
const NOTICED_WITHIN_MS: (u64, u64) = (0, 400);
/// The exit codes of a command that finds nothing running, and of one that has found a bug in orch.
const NOBODY_ANSWERS: i32 = 3;
const BUG: i32 = 70;
const DOES_AS_ASKED: &str = "a command does what it is asked, or says that nobody answers";
/// How often somebody looks who holds the supervisor's lock.
const GLANCE: Duration = Duration::from_millis(20);

/// What the drill itself did or saw, for the timeline.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Note {
    pub at: Timestamp,
    pub what: String,
}

/// One drill while it runs.
pub(super) struct Scene {
    pub world: World,
    pub notes: RefCell<Vec<Note>>,
    /// Every delegate that was answered.
    pub acks: RefCell<Vec<Ack>>,
    /// Delegates that were refused because of the task that they come after, and with which words.
    pub too_late: RefCell<Vec<(TaskId, String)>>,
    /// How many delegates were not answered.
    pub unanswered: Cell<usize>,
    pub violations: RefCell<Vec<Violation>>,
    /// Who was seen with the supervisor's lock.
    pub lives: RefCell<Vec<Life>>,
    /// Supervisors that the drill itself has ended.
    pub killed: RefCell<BTreeSet<ProcessId>>,
    /// The agents as last seen: whom to hit while Redis is away.
    pub agents: RefCell<Vec<Record>>,
    /// Whether faults come: only then may a command fail.
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

    /// Delegates by the real command line; the task, where it was acknowledged. `after` is what the task comes after: where
    /// that has ended otherwise than well, the delegate is refused.
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

    /// Whether what delegates were refused for was so: that what they come after had ended otherwise than well. It stays
    /// so: nobody retries in a drill what is not held.
    pub fn check_too_late(&self, tasks: &[TaskDetail]) {
        for (after, said) in self.too_late.take() {
            let state = tasks.iter().find(|t| t.task.id == after).map(|t| t.task.state);
            if !matches!(state, Some(TaskState::Failed | TaskState::Cancelled)) {
                self.violated(DOES_AS_ASKED, "orch delegate", said);
            }
        }
    }

    /// A command that did not do what was asked: while things are broken it may say that nobody answers, and nothing else.
    pub fn refused(&self, what: &str, output: &Output) {
        self.refused_but_for(&[], what, output);
    }

    /// The same of one that may refuse for reasons of its own, with these exit codes.
    pub fn refused_but_for(&self, codes: &[i32], what: &str, output: &Output) {
        let said = output.complaint();
        self.note(format!("{what}: {said}"));
        if !(codes.contains(&output.code) || self.troubled && output.code == NOBODY_ANSWERS) {
            self.violated(DOES_AS_ASKED, what, said);
        }
    }

    /// Looks who supervises, for as long as this is polled.
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
            let facts = "it ended, and nobody had killed it (supervisor.log says more)";
            self.violated("nothing dies by itself", format!("supervisor {}", process.pid), facts);
        }
    }

    /// Does what a person does who finds that nothing supervises any more: types `orch start`, until it works.
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
                // Whatever broke under it may break it; that it comes up in the end is what the drill waits for.
                self.note(format!("orch start: {}", output.complaint()));
                if output.code == BUG {
                    self.violated("orch has no bugs that it knows of", "orch start", output.complaint());
                }
            }
        }
    }

    /// Keeps an eye on who there is.
    pub async fn watch_agents(&self) {
        loop {
            self.look_at_agents().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The agents now, or as last seen where Redis does not answer at once.
    pub async fn look_at_agents(&self) -> Vec<Record> {
        let looked = tokio::time::timeout(Duration::from_millis(200), self.world.store.agents()).await;
        if let Ok(Ok(agents)) = looked {
            *self.agents.borrow_mut() = agents;
        }
        self.agents.borrow().clone()
    }

    /// Waits until no task has anything more to do by itself. Held ones are released on the way, as a person would.
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
        self.note(format!("it does not come to rest: {}", counts.join(", ")));
        if counts.is_empty() {
            self.violated("everything comes back", "Redis", format!("nobody answers {limit:?} after the last fault"));
        }
    }
}
