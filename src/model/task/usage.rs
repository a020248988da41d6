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
        }
    }

    /// Returns a price that was summed in millionths of a dollar.
    pub fn of_micro_usd(micro: u64) -> f64 {
        micro as f64 / 1e6
    }

    /// The price in millionths of a dollar, as it is summed; what is no price is none.
    pub fn micro_usd(&self) -> u64 {
        (self.cost_usd.clamp(0.0, 1e6) * 1e6).round() as u64
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
