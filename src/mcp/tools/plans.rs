//! `submit_plan` and `get_plan`.

use rmcp::{
    schemars::{self, JsonSchema},
    tool, tool_router,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    error::Error,
    mcp::{
        Server,
        args::{self, Parameters, plain},
        reply::{Answer, reply},
    },
    model::{
        plan::{PlanDetail, PlanTask},
        text::one_line,
    },
    ops::types::PlanSource,
    plan::Located,
    view::{View, plan as view},
};

/// Columns of a reason.
const REASON: usize = 300;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = plain)]
pub(in crate::mcp) struct SubmitPlan {
    /// What the plan is called: letters, digits, - and _.
    name: String,
    /// What it is for. {{plan.text}} in a task's text stands for it.
    text: Option<String>,
    /// The tasks by their keys: letters, digits, - and _. Each is an object with text, and perhaps role, after, on_failure,
    /// priority, timeout, deadline, retries, context, labels, artifacts, cwd. 'after' lists the keys of tasks that must have
    /// succeeded before, or objects with task, when (succeeded, failed, ended) and on_failure. {{results.KEY.text}} in a text
    /// stands for the answer of a task before it.
    tasks: Map<String, Value>,
    /// What becomes of a task when one before it fails: fail (the default), skip or run.
    #[schemars(extend("enum" = ["fail", "skip", "run"]))]
    on_failure: Option<String>,
    /// Idempotency key: a repeated call with the same key returns the same plan.
    key: Option<String>,
    /// Only report what is wrong with it, and submit nothing.
    #[serde(default, deserialize_with = "args::or_default")]
    check: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = plain)]
pub(in crate::mcp) struct Submitted {
    /// The plan's id: what wait_tasks and get_plan take. Absent: nothing was submitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Its tasks.
    tasks: Vec<Made>,
    /// What is wrong: nothing is submitted then.
    mistakes: Vec<String>,
    /// What is allowed, and probably not meant.
    remarks: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Made {
    key: String,
    id: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::mcp) struct GetPlan {
    /// The plan's id, or its name: then the newest one is meant.
    id: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = plain)]
pub(in crate::mcp) struct Seen {
    id: String,
    name: String,
    /// running, held (nothing can go on without a person), succeeded, failed or cancelled.
    state: &'static str,
    /// Each after those that it comes after.
    tasks: Vec<Row>,
    /// The keys of the tasks that decide how long it takes.
    path: Vec<String>,
    /// In how many milliseconds it ends, at even odds.
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_ms: Option<u64>,
    /// What would make it end earlier.
    #[serde(skip_serializing_if = "Option::is_none")]
    shorten: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = plain)]
struct Row {
    key: String,
    id: String,
    role: String,
    state: &'static str,
    /// The keys of the tasks that it comes after.
    after: Vec<String>,
    /// The agent that works on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    /// Why it is in its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[tool_router(router = plan_tools, vis = "pub(super)")]
impl Server {
    /// Submits tasks that depend on each other as one plan: all of them, or, if there is a mistake, none. They run as early
    /// as 'after' allows. Use wait_tasks with the plan's id to wait for its end.
    #[tool(
        output_schema = args::output::<Submitted>(),
        annotations(title = "Submit a plan", read_only_hint = false, destructive_hint = false, open_world_hint = true)
    )]
    async fn submit_plan(&self, Parameters(asked): Parameters<SubmitPlan>) -> Answer<Submitted> {
        let ops = self.ops().await?;
        let source = asked.source()?;
        let checked = ops.check_plan(source.clone()).await?;
        let mistakes: Vec<String> = checked.mistakes.iter().map(in_words).collect();
        let remarks: Vec<String> = checked.remarks.iter().map(in_words).collect();
        if asked.check || !mistakes.is_empty() {
            let said = match mistakes.as_slice() {
                [] => format!("no mistake in {} tasks; nothing was submitted", checked.tasks),
                some => format!("nothing was submitted: correct this and call again:\n{}", some.join("\n")),
            };
            return reply(said, Submitted { id: None, tasks: Vec::new(), mistakes, remarks });
        }
        let plan = ops.submit_plan(source).await?;
        let made = plan.tasks.iter().map(|task| Made { key: task.key.clone(), id: task.id.to_string() });
        let tasks: Vec<Made> = made.collect();
        let ids: Vec<String> = tasks.iter().map(|made| format!("{} {}", made.key, made.id)).collect();
        let said = format!(
            "{} is {}; wait_tasks waits for it, get_plan shows it. Its tasks: {}",
            plan.id,
            plan.state,
            one_line(&ids.join(", "), 4_000)
        );
        reply(said, Submitted { id: Some(plan.id.to_string()), tasks, mistakes, remarks })
    }

    /// Shows a plan: the state of each task, the critical path, and when it may end. To wait for it, use wait_tasks.
    #[tool(
        output_schema = args::output::<Seen>(),
        annotations(title = "Show a plan", read_only_hint = true, open_world_hint = false)
    )]
    async fn get_plan(&self, Parameters(asked): Parameters<GetPlan>) -> Answer<Seen> {
        let ops = self.ops().await?;
        let detail = ops.show_plan(ops.find_plan(asked.id).await?).await?;
        reply(view::page(&detail, &View::plain()).trim_end(), Seen::from(&detail))
    }
}

impl SubmitPlan {
    fn source(&self) -> Result<PlanSource, Error> {
        let mut document = json!({"name": self.name, "tasks": self.tasks});
        if let (Some(policy), Some(fields)) = (&self.on_failure, document.as_object_mut()) {
            fields.insert("on_failure".to_owned(), policy.clone().into());
        }
        let document = serde_json::to_string(&document).map_err(|e| Error::internal(format!("a plan as JSON: {e}")))?;
        Ok(PlanSource { document, text: self.text.clone(), key: self.key.clone(), ..PlanSource::default() })
    }
}

/// Without the place: the caller has not seen the document that was made of its arguments.
fn in_words(mistake: &Located) -> String {
    format!("{} {}", mistake.key, mistake.what).trim().to_owned()
}

impl From<&PlanDetail> for Seen {
    fn from(detail: &PlanDetail) -> Seen {
        Seen {
            id: detail.plan.id.to_string(),
            name: detail.plan.name.clone(),
            state: detail.plan.state.as_str(),
            tasks: detail.tasks.iter().map(Row::from).collect(),
            path: detail.path.clone(),
            eta_ms: detail.eta.map(|eta| eta.p50_ms),
            shorten: detail.shorten.clone(),
        }
    }
}

impl From<&PlanTask> for Row {
    fn from(task: &PlanTask) -> Row {
        Row {
            key: task.key.clone(),
            id: task.id.to_string(),
            role: task.role.clone(),
            state: task.state.as_str(),
            after: task.after.iter().map(|edge| edge.task.clone()).collect(),
            agent: task.agent.clone(),
            reason: task.reason.as_ref().map(|reason| one_line(reason, REASON)),
        }
    }
}
