//! Resolves a word to a task or an agent: the one resolver, for every verb of every surface.
//!
//! A task's id may be shortened to any unique beginning. `@last` is the task that the caller delegated last, and `@2`
//! the one before it. An agent may be named instead of a task and vice versa: each stands for the other while the
//! agent works on the task. A plan is named by its id, the beginning of that, or its name, and `PLAN/KEY` names one of its
//! tasks. A full id is never looked up here, so it costs nothing, and works while Redis is down wherever its verb does.

mod word;

use serde::{Deserialize, Serialize};
use word::{Word, id_without_t};

use super::{
    Client, Ops, Target,
    plans::no_task_of,
    tasks::{no_agent, no_task},
};
use crate::{
    error::{Error, Kind, Result},
    model::{
        agent::Agent,
        event::Event,
        id::{self, PlanId, TaskId},
        question::QuestionRef,
        suggest::printable,
        task::{Task, TaskState},
        text::{count, one_line},
    },
};

/// How many candidates of an ambiguous word are listed.
const LISTED: usize = 8;
/// Columns of a candidate's text.
const TEXT: usize = 60;

/// What a verb acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// A task, an agent or a plan.
    Any,
    /// A task. An agent stands for the task that it works on.
    Task,
    /// A task. An agent stands for the task that it works on, else for the last one that it worked on.
    LastTask,
    /// An agent. A task stands for the agent that works on it.
    Agent,
}

/// The tasks and plans that words name, each in the order named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Work {
    /// The tasks.
    pub tasks: Vec<TaskId>,
    /// The plans.
    pub plans: Vec<PlanId>,
}

impl Ops {
    /// Returns the task or the agent that a word names.
    ///
    /// # Errors
    /// Usage: it can name neither, or it is the beginning of several. NotFound: there is none. Failed: the agent has no
    /// task, or no agent works on the task. NotRunning: there is no Redis, and the word is no whole id.
    pub async fn find(&self, word: &str, wanted: Wanted) -> Result<Target> {
        match self.find_now(word, wanted).await {
            Err(e) => Err(self.missing(e).await),
            found => found,
        }
    }

    async fn find_now(&self, word: &str, wanted: Wanted) -> Result<Target> {
        let found = match Word::parse(word)? {
            Word::Task(task) => Target::Task(task),
            Word::Beginning(beginning) => Target::Task(self.task_beginning(beginning).await?),
            Word::Recent(n) => Target::Task(self.recent(n).await?),
            Word::Name(name) => self.named(name).await?,
            Word::Plan(plan) => Target::Plan(plan),
            Word::PlanBeginning(beginning) => Target::Plan(self.find_plan(beginning).await?),
            Word::InPlan(plan, key) => Target::Task(self.task_of_plan(&self.find_plan(plan).await?, key).await?),
        };
        match (found, wanted) {
            (Target::Plan(plan), Wanted::Task | Wanted::LastTask | Wanted::Agent) => {
                Err(Error::usage(format!("{plan} is a plan, and one task is expected here"))
                    .hint(format!("name a task of it as {plan}/KEY; orch show {plan} lists them")))
            }
            (Target::Agent(agent), Wanted::Task | Wanted::LastTask) => {
                Ok(Target::Task(self.task_of(&agent, wanted == Wanted::LastTask).await?))
            }
            (Target::Task(task), Wanted::Agent) => Ok(Target::Agent(self.agent_of(&task).await?)),
            (found, _) => Ok(found),
        }
    }

    /// Returns the task that a word names.
    ///
    /// # Errors
    /// As [`Ops::find`].
    pub async fn find_task(&self, word: &str) -> Result<TaskId> {
        if let Ok(task) = word.parse() {
            return Ok(task);
        }
        task_in(self.find(word, Wanted::Task).await?)
    }

    /// Returns the only task whose id begins so.
    async fn task_beginning(&self, beginning: &str) -> Result<TaskId> {
        let mut ids = self.ask(|s| s.tasks_beginning(beginning, LISTED + 1)).await?;
        match ids.len() {
            0 => Err(Error::not_found(format!("there is no task {}", printable(beginning)))
                .hint("list them with: orch tasks")),
            1 => Ok(ids.swap_remove(0)),
            n => Err(self.ambiguous(beginning, &ids, n).await),
        }
    }

    async fn ambiguous(&self, word: &str, ids: &[TaskId], n: usize) -> Error {
        let shown = &ids[..n.min(LISTED)];
        let tasks = self.ask(|s| s.tasks(shown)).await.unwrap_or_default();
        let more = if n > LISTED { "\nand more" } else { "" };
        let several = if n > LISTED { format!("more than {LISTED} tasks") } else { count(n as u64, "task", "tasks") };
        Error::usage(format!("{} is the beginning of {several}:\n{}{more}", printable(word), candidates(&tasks)))
            .hint("write more of the id")
    }

    /// Returns the task that the caller delegated `n`th last: within an attempt a subtask of its own, else one without a
    /// parent.
    async fn recent(&self, n: usize) -> Result<TaskId> {
        let parent = self.caller.attempt().map(|attempt| attempt.task.clone());
        let mut ids = self.ask(|s| s.newest_delegated(parent.as_ref(), n)).await?;
        match ids.len() {
            found if found >= n => Ok(ids.swap_remove(n - 1)),
            0 => Err(Error::not_found("no task was delegated yet").hint("orch delegate TEXT submits one")),
            found => Err(Error::not_found(format!("@{n}: there are only {}", count(found as u64, "task", "tasks")))
                .hint(format!("the oldest is @{found}; list them with: orch tasks"))),
        }
    }

    /// Returns what a word in the form of an agent's name names: an agent, also one that has ended, a session, the only
    /// living agent whose name begins so, or a task whose `t-` was left out.
    async fn named(&self, name: &str) -> Result<Target> {
        match self.record(name).await {
            Ok(record) => return Ok(Target::Agent(record.agent.id)),
            Err(e) if e.kind != Kind::NotFound => return Err(e),
            Err(_) => {}
        }
        let living: Vec<Agent> = self.ask(|s| s.agents()).await?.into_iter().map(|record| record.agent).collect();
        if let Some(master) = living.iter().find(|agent| agent.master && name == "master") {
            return Ok(Target::Agent(master.id.clone()));
        }
        // sonnet-1 is a whole name, and never short for sonnet-12.
        let is_whole =
            name.rsplit_once('-').is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        let begins = |agent: &&Agent| !is_whole && (agent.id.starts_with(name) || agent.session.starts_with(name));
        let meant: Vec<&Agent> = living.iter().filter(begins).collect();
        match meant.as_slice() {
            [] => {}
            [one] => return Ok(Target::Agent(one.id.clone())),
            several => return Err(ambiguous_agents(name, several)),
        }
        let beginning = Some(name.to_owned()).filter(|name| id::is_beginning(name)).or_else(|| id_without_t(name));
        if let Some(beginning) = beginning {
            match self.task_beginning(&beginning).await {
                Err(e) if e.kind == Kind::NotFound => {}
                found => return found.map(Target::Task),
            }
        }
        if let Some(plan) = self.plan_named(name).await? {
            return Ok(Target::Plan(plan));
        }
        Err(no_agent(name, living.iter().map(|agent| agent.id.as_str())))
    }

    /// Returns the task of a plan with this key.
    async fn task_of_plan(&self, plan: &PlanId, key: &str) -> Result<TaskId> {
        let mut tasks = self.ask(|s| s.plan_tasks(plan)).await?;
        if tasks.is_empty() {
            // Whether there is such a plan at all.
            self.existing_plans(std::slice::from_ref(plan)).await?;
        }
        tasks.remove(key).ok_or_else(|| no_task_of(plan, key, tasks.keys().map(String::as_str)))
    }

    /// Returns the task that an agent works on; with `last`, else the last one that it worked on.
    async fn task_of(&self, agent: &str, last: bool) -> Result<TaskId> {
        let record = self.record(agent).await?;
        let id = record.agent.id;
        match (record.agent.task, record.last_task) {
            (Some(task), _) => Ok(task),
            (None, Some(task)) if last => Ok(task),
            (None, _) if last => {
                let is_its_own = |event: &Event| event.agent.as_deref() == Some(&id) && event.task.is_some();
                let last = self.search_events(1, is_its_own).await?.pop();
                let task = last.and_then(|event| event.task?.parse().ok());
                task.ok_or_else(|| {
                    Error::failed(format!("agent {id} has worked on no task yet")).hint("orch tasks lists the tasks")
                })
            }
            (None, _) => Err(Error::failed(format!("agent {id} works on no task: it is {}", record.agent.state))
                .hint("name the task; orch tasks lists them")),
        }
    }

    /// Returns the agent that works on a task.
    async fn agent_of(&self, task: &TaskId) -> Result<String> {
        let found = self.ask(|s| s.tasks(std::slice::from_ref(task))).await?;
        let task = found.into_iter().next().ok_or_else(|| no_task(task))?;
        match task.agent.filter(|_| task.state == TaskState::Running) {
            Some(agent) => Ok(agent),
            None => Err(Error::failed(format!("no agent works on {}: it is {}", task.id, task.state))
                .hint(format!("see why: orch why {0}; its output: orch logs {0}", task.id))),
        }
    }
}

/// One line per task.
fn candidates(tasks: &[Task]) -> String {
    let line = |task: &Task| format!("{} {:<9} {}", task.id, task.state, one_line(&task.description, TEXT));
    tasks.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn ambiguous_agents(name: &str, several: &[&Agent]) -> Error {
    let line = |agent: &&Agent| {
        let task = agent.task.as_ref().map(|task| format!(" ({task})")).unwrap_or_default();
        format!("{} {}{task}", agent.id, agent.state)
    };
    let lines: Vec<String> = several.iter().take(LISTED).map(line).collect();
    let more = if several.len() > LISTED { "\nand more" } else { "" };
    let number = count(several.len() as u64, "agent", "agents");
    Error::usage(format!("{} is the beginning of {number}:\n{}{more}", printable(name), lines.join("\n")))
        .hint("write the whole name")
}

fn task_in(found: Target) -> Result<TaskId> {
    match found {
        Target::Task(task) => Ok(task),
        other => Err(Error::internal(format!("{other} was found in place of a task"))),
    }
}

impl Client {
    /// Returns the task or the agent that a word names.
    ///
    /// # Errors
    /// As [`Ops::find`].
    pub async fn find_any(&self, word: &str) -> Result<Target> {
        match word.parse() {
            Ok(task) => Ok(Target::Task(task)),
            Err(_) => match word.parse() {
                Ok(plan) => Ok(Target::Plan(plan)),
                Err(_) => self.find(word.to_owned(), Wanted::Any).await,
            },
        }
    }

    /// Returns the tasks and plans that words name.
    ///
    /// # Errors
    /// As [`Ops::find`].
    pub async fn find_work(&self, words: &[String], wanted: Wanted) -> Result<Work> {
        let mut work = Work::default();
        for word in words {
            match self.find_any(word).await? {
                Target::Task(task) => work.tasks.push(task),
                Target::Plan(plan) => work.plans.push(plan),
                Target::Agent(_) => work.tasks.push(self.find_task(word, wanted).await?),
            }
        }
        Ok(work)
    }

    /// Returns the task that a word names.
    ///
    /// # Errors
    /// As [`Ops::find`].
    pub async fn find_task(&self, word: &str, wanted: Wanted) -> Result<TaskId> {
        match word.parse() {
            Ok(task) => Ok(task),
            Err(_) => task_in(self.find(word.to_owned(), wanted).await?),
        }
    }

    /// Returns the tasks that words name, in their order.
    ///
    /// # Errors
    /// As [`Ops::find`].
    pub async fn find_tasks(&self, words: &[String], wanted: Wanted) -> Result<Vec<TaskId>> {
        let mut tasks = Vec::with_capacity(words.len());
        for word in words {
            tasks.push(self.find_task(word, wanted).await?);
        }
        Ok(tasks)
    }

    /// Returns the agent that a word names.
    ///
    /// # Errors
    /// As [`Ops::find`].
    pub async fn find_agent(&self, word: &str) -> Result<String> {
        match self.find(word.to_owned(), Wanted::Agent).await? {
            Target::Agent(agent) => Ok(agent),
            other => Err(Error::internal(format!("{other} was found in place of an agent"))),
        }
    }

    /// Returns the question that a word names: a task, and perhaps `#` and the question's number.
    ///
    /// # Errors
    /// As [`Ops::find`].
    pub async fn find_question(&self, word: &str) -> Result<QuestionRef> {
        let Some((task, number)) = word.split_once('#') else {
            return Ok(QuestionRef::from(&self.find_task(word, Wanted::Task).await?));
        };
        let number = number.parse().ok().filter(|number| *number > 0).ok_or_else(|| {
            Error::usage(format!("'{}' names no question: write TASK#N, such as {task}#1", printable(word)))
        })?;
        Ok(QuestionRef::new(&self.find_task(task, Wanted::Task).await?, number))
    }
}
