//! The windows of a subscription: what an account may use in some hours or days, as its program reports it.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// One window of an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// The name that the service gives it, such as `five_hour`.
    pub name: String,
    /// How much of it is used, from 0 to 1, where that is known.
    pub used: Option<f64>,
    /// Whether the service accepts nothing more before its end.
    pub is_full: bool,
    /// When it ends, and what was used counts no longer.
    pub resets_at: Option<Timestamp>,
}

/// A window as it was last reported of an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccountWindow {
    /// The account.
    pub account: String,
    /// When it was reported.
    pub seen_at: Timestamp,
    /// The window.
    #[serde(flatten)]
    pub window: Window,
}

/// Returns a window's name as a person says it.
#[must_use]
pub fn in_words(name: &str) -> String {
    match name {
        "five_hour" => "5 hours".to_owned(),
        "seven_day" => "7 days".to_owned(),
        other => other.replace("seven_day_", "7 days, ").replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn names_of_services_become_words() {
        let said = ["five_hour", "seven_day", "seven_day_opus", "over_age"].map(in_words);
        assert_eq!(said, ["5 hours", "7 days", "7 days, opus", "over age"]);
    }
}
