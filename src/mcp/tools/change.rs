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
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::mcp) struct TaskIds {
    /// Ids of the tasks.
    ids: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::mcp) struct Changes {
    /// One for each id.
    tasks: Vec<Change>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Change {
    id: String,
    /// Its state before.
    from: &'static str,
    /// Its state now. Still 'running' after a cancel: its agent was told to stop.
    state: &'static str,
    /// Whether the call did anything.
    changed: bool,
}

#[tool_router(router = change_tools, vis = "pub(super)")]
impl Server {
    /// Gives up tasks and their open subtasks; running ones are told to stop. An agent at work may cancel its own subtasks
    /// only.
    #[tool(
        output_schema = args::output::<Changes>(),
        annotations(title = "Cancel tasks", read_only_hint = false, destructive_hint = true, idempotent_hint = true, open_world_hint = false)
    )]
    async fn cancel_task(&self, Parameters(asked): Parameters<TaskIds>) -> Answer<Changes> {
        told(self.ops()?.cancel(&args::ids(&asked.ids)?).await?)
    }

    /// Starts failed, cancelled or held tasks anew, and delayed ones at once. An agent at work may retry its own subtasks
    /// only.
    #[tool(
        output_schema = args::output::<Changes>(),
        annotations(title = "Retry tasks", read_only_hint = false, destructive_hint = false, idempotent_hint = true, open_world_hint = true)
    )]
    async fn retry_task(&self, Parameters(asked): Parameters<TaskIds>) -> Answer<Changes> {
        told(self.ops()?.retry(&args::ids(&asked.ids)?).await?)
    }
}

fn told(changed: Vec<types::Changed>) -> Answer<Changes> {
    let lines: Vec<String> = changed
        .iter()
        .map(|one| match (one.changed, one.from == one.state) {
            (false, _) => format!("{} stays {}", one.id, one.state),
            (true, true) => format!("{} is {}, and was told to stop", one.id, one.state),
            (true, false) => format!("{} was {}, and is {}", one.id, one.from, one.state),
        })
        .collect();
    let tasks = changed.iter().map(|one| Change {
        id: one.id.to_string(),
        from: one.from.as_str(),
        state: one.state.as_str(),
        changed: one.changed,
    });
    reply(lines.join("\n"), Changes { tasks: tasks.collect() })
}
