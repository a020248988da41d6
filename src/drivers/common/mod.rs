//! What the drivers share: the vocabulary for the reports of all programs, and the formats that several programs use.

pub(in crate::drivers) mod conversation;
pub(in crate::drivers) mod edited;
pub(in crate::drivers) mod ending;
pub(in crate::drivers) mod errors;
pub(in crate::drivers) mod event;
pub(in crate::drivers) mod exit_code;
pub(in crate::drivers) mod hook;
pub(in crate::drivers) mod hook_json;
pub(in crate::drivers) mod login;
pub(in crate::drivers) mod mcp_config;
pub(in crate::drivers) mod program;
pub(in crate::drivers) mod prompt;
pub(in crate::drivers) mod rate_limit;
pub(in crate::drivers) mod screen;
pub(in crate::drivers) mod settings_json;
pub(in crate::drivers) mod stream_json;
pub(in crate::drivers) mod summary;
pub(in crate::drivers) mod tool_request;
pub(in crate::drivers) mod trust;
