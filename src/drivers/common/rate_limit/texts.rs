//! What programs and services have said about their limits, and when each ends.

use jiff::tz::TimeZone;

use super::*;
use crate::drivers::common::{errors, event::Failure};

/// 2026-11-29T12:00:00Z, a Sunday.
const NOW: Timestamp = Timestamp(1_795_953_600_000);

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Seconds from [`NOW`], on a machine in Berlin (UTC+1).
fn ends(text: &str) -> Option<u64> {
    let berlin = TimeZone::get("Europe/Berlin").unwrap_or_else(|_| jiff::tz::Offset::constant(1).to_time_zone());
    end_of(text)?.left(NOW, &berlin).map(|left| left.as_secs())
}

#[test]
fn the_end_of_a_limit_is_read_from_what_programs_say() {
    for (text, seconds) in [
        // claude
        ("You've hit your session limit · resets 3pm (America/Bogota)", 8 * HOUR),
        ("You've hit your session limit · resets 2:30pm (Pacific/Auckland)", 13 * HOUR + 30 * MINUTE),
        (
            "You've hit your session limit · resets 10:30pm (Europe/Berlin)\n/login to switch to an API usage-billed account.",
            9 * HOUR + 30 * MINUTE,
        ),
        ("You've hit your limit · resets 8:22am (UTC)", 20 * HOUR + 22 * MINUTE),
        ("You've hit your limit · resets 10pm", 9 * HOUR),
        ("You've hit your limit · resets Dec 16, 11am (Europe/Berlin)", 16 * DAY + 22 * HOUR),
        ("Weekly limit reached ∙ resets Nov 30, 5 PM", DAY + 4 * HOUR),
        ("You've hit your weekly limit · resets Jan 2, 10:59am (America/New_York)", 34 * DAY),
        ("5-hour limit reached ∙ resets 1pm", 0),
        ("Claude Max usage limit reached. Your limit will reset at 12am.", 11 * HOUR),
        ("Claude AI usage limit reached|1795957200", HOUR),
        ("This request would exceed your limit. Try again in 1s.", 1),
        // codex
        (
            "You've hit your usage limit. Upgrade to Pro (https://openai.com/chatgpt/pricing) or try again in 5 days 22 hours 11 minutes.",
            5 * DAY + 22 * HOUR + 11 * MINUTE,
        ),
        (
            "You've hit your usage limit. Upgrade to Pro or try again in 5 days 22 hours 11\nminutes.",
            5 * DAY + 22 * HOUR + 11 * MINUTE,
        ),
        ("You've hit your usage limit. To get more access now, try again at 9:03 AM.", 20 * HOUR + 3 * MINUTE),
        (
            "You've hit your usage limit. Upgrade to Plus (https://chatgpt.com/explore/plus), or try again at Dec 5th, 2026 8:19 PM.",
            6 * DAY + 7 * HOUR + 19 * MINUTE,
        ),
        ("You've hit your usage limit ... or try again at Nov 30, 2026, 7:38 AM", 18 * HOUR + 38 * MINUTE),
        (
            "You've hit your usage limit. Upgrade your plan to continue, or try again at 10 de dec. de 2026, 11:52.",
            10 * DAY + 22 * HOUR + 52 * MINUTE,
        ),
        (
            r#"{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","plan_type":"free","resets_at":1795964400,"resets_in_seconds":10800}}"#,
            3 * HOUR,
        ),
        ("Rate limit reached for gpt-x in organization org-x on tokens per min. Please try again in 20.5s.", 20),
        ("Rate limit reached. Please try again in 6m0s.", 6 * MINUTE),
        ("Rate limit reached. Please try again in 3h 20m.", 3 * HOUR + 20 * MINUTE),
        // gemini
        ("Quota exceeded for this model. Please retry in 30s.", 30),
        (
            "You have exhausted your capacity on this model. Your quota will reset after 2h34m12s.",
            2 * HOUR + 34 * MINUTE + 12,
        ),
        ("You have exhausted your capacity on this model. Your quota will reset after 0s.", 0),
        ("[API Error: You have exhausted your daily quota on this model.]", 20 * HOUR),
        (
            r#"{"error":{"code":429,"message":"Resource has been exhausted","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"}]}}"#,
            34,
        ),
        // copilot
        (
            "Sorry, you've hit a rate limit that restricts the number of Copilot model requests you can make within a specific time period. Please try again in 51 hours. Please review our Terms of Service",
            51 * HOUR,
        ),
        (
            "Sorry, you've exceeded your 5 hour session limits. Please retry after 2733 seconds. (user_global_rate_limited:pro)",
            2733,
        ),
        (
            "Sorry, you have been rate-limited. Please wait 2 minutes before trying again or consider switching to Auto.",
            2 * MINUTE,
        ),
        ("You have used all premium requests. Your allowance resets on December 1.", DAY + 11 * HOUR),
        // others
        ("429 Too Many Requests\nRetry-After: 3600", HOUR),
        ("429 Too Many Requests; retry-after: Sun, 29 Nov 2026 17:00:00 GMT", 5 * HOUR),
        ("429 Too Many Requests; retry-after-ms: 1500", 1),
        ("quota resets at 2026-11-30T05:00:00Z", 17 * HOUR),
        ("quota resets at 2026-11-30 05:00 UTC", 17 * HOUR),
        ("quota resets 14:30 UTC+2", 30 * MINUTE),
        ("limit reached, available again tomorrow at 9 a.m. PST", DAY + 5 * HOUR),
        ("rate limit reached until Monday at 9:00", 20 * HOUR),
        ("Quota exceeded: try again after midnight Pacific time (PT)", 20 * HOUR),
    ] {
        // What is more than a month away is a misreading.
        let expected = Some(seconds).filter(|seconds| *seconds <= LONGEST.as_secs());
        assert_eq!(ends(text), expected, "{text}");
        assert!(
            matches!(errors::failure(None, text), Failure::RateLimited(_)),
            "{text}: {:?}",
            errors::failure(None, text)
        );
    }
}

#[test]
fn a_date_without_a_year_is_that_of_the_next_such_day() {
    // 2026-12-31T12:00:00Z
    let last_day = Timestamp(1_798_718_400_000);
    let left = |text: &str| end_of(text)?.left(last_day, &TimeZone::UTC).map(|left| left.as_secs());
    assert_eq!(left("resets Jan 2, 5am"), Some(DAY + 17 * HOUR));
    assert_eq!(left("resets Dec 31, 11:50am"), Some(0), "it has just ended");
    assert_eq!(left("resets Dec 20, 5am"), Some(0), "a screen may show what was");
    assert_eq!(left("resets 11:30am"), Some(23 * HOUR + 30 * MINUTE), "that of tomorrow");
}
