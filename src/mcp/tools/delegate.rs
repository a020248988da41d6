//! `delegate_task` and `spawn_workers`.

use std::{collections::BTreeMap, path::Path};

use rmcp::{
    schemars::{self, JsonSchema},
    tool, tool_router,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    error::{Error, Result},
    mcp::{
        Server, args,
        args::{Parameters, plain},
        reply::{Answer, reply},
    },
    model::task::Priority,
    ops::types::Delegate,
};

/// So many parts one thing may have. A longer list is more likely a mistake than a plan.
const PARTS: usize = 200;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = plain)]
pub(in crate::mcp) struct DelegateTask {
    /// What is to be done, with all that the agent has to know: it sees nothing else of your conversation. For a role of
    /// the driver 'shell', a shell script.
    text: String,
    /// Which role does it (get_status lists them). Default: the project's.
    role: Option<String>,
    /// Ids of tasks that must have succeeded before.
    #[serde(default, deserialize_with = "args::or_default")]
    after: Vec<String>,
    /// Idempotency key: the same key is the same task, so that a repeated call makes no second one.
    key: Option<String>,
    /// low, normal (default) or high.
    #[schemars(extend("enum" = ["low", "normal", "high"]))]
    priority: Option<String>,
    /// How long one attempt may take, such as 90s, 10m or 2h. Default: the role's.
    timeout: Option<String>,
    /// Structured data for the agent.
    context: Option<Map<String, Value>>,
    /// Names and values for people and filters.
    #[serde(default, deserialize_with = "args::or_default")]
    labels: BTreeMap<String, String>,
    /// Paths of files that it is about.
    #[serde(default, deserialize_with = "args::or_default")]
    artifacts: Vec<String>,
    /// The folder to work in. Default: the role's.
    cwd: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::mcp) struct Delegated {
    /// The task's id: what wait_tasks takes.
    id: String,
    /// Where it stands: ready, or blocked by a task in 'after'; anything where the key was known.
    state: &'static str,
    /// Whether this call made it.
    created: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = plain)]
pub(in crate::mcp) struct SpawnWorkers {
    /// One text for each worker, each whole in itself: a worker sees neither your conversation nor the other texts.
    texts: Vec<String>,
    /// Which role does them (get_status lists them). Default: the project's.
    role: Option<String>,
    /// Ids of tasks that must have succeeded before.
    #[serde(default, deserialize_with = "args::or_default")]
    after: Vec<String>,
    /// Idempotency key for the whole list: repeated with the same texts, it makes no second tasks.
    key: Option<String>,
    /// low, normal (default) or high.
    #[schemars(extend("enum" = ["low", "normal", "high"]))]
    priority: Option<String>,
    /// How long one attempt at each may take, such as 90s, 10m or 2h. Default: the role's.
    timeout: Option<String>,
    /// Structured data for every worker.
    context: Option<Map<String, Value>>,
    /// Names and values for people and filters, for each of them.
    #[serde(default, deserialize_with = "args::or_default")]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = plain)]
pub(in crate::mcp) struct Spawned {
    /// The tasks' ids, in the order of the texts: what wait_tasks takes.
    ids: Vec<String>,
    /// How many of them this call made. The others were there before, under the same key, whatever their texts are.
    created: usize,
}

#[tool_router(router = delegate_tools, vis = "pub(super)")]
impl Server {
    /// Hands a task to an agent of a role and returns its id at once; the agent works on it beside you. Use wait_tasks for
    /// its result.
    #[tool(
        output_schema = args::output::<Delegated>(),
        annotations(title = "Delegate a task", read_only_hint = false, destructive_hint = false, open_world_hint = true)
    )]
    async fn delegate_task(&self, Parameters(asked): Parameters<DelegateTask>) -> Answer<Delegated> {
        let task = self.ops()?.delegate(asked.request()?).await?;
        let said = match task.created {
            true => format!("{} is {}; wait_tasks returns its result", task.id, task.state),
            false => format!("{} was delegated before, and is {}", task.id, task.state),
        };
        reply(said, Delegated { id: task.id.to_string(), state: task.state.as_str(), created: task.created })
    }

    /// Splits a piece of work over several agents of one role: one task for each text, all at once. Returns their ids; use
    /// wait_tasks for the results.
    #[tool(
        output_schema = args::output::<Spawned>(),
        annotations(title = "Split work over workers", read_only_hint = false, destructive_hint = false, open_world_hint = true)
    )]
    async fn spawn_workers(&self, Parameters(asked): Parameters<SpawnWorkers>) -> Answer<Spawned> {
        let ops = self.ops()?;
        let (mut ids, mut created) = (Vec::new(), 0);
        for request in asked.requests()? {
            match ops.delegate(request).await {
                Ok(task) => {
                    ids.push(task.id.to_string());
                    created += usize::from(task.created);
                }
                Err(error) => return Err(stopped_at(error, &ids).into()),
            }
        }
        let before = match ids.len() - created {
            0 => String::new(),
            n => format!(" ({n} of them delegated before, under the same key)"),
        };
        let said = format!("{} tasks{before}; wait_tasks returns their results: {}", ids.len(), ids.join(" "));
        reply(said, Spawned { ids, created })
    }
}

impl DelegateTask {
    fn request(self) -> Result<Delegate> {
        Ok(Delegate {
            text: self.text,
            role: self.role,
            priority: priority(self.priority.as_deref())?,
            timeout: args::time(self.timeout.as_deref())?,
            retries: None,
            after: args::ids(&self.after)?,
            context: self.context.map(Value::Object),
            artifacts: self.artifacts,
            key: self.key,
            labels: self.labels,
            // As on the command line, seen from where the caller stands.
            cwd: self
                .cwd
                .map(|dir| std::path::absolute(Path::new(&dir)).map_err(|e| Error::usage(format!("cwd {dir}: {e}"))))
                .transpose()?,
        })
    }
}

impl SpawnWorkers {
    /// One request for each text, once all of them are known to be texts.
    fn requests(self) -> Result<Vec<Delegate>> {
        if self.texts.is_empty() || self.texts.len() > PARTS {
            return Err(Error::usage(format!("{} texts: there must be 1 to {PARTS}", self.texts.len()))
                .hint("one text is one worker's task"));
        }
        if let Some(empty) = self.texts.iter().position(|text| text.trim().is_empty()) {
            return Err(Error::usage(format!("text {} is empty", empty + 1)).hint("say what that worker has to do"));
        }
        let common = Delegate {
            role: self.role,
            priority: priority(self.priority.as_deref())?,
            timeout: args::time(self.timeout.as_deref())?,
            after: args::ids(&self.after)?,
            context: self.context.map(Value::Object),
            labels: self.labels,
            ..Delegate::default()
        };
        let each = |(n, text): (usize, String)| Delegate {
            text,
            key: self.key.as_ref().map(|key| format!("{key}/{}", n + 1)),
            ..common.clone()
        };
        Ok(self.texts.into_iter().enumerate().map(each).collect())
    }
}

fn priority(text: Option<&str>) -> Result<Option<Priority>> {
    text.map(|text| args::word(text, "leave it out for normal")).transpose()
}

/// What was accepted before stays accepted, and has to be told.
fn stopped_at(error: Error, accepted: &[String]) -> Error {
    if accepted.is_empty() {
        return error;
    }
    let message = format!(
        "text {} was not accepted: {}\nthe {} before it were, and go on: {}",
        accepted.len() + 1,
        error.message,
        accepted.len(),
        accepted.join(" ")
    );
    Error { message, ..error }
}
