//! `orch edit`: a person changes what a task was delegated with, while no attempt of it runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Caller, Delegate, Edited, Ops, delegate};
use crate::{
    error::{Error, Result},
    model::{id::TaskId, task::Priority, text::one_line},
    store::edit::Edit,
};

/// What is to be changed; what is `None` or empty stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Edits {
    /// What is to be done.
    pub text: Option<String>,
    /// The role whose agents may run it.
    pub role: Option<String>,
    /// Its priority among ready tasks.
    pub priority: Option<Priority>,
    /// What it comes after, instead of what it came after before.
    pub after: Option<Vec<String>>,
    /// Labels to set; an empty value takes the label away.
    pub labels: Vec<(String, String)>,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// By when it must have ended, from its acceptance on; zero: it has no deadline.
    pub deadline: Option<Duration>,
    /// How often it is retried after a failure.
    pub retries: Option<u32>,
}

impl Ops {
    /// Changes a task of which no attempt runs.
    ///
    /// # Errors
    /// Usage: nothing is to be changed; what is wrong with it. NotFound: no such task, role or dependency. Failed: an agent
    /// calls. Conflict: an attempt of the task runs, or it has ended.
    pub async fn edit(&self, id: &TaskId, edits: Edits) -> Result<Edited> {
        let Caller::Person(person) = &self.caller else {
            return Err(Error::failed("orch edit is for a person: an agent delegates another task")
                .hint("cancel the task, and delegate it as it should be"));
        };
        let task = self.existing(std::slice::from_ref(id)).await?.remove(0);
        let words = edits.words();
        if words.is_empty() {
            return Err(Error::usage("nothing is to be changed")
                .hint(format!("say what: orch edit {id} --text TEXT, --role ROLE, --priority P ...")));
        }
        if edits.text.as_deref().is_some_and(|text| text.trim().is_empty()) {
            return Err(Error::usage("the task would have no text")
                .hint(format!("write what is to be done: orch edit {id} --text 'run the tests'")));
        }
        if let Some(role) = &edits.role {
            let role = self.config.role(role)?;
            delegate::takes_tasks(&self.config, role)?;
            self.reports(role, task.max_cost_usd.is_some(), task.max_tokens.is_some())?;
        }
        let mut labels = task.labels.clone();
        for (name, value) in &edits.labels {
            match value.is_empty() {
                true => drop(labels.remove(name)),
                false => drop(labels.insert(name.clone(), value.clone())),
            }
        }
        // What is new is judged as if it were delegated.
        let asked = delegate::redacted(
            Delegate {
                text: edits.text.clone().unwrap_or_else(|| task.description.clone()),
                labels,
                timeout: edits.timeout,
                after: edits.after.clone().unwrap_or_default(),
                ..Delegate::default()
            },
            self.redactor(),
        );
        delegate::check(&asked)?;
        let after = match &edits.after {
            None => None,
            Some(words) => {
                let mut after: Vec<TaskId> = Vec::new();
                for word in words {
                    let first = self.find_task(word).await?;
                    if !after.contains(&first) {
                        after.push(first);
                    }
                }
                Some(after)
            }
        };
        let edit = Edit {
            text: edits.text.is_some().then_some(asked.text),
            role: edits.role,
            priority: edits.priority,
            labels: (!edits.labels.is_empty()).then_some(asked.labels),
            after,
            timeout: edits.timeout,
            deadline: edits.deadline.map(|time| Some(time).filter(|time| !time.is_zero())),
            retries: edits.retries,
        };
        let reason = one_line(&format!("{person} has changed its {}", words.join(", ")), 200);
        let max_wait = self.config.supervisor.max_wait;
        let (from, state) = self.ask(|s| s.edit(id, &edit, max_wait, &reason)).await?;
        Ok(Edited { id: id.clone(), from, state, changed: words })
    }
}

impl Edits {
    fn words(&self) -> Vec<String> {
        let named = [
            ("text", self.text.is_some()),
            ("role", self.role.is_some()),
            ("priority", self.priority.is_some()),
            ("after", self.after.is_some()),
            ("label", !self.labels.is_empty()),
            ("timeout", self.timeout.is_some()),
            ("deadline", self.deadline.is_some()),
            ("retries", self.retries.is_some()),
        ];
        named.into_iter().filter(|(_, is_named)| *is_named).map(|(name, _)| name.to_owned()).collect()
    }
}
