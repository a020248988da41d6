//! `orch mcp`: the verbs as tools of the Model Context Protocol, for agent programs. It serves one client on standard input
//! and output until the client closes them.
//!
//! A surface like the command line: a tool (`tools`, one file for each small group) turns its arguments into a request
//! to `ops`, and the answer into a short text and JSON; `resources` shows what is recorded. The caller is derived
//! ([`crate::ops::Identity`]), and `ops` enforces what it may do.
//!
//! **Errors.** An error of `ops` is a tool's result (`isError`) with the hint: the model reads it and can correct its call.
//! Protocol errors are for mistakes in the protocol, such as a tool that does not exist.
//!
//! **End.** When the client disconnects, waits are cancelled, other calls get half a second, and the process ends.
//! This undoes nothing: an accepted task continues.
//!
//! Not here: message framing, versions of the protocol, cancellation by id. The SDK (`rmcp`) handles these.

mod args;
mod hint;
mod lines;
mod reply;
mod resources;
mod stdio;
mod task;
mod tools;

use std::{sync::LazyLock, time::Duration};

use futures_util::future::BoxFuture;

use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt,
    handler::server::{router::tool::ToolRouter, tool::ToolCallContext},
    model::{
        CallToolRequestParams, CallToolResponse, Implementation, ListResourceTemplatesResult, ListResourcesResult,
        PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig,
    },
    service::{RequestContext, ServerInitializeError},
    tool_handler,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::OnceCell,
};

use crate::{
    error::{Error, Result},
    model::text,
    ops::Client,
};

/// Time for calls that are running when the client goes away.
const FAREWELL: Duration = Duration::from_millis(500);

/// The beginning of the instructions for a model.
const DELEGATE: &str = "\
orch runs other coding agents concurrently with you. Delegate independent work with delegate_task (or spawn_workers for \
several parts of one job): each task goes to an agent of a role, in a session of its own, with only the text you give \
it, so include everything it has to know. get_status lists the roles.";

/// How the master gets results: each request to its model costs money, and it is woken.
const OF_MASTER: &str = "\
After you have delegated, tell the user and end your turn: results, and what waits for a person, are delivered to you \
as messages, which wake you. Use wait_tasks only for a result without which you cannot go on in this turn. Never poll \
get_task, list_tasks or wait_tasks in a loop.";

/// How another client gets results.
const OF_OTHERS: &str = "\
Then wait with wait_tasks, which sleeps until tasks have ended and returns their results; when it returns with tasks \
still open, call it again with their ids. Never poll get_task or list_tasks in a loop.";

/// How the program of a task gets results, in addition.
const OF_ATTEMPT: &str = "\
You can also end your turn while subtasks are open: your task then waits for them at no cost, and you continue with their \
results.";

/// The end of the instructions.
const MORE: &str = "\
Tasks survive crashes and are retried automatically. A task that is 'held' waits for a person: tell the user.\n\
For decisions that only a person can make use ask_human; send_message and read_inbox are for other agents and the master.\n\
What you delegate while you work on a task is a subtask of it; you can wait for, cancel and retry your own subtasks.";

/// Returns the instructions for a model, by what its environment says of who it is. Nothing depends on that but words.
fn instructions(has: impl Fn(&str) -> bool) -> String {
    match (has("ORCH_TASK"), has("ORCH_AGENT")) {
        (true, _) => [DELEGATE, OF_OTHERS, OF_ATTEMPT, MORE].join("\n"),
        (false, true) => [DELEGATE, OF_MASTER, MORE].join("\n"),
        (false, false) => [DELEGATE, OF_OTHERS, MORE].join("\n"),
    }
}

/// Serves one client until it goes away. `load` opens the project; after an error it is called again by the next tool, so
/// that the server starts with an invalid project and its tools report the error.
///
/// # Errors
/// Usage: the client does not begin as the protocol requires. Internal: standard input and output cannot be used.
pub async fn run(load: impl Fn() -> BoxFuture<'static, Result<Client>> + Send + Sync + 'static) -> Result<()> {
    let (connection, gone) = stdio::take()?;
    let terminated = terminated()?;
    tokio::pin!(terminated);
    let service = tokio::select! {
        service = Server::new(load).serve(connection) => match service {
            Ok(service) => service,
            // The client has gone before it had said anything, or before it could be answered.
            Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::TransportError { .. }) => return Ok(()),
            Err(e) => return Err(Error::usage(format!("the client does not begin as MCP requires: {e}"))
                .hint("orch mcp is for agent programs: configure it there as a server on standard input and output")),
        },
        () = &mut terminated => return Ok(()),
    };
    tokio::select! {
        () = gone.notified() => {}
        () = terminated => {}
    }
    // Waits end by this; a call that takes longer was not acknowledged.
    let _ = tokio::time::timeout(FAREWELL, service.cancel()).await;
    Ok(())
}

/// Returns after a signal, with which clients end a server that does not react to the end of its input.
fn terminated() -> Result<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).map_err(|e| Error::internal(format!("signals cannot be received: {e}")));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// The server for one client.
struct Server {
    load: Box<dyn Fn() -> BoxFuture<'static, Result<Client>> + Send + Sync>,
    ops: OnceCell<Client>,
    /// Made at its first use: the handshake does not need it.
    tools: LazyLock<ToolRouter<Self>>,
}

impl Server {
    fn new(load: impl Fn() -> BoxFuture<'static, Result<Client>> + Send + Sync + 'static) -> Self {
        Server { load: Box::new(load), ops: OnceCell::new(), tools: LazyLock::new(Server::all_tools) }
    }

    /// The project's verbs.
    ///
    /// # Errors
    /// What is wrong with the project or the environment.
    async fn ops(&self) -> Result<&Client> {
        self.ops.get_or_try_init(|| (self.load)()).await
    }
}

#[tool_handler(router = self.tools)]
impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_resources().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("orch", env!("CARGO_PKG_VERSION")))
            .with_instructions(instructions(|name| std::env::var_os(name).is_some()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if !self.tools.has_route(&request.name) {
            let names: Vec<String> = self.tools.list_all().into_iter().map(|tool| tool.name.into_owned()).collect();
            let what =
                format!("there is no tool '{}'; the tools are {}", text::one_line(&request.name, 80), names.join(", "));
            return Err(ErrorData::invalid_params(what, None));
        }
        self.tools.call(ToolCallContext::new(self, request, context)).await
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(resources::fixed()))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        resources::read(self, &request.uri).await.map(ReadResourceResponse::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_master_is_told_to_end_its_turn_and_be_woken() {
        let of = |set: &'static [&'static str]| instructions(move |name| set.contains(&name));
        let (master, attempt, other) = (of(&["ORCH_AGENT"]), of(&["ORCH_AGENT", "ORCH_TASK"]), of(&[]));
        assert!(master.contains("wake you") && !master.contains("call it again"), "{master}");
        assert!(attempt.contains("call it again") && attempt.contains("continue with their"), "{attempt}");
        assert!(other.contains("call it again") && !other.contains("wake you"), "{other}");
    }
}
