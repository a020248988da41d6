//! Parses the arguments of tools, and describes their schemas.

use std::{borrow::Cow, str::FromStr, sync::Arc, time::Duration};

use rmcp::{
    ErrorData,
    handler::server::{
        common::FromContextPart,
        tool::{ToolCallContext, schema_for_output},
    },
    model::JsonObject,
    schemars::{JsonSchema, Schema, SchemaGenerator},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Server;
pub(super) use crate::ops::delegation::or_default;
use crate::{
    error::{Error, Kind, Result},
    model::{duration, id::TaskId},
    ops::{Client, Wanted, Work},
};

/// The arguments of a tool. The SDK's macros expect this name. Unlike the SDK's own type, an error names the argument, so that
/// a model can correct it.
pub(super) struct Parameters<P>(pub P);

impl<P: DeserializeOwned> FromContextPart<ToolCallContext<'_, Server>> for Parameters<P> {
    fn from_context_part(context: &mut ToolCallContext<'_, Server>) -> std::result::Result<Self, ErrorData> {
        let arguments = Value::Object(context.arguments.take().unwrap_or_default());
        // The SDK recognises these words and reports the error to the model instead of the client.
        let wrong = |e| ErrorData::invalid_params(format!("failed to deserialize parameters: {e}"), None);
        serde_path_to_error::deserialize(arguments).map(Parameters).map_err(wrong)
    }
}

impl<P: JsonSchema> JsonSchema for Parameters<P> {
    fn schema_name() -> Cow<'static, str> {
        P::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        P::json_schema(generator)
    }
}

/// Returns the tasks and plans that these words name.
///
/// # Errors
/// As [`id`].
pub(super) async fn work(ops: &Client, texts: &[String]) -> Result<Work> {
    ops.find_work(texts, Wanted::LastTask).await.map_err(|e| match e.kind {
        Kind::Usage => Error { hint: Some(WHERE_IDS_ARE.into()), ..e },
        _ => e,
    })
}

const WHERE_IDS_ARE: &str = "delegate_task and submit_plan return ids, list_tasks lists them";

/// Returns the task that a word names.
///
/// # Errors
/// As [`Client::find_task`].
pub(super) async fn id(ops: &Client, text: &str) -> Result<TaskId> {
    let wrong = |e: Error| match e.kind {
        Kind::Usage => Error { hint: Some(WHERE_IDS_ARE.into()), ..e },
        _ => e,
    };
    ops.find_task(text, Wanted::LastTask).await.map_err(wrong)
}

/// One of the words of a state, a priority, an id.
///
/// # Errors
/// Usage, with this hint.
pub(super) fn word<T: FromStr<Err = String>>(text: &str, hint: &str) -> Result<T> {
    text.parse().map_err(|e: String| Error::usage(e).hint(hint))
}

/// `90s`, `10m`.
///
/// # Errors
/// Usage: it is not a duration.
pub(super) fn time(text: Option<&str>) -> Result<Option<Duration>> {
    text.map(|text| duration::parse(text).map_err(Error::usage)).transpose()
}

/// The schema of what a tool returns.
pub(super) fn output<T: JsonSchema + 'static>() -> Arc<JsonObject> {
    schema_for_output::<T>()
}

/// Simplifies a schema: without `null` types, formats and defaults, which programs interpret differently. All of them
/// understand the plain form.
pub(super) fn plain(schema: &mut Schema) {
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    for property in properties.values_mut() {
        without_formats(property);
        let Some(property) = property.as_object_mut() else { continue };
        property.remove("default");
        property.remove("minimum");
        if let Some(Value::String(description)) = property.get_mut("description") {
            *description = on_one_line(description);
        }
        if let Some(Value::Array(types)) = property.get_mut("type") {
            types.retain(|t| t != "null");
            if let [one] = types.as_mut_slice() {
                let one = one.take();
                property.insert("type".to_owned(), one);
            }
        }
        if let Some(Value::Array(choices)) = property.get_mut("anyOf") {
            choices.retain(|choice| choice["type"] != "null");
            if let [Value::Object(one)] = choices.as_mut_slice() {
                let mut one = std::mem::take(one);
                property.remove("anyOf");
                property.append(&mut one);
            }
        }
    }
}

/// `uint64` is no standard format, and clients warn about formats that they do not know.
fn without_formats(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.retain(|name, value| name != "format" || !value.is_string());
            fields.values_mut().for_each(without_formats);
        }
        Value::Array(items) => items.iter_mut().for_each(without_formats),
        _ => {}
    }
}

/// A doc comment without the line breaks of the source.
pub(super) fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
