//! Single values as the scripts take them, and as the records have them.

use std::{str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Result, StoreError};
use crate::model::task::Usage;

/// In whole milliseconds.
pub(super) fn ms(d: Duration) -> String {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX).to_string()
}

pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| StoreError::Other(e.to_string()))
}

pub(super) fn parse<T: FromStr>(text: &str, what: &str) -> Result<T> {
    text.parse().map_err(|_| StoreError::Other(format!("'{text}' is not a {what}")))
}

/// Usage as the transitions and the records have it.
#[derive(Serialize, Deserialize)]
#[serde(default)]
#[derive(Default)]
struct StoredUsage {
    input_tokens: u64,
    output_tokens: u64,
    micro_usd: u64,
}

pub(super) fn usage_to_json(usage: &Usage) -> String {
    // What cannot be true is refused by the transitions (lua/prelude/usage.lua).
    let (input_tokens, output_tokens) = (usage.input_tokens, usage.output_tokens);
    let stored = StoredUsage { input_tokens, output_tokens, micro_usd: usage.micro_usd() };
    serde_json::to_string(&stored).unwrap_or_default()
}

pub(super) fn read_usage(text: &str) -> Option<Usage> {
    let stored: StoredUsage = serde_json::from_str(text).ok()?;
    let cost_usd = stored.micro_usd as f64 / 1e6;
    Some(Usage { input_tokens: stored.input_tokens, output_tokens: stored.output_tokens, cost_usd })
}
