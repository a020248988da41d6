//! `orch why`: explains why a task or an agent is in its state, in sentences made from recorded facts alone.
//!
//! The facts are collected here; [`task`] and [`agent`] turn them into sentences and are pure. Nothing is claimed that
//! is not recorded.

mod agent;
mod chain;
mod obstacles;
mod plan;
mod task;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf};

use super::{Link, Ops, Target, Why, attention::admission_of};
use crate::{
    admission::{self, Gate, deadlock::Deadlock, locks::Lacking},
    config::Config,
    error::Result,
    model::{
        agent::Agent,
        duration::human,
        event::Event,
        evidence::Evidence,
        id::{PlanId, TaskId},
        plan::{PlanSummary, ShortPlan},
        routing::Routing,
        task::{Attempt, Task, TaskDetail, TaskState},
        text::one_line,
        time::Timestamp,
        wait::Wait,
    },
    os,
    store::{agents::Record, observe::Snapshot},
};

/// How many of the newest events about it are shown.
const SHOWN: usize = 50;
/// What is known around a task or an agent, at one moment of Redis's clock.
#[derive(Debug)]
struct Around<'a> {
    config: &'a Config,
    supervised: bool,
    /// Whether the supervisor goes by an earlier sessions.toml.
    outdated: bool,
    snapshot: Snapshot,
    /// Memory available on this machine, in bytes.
    free_memory: Option<u64>,
    /// Free space on the state folder's disk, in bytes.
    free_disk: Option<u64>,
    /// Events about it, the oldest first.
    events: Vec<Event>,
    /// Agents whose tmux server cannot be reached, and what brings their sessions back.
    displaced: Vec<String>,
    way_back: Option<String>,
}

/// What is known about a task.
#[derive(Debug)]
struct TaskFacts {
    detail: TaskDetail,
    parent: Option<Task>,
    /// What it comes after.
    before: Vec<Task>,
    children: Vec<Task>,
    /// What it waits for, what that waits for, and so on.
    links: Vec<Task>,
    /// Of it and of these, those that are ready: how many ready tasks of their role go first.
    ahead: BTreeMap<TaskId, u64>,
    /// With whom the task shares the slots of its role, if it is ready, as a sentence.
    shared: Option<String>,
    /// Of these, those that lack a lock.
    lacks: BTreeMap<TaskId, Lacking>,
    /// Those ready tasks of which the plans run as many tasks as they may, with how many.
    full_plans: BTreeMap<TaskId, u32>,
    /// The tasks that wait for each other, if it is one of them.
    deadlock: Option<Deadlock>,
    /// Of these, those for which the budget of a plan has no room.
    short: BTreeMap<TaskId, ShortPlan>,
    /// Running tasks, where there is a ready one that they may keep from an agent.
    rivals: Vec<Task>,
    /// Where its last attempt lies, if it does.
    run: Option<PathBuf>,
}

/// What is known about an agent.
#[derive(Debug)]
struct AgentFacts {
    record: Record,
    /// The task it has, or had last.
    task: Option<Task>,
}

/// Sentences, the most important first, and what to type next.
#[derive(Debug, Default)]
struct Explanation {
    sentences: Vec<String>,
    hints: Vec<String>,
    chain: Vec<Link>,
    evidence: Option<Box<Evidence>>,
    /// Of a task: with which of its attempts.
    evidence_attempt: Option<u32>,
    routing: Option<Routing>,
}

impl Around<'_> {
    /// What keeps tasks and roles from starting.
    fn admission(&self) -> admission::Snapshot {
        admission_of(self.config, self.supervised, &self.snapshot, self.free_memory, self.free_disk)
    }
}

impl Explanation {
    /// Says what a gate says, as a whole sentence.
    fn say_of(&mut self, gate: &Gate, roles: &[&str], around: &Around, more: &str) {
        self.say(format!("{}{more}.", capitalised(&gate.sentence(roles, around.snapshot.now))));
    }
    /// Adds a sentence. One that ends with the question or the exclamation of another keeps that as its end.
    fn say(&mut self, sentence: impl Into<String>) {
        let mut sentence: String = sentence.into();
        if sentence.ends_with("?.") || sentence.ends_with("!.") {
            sentence.pop();
        }
        self.sentences.push(sentence);
    }
    fn hint(&mut self, hint: impl Into<String>) {
        let hint = hint.into();
        if !self.hints.contains(&hint) {
            self.hints.push(hint);
        }
    }
}

impl Ops {
    /// Explains why a task, an agent or a plan is in its state.
    ///
    /// # Errors
    /// NotFound: there is none. NotRunning: there is no Redis.
    pub async fn why(&self, target: &Target) -> Result<Why> {
        match target {
            Target::Task(id) => {
                let facts = self.task_facts(id).await?;
                let events = self.events_of_task(id, facts.detail.task.state, SHOWN).await?;
                let around = self.around(events).await?;
                let said = task::explain(&around, &facts);
                Ok(answer(id.to_string(), facts.detail.task.state.as_str(), said, around.events))
            }
            Target::Agent(id) => {
                let record = self.record(id).await?;
                let id = record.agent.id.clone();
                let task = record.agent.task.clone().or_else(|| record.last_task.clone());
                let task = match task {
                    Some(task) => self.some_tasks(&[task]).await?.pop(),
                    None => None,
                };
                let around = self.around(self.events_of_agent(&id, SHOWN).await?).await?;
                let facts = AgentFacts { record, task };
                let said = agent::explain(&around, &facts);
                Ok(answer(id, facts.record.agent.state.as_str(), said, around.events))
            }
            Target::Plan(id) => {
                let detail = self.show_plan(id).await?;
                let said = plan::explain(&detail, Timestamp::now());
                let is_its = |event: &Event| event.plan() == Some(id.as_str());
                let events = self.search_events(SHOWN, is_its).await?;
                Ok(answer(id.to_string(), detail.plan.state.as_str(), said, events))
            }
        }
    }

    async fn around(&self, events: Vec<Event>) -> Result<Around<'_>> {
        let mut roles = self.roles();
        // The master's breaker goes by its session.
        roles.push(self.config.master.session.clone());
        let snapshot = self.ask(|s| s.observe(&roles)).await?;
        let (is_ours, free_memory) = (self.is_supervised(), os::available_memory());
        let free_disk = os::free_space(self.home.path());
        let outdated = is_ours && self.supervisor_is_outdated();
        let supervised = is_ours || self.supervised_from(self.store()).await?.is_some();
        let displaced = self.displaced_agents().await;
        let way_back = (!displaced.is_empty()).then(|| self.ways_back());
        Ok(Around {
            config: &self.config,
            supervised,
            outdated,
            snapshot,
            free_memory,
            free_disk,
            events,
            displaced,
            way_back,
        })
    }

    async fn task_facts(&self, id: &TaskId) -> Result<TaskFacts> {
        let detail = self.detail(id).await?;
        let task = &detail.task;
        let parent = self.some_tasks(task.parent.as_slice()).await?.pop();
        let children = self.some_tasks(&task.children).await?;
        let before = self.some_tasks(&task.after).await?;
        let links = self.links(task).await?;
        let (ahead, shared, rivals) = self.queue(std::iter::once(task).chain(&links)).await?;
        let lacks = self.lacking(std::iter::once(task).chain(&links)).await?;
        let full_plans = self.full_plans(std::iter::once(task).chain(&links)).await?;
        let may_wait = task.waiting || lacks.contains_key(id);
        let deadlocks = if may_wait { self.ask(super::deadlock::find).await? } else { Vec::new() };
        let deadlock = deadlocks.into_iter().find(|deadlock| deadlock.has(id));
        let mut short = BTreeMap::new();
        for ready in std::iter::once(task).chain(&links).filter(|task| task.state == TaskState::Ready) {
            short.extend(self.ask(|s| s.short_of(&ready.id)).await?.map(|plan| (ready.id.clone(), plan)));
        }
        let last = detail.attempts.last().map(|a| self.home.run(id, a.number));
        let run = last.filter(|dir| dir.is_dir());
        Ok(TaskFacts {
            detail,
            parent,
            before,
            children,
            links,
            ahead,
            shared,
            lacks,
            full_plans,
            deadlock,
            short,
            rivals,
            run,
        })
    }

    /// What a task waits for, what that waits for, and so on, as far as a person would read; one level a round trip.
    async fn links(&self, task: &Task) -> Result<Vec<Task>> {
        let mut links: Vec<Task> = Vec::new();
        let mut level = chain::waits_for(task);
        for _ in 0..chain::DEPTH {
            level.retain(|id| *id != task.id && !links.iter().any(|t| t.id == *id));
            level.truncate(chain::LINKS - links.len());
            if level.is_empty() {
                break;
            }
            let tasks = self.some_tasks(&level).await?;
            level = tasks.iter().flat_map(chain::waits_for).collect();
            links.extend(tasks);
        }
        Ok(links)
    }

    /// Returns how many tasks go before the ready ones of these, with whom the first of these shares its slots, and which tasks
    /// run meanwhile.
    async fn queue(
        &self,
        tasks: impl Iterator<Item = &Task>,
    ) -> Result<(BTreeMap<TaskId, u64>, Option<String>, Vec<Task>)> {
        let (mut ahead, mut shared) = (BTreeMap::new(), None);
        for (nth, task) in tasks.enumerate().filter(|(_, task)| task.state == TaskState::Ready) {
            let turns = self.ask(|s| s.turns(&task.role, Some(&task.id))).await?;
            ahead.insert(task.id.clone(), turns.ahead());
            if nth == 0 {
                shared = turns.sentence(&task.role);
            }
        }
        if ahead.is_empty() {
            return Ok((ahead, shared, Vec::new()));
        }
        let running = self.ask(|s| s.task_ids(Some(TaskState::Running))).await?;
        let mut rivals = self.some_tasks(&running).await?;
        rivals.retain(|t| t.state == TaskState::Running);
        Ok((ahead, shared, rivals))
    }

    /// The first lock that each of the ready ones of these lacks.
    pub(super) async fn lacking(&self, tasks: impl Iterator<Item = &Task>) -> Result<BTreeMap<TaskId, Lacking>> {
        let mut lacks = BTreeMap::new();
        let needs = |task: &&Task| task.state == TaskState::Ready && !(task.writes.is_empty() && task.reads.is_empty());
        let tasks: Vec<&Task> = tasks.filter(needs).collect();
        if tasks.is_empty() {
            return Ok(lacks);
        }
        let locks = self.ask(|s| s.locks()).await?;
        let now = self.ask(|s| s.now()).await?;
        for task in tasks {
            let (place, above) = self.ask(|s| s.place_and_family(&task.id)).await?;
            if let Some((pattern, lock)) = admission::locks::lacking(task, &above, place, &locks, now) {
                let parked = self.ask(|s| s.parked_of(std::slice::from_ref(&task.id))).await?.pop();
                lacks.insert(task.id.clone(), Lacking { pattern, lock: lock.clone(), parked });
            }
        }
        Ok(lacks)
    }

    /// The ready ones of these that wait for a slot of their plan, with how many of the plan run.
    async fn full_plans(&self, tasks: impl Iterator<Item = &Task>) -> Result<BTreeMap<TaskId, u32>> {
        let limited = |task: &Task| {
            let limit = task.max_parallel.filter(|_| task.state == TaskState::Ready)?;
            Some((task.id.clone(), task.plan.clone()?, limit))
        };
        let limited: Vec<(TaskId, PlanId, u32)> = tasks.filter_map(limited).collect();
        let ids: Vec<PlanId> = limited.iter().map(|(_, plan, _)| plan.clone()).collect();
        let plans = if ids.is_empty() { Vec::new() } else { self.ask(|s| s.plans(&ids)).await? };
        let is_full = |plan: &PlanId, limit: u32| {
            let running = |plan: &PlanSummary| plan.counts.get(&TaskState::Running).copied().unwrap_or(0);
            plans.iter().any(|one| one.id == *plan && running(one) >= u64::from(limit))
        };
        Ok(limited.into_iter().filter(|(_, plan, limit)| is_full(plan, *limit)).map(|(id, _, n)| (id, n)).collect())
    }

    /// Those of these tasks that there are.
    async fn some_tasks(&self, ids: &[TaskId]) -> Result<Vec<Task>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.ask(|s| s.tasks(ids)).await
    }
}

fn answer(id: String, state: &str, said: Explanation, events: Vec<Event>) -> Why {
    let Explanation { sentences, hints, chain, evidence, evidence_attempt, routing } = said;
    Why { id, state: state.to_owned(), sentences, hints, chain, evidence, evidence_attempt, routing, events }
}

/// The sentence with a capital letter; the program's own name is written small everywhere.
fn capitalised(sentence: &str) -> String {
    if sentence.starts_with("orch ") {
        return sentence.to_owned();
    }
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// How long ago, or for how long by now.
fn since(around: &Around, at: Timestamp) -> String {
    human(around.snapshot.now.since(at))
}

/// A reason as recorded, fit to end a sentence of ours.
fn reason(text: Option<&String>) -> String {
    text.map_or_else(|| "no reason was recorded".to_owned(), |text| one_line(text.trim_end_matches('.'), 300))
}

/// The agent of this id, if it lives.
fn living<'a>(around: &'a Around, id: &str) -> Option<&'a Agent> {
    around.snapshot.agents.iter().map(|record| &record.agent).find(|agent| agent.id == id)
}

/// A task as another one's sentence names it.
fn standing(around: &Around, task: &Task) -> String {
    let id = task.plan_key.as_ref().map_or_else(|| task.id.to_string(), |key| format!("{key} {}", task.id));
    match (task.state, &task.agent) {
        (TaskState::Running, Some(agent)) if task.waiting => format!("{id} (running, {agent}; waits for subtasks)"),
        (TaskState::Running, Some(agent)) => {
            let waits = living(around, agent).and_then(Agent::waits_for).map(|waits| format!("; its program {waits}"));
            format!("{id} (running, {agent}{})", waits.unwrap_or_default())
        }
        (TaskState::Blocked, _) if task.waiting => format!("{id} (waits for subtasks)"),
        (TaskState::Held, _) => format!("{id} (held: {})", reason(task.reason.as_ref())),
        (TaskState::Delayed, _) => match task.due_at.filter(|due| *due > around.snapshot.now) {
            Some(due) => format!("{id} (delayed, due in {})", human(due.since(around.snapshot.now))),
            None => format!("{id} (delayed)"),
        },
        (state, _) => format!("{id} ({state})"),
    }
}

/// At most a few of them, and how many more there are.
fn list(items: impl ExactSizeIterator<Item = String>) -> String {
    const NAMED: usize = 5;
    let more = items.len().saturating_sub(NAMED);
    let mut named: Vec<String> = items.take(NAMED).collect();
    if more > 0 {
        named.push(format!("{more} more"));
    }
    match named.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} and {last}", first.join(", ")),
        None => "nothing".to_owned(),
    }
}

/// An attempt as it ended; its reason is not repeated where that has been `told` already.
fn attempt_in_words(attempt: &Attempt, told: Option<&str>) -> String {
    let (number, agent) = (attempt.number, &attempt.agent);
    let Some(cause) = attempt.cause else { return format!("Attempt {number} ({agent}) goes on.") };
    let took = attempt.ended_at.map(|end| format!(", {}", human(end.since(attempt.started_at)))).unwrap_or_default();
    let why = match (&attempt.reason, told) {
        (Some(reason), Some(told)) if told.starts_with(reason.as_str()) => String::new(),
        (why, _) => format!(": {}", reason(why.as_ref())),
    };
    format!("Attempt {number} ({agent}{took}) ended as {cause}{why}.")
}

/// What its program waits for, and since when; where to answer, or to see more.
fn waits(around: &Around, agent: &Agent, out: &mut Explanation) {
    let Some(wait) = agent.waits_for() else { return };
    let for_ = agent.waits_since().map(|at| format!(" for {}", since(around, at))).unwrap_or_default();
    match wait {
        Wait::Person(need) => {
            out.say(format!("Its program has waited for an answer{for_}: it {need}."));
            out.hint(format!("orch attach {}", agent.id));
        }
        Wait::Service(retry) => {
            out.say(format!("Its program has been asking its service again{for_}: it {retry}."));
            out.hint(format!("orch logs {} -f", agent.id));
        }
    }
}

/// The sentences about an agent at work that both its own and its task's explanation need.
fn at_work(around: &Around, record: &Record, out: &mut Explanation) {
    let agent = &record.agent;
    let lease = around.config.supervisor.lease;
    waits(around, agent, out);
    match agent.heartbeat_at.map(|at| around.snapshot.now.since(at)) {
        Some(age) if age > lease => {
            let then = match around.supervised {
                true => "the supervisor takes the task from it",
                false => "the task stays with it while the supervisor is not running",
            };
            let (age, lease) = (human(age), human(lease));
            out.say(format!("{} last reported {age} ago, longer than its lease of {lease}: {then}.", agent.id));
        }
        Some(age) => out.say(format!("{} last reported {} ago.", agent.id, human(age))),
        None => {}
    }
    let stall = around.config.roles.get(&agent.role).map(|role| role.stall_timeout);
    if let (Some(at), Some(stall)) = (record.progress_at, stall) {
        let age = around.snapshot.now.since(at);
        // A pause of a few seconds says nothing.
        if age * 4 > stall && !agent.waiting {
            let (age, stall) = (human(age), human(stall));
            out.say(format!("Its program has shown no sign of progress for {age}; after {stall} it counts as hung."));
            out.hint(format!("orch logs {} -f", agent.id));
        }
    }
}
