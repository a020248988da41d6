//! `orch mcp`: the verbs as tools of the Model Context Protocol, for the agent programs that speak it. One client, on
//! standard input and output, for as long as it keeps them open.
//!
//! A surface like the command line: a tool (`tools`, one file for each small group) turns its arguments into a request to
//! `ops` and the answer into a short text and the same as JSON; `resources` shows what is recorded. Who calls is said by
//! the environment, and `ops` holds what they may do.
//!
//! **Errors.** What `ops` refuses is a tool's result that says so (`isError`), with the hint: the model reads it and can do
//! better. A protocol error is left for what the protocol itself calls one, such as a tool that does not exist.
//!
//! **Ends.** When the client goes away, waits are given up, whatever else is under way gets a moment, and the process ends.
//! Nothing is undone by that: a task that was accepted goes on.
//!
//! Not here: message framing, versions of the protocol, cancellation by id. That is the SDK's (`rmcp`).

mod args;
mod reply;
mod resources;
mod stdio;
mod task;
mod tools;

use std::{
    sync::{LazyLock, OnceLock},
    time::Duration,
};

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
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    error::{Error, Result},
    model::text,
    ops::Ops,
};

/// What is under way when the client goes away gets so long.
const FAREWELL: Duration = Duration::from_millis(500);

/// What a model is told before it sees any tool.
const INSTRUCTIONS: &str = "\
orch runs coding agents beside you. Delegate work that can go on by itself with delegate_task (or spawn_workers for \
several parts of one thing): each task goes to an agent of a role, in a session of its own, with only the text you give \
it, so write down all it has to know. get_status lists the roles.\n\
Then wait with wait_tasks, which sleeps until tasks have ended and returns their results; when it returns with tasks \
still open, call it again with their ids. Never poll get_task or list_tasks in a loop.\n\
Tasks survive crashes and are tried again by themselves. A task that is 'held' waits for a person: tell the user.\n\
For what only a person can decide use ask_human; send_message and read_inbox are for other agents and the master.\n\
What you delegate while you work on a task is a subtask of it; you can wait for, cancel and retry your own subtasks. \
Hints in error messages name commands of the orch program, which the tools here stand for.";

/// Serves one client until it goes away. `load` gives the verbs on the project; it is asked again after it has failed, so
/// that the server starts whatever is wrong, and its tools say what is.
///
/// # Errors
/// Usage: the client does not begin as the protocol says. Internal: standard input and output can't be had.
pub async fn run(load: impl Fn() -> Result<Ops> + Send + Sync + 'static) -> Result<()> {
    let (input, output, gone) = stdio::take()?;
    let told_to_end = told_to_end()?;
    tokio::pin!(told_to_end);
    let service = tokio::select! {
        service = Server::new(load).serve((input, output)) => match service {
            Ok(service) => service,
            // The client has gone before it had said anything, or before it could be answered.
            Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::TransportError { .. }) => return Ok(()),
            Err(e) => return Err(Error::usage(format!("the client does not begin as MCP says: {e}"))
                .hint("orch mcp is for agent programs: name it in their configuration as a server on standard input and output")),
        },
        () = &mut told_to_end => return Ok(()),
    };
    tokio::select! {
        () = gone.notified() => {}
        () = told_to_end => {}
    }
    // Waits end by this; whatever takes longer has not been acknowledged to anybody.
    let _ = tokio::time::timeout(FAREWELL, service.cancel()).await;
    Ok(())
}

/// How clients end a server that does not notice the end of its input.
fn told_to_end() -> Result<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).map_err(|e| Error::internal(format!("signals can't be received: {e}")));
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

/// What answers one client.
struct Server {
    load: Box<dyn Fn() -> Result<Ops> + Send + Sync>,
    ops: OnceLock<Ops>,
    /// Made when it is first asked for: the handshake does without.
    tools: LazyLock<ToolRouter<Self>>,
}

impl Server {
    fn new(load: impl Fn() -> Result<Ops> + Send + Sync + 'static) -> Self {
        Server { load: Box::new(load), ops: OnceLock::new(), tools: LazyLock::new(Server::all_tools) }
    }

    /// The verbs.
    ///
    /// # Errors
    /// What is wrong with the project or the environment.
    fn ops(&self) -> Result<&Ops> {
        match self.ops.get() {
            Some(ops) => Ok(ops),
            None => {
                let loaded = (self.load)()?;
                Ok(self.ops.get_or_init(|| loaded))
            }
        }
    }
}

#[tool_handler(router = self.tools)]
impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_resources().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("orch", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if !self.tools.has_route(&request.name) {
            let names: Vec<String> = self.tools.list_all().into_iter().map(|tool| tool.name.into_owned()).collect();
            let what = format!("there is no tool '{}', but {}", text::one_line(&request.name, 80), names.join(", "));
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
