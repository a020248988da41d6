//! `get_status`, `get_task`, `list_tasks`.

use std::{borrow::Cow, collections::BTreeMap};

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
        task::{self, Outcome, Row},
    },
    model::{agent::Agent, attention::in_short, task::TaskState, text::one_line},
    ops::types::{self, Shown, StateFilter, Status, Target, TaskFilter},
    ops::{RoleInfo, You as Caller},
    view,
};

/// Tasks that are listed by default, and at most.
const LISTED: usize = 20;
const LISTED_AT_MOST: usize = 200;
/// Bytes of the answer, and characters of the text, of one task.
const TEXT: usize = 64 * 1024;
const DESCRIPTION: usize = 4_000;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = plain)]
pub(in crate::mcp) struct Standing {
    /// The project.
    namespace: String,
    /// Who you are, if you are an agent: with your own task, if you work on one.
    #[serde(skip_serializing_if = "Option::is_none")]
    you: Option<You>,
    /// running or stopped.
    supervisor: Cow<'static, str>,
    /// ok; or unreachable: then nothing is known of agents and tasks.
    redis: Cow<'static, str>,
    /// Whether new tasks are accepted.
    accepting: bool,
    /// Whether no new agents and tasks are started.
    paused: bool,
    /// Roles to which you may delegate.
    roles: Vec<RoleRow>,
    /// Living agents.
    agents: Vec<AgentRow>,
    /// How many tasks are in each state.
    tasks: BTreeMap<Cow<'static, str>, u64>,
    /// What needs a person.
    attention: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = plain)]
struct You {
    agent: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = plain)]
struct RoleRow {
    name: String,
    /// The kind of agent program; 'shell' takes shell scripts.
    driver: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// How many agents of it work concurrently, at most.
    max: u32,
    /// Whether a task for it is held until a person approves it: it may do what you may not.
    needs_approval: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = plain)]
struct AgentRow {
    id: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    /// What it asks a person for: permission, input or login.
    #[serde(skip_serializing_if = "Option::is_none")]
    needs: Option<&'static str>,
    /// What exactly it asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    needs_for: Option<String>,
    /// That its service does not answer and it tries again automatically.
    #[serde(skip_serializing_if = "Option::is_none")]
    retrying: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::mcp) struct GetTask {
    /// The task's id.
    id: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = plain)]
pub(in crate::mcp) struct Seen {
    #[serde(flatten)]
    task: Row,
    /// Its text, or the beginning of it.
    description: String,
    /// Its subtasks.
    subtasks: Vec<String>,
    /// What must have succeeded before.
    after: Vec<String>,
    /// Every attempt, in words.
    attempts: Vec<String>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = plain)]
pub(in crate::mcp) struct ListTasks {
    /// Only those in this state.
    #[schemars(extend("enum" = ["blocked", "ready", "delayed", "held", "running", "succeeded", "failed", "cancelled", "skipped"]))]
    state: Option<String>,
    /// Only those of this role.
    role: Option<String>,
    /// Only subtasks of this task. Your own task's id is in get_status.
    parent: Option<String>,
    /// How many, the newest first. Default 20, at most 200.
    limit: Option<usize>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::mcp) struct Listed {
    /// The newest first.
    tasks: Vec<Row>,
    /// Whether there are more than the limit.
    more: bool,
}

#[tool_router(router = look_tools, vis = "pub(super)")]
impl Server {
    /// The project's status: who you are, the roles you can delegate to, the agents, how many tasks are in each state, what
    /// needs a person.
    #[tool(
        output_schema = args::output::<Standing>(),
        annotations(title = "Status", read_only_hint = true, open_world_hint = false)
    )]
    async fn get_status(&self) -> Answer<Standing> {
        let ops = self.ops().await?;
        let (status, project) = (ops.status().await?, ops.project().await?);
        let mut words = view::status::in_words(&status);
        let standing = Standing {
            you: project.you.map(You::from),
            roles: project.roles.into_iter().filter(|role| role.delegable).map(RoleRow::from).collect(),
            ..Standing::from(status)
        };
        words.push_str(&standing.about_the_caller());
        reply(words.trim_end(), standing)
    }

    /// Everything about one task: its state and why, its attempts, its result. To wait for a task, use wait_tasks.
    #[tool(
        output_schema = args::output::<Seen>(),
        annotations(title = "Show a task", read_only_hint = true, open_world_hint = false)
    )]
    async fn get_task(&self, Parameters(asked): Parameters<GetTask>) -> Answer<Seen> {
        let ops = self.ops().await?;
        let shown = ops.show(Target::Task(args::id(ops, &asked.id).await?)).await?;
        let Shown::Task(detail) = shown else {
            return Err(crate::error::Error::internal(format!("{} is no task", asked.id)).into());
        };
        let task = &detail.task;
        let attempts = detail.attempts.iter().map(|attempt| {
            let how = attempt.reason.as_deref().map_or_else(|| "running".to_owned(), |why| one_line(why, 300));
            format!("{} by {}: {how}", attempt.number, attempt.agent)
        });
        let seen = Seen {
            task: Row::from(task),
            description: beginning(&task.description),
            subtasks: task.children.iter().map(ToString::to_string).collect(),
            after: task.after.iter().map(ToString::to_string).collect(),
            attempts: attempts.collect(),
            outcome: task.state.is_terminal().then(|| Outcome::new(&detail, TEXT)),
        };
        let words = seen.outcome.as_ref().map(|outcome| outcome.in_words(&detail, TEXT));
        reply(words.unwrap_or_else(|| task::in_words(task)), seen)
    }

    /// Lists tasks, the newest first. To wait for tasks, use wait_tasks.
    #[tool(
        output_schema = args::output::<Listed>(),
        annotations(title = "List tasks", read_only_hint = true, open_world_hint = false)
    )]
    async fn list_tasks(&self, Parameters(asked): Parameters<ListTasks>) -> Answer<Listed> {
        let limit = asked.limit.unwrap_or(LISTED).clamp(1, LISTED_AT_MOST);
        let state: Option<TaskState> =
            asked.state.as_deref().map(|state| args::word(state, "leave it out for all")).transpose()?;
        let ops = self.ops().await?;
        let parent = match &asked.parent {
            Some(parent) => Some(args::id(ops, parent).await?),
            None => None,
        };
        let filter = TaskFilter {
            states: state.into_iter().map(StateFilter::from).collect(),
            role: asked.role,
            parent,
            limit: Some(limit),
            ..TaskFilter::default()
        };
        let types::Listed { tasks: found, more, .. } = ops.tasks(filter).await?;
        let listed = Listed { tasks: found.iter().map(Row::from).collect(), more };
        let rows = listed.tasks.iter().zip(&found);
        let lines = rows.map(|(row, task)| format!("{}: {}", task::in_words(task), row.text));
        let more = listed.more.then(|| "... and more".to_owned());
        let lines: Vec<String> = lines.chain(more).collect();
        reply(if lines.is_empty() { "no tasks".to_owned() } else { lines.join("\n") }, listed)
    }
}

impl From<Caller> for You {
    fn from(you: Caller) -> Self {
        You { agent: you.agent, task: you.task.map(|task| task.to_string()) }
    }
}

fn beginning(text: &str) -> String {
    match text.char_indices().nth(DESCRIPTION) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl From<RoleInfo> for RoleRow {
    fn from(role: RoleInfo) -> Self {
        let (driver, needs_approval) = (role.driver.as_str(), role.needs_approval);
        RoleRow { name: role.name, driver, model: role.model, max: role.max, needs_approval }
    }
}

impl From<&Agent> for AgentRow {
    fn from(agent: &Agent) -> Self {
        AgentRow {
            id: agent.id.clone(),
            state: agent.state.as_str(),
            task: agent.task.as_ref().map(ToString::to_string),
            needs: agent.needs.map(|needs| needs.as_str()),
            needs_for: agent.needs_for.clone(),
            retrying: agent.retrying.as_ref().map(|retrying| retrying.retry.to_string()),
        }
    }
}

impl From<Status> for Standing {
    fn from(status: Status) -> Self {
        Standing {
            namespace: status.namespace,
            you: None,
            supervisor: status.supervisor.state,
            redis: status.redis.state,
            accepting: status.supervisor.accepting,
            paused: status.supervisor.paused,
            roles: Vec::new(),
            agents: status.agents.iter().map(AgentRow::from).collect(),
            tasks: status.tasks,
            attention: in_short(&status.attention).into_iter().map(|a| format!("{} (do: {})", a.what, a.do_)).collect(),
        }
    }
}

impl Standing {
    /// What the caller may do, and who it is.
    fn about_the_caller(&self) -> String {
        let names: Vec<&str> = self.roles.iter().map(|role| role.name.as_str()).collect();
        let roles = format!("roles to delegate to: {}\n", names.join(", "));
        let Some(you) = &self.you else { return roles };
        let task = you.task.as_ref().map(|task| format!(", working on {task}")).unwrap_or_default();
        format!("{roles}you are {}{task}\n", you.agent)
    }
}
