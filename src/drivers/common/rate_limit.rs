//! Finds out when a rate limit ends, from the message of a program or its service. Pure: clocks and zones are passed
//! in.
//!
//! The messages are those of the real programs and services (`texts` in the tests). The first form that matches wins,
//! in this order: named values as services write them (`"resets_at":1799999999`, `retry-after: 30`), an epoch
//! (`|1799999999`), a duration (`try again in 3h 20m`), a clock time with or without a date and a zone (`resets Nov
//! 30, 5pm (Europe/Berlin)`).

mod clock;
mod named;
#[cfg(test)]
mod texts;

use std::time::Duration;

use serde_json::Value;

pub use self::clock::Clock;
use super::event::{Event, When};
use crate::model::{time::Timestamp, window::Window};

/// A limit that lasts longer is a misreading.
pub(super) const LONGEST: Duration = Duration::from_secs(31 * 86_400);

/// Longest name of a window.
const LONGEST_NAME: usize = 40;
/// A later time in seconds is one in milliseconds.
const MOST_SECONDS: u64 = 100_000_000_000;

/// Reads claude's `{"rate_limit_info":{"status":"rejected","resetsAt":SECONDS,"rateLimitType":"five_hour","utilization":0.9}}`. A
/// warning is no limit yet.
pub(in crate::drivers) fn events(line: &Value) -> Vec<Event> {
    let info = &line["rate_limit_info"];
    let (ends, is_full) = (info["resetsAt"].as_u64(), info["status"] == "rejected");
    let resets_at = ends.map(|at| Timestamp(if at > MOST_SECONDS { at } else { at.saturating_mul(1000) }));
    let is_name = |name: &&str| {
        (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    // A share, or a number of per cent.
    let used = info["utilization"].as_f64().filter(|used| (0.0..=100.0).contains(used));
    let used = used.map(|used| if used > 1.0 { used / 100.0 } else { used });
    let window = info["rateLimitType"].as_str().filter(is_name).map(|name| {
        let name = name.to_owned();
        Event::Window(Window { name, used: used.or(is_full.then_some(1.0)), is_full, resets_at })
    });
    let limited = is_full.then_some(Event::RateLimited { until: resets_at.map(When::At) });
    window.into_iter().chain(limited).collect()
}

/// What stands before a span or a time, longest first where one begins like another.
const ANCHORS: [&str; 10] = [
    "resets",
    "reset",
    "try again",
    "retry after",
    "retry in",
    "retry at",
    "please wait",
    "available",
    "until",
    "renews",
];

/// Returns when a limit ends, where the message says so.
pub(in crate::drivers) fn end_of(text: &str) -> Option<When> {
    let text = text.to_lowercase();
    if let Some(when) = named::value(&text) {
        return Some(when);
    }
    let mut places: Vec<usize> =
        ANCHORS.iter().flat_map(|words| text.match_indices(words).map(|(at, words)| at + words.len())).collect();
    places.sort_unstable();
    let after = places.iter().filter_map(|at| text.get(*at..));
    let found = after.into_iter().find_map(|rest| span_after(rest).map(When::After).or_else(|| clock::read(rest)));
    found.or_else(|| is_daily_of_google(&text).then_some(When::Clock(Clock::MIDNIGHT_PACIFIC)))
}

/// Requests per day are counted from zero at midnight, Pacific time, which the message does not say.
fn is_daily_of_google(text: &str) -> bool {
    ["exhausted your daily quota", "reached your daily quota limit", "requestsperday", "requests_per_day"]
        .iter()
        .any(|words| text.contains(words))
}

/// Reads ` in 3h 20m`, ` after 2733 seconds` at the beginning of `rest`.
fn span_after(rest: &str) -> Option<Duration> {
    const BEFORE: [&str; 5] = ["in", "after", "for", "about", ":"];
    let mut rest = rest.trim_start();
    while let Some(after) = BEFORE.iter().find_map(|word| rest.strip_prefix(word)) {
        rest = after.trim_start_matches([' ', '~']);
    }
    span(rest)
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
        let after = rest[length..].trim_start_matches([' ', '\n']);
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = match &after[..letters] {
            "w" | "week" | "weeks" => 604_800.0,
            "d" | "day" | "days" => 86_400.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "ms" | "milliseconds" => 0.001,
            _ => break,
        };
        seconds = Some(seconds.unwrap_or(0.0) + number * unit);
        rest = &after[letters..];
    }
    let seconds = seconds.filter(|seconds| (0.0..=LONGEST.as_secs_f64()).contains(seconds))?;
    Some(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_reported_before_it_is_full() {
        let of = |info: &str| events(&serde_json::from_str(&format!("{{\"rate_limit_info\":{info}}}")).unwrap());
        let window = |used, is_full, at: u64| {
            Event::Window(Window { name: "five_hour".into(), used, is_full, resets_at: Some(Timestamp(at)) })
        };
        let warned =
            r#"{"status":"allowed_warning","resetsAt":1700000100,"rateLimitType":"five_hour","utilization":0.85}"#;
        assert_eq!(of(warned), [window(Some(0.85), false, 1_700_000_100_000)]);
        let percent = r#"{"status":"allowed","resetsAt":1700000100000,"rateLimitType":"five_hour","utilization":82}"#;
        assert_eq!(of(percent), [window(Some(0.82), false, 1_700_000_100_000)]);
        let full = r#"{"status":"rejected","resetsAt":1700000100,"rateLimitType":"five_hour"}"#;
        let until = Some(When::At(Timestamp(1_700_000_100_000)));
        assert_eq!(of(full), [window(Some(1.0), true, 1_700_000_100_000), Event::RateLimited { until }]);
        assert_eq!(of(r#"{"status":"rejected"}"#), [Event::RateLimited { until: None }]);
        for nothing in [r#"{"status":"allowed"}"#, r#"{"status":"allowed","rateLimitType":"a b"}"#, "{}", "7"] {
            assert_eq!(of(nothing), [], "{nothing}");
        }
        let odd = r#"{"status":"allowed","rateLimitType":"five_hour","utilization":-3,"resetsAt":"soon"}"#;
        let unknown = Window { name: "five_hour".into(), used: None, is_full: false, resets_at: None };
        assert_eq!(of(odd), [Event::Window(unknown)]);
    }

    #[test]
    fn a_time_that_makes_no_sense_is_ignored() {
        for text in [
            "try again in a while",
            "try again in 99999999 days",
            "limit|12",
            "try again in 5 apples",
            "resets in ",
            "resets 25:00",
            "resets 14pm",
            "resets Nov 31",
            "resets at some point (Nowhere/Land)",
            "Please try again later.",
            "try again at 5",
            "limits to reset (every 5h and every week.)",
            r#"{"resets_at":null,"retry_after":"soon"}"#,
        ] {
            assert_eq!(end_of(text), None, "{text}");
        }
    }
}
