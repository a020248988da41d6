//! Single values, as the scripts take them and as the records contain them.

use std::{str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Result, StoreError, attempts::Metered};
use crate::model::task::{Counted, Usage};

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
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_micro_usd: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_tokens: Option<u64>,
}

impl StoredUsage {
    fn of(usage: &Usage) -> StoredUsage {
        let (input_tokens, output_tokens) = (usage.input_tokens, usage.output_tokens);
        let some = |amount: u64| Some(amount).filter(|amount| *amount > 0);
        StoredUsage {
            input_tokens,
            output_tokens,
            micro_usd: usage.micro_usd(),
            estimated_micro_usd: some(usage.estimated_micro_usd()),
            estimated_tokens: some(usage.estimated_tokens),
        }
    }

    fn read(self) -> Usage {
        Usage {
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            cost_usd: Usage::of_micro_usd(self.micro_usd),
            estimated_usd: Usage::of_micro_usd(self.estimated_micro_usd.unwrap_or(0)),
            estimated_tokens: self.estimated_tokens.unwrap_or(0),
        }
    }
}

pub(super) fn usage_to_json(usage: &Usage) -> String {
    // What cannot be true is refused by the transitions (lua/prelude/usage.lua).
    serde_json::to_string(&StoredUsage::of(usage)).unwrap_or_default()
}

pub(super) fn read_usage(text: &str) -> Option<Usage> {
    serde_json::from_str(text).ok().map(StoredUsage::read)
}

/// What was counted of a conversation, as `end_attempt` stores it in `counted` of a task.
#[derive(Deserialize)]
struct StoredCounted {
    conversation: String,
    #[serde(flatten)]
    usage: StoredUsage,
}

pub(super) fn read_counted(text: &str) -> Option<Counted> {
    let StoredCounted { conversation, usage } = serde_json::from_str(text).ok()?;
    Some(Counted { conversation, usage: usage.read() })
}

pub(super) fn metered_to_json(metered: &Metered) -> String {
    metered_json(metered).to_string()
}

fn metered_json(metered: &Metered) -> serde_json::Value {
    let Metered { conversation, before, total } = metered;
    let (before, total) = (StoredUsage::of(before), StoredUsage::of(total));
    serde_json::json!({ "conversation": conversation, "before": before, "total": total })
}

/// What a running attempt has used so far, as the heartbeat takes it.
pub(super) fn live_to_json(usage: &Usage, metered: Option<&Metered>) -> String {
    serde_json::json!({ "usage": StoredUsage::of(usage), "metered": metered.map(metered_json) }).to_string()
}
