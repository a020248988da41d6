//! The usage of a task: tokens and money.

use serde::{Deserialize, Serialize};

/// Tokens and money, as far as the program reported them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens read by the model.
    pub input_tokens: u64,
    /// Tokens written by the model.
    pub output_tokens: u64,
    /// Price in US dollars.
    pub cost_usd: f64,
    /// How much of the price is an estimate: of attempts that were cut off before their programs reported it.
    #[serde(skip_serializing_if = "is_zero")]
    pub estimated_usd: f64,
    /// How many of the input tokens are an estimate.
    #[serde(skip_serializing_if = "is_none")]
    pub estimated_tokens: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(amount: &f64) -> bool {
    *amount <= 0.0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none(amount: &u64) -> bool {
    *amount == 0
}

/// What has been counted of a conversation whose program reports totals.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Counted {
    /// The conversation's id.
    pub conversation: String,
    /// The totals that were reported last.
    pub usage: Usage,
}

impl Usage {
    /// Both together.
    pub fn and(&self, more: &Usage) -> Usage {
        Usage {
            input_tokens: self.input_tokens.saturating_add(more.input_tokens),
            output_tokens: self.output_tokens.saturating_add(more.output_tokens),
            cost_usd: self.cost_usd + more.cost_usd,
            estimated_usd: self.estimated_usd + more.estimated_usd,
            estimated_tokens: self.estimated_tokens.saturating_add(more.estimated_tokens),
        }
    }

    /// Returns a price that was summed in millionths of a dollar.
    pub fn of_micro_usd(micro: u64) -> f64 {
        micro as f64 / 1e6
    }

    /// The price in millionths of a dollar, as it is summed; what is no price is none.
    pub fn micro_usd(&self) -> u64 {
        micro(self.cost_usd)
    }
    /// The estimated part of the price, so.
    pub fn estimated_micro_usd(&self) -> u64 {
        micro(self.estimated_usd)
    }
    /// All tokens.
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
    /// Whether nothing was used.
    pub fn is_nothing(&self) -> bool {
        self.tokens() == 0 && self.cost_usd <= 0.0
    }
}

fn micro(usd: f64) -> u64 {
    (usd.clamp(0.0, 1e6) * 1e6).round() as u64
}
