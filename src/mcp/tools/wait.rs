//! `wait_tasks`.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::StreamExt;
use rmcp::{
    Peer, RoleServer,
    model::{ProgressNotificationParam, ProgressToken},
    schemars::{self, JsonSchema},
    service::RequestContext,
    tool, tool_router,
};
use serde::{Deserialize, Serialize};
use tokio::{sync::Notify, time::Instant};

use crate::{
    error::Error,
    mcp::{
        Server, args,
        args::{Parameters, plain},
        reply::{Answer, reply},
        task::{self, Outcome, Row},
    },
    model::{
        plan::PlanSummary,
        task::{Task, TaskState},
        text::one_line,
    },
    ops::{
        Work,
        types::{Wait, WaitStep, Waited},
    },
    view::{self, View},
};

/// Clients cancel a tool call after a minute or more. An early answer that says "not yet" reaches them; a complete one that
/// is late does not.
const DEFAULT: Duration = Duration::from_secs(50);
/// For clients that are configured to wait longer.
const MOST: Duration = Duration::from_secs(3600);
/// Bytes of text of all results in one answer: clients refuse much longer answers.
const TEXTS: usize = 48 * 1024;
/// Open tasks that are named in a progress notification.
const NAMED: usize = 3;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = plain)]
pub(in crate::mcp) struct WaitTasks {
    /// Ids of the tasks and plans to wait for.
    ids: Vec<String>,
    /// Return as soon as one of them has ended, not all.
    #[serde(default, deserialize_with = "args::or_default")]
    any: bool,
    /// Return after this time at the latest, with what has ended by then, such as 30s. Default: as long as your program
    /// allows, at least 50s; at most 1h.
    timeout: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::mcp) struct Ended {
    /// Tasks that have ended, with their results.
    done: Vec<Outcome>,
    /// Tasks that have not. Call wait_tasks again with their ids.
    open: Vec<Row>,
    /// The plans that were named. Of one that is running, call wait_tasks again.
    plans: Vec<PlanRow>,
    /// Whether the time was over first.
    timed_out: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct PlanRow {
    id: String,
    name: String,
    /// running, held (nothing can go on without a person), succeeded, failed or cancelled.
    state: &'static str,
}

#[tool_router(router = wait_tools, vis = "pub(super)")]
impl Server {
    /// Waits until tasks or plans have ended, or one waits for a person, and returns results; after 'timeout' at the latest.
    /// Waiting costs nothing. If tasks are still open, call it again with their ids.
    #[tool(
        output_schema = args::output::<Ended>(),
        annotations(title = "Wait for tasks", read_only_hint = true, open_world_hint = false)
    )]
    async fn wait_tasks(
        &self,
        Parameters(asked): Parameters<WaitTasks>,
        context: RequestContext<RoleServer>,
    ) -> Answer<Ended> {
        let allowed = context.peer.peer_info().map_or(DEFAULT, |client| allowed(&client.client_info.name));
        let limit = args::time(asked.timeout.as_deref())?.unwrap_or(allowed).min(MOST);
        let ops = self.ops().await?;
        let Work { tasks: ids, plans } = args::work(ops, &asked.ids).await?;
        let wait = Wait { ids, plans, any: asked.any, timeout: Some(limit) };
        let now = Wait { timeout: Some(Duration::ZERO), ..wait.clone() };
        let progress = Progress::new(context.peer, context.meta.get_progress_token(), limit);
        // The client cancels the call, or goes away.
        let (is_held, ct) = (Arc::new(Notify::new()), context.ct);
        let stopped = is_held.clone();
        let cancelled = async move {
            tokio::select! {
                () = ct.cancelled() => {}
                () = stopped.notified() => {}
            }
        };
        let mut steps = pin!(ops.wait_steps_until(wait, cancelled));
        while let Some(step) = steps.next().await {
            match step? {
                WaitStep::Looked(tasks) => progress.report(&standing(&tasks)).await,
                // What waits for a person may wait for hours.
                WaitStep::Held(_) => break,
                // Mostly for a while: an answer now would be a request more each time.
                WaitStep::Locked { .. } => {}
                WaitStep::Done(waited) => return reply(in_words(&waited), Ended::from(&waited)),
            }
        }
        // Its end takes away the mark that the caller's own task waits.
        is_held.notify_one();
        while steps.next().await.is_some() {}
        let mut steps = pin!(ops.wait_steps_until(now, std::future::pending()));
        while let Some(step) = steps.next().await {
            if let WaitStep::Done(waited) = step? {
                let waited = Waited { timed_out: false, ..waited };
                return reply(in_words(&waited), Ended::from(&waited));
            }
        }
        Err(Error::internal("the wait has ended without an answer").into())
    }
}

/// Returns how long a client lets a call of a tool take by default, as far as that is known.
fn allowed(client: &str) -> Duration {
    let is_agent = std::env::var_os("ORCH_AGENT").is_some();
    match client {
        // More than a day.
        name if name.starts_with("claude") => MOST,
        // A minute, but orch raises that for the ones that it starts.
        name if name.starts_with("codex") && is_agent => MOST,
        // Ten minutes.
        name if name.starts_with("gemini-cli") => Duration::from_secs(9 * 60),
        _ => DEFAULT,
    }
}

/// Bytes of text per result.
fn room(waited: &Waited) -> usize {
    TEXTS / waited.ended.len().max(1)
}

impl From<&PlanSummary> for PlanRow {
    fn from(plan: &PlanSummary) -> PlanRow {
        PlanRow { id: plan.id.to_string(), name: plan.name.clone(), state: plan.state.as_str() }
    }
}

impl From<&Waited> for Ended {
    fn from(waited: &Waited) -> Self {
        Ended {
            done: waited.ended.iter().map(|detail| Outcome::new(detail, room(waited))).collect(),
            open: waited.open.iter().map(Row::from).collect(),
            plans: waited.plans.iter().chain(&waited.open_plans).map(PlanRow::from).collect(),
            timed_out: waited.timed_out,
        }
    }
}

fn in_words(waited: &Waited) -> String {
    let room = room(waited);
    let mut parts: Vec<String> =
        waited.ended.iter().map(|detail| Outcome::new(detail, room).in_words(detail, room)).collect();
    let done = |plan: &PlanSummary| view::plan::end_in_one_line(plan, &View::plain()).trim_end().to_owned();
    parts.extend(waited.plans.iter().map(|plan| format!("{} (get_plan shows its tasks)", done(plan))));
    let (held, open): (Vec<&Task>, Vec<&Task>) = waited.open.iter().partition(|task| task.state == TaskState::Held);
    if !held.is_empty() {
        let reason =
            |task: &Task| task.reason.as_deref().map_or(String::new(), |reason| format!(": {}", one_line(reason, 400)));
        let held: Vec<String> = held.iter().map(|task| format!("{}{}", task::in_words(task), reason(task))).collect();
        parts.push(format!("held until a person acts (do not wait for them before that):\n{}", held.join("\n")));
    }
    if !open.is_empty() || !waited.open_plans.is_empty() {
        let open = open.iter().map(|task| task::in_words(task));
        let open: Vec<String> = open.chain(waited.open_plans.iter().map(done)).collect();
        parts.push(format!("not ended yet (call wait_tasks again to continue waiting):\n{}", open.join("\n")));
    }
    parts.join("\n\n")
}

/// The client's progress notifications for one call, if it wants any.
struct Progress {
    peer: Peer<RoleServer>,
    token: Option<ProgressToken>,
    limit: Duration,
    began: Instant,
}

impl Progress {
    fn new(peer: Peer<RoleServer>, token: Option<ProgressToken>, limit: Duration) -> Self {
        Progress { peer, token, limit, began: Instant::now() }
    }

    async fn report(&self, line: &str) {
        let Some(token) = &self.token else { return };
        // The time that has passed: the protocol requires a value that grows with every notification.
        let progress = ProgressNotificationParam::new(token.clone(), self.began.elapsed().as_secs_f64())
            .with_total(self.limit.as_secs_f64())
            .with_message(line);
        // A client that cannot be reached has gone, which ends the call elsewhere.
        let _ = self.peer.notify_progress(progress).await;
    }
}

/// `1 of 3 ended; t-7k2m9qx4hz running (shell-1), t-3v8n1c5ydw ready`.
fn standing(tasks: &[Task]) -> String {
    let open: Vec<&Task> = tasks.iter().filter(|task| !task.state.is_terminal()).collect();
    let mut named: Vec<String> = open.iter().take(NAMED).map(|task| task::in_words(task)).collect();
    if open.len() > NAMED {
        named.push(format!("{} more", open.len() - NAMED));
    }
    let ended = format!("{} of {} ended", tasks.len() - open.len(), tasks.len());
    if named.is_empty() { ended } else { format!("{ended}; {}", named.join(", ")) }
}
