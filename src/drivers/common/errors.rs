//! Classifies the error messages of agent programs and of the services behind them.

use serde_json::Value;

use super::{event::Failure, rate_limit};

/// Classifies an error by its HTTP status, where it is known, and by its text.
pub(in crate::drivers) fn failure(status: Option<u64>, text: &str) -> Failure {
    let text = text.to_lowercase();
    let status = status.or_else(|| said_status(&text));
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&NO_SESSION) {
        return Failure::NoSuchSession;
    }
    if is_bound_of_turns(&text) {
        return Failure::Bound;
    }
    // Before 429, because an account without money gets the same status.
    if is_about_money(&text) || status == Some(402) {
        return Failure::Login;
    }
    if matches!(status, Some(401 | 403)) || says(&LOGIN) {
        return Failure::Login;
    }
    if status == Some(429) || says(&LIMIT) {
        return Failure::RateLimited(rate_limit::end_of(&text));
    }
    if matches!(status, Some(400 | 404 | 413 | 422)) || says(&REFUSED) || is_about_options(&text) {
        return Failure::Permanent;
    }
    Failure::Transient
}

/// Shortens an error for a person: the message of its JSON, without repetitions, and without advice that orch gives itself.
pub(in crate::drivers) fn in_short(error: &str) -> String {
    let error = error.split(" · ").filter(|part| !part.contains("/login")).collect::<Vec<_>>().join(" · ");
    let message = |json: &str| {
        let said: Value = serde_json::from_str(json).ok()?;
        said["error"]["message"].as_str().or(said["message"].as_str()).map(str::to_owned)
    };
    let (from, to) = (error.find('{').unwrap_or(0), error.rfind('}').map_or(0, |at| at + 1));
    let error = match error.get(from..to).and_then(message) {
        Some(message) => format!("{}{message}{}", &error[..from], &error[to..]),
        None => error,
    };
    let mut parts: Vec<&str> = error.split(": ").collect();
    parts.dedup_by(|part, before| before.ends_with(*part));
    parts.join(": ").trim().trim_end_matches('.').to_owned()
}

/// Finds the HTTP status in an error's text: `api error: 401 ...`, `{"code":404,...}`.
fn said_status(text: &str) -> Option<u64> {
    const BEFORE: [&str; 4] = ["api error: ", "unexpected status ", "last status: ", "\"code\":"];
    BEFORE.iter().find_map(|before| {
        let rest = text.split_once(before)?.1.trim_start();
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 3 { rest[..digits].parse().ok() } else { None }
    })
}

/// Reports whether an error says that the account has no money.
pub(in crate::drivers) fn is_about_money(text: &str) -> bool {
    let text = text.to_lowercase();
    // Google names the billing details in every message about a quota, which comes back.
    let of_google =
        ["quota exceeded for metric", "ai.google.dev", "googleapis.com"].iter().any(|word| text.contains(word));
    ["credit balance", "insufficient_quota", "insufficient quota"].iter().any(|word| text.contains(word))
        || text.contains("billing") && !of_google
}

/// Reports whether a program ended because it reached the number of turns that its settings allow.
pub(in crate::drivers) fn is_bound_of_turns(text: &str) -> bool {
    let text = text.to_lowercase();
    ["max session turns", "maximum session turns"].iter().any(|words| text.contains(words))
}

const NO_SESSION: [&str; 7] = [
    "no conversation found",
    "no rollout found",
    "session not found",
    "invalid session identifier",
    "no previous sessions found",
    "no saved session found",
    "no session, task, or name matched",
];
const LOGIN: [&str; 18] = [
    "missing environment variable",
    "invalid auth method",
    "invalid api key",
    "incorrect api key",
    "api key not valid",
    "invalid x-api-key",
    "please run /login",
    "not logged in",
    "authentication_error",
    "authenticationerror",
    "authentication_failed",
    "unauthenticated",
    "permission_denied",
    "401 unauthorized",
    "403 forbidden",
    "oauth token has expired",
    "please set an auth method",
    "no auth type is selected",
];
const LIMIT: [&str; 21] = [
    "rate limit",
    "rate_limit",
    "ratelimit",
    "rate-limit",
    "usage limit",
    "usage_limit",
    "session limit",
    "weekly limit",
    "limit reached",
    "hit your limit",
    "exceed your limit",
    "too many requests",
    "quota exceeded",
    "exceeded your current quota",
    "exhausted your",
    "daily quota",
    "terminalquotaerror",
    "quota will reset",
    "quota resets",
    "used all premium requests",
    "resource_exhausted",
];
/// Errors of a service that refuses the request itself.
const REFUSED: [&str; 7] = [
    "prompt is too long",
    "prompt as too long",
    "context_length_exceeded",
    "model_not_found",
    "model not found",
    "not_found_error",
    "invalid_request_error",
];

/// Reports whether an error says that the program does not understand its arguments.
fn is_about_options(text: &str) -> bool {
    const WORDS: [&str; 7] = [
        "unknown option",
        "unknown argument",
        "unexpected argument",
        "unrecognized argument",
        "invalid value",
        "invalid choice",
        "allowed choices are",
    ];
    let text = text.to_lowercase();
    WORDS.iter().any(|word| text.contains(word))
}

/// Returns what the program did not understand about its arguments, given all of its standard error. The line may stand above
/// a list of all options, or there may be only that list.
pub(in crate::drivers) fn misuse(said: &str) -> Option<String> {
    let mut lines = said.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if is_about_options(line) {
            // The next line says what `Invalid values:` refers to.
            let more = lines.next().filter(|_| line.ends_with(':')).unwrap_or_default();
            return Some(format!("{line} {more}").trim().to_owned());
        }
    }
    let lists_options = said.lines().any(|line| line.trim().eq_ignore_ascii_case("options:"));
    lists_options.then(|| "it was called with what it does not know, and printed its options".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{drivers::common::event::When, model::time::Timestamp};

    #[test]
    fn errors_are_sorted_by_what_comes_next() {
        let after = |secs| Failure::RateLimited(Some(When::After(Duration::from_secs(secs))));
        for (status, text, meaning) in [
            (Some(529), "Overloaded", Failure::Transient),
            (None, "fetch failed", Failure::Transient),
            (Some(401), "no", Failure::Login),
            (None, "[API Error: 401 bad-key]", Failure::Login),
            (None, "[API Error: 503 later]", Failure::Transient),
            (None, "Invalid API key · Please run /login", Failure::Login),
            (None, "Invalid auth method selected.", Failure::Login),
            (Some(429), "You exceeded your current quota: insufficient_quota", Failure::Login),
            (None, "Your credit balance is too low", Failure::Login),
            (Some(429), "slow down", Failure::RateLimited(None)),
            (
                Some(429),
                "You exceeded your current quota, please check your plan and billing details. For more information, head to: \
                 https://ai.google.dev/gemini-api/docs/rate-limits.",
                Failure::RateLimited(None),
            ),
            (
                None,
                "Rate limit reached. Please try again in 20.5s.",
                Failure::RateLimited(Some(When::After(Duration::from_millis(20_500)))),
            ),
            (None, "You've hit your usage limit. Try again in 1 day 2 hours and 3 minutes.", after(93_780)),
            (
                None,
                "Usage limit reached|1799999999",
                Failure::RateLimited(Some(When::At(Timestamp(1_799_999_999_000)))),
            ),
            (Some(400), "bad", Failure::Permanent),
            (None, "unexpected status 404 Not Found: model: m, url: http://h/v1/responses", Failure::Permanent),
            (None, "unexpected status 529 <unknown status code>: Overloaded", Failure::Transient),
            (None, "exceeded retry limit, last status: 429 Too Many", Failure::RateLimited(None)),
            (None, r#"[API Error: {"error":{"code":404,"message":"models/m is not found"}}]"#, Failure::Permanent),
            (None, r#"[API Error: {"error":{"code":"not_found_error","message":"model: m"}}]"#, Failure::Permanent),
            (None, r#"{"error":{"code":503,"message":"high demand"}}"#, Failure::Transient),
            (None, "The provider rejected the prompt as too long", Failure::Permanent),
            (None, "exit status 404", Failure::Transient),
            (None, "Reached max session turns for this session. Increase ...", Failure::Bound),
            (None, "prompt is too long: 250000 tokens", Failure::Permanent),
            (None, "No conversation found with session ID: x", Failure::NoSuchSession),
        ] {
            assert_eq!(failure(status, text), meaning, "{text}");
        }
    }
}
