//! `wait_tasks`.

use std::time::Duration;

use rmcp::{
    Peer, RoleServer,
    model::{ProgressNotificationParam, ProgressToken},
    schemars::{self, JsonSchema},
    service::RequestContext,
    tool, tool_router,
};
use serde::{Deserialize, Serialize};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    mcp::{
        Server, args,
        args::{Parameters, plain},
        reply::{Answer, reply},
        view::{Outcome, Row},
    },
    model::task::Task,
    ops::types::{Wait, Waited},
};

/// Clients give up on a tool after a minute or more. An answer in time that says "not yet" is worth more than a better one
/// that nobody hears.
const DEFAULT: Duration = Duration::from_secs(50);
/// For clients that are known to be more patient.
const MOST: Duration = Duration::from_secs(3600);
/// All results of one answer together have so many bytes of text: clients refuse what is much longer.
const TEXTS: usize = 48 * 1024;
/// So many open tasks are named in a line of progress.
const NAMED: usize = 3;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = plain)]
pub(in crate::mcp) struct WaitTasks {
    /// Ids of the tasks to wait for.
    ids: Vec<String>,
    /// Return as soon as one of them has ended, not all.
    #[serde(default, deserialize_with = "args::or_default")]
    any: bool,
    /// Return after this in any case, with what has ended by then: such as 30s. Default 50s, which every client allows;
    /// at most 1h.
    timeout: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::mcp) struct Ended {
    /// Tasks that have ended, with their results.
    done: Vec<Outcome>,
    /// Tasks that have not. Call wait_tasks again with their ids.
    open: Vec<Row>,
    /// The time was over first.
    timed_out: bool,
}

#[tool_router(router = wait_tools, vis = "pub(super)")]
impl Server {
    /// Sleeps until tasks have ended and returns their results, and at the latest after 'timeout' with what has ended by
    /// then. Waiting costs nothing. When tasks are still open, call it again with their ids.
    #[tool(
        output_schema = args::output::<Ended>(),
        annotations(title = "Wait for tasks", read_only_hint = true, open_world_hint = false)
    )]
    async fn wait_tasks(
        &self,
        Parameters(asked): Parameters<WaitTasks>,
        context: RequestContext<RoleServer>,
    ) -> Answer<Ended> {
        let limit = args::time(asked.timeout.as_deref())?.unwrap_or(DEFAULT).min(MOST);
        let wait = Wait { ids: args::ids(&asked.ids)?, any: asked.any, timeout: Some(limit) };
        let ops = self.ops()?;
        let (tell, told) = mpsc::unbounded_channel();
        let waiting = async move {
            let mut seen = |tasks: &[Task]| drop(tell.send(standing(tasks)));
            // Both the client's word that it is not interested any more, and its going away.
            ops.wait_watching(&wait, context.ct.cancelled(), &mut seen).await
        };
        let telling = report(context.peer, context.meta.get_progress_token(), limit, told);
        let (waited, ()) = tokio::join!(waiting, telling);
        let ended = Ended::from(waited?);
        reply(ended.in_words(), ended)
    }
}

impl From<Waited> for Ended {
    fn from(waited: Waited) -> Self {
        let room = TEXTS / waited.ended.len().max(1);
        Ended {
            done: waited.ended.iter().map(|detail| Outcome::new(detail, room)).collect(),
            open: waited.open.iter().map(Row::from).collect(),
            timed_out: waited.timed_out,
        }
    }
}

impl Ended {
    fn in_words(&self) -> String {
        let mut parts: Vec<String> = self.done.iter().map(Outcome::in_words).collect();
        if !self.open.is_empty() {
            let open: Vec<String> = self.open.iter().map(Row::in_words).collect();
            parts.push(format!("not ended yet (call wait_tasks again to go on waiting):\n{}", open.join("\n")));
        }
        parts.join("\n\n")
    }
}

/// Sends each line to a client that has asked for progress; until there will be no more.
async fn report(
    peer: Peer<RoleServer>,
    token: Option<ProgressToken>,
    limit: Duration,
    mut lines: mpsc::UnboundedReceiver<String>,
) {
    let began = Instant::now();
    while let Some(line) = lines.recv().await {
        let Some(token) = &token else { continue };
        // The time that has passed: it alone grows with every line, as the protocol asks for.
        let progress = ProgressNotificationParam::new(token.clone(), began.elapsed().as_secs_f64())
            .with_total(limit.as_secs_f64())
            .with_message(line);
        // A client that can't be told is one that has gone, which others notice.
        let _ = peer.notify_progress(progress).await;
    }
}

/// `1 of 3 ended; t-7k2m9qx4hz running (shell-1), t-3v8n1c5ydw ready`.
fn standing(tasks: &[Task]) -> String {
    let open: Vec<&Task> = tasks.iter().filter(|task| !task.state.is_terminal()).collect();
    let mut named: Vec<String> = open.iter().take(NAMED).map(|task| Row::from(*task).in_words()).collect();
    if open.len() > NAMED {
        named.push(format!("{} more", open.len() - NAMED));
    }
    let ended = format!("{} of {} ended", tasks.len() - open.len(), tasks.len());
    if named.is_empty() { ended } else { format!("{ended}; {}", named.join(", ")) }
}
