//! Finds out when a rate limit ends, from what a program or its service says about it.

use std::time::Duration;

use serde_json::Value;

use super::event::{Event, When};
use crate::model::time::Timestamp;

/// Reads claude's `{"rate_limit_info":{"status":"rejected","resetsAt":SECONDS}}`. A warning is no limit yet: `None`.
pub(in crate::drivers) fn event(line: &Value) -> Option<Event> {
    let info = &line["rate_limit_info"];
    if info["status"] != "rejected" {
        return None;
    }
    let until = info["resetsAt"].as_u64().map(|seconds| When::At(Timestamp(seconds.saturating_mul(1000))));
    Some(Event::RateLimited { until })
}

/// Returns when a limit ends, where the message says so: `...|1799999999` (seconds since 1970), `try again in 1h 5m`.
pub(in crate::drivers) fn end_of(text: &str) -> Option<When> {
    if let Some(at) = text.split('|').skip(1).find_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        (digits.len() == 10).then(|| digits.parse::<u64>().ok()).flatten()
    }) {
        return Some(When::At(Timestamp(at * 1000)));
    }
    let text = text.to_lowercase();
    let after = ["try again in ", "retry after ", "retry in ", "resets in "]
        .iter()
        .find_map(|words| text.split_once(words).map(|(_, rest)| rest))?;
    span(after).map(When::After)
}

/// Reads `3 days 4 hours`, `1h5m`, `20.5s`, `1 minute and 3 seconds` at the beginning of `text`.
fn span(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = None;
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        rest = rest.strip_prefix("and ").unwrap_or(rest);
        let length = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let Ok(number) = rest[..length].parse::<f64>() else { break };
        let after = rest[length..].trim_start();
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = match &after[..letters] {
            "d" | "day" | "days" => 86_400.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "ms" => 0.001,
            _ => break,
        };
        seconds = Some(seconds.unwrap_or(0.0) + number * unit);
        rest = &after[letters..];
    }
    // A limit that lasts longer than a month is a misreading.
    seconds.filter(|s| (0.0..=31.0 * 86_400.0).contains(s)).map(Duration::from_secs_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_makes_no_sense_is_ignored() {
        for text in
            ["try again in a while", "try again in 99999999 days", "limit|12", "try again in 5 apples", "resets in "]
        {
            assert_eq!(end_of(text), None, "{text}");
        }
    }
}
