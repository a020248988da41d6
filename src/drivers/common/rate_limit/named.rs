//! Values with a name, as services and their libraries write them: fields of JSON, HTTP headers, an epoch after a bar.

use std::time::Duration;

use super::{LONGEST, clock, span};
use crate::{drivers::common::event::When, model::time::Timestamp};

/// What a value is, by the end of its name. In this order: a name may end like another.
const NAMES: [(&str, Kind); 9] = [
    ("resets_in_seconds", Kind::Seconds),
    ("retry_after_seconds", Kind::Seconds),
    ("retry-after-ms", Kind::Milliseconds),
    ("retry_after_ms", Kind::Milliseconds),
    ("retry-after", Kind::SecondsOrTime),
    ("retry_after", Kind::SecondsOrTime),
    ("retrydelay", Kind::Span),
    ("resets_at", Kind::Time),
    ("resetsat", Kind::Time),
];

#[derive(Clone, Copy)]
enum Kind {
    Seconds,
    Milliseconds,
    SecondsOrTime,
    Span,
    Time,
}

/// Returns the first value that reads. `text` is in lower case.
pub(super) fn value(text: &str) -> Option<When> {
    let named = NAMES.iter().find_map(|(name, kind)| {
        let mut places = text.match_indices(name);
        places.find_map(|(at, name)| read(*kind, text.get(at + name.len()..)?))
    });
    named.or_else(|| text.split('|').skip(1).find_map(|rest| epoch(rest.trim_start())))
}

fn read(kind: Kind, after: &str) -> Option<When> {
    // `"name":"value`, `name: value`, `name=value`
    let value = after.trim_start_matches(['"', '\\', '\'', ':', '=', ' ']);
    if value.len() == after.len() {
        return None;
    }
    let seconds = |times: f64| {
        let digits = value.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let seconds = value[..digits].parse::<f64>().ok()? * times;
        (0.0..=LONGEST.as_secs_f64()).contains(&seconds).then(|| When::After(Duration::from_secs_f64(seconds)))
    };
    match kind {
        Kind::Seconds => seconds(1.0),
        Kind::Milliseconds => seconds(0.001),
        Kind::SecondsOrTime => clock::instant(value).or_else(|| seconds(1.0)),
        Kind::Span => span(value).map(When::After),
        Kind::Time => epoch(value).or_else(|| clock::instant(value)),
    }
}

/// Reads seconds or milliseconds since 1970, as far as they have as many digits as those of our time.
fn epoch(text: &str) -> Option<When> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = text[..digits].parse::<u64>().ok()?;
    match digits {
        10 => Some(When::At(Timestamp(number * 1000))),
        13 => Some(When::At(Timestamp(number))),
        _ => None,
    }
}
