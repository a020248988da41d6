//! What is recorded, as resources for a client and its user: `orch://status`, `orch://tasks/{id}`,
//! `orch://tasks/{id}/log`.

use rmcp::{
    ErrorData,
    model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate},
};
use serde::Serialize;

use super::{Server, reply::codes};
use crate::{
    error::{Error, Kind},
    model::id::TaskId,
    ops::types::{LogQuery, Target},
    view::{View, log, text::end_of},
};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
/// The last lines of a log, and the last bytes of these.
const LINES: usize = 1_000;
const BYTES: usize = 256 * 1024;

/// The resources that always exist.
pub(super) fn fixed() -> Vec<Resource> {
    vec![
        Resource::new("orch://status", "status")
            .with_title("orch status")
            .with_description("Supervisor, Redis, agents, how many tasks are in each state, what needs a person")
            .with_mime_type(JSON),
    ]
}

/// The resources that exist per task.
pub(super) fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new("orch://tasks/{id}", "task")
            .with_description("Everything recorded about a task, as orch show --json prints it")
            .with_mime_type(JSON),
        ResourceTemplate::new("orch://tasks/{id}/log", "task log")
            .with_description("The last lines that a task's agents printed")
            .with_mime_type(TEXT),
    ]
}

/// Reads a resource.
///
/// # Errors
/// A protocol error, because resources have no other: not found, or the error of `ops`.
pub(super) async fn read(server: &Server, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let ops = server.ops().await.map_err(as_protocol)?;
    let path = uri.strip_prefix("orch://").unwrap_or_default();
    let contents = match path.split('/').collect::<Vec<_>>().as_slice() {
        ["status"] => json(uri, &ops.status().await.map_err(as_protocol)?)?,
        ["tasks", id] => {
            let target = Target::Task(task(id, uri)?);
            json(uri, &ops.show(target).await.map_err(as_protocol)?)?
        }
        ["tasks", id, "log"] => {
            let query = LogQuery { task: Some(task(id, uri)?), last: LINES, ..LogQuery::default() };
            let lines = ops.logs(query).await.map_err(as_protocol)?;
            let view = View::plain();
            let text: String = lines.iter().map(|line| log::line(line, &view)).collect();
            ResourceContents::text(end_of(&text, BYTES), uri).with_mime_type(TEXT)
        }
        _ => return Err(unknown(uri)),
    };
    Ok(ReadResourceResult::new(vec![contents]))
}

fn json(uri: &str, value: &impl Serialize) -> Result<ResourceContents, ErrorData> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| ErrorData::internal_error(format!("it can't be written as JSON: {e}"), None))?;
    Ok(ResourceContents::text(text, uri).with_mime_type(JSON))
}

fn task(id: &str, uri: &str) -> Result<TaskId, ErrorData> {
    id.parse().map_err(|_| unknown(uri))
}

fn unknown(uri: &str) -> ErrorData {
    let what = format!("there is no resource {uri}: there are orch://status, orch://tasks/ID and orch://tasks/ID/log");
    ErrorData::resource_not_found(what, None)
}

fn as_protocol(error: Error) -> ErrorData {
    match error.kind {
        Kind::NotFound => ErrorData::resource_not_found(super::hint::for_model(&error), Some(codes(&error))),
        _ => ErrorData::internal_error(super::hint::for_model(&error), Some(codes(&error))),
    }
}
