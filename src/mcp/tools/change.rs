//! `cancel_task` and `retry_task`.

use rmcp::{
    schemars::{self, JsonSchema},
    tool, tool_router,
};
use serde::{Deserialize, Serialize};

use crate::{
    mcp::{
        Server,
        args::{self, Parameters},
        reply::{Answer, reply},
    },
    ops::types,
    view::{View, task},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::mcp) struct TaskIds {
    /// Ids of the tasks.
    ids: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::mcp) struct Changes {
    /// One per id.
    tasks: Vec<Change>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Change {
    id: String,
    /// Its state before.
    from: &'static str,
    /// Its state now. Still 'running' after a cancel: its agent was asked to stop it.
    state: &'static str,
    /// Whether the call did anything.
    changed: bool,
}

#[tool_router(router = change_tools, vis = "pub(super)")]
impl Server {
    /// Cancels tasks and their open subtasks; running ones are asked to stop. An agent that works on a task may cancel only
    /// its own subtasks.
    #[tool(
        output_schema = args::output::<Changes>(),
        annotations(title = "Cancel tasks", read_only_hint = false, destructive_hint = true, idempotent_hint = true, open_world_hint = false)
    )]
    async fn cancel_task(&self, Parameters(asked): Parameters<TaskIds>) -> Answer<Changes> {
        let ops = self.ops().await?;
        changes(ops.cancel(args::ids(ops, &asked.ids).await?).await?, task::cancelled)
    }

    /// Retries failed, cancelled or held tasks, and starts delayed ones immediately. An agent that works on a task may retry
    /// only its own subtasks.
    #[tool(
        output_schema = args::output::<Changes>(),
        annotations(title = "Retry tasks", read_only_hint = false, destructive_hint = false, idempotent_hint = true, open_world_hint = true)
    )]
    async fn retry_task(&self, Parameters(asked): Parameters<TaskIds>) -> Answer<Changes> {
        let ops = self.ops().await?;
        changes(ops.retry(args::ids(ops, &asked.ids).await?).await?, task::retried)
    }
}

fn changes(changed: Vec<types::Changed>, words: impl Fn(&types::Changed, &View) -> String) -> Answer<Changes> {
    let view = View::plain();
    let lines: String = changed.iter().map(|one| words(one, &view)).collect();
    let tasks = changed.iter().map(|one| Change {
        id: one.id.to_string(),
        from: one.from.as_str(),
        state: one.state.as_str(),
        changed: one.changed,
    });
    reply(lines.trim_end(), Changes { tasks: tasks.collect() })
}
