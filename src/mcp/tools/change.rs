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
    ops::{
        Work,
        types::{self, Rerun},
    },
    view::{View, plan, task},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::mcp) struct TaskIds {
    /// Ids of the tasks or plans.
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
    /// Cancels tasks or plans and their open subtasks; running ones are asked to stop. An agent that works on a task may cancel only
    /// its own subtasks.
    #[tool(
        output_schema = args::output::<Changes>(),
        annotations(title = "Cancel tasks", read_only_hint = false, destructive_hint = true, idempotent_hint = true, open_world_hint = false)
    )]
    async fn cancel_task(&self, Parameters(asked): Parameters<TaskIds>) -> Answer<Changes> {
        let ops = self.ops().await?;
        let Work { tasks, plans } = args::work(ops, &asked.ids).await?;
        let of_tasks = if tasks.is_empty() && !plans.is_empty() { Vec::new() } else { ops.cancel(tasks).await? };
        let mut of_plans = Vec::new();
        for plan in plans {
            of_plans.push(ops.cancel_plan(plan).await?);
        }
        changes(&of_tasks, &of_plans, task::cancelled, plan::cancelled)
    }

    /// Retries failed, cancelled or held tasks, and what of a plan failed, and starts delayed ones immediately. An agent that works on a task may retry
    /// only its own subtasks.
    #[tool(
        output_schema = args::output::<Changes>(),
        annotations(title = "Retry tasks", read_only_hint = false, destructive_hint = false, idempotent_hint = true, open_world_hint = true)
    )]
    async fn retry_task(&self, Parameters(asked): Parameters<TaskIds>) -> Answer<Changes> {
        let ops = self.ops().await?;
        let Work { tasks, plans } = args::work(ops, &asked.ids).await?;
        let of_tasks = if tasks.is_empty() && !plans.is_empty() { Vec::new() } else { ops.retry(tasks).await? };
        let mut of_plans = Vec::new();
        for plan in plans {
            of_plans.push(ops.retry_plan(plan, Rerun::Failed).await?);
        }
        changes(&of_tasks, &of_plans, task::retried, plan::retried)
    }
}

fn changes(
    of_tasks: &[types::Changed],
    of_plans: &[types::PlanChanged],
    task: impl Fn(&types::Changed, &View) -> String,
    plan: impl Fn(&types::PlanChanged) -> String,
) -> Answer<Changes> {
    let view = View::plain();
    let lines: String = of_tasks.iter().map(|one| task(one, &view)).chain(of_plans.iter().map(plan)).collect();
    let tasks = of_tasks.iter().map(|one| Change {
        id: one.id.to_string(),
        from: one.from.as_str(),
        state: one.state.as_str(),
        changed: one.changed,
    });
    let plans = of_plans.iter().map(|one| Change {
        id: one.id.to_string(),
        from: one.from.as_str(),
        state: one.state.as_str(),
        changed: one.from != one.state || !one.tasks.is_empty(),
    });
    reply(lines.trim_end(), Changes { tasks: tasks.chain(plans).collect() })
}
