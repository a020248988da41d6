//! The candidates for a word that is being typed: ids of tasks with their texts, agents, roles. Completions have to be
//! quick, so all reads are bounded, however many tasks there are.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{Ops, StateFilter, TaskFilter};
use crate::{
    error::Result,
    model::{
        id::{self, TaskId},
        question::QuestionRef,
        task::Task,
        text::one_line,
    },
};

/// How many candidates of each kind are offered.
const OFFERED: usize = 50;
/// Columns of what explains a candidate.
const ABOUT: usize = 60;

/// How many of the tasks that were delegated last are offered by their number.
const RECENT: usize = 9;

/// What is being typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Completing {
    /// A task in one of these states, or in any.
    Task(Vec<StateFilter>),
    /// A task or an agent; an agent alone comes first.
    TaskOrAgent(Vec<StateFilter>),
    /// The same, or a plan.
    Any(Vec<StateFilter>),
    /// A plan.
    Plan,
    /// An agent.
    Agent,
    /// A role.
    Role,
    /// An open question.
    Question,
    /// A schedule.
    Schedule,
}

/// What a word may become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The whole word.
    pub word: String,
    /// What it is.
    pub about: String,
}

impl Ops {
    /// Returns what a word that begins so may become, the likeliest first.
    ///
    /// # Errors
    /// NotRunning: there is no Redis, and roles are not asked for.
    pub async fn candidates(&self, of: &Completing, begun: &str) -> Result<Vec<Candidate>> {
        let mut found = match of {
            Completing::Role => self.role_candidates(),
            Completing::Agent => self.agent_candidates().await?,
            Completing::Schedule => self.schedule_candidates(),
            Completing::Question => self.question_candidates().await?,
            Completing::Task(states) => self.task_candidates(states, begun).await?,
            Completing::Plan => self.plan_candidates().await?,
            Completing::TaskOrAgent(states) | Completing::Any(states) => {
                let mut both = self.agent_candidates().await?;
                both.extend(self.task_candidates(states, begun).await?);
                if matches!(of, Completing::Any(_)) {
                    both.extend(self.plan_candidates().await?);
                }
                both
            }
        };
        let mut seen = HashSet::new();
        found.retain(|one| one.word.starts_with(begun) && seen.insert(one.word.clone()));
        Ok(found)
    }

    fn role_candidates(&self) -> Vec<Candidate> {
        let roles = self.config.roles.values();
        roles.map(|role| Candidate { word: role.name.clone(), about: format!("driver {}", role.driver) }).collect()
    }

    fn schedule_candidates(&self) -> Vec<Candidate> {
        let schedules = self.config.schedules.values();
        schedules.map(|one| Candidate { word: one.name.clone(), about: one.when() }).collect()
    }

    async fn agent_candidates(&self) -> Result<Vec<Candidate>> {
        let agents = self.agents().await?.into_iter().map(|agent| {
            let task = agent.task.as_ref().map(|task| format!(" {task}")).unwrap_or_default();
            Candidate { about: format!("{}{task}", agent.state), word: agent.id }
        });
        Ok(agents.collect())
    }

    async fn plan_candidates(&self) -> Result<Vec<Candidate>> {
        let plans = self.plans(OFFERED).await?;
        let named = plans.iter().map(|plan| Candidate {
            word: plan.id.to_string(),
            about: format!("{} {}", plan.state, one_line(&plan.name, ABOUT)),
        });
        Ok(named.collect())
    }

    async fn question_candidates(&self) -> Result<Vec<Candidate>> {
        let (asking, _) = self.ask(|s| s.asking(OFFERED)).await?;
        let of_task = |(task, questions): (_, Vec<crate::model::question::Question>)| {
            let one = move |question: crate::model::question::Question| Candidate {
                word: QuestionRef::new(&task, question.number).to_string(),
                about: one_line(&question.question, ABOUT),
            };
            questions.into_iter().map(one)
        };
        Ok(asking.into_iter().flat_map(of_task).collect())
    }

    /// The newest tasks; of a beginning that is typed already, all that it may become.
    async fn task_candidates(&self, states: &[StateFilter], begun: &str) -> Result<Vec<Candidate>> {
        if begun.starts_with('@') {
            return self.recent_candidates().await;
        }
        let filter = TaskFilter { states: states.to_vec(), limit: Some(OFFERED), ..TaskFilter::default() };
        let mut tasks = self.tasks(filter).await?.tasks;
        if id::is_beginning(begun) {
            let ids = self.ask(|s| s.tasks_beginning(begun, OFFERED)).await?;
            tasks.extend(self.ask(|s| s.tasks(&ids)).await?);
        }
        Ok(tasks.iter().map(|task| Candidate { word: task.id.to_string(), about: about(task) }).collect())
    }

    /// The tasks that the caller delegated last, as `@last`, `@1`, `@2` and so on name them, in whatever state.
    async fn recent_candidates(&self) -> Result<Vec<Candidate>> {
        let parent = self.caller.attempt().map(|attempt| attempt.task.clone());
        let ids = self.ask(|s| s.newest_delegated(parent.as_ref(), RECENT)).await?;
        let tasks = self.ask(|s| s.tasks(&ids)).await?;
        let named = |id: &TaskId| {
            let task = tasks.iter().find(|task| task.id == *id);
            task.map_or_else(|| id.to_string(), |task| format!("{id} {}", about(task)))
        };
        let last = ids.first().map(|id| Candidate { word: "@last".to_owned(), about: named(id) });
        let numbered = ids.iter().zip(1..).map(|(id, n)| Candidate { word: format!("@{n}"), about: named(id) });
        Ok(last.into_iter().chain(numbered).collect())
    }
}

fn about(task: &Task) -> String {
    format!("{} {}", task.state, one_line(&task.description, ABOUT))
}
