//! `delegate_task` and `spawn_workers`.

use std::collections::BTreeMap;

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

/// Texts in one call. A longer list is more likely a mistake than a plan.
const PARTS: usize = 200;

#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::mcp) struct Delegated {
    /// The task's id: what wait_tasks takes.
    id: String,
    /// Its state: ready, blocked by a task in 'after', or held until a person approves it; any state where the key was
    /// known.
    state: &'static str,
    /// Whether this call created it.
    created: bool,
    /// The rights of its role that you lack. With any of them, it is held until a person approves it.
    needs_approval: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = plain)]
pub(in crate::mcp) struct SpawnWorkers {
    /// One text per worker, each complete in itself: a worker sees neither your conversation nor the other texts.
    texts: Vec<String>,
    /// The role that does them (get_status lists the roles). Default: the project's.
    role: Option<String>,
    /// Ids of tasks that must have succeeded before.
    #[serde(default, deserialize_with = "args::or_default")]
    after: Vec<String>,
    /// Idempotency key for the whole list: repeated with the same texts, it makes no second tasks.
    key: Option<String>,
    /// low, normal (default) or high.
    #[schemars(extend("enum" = ["low", "normal", "high"]))]
    priority: Option<String>,
    /// Time limit of one attempt at each, such as 90s, 10m or 2h. Default: the role's.
    timeout: Option<String>,
    /// Structured data for every worker.
    context: Option<Map<String, Value>>,
    /// Labels of each task: names and values for people and programs.
    #[serde(default, deserialize_with = "args::or_default")]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = plain)]
pub(in crate::mcp) struct Spawned {
    /// The tasks' ids, in the order of the texts: what wait_tasks takes.
    ids: Vec<String>,
    /// How many of them this call created. The others existed already under the same key, whatever their texts are.
    created: usize,
    /// The rights of their role that you lack. With any of them, they are held until a person approves each.
    needs_approval: Vec<String>,
}

#[tool_router(router = delegate_tools, vis = "pub(super)")]
impl Server {
    /// Delegates a task to an agent of a role and returns its id immediately; the agent works on it concurrently. Use
    /// wait_tasks for its result.
    #[tool(
        output_schema = args::output::<Delegated>(),
        annotations(title = "Delegate a task", read_only_hint = false, destructive_hint = false, open_world_hint = true)
    )]
    async fn delegate_task(&self, Parameters(asked): Parameters<Delegate>) -> Answer<Delegated> {
        let task = self.ops().await?.delegate(asked.completed(&Delegate::default()).map_err(Error::usage)?).await?;
        let said = match (task.created, task.needs_approval.as_slice()) {
            (false, _) if task.differs => format!(
                "{} has this key already, with another text or role, and is {}; nothing was delegated",
                task.id, task.state
            ),
            (false, _) => format!("{} was delegated before, and is {}", task.id, task.state),
            (true, []) => format!("{} is {}; wait_tasks returns its result", task.id, task.state),
            (true, rights) => format!("{} is held until a person approves it: {}", task.id, of_more_rights(rights)),
        };
        let (state, created) = (task.state.as_str(), task.created);
        reply(said, Delegated { id: task.id.to_string(), state, created, needs_approval: task.needs_approval })
    }

    /// Splits work over several agents of one role: one task per text, run concurrently. Returns their ids; use wait_tasks
    /// for the results.
    #[tool(
        output_schema = args::output::<Spawned>(),
        annotations(title = "Split work over workers", read_only_hint = false, destructive_hint = false, open_world_hint = true)
    )]
    async fn spawn_workers(&self, Parameters(asked): Parameters<SpawnWorkers>) -> Answer<Spawned> {
        let ops = self.ops().await?;
        let (mut ids, mut created, mut needs_approval) = (Vec::new(), 0, Vec::new());
        for request in asked.requests()? {
            match ops.delegate(request).await {
                Ok(task) => {
                    ids.push(task.id.to_string());
                    created += usize::from(task.created);
                    if !task.needs_approval.is_empty() {
                        needs_approval = task.needs_approval;
                    }
                }
                Err(error) => return Err(stopped_at(error, &ids).into()),
            }
        }
        let before = match ids.len() - created {
            0 => String::new(),
            n => format!(" ({n} of them delegated before, under the same key)"),
        };
        let then = match needs_approval.as_slice() {
            [] => "wait_tasks returns their results".to_owned(),
            rights => format!("held until a person approves each: {}", of_more_rights(rights)),
        };
        let said = format!("{} tasks{before}; {then}: {}", ids.len(), ids.join(" "));
        reply(said, Spawned { ids, created, needs_approval })
    }
}

impl SpawnWorkers {
    /// One request per text, after all texts were checked.
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
            after: self.after,
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

/// Why a person has to approve, for the model that delegates.
fn of_more_rights(rights: &[String]) -> String {
    format!("it needs the right to {}; tell the user, or use another role", rights.join(", "))
}

fn priority(text: Option<&str>) -> Result<Option<Priority>> {
    text.map(|text| args::word(text, "leave it out for normal")).transpose()
}

/// Tasks that were accepted before stay accepted, so the error has to name them.
fn stopped_at(error: Error, accepted: &[String]) -> Error {
    if accepted.is_empty() {
        return error;
    }
    let message = format!(
        "text {} was not accepted: {}\nthe {} before it were accepted, and continue: {}",
        accepted.len() + 1,
        error.message,
        accepted.len(),
        accepted.join(" ")
    );
    Error { message, ..error }
}
