//! What programs say in words: errors, limits, and the arguments of a tool.

use std::time::Duration;

use serde_json::Value;

use super::event::{Failure, When};
use crate::model::{text::one_line, time::Timestamp};

/// An argument of a tool is shown up to here.
const COLUMNS: usize = 100;

/// What an error means, by its HTTP status where one is known, and by its words.
pub(super) fn failure(status: Option<u64>, text: &str) -> Failure {
    let text = text.to_lowercase();
    let status = status.or_else(|| said_status(&text));
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&NO_SESSION) {
        return Failure::NoSuchSession;
    }
    if is_bound_of_turns(&text) {
        return Failure::Bound;
    }
    // Before 429: who has to pay is told so with the same status.
    if is_about_money(&text) || status == Some(402) {
        return Failure::Login;
    }
    if matches!(status, Some(401 | 403)) || says(&LOGIN) {
        return Failure::Login;
    }
    if status == Some(429) || says(&LIMIT) {
        return Failure::RateLimited(limit_end(&text));
    }
    if matches!(status, Some(400 | 404 | 413 | 422)) || says(&REFUSED) || is_about_options(&text) {
        return Failure::Permanent;
    }
    Failure::Transient
}

/// An error as a person needs it: of its JSON the message, nothing twice, and without what we say better ourselves.
pub(super) fn in_short(error: &str) -> String {
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

/// The status of the service's answer, where it is told in words: `api error: 401 ...`, `{"code":404,...}`.
fn said_status(text: &str) -> Option<u64> {
    const BEFORE: [&str; 4] = ["api error: ", "unexpected status ", "last status: ", "\"code\":"];
    BEFORE.iter().find_map(|before| {
        let rest = text.split_once(before)?.1.trim_start();
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 3 { rest[..digits].parse().ok() } else { None }
    })
}

/// Whether a refusal says that the account has to be paid for.
pub(super) fn is_about_money(text: &str) -> bool {
    let text = text.to_lowercase();
    ["credit balance", "insufficient_quota", "insufficient quota", "billing"].iter().any(|word| text.contains(word))
}

/// Whether a program ends because it has taken as many turns as it may, by a setting that a person made.
pub(super) fn is_bound_of_turns(text: &str) -> bool {
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
const LOGIN: [&str; 17] = [
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
const LIMIT: [&str; 9] = [
    "rate limit",
    "rate_limit",
    "ratelimit",
    "usage limit",
    "limit reached",
    "hit your limit",
    "too many requests",
    "quota exceeded",
    "resource_exhausted",
];
/// The service refuses the request.
const REFUSED: [&str; 7] = [
    "prompt is too long",
    "prompt as too long",
    "context_length_exceeded",
    "model_not_found",
    "model not found",
    "not_found_error",
    "invalid_request_error",
];

/// Whether the program does not understand how it was called.
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

/// What the program did not understand of how it was called, by all that it said about its end: the line may stand above all
/// its options, or there may be nothing but these.
pub(super) fn misuse(said: &str) -> Option<String> {
    let mut lines = said.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if is_about_options(line) {
            // `Invalid values:` is told in the next one.
            let more = lines.next().filter(|_| line.ends_with(':')).unwrap_or_default();
            return Some(format!("{line} {more}").trim().to_owned());
        }
    }
    let lists_options = said.lines().any(|line| line.trim().eq_ignore_ascii_case("options:"));
    lists_options.then(|| "it was called with what it does not know, and printed its options".to_owned())
}

/// When a limit ends, where the words say so: `...|1799999999` (seconds since 1970), `try again in 1h 5m`.
pub(super) fn limit_end(text: &str) -> Option<When> {
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

/// `3 days 4 hours`, `1h5m`, `20.5s`, `1 minute and 3 seconds`: as far as it goes on.
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
    // Nobody waits for longer than a month; a number that is none of these is none.
    seconds.filter(|s| (0.0..=31.0 * 86_400.0).contains(s)).map(Duration::from_secs_f64)
}

/// What a tool is used for: the argument that says most, else all of them.
pub(super) fn arguments(input: &Value) -> String {
    const TELLING: [&str; 12] = [
        "command",
        "cmd",
        "file_path",
        "filePath",
        "path",
        "pattern",
        "query",
        "url",
        "description",
        "prompt",
        "text",
        "id",
    ];
    let Some(fields) = input.as_object() else { return said(input) };
    let telling = TELLING.iter().find_map(|name| fields.get(*name)).filter(|value| !value.is_null());
    match telling {
        Some(value) => said(value),
        None if fields.is_empty() => String::new(),
        None => one_line(&input.to_string(), COLUMNS),
    }
}

/// A value as a person would write it, in one line.
pub(super) fn said(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => one_line(text, COLUMNS),
        Value::Array(words) if words.iter().all(Value::is_string) => {
            one_line(&words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "), COLUMNS)
        }
        other => one_line(&other.to_string(), COLUMNS),
    }
}

/// The text of a message's content: a string, or a list of blocks with texts.
pub(super) fn content(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks.iter().filter_map(|b| b["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_time_that_makes_no_sense_is_none() {
        for text in
            ["try again in a while", "try again in 99999999 days", "limit|12", "try again in 5 apples", "resets in "]
        {
            assert_eq!(limit_end(text), None, "{text}");
        }
    }

    #[test]
    fn a_tool_is_told_by_its_most_telling_argument() {
        let json = |text: &str| arguments(&serde_json::from_str(text).unwrap());
        assert_eq!(json(r#"{"description":"x","command":"ls -la\nrm x"}"#), "ls -la…");
        assert_eq!(json(r#"{"command":["bash","-lc","ls"]}"#), "bash -lc ls");
        assert_eq!((json("{}"), json(r#"{"a":1}"#)), (String::new(), r#"{"a":1}"#.to_owned()));
    }
}
