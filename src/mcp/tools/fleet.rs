//! `scale_workers`, `drain`, `kill_all`: for people and the master.

use std::time::Duration;

use rmcp::{
    schemars::{self, JsonSchema},
    tool, tool_router,
};
use serde::{Deserialize, Serialize};

use crate::{
    mcp::{
        Server, args,
        args::{Parameters, plain},
        reply::{Answer, reply},
    },
    model::text::count,
};

/// How long the end of a stop is waited for. A stop completes without the caller.
const STOP: Duration = Duration::from_secs(40);

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = plain)]
pub(in crate::mcp) struct ScaleWorkers {
    /// The role.
    role: String,
    /// How many agents, neither more nor fewer. Leave it out to go back to what the project's configuration says.
    n: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::mcp) struct Requested {
    /// Whether that was not requested already.
    changed: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = plain)]
pub(in crate::mcp) struct Stopped {
    /// Whether anything was running.
    stopped: bool,
    /// How many tasks had not ended. They are kept for the next start.
    #[serde(skip_serializing_if = "Option::is_none")]
    open_tasks: Option<u64>,
}

#[tool_router(router = fleet_tools, vis = "pub(super)")]
impl Server {
    /// Sets the number of agents of a role. Not needed to get work done: agents start and stop automatically. Not for an
    /// agent that works on a task.
    #[tool(
        output_schema = args::output::<Requested>(),
        annotations(title = "Scale a role", read_only_hint = false, destructive_hint = false, idempotent_hint = true, open_world_hint = false)
    )]
    async fn scale_workers(&self, Parameters(asked): Parameters<ScaleWorkers>) -> Answer<Requested> {
        let changed = self.ops().await?.scale(asked.role.clone(), asked.n).await?;
        let size = asked.n.map_or_else(|| "the size that is configured".to_owned(), |n| count(n, "agent", "agents"));
        reply(format!("role {} is to have {size}", asked.role), Requested { changed })
    }

    /// Accepts no new tasks, except subtasks of running ones; open tasks are finished. A person undoes it with 'orch
    /// resume'. Not for an agent that works on a task.
    #[tool(
        output_schema = args::output::<Requested>(),
        annotations(title = "Drain", read_only_hint = false, destructive_hint = false, idempotent_hint = true, open_world_hint = false)
    )]
    async fn drain(&self) -> Answer<Requested> {
        let changed = self.ops().await?.drain().await?;
        reply("no new tasks are accepted; open ones are finished", Requested { changed })
    }

    /// Stops everything immediately: all agents, including you if you are one, and the supervisor. Tasks are kept for the
    /// next start. Only when the user asks for exactly that. Not for an agent that works on a task.
    #[tool(
        output_schema = args::output::<Stopped>(),
        annotations(title = "Stop everything", read_only_hint = false, destructive_hint = true, idempotent_hint = true, open_world_hint = false)
    )]
    async fn kill_all(&self) -> Answer<Stopped> {
        let stopped = self.ops().await?.stop(false, Some(STOP)).await?;
        let said = match (stopped.stopped, stopped.open_tasks) {
            (false, _) => "nothing was running".to_owned(),
            (true, Some(n)) if n > 0 => {
                format!("stopped; {} kept for the next start", count(n, "open task is", "open tasks are"))
            }
            (true, _) => "stopped".to_owned(),
        };
        reply(said, Stopped { stopped: stopped.stopped, open_tasks: stopped.open_tasks })
    }
}
