//! A tool's answer: a text that suffices for a model, and the same as JSON.

use rmcp::{
    ErrorData,
    handler::server::tool::IntoCallToolResult,
    model::{CallToolResponse, CallToolResult, ContentBlock},
};
use serde::Serialize;

use super::hint::for_model;
use crate::error::Error;

/// The result type of every tool.
pub(super) type Answer<T> = Result<Reply<T>, Failure>;

/// The answer of a call that has succeeded.
pub(super) struct Reply<T> {
    text: String,
    value: T,
}

/// The error of a call that has failed. Text alone: clients may check structured content against the schema of a success.
pub(super) struct Failure(Error);

/// Makes a tool's answer.
pub(super) fn reply<T>(text: impl Into<String>, value: T) -> Answer<T> {
    Ok(Reply { text: text.into(), value })
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure(error)
    }
}

/// An error's kind and code, for programs.
pub(super) fn codes(error: &Error) -> serde_json::Value {
    serde_json::json!({"kind": error.kind, "code": error.code})
}

impl<T: Serialize> IntoCallToolResult for Reply<T> {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        let value = serde_json::to_value(self.value)
            .map_err(|e| ErrorData::internal_error(format!("the answer can't be written as JSON: {e}"), None))?;
        let mut result = CallToolResult::success(vec![ContentBlock::text(self.text)]);
        result.structured_content = Some(value);
        Ok(result.into())
    }
}

impl IntoCallToolResult for Failure {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        let mut result = CallToolResult::error(vec![ContentBlock::text(for_model(&self.0))]);
        result.meta = serde_json::from_value(codes(&self.0)).ok();
        Ok(result.into())
    }
}
